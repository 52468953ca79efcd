"""Verdicts and radii for rows of a table without labels."""

import polars as pl
import pytest
import torch

from asymcert import ThreatModel, datasets
from asymcert.certify import certifier_for
from asymcert.errors import InputError
from asymcert.evaluate.chunks import KEPT, between_savings, rows_at_once
from asymcert.evaluate.scoring import score_table
from asymcert.models.networks import base_network
from asymcert.models.smoothed import SmoothedClassifier
from contracts.models import random_mlp


@pytest.fixture(scope="module")
def model():
    """A smoothed classifier with a random base."""
    data = datasets.load("breast-cancer")
    torch.manual_seed(0)
    base = base_network("mlp", data.input_shape, width=8)
    return SmoothedClassifier(base, "gaussian", 0.25, sensitive=data.sensitive, other=data.other, scaling=data.scaling)


@pytest.fixture(scope="module")
def frame(model):
    """Two equal rows."""
    return pl.DataFrame({column.name: [0.0, 0.0] for column in model.scaling.columns})


def test_an_abstention_is_not_reported_as_the_other_class(model, frame):
    x, certifier = model.scaling.transform(frame), certifier_for("smoothing", n=50)
    tied = model.with_threshold(float(model.noisy_medians(x[:1], count=2001)))  # half of the votes on either side
    abstained = certifier.certify(tied, x, [ThreatModel(2)])[0].abstained
    assert abstained is not None
    assert abstained.all()
    found = score_table(tied, frame, [ThreatModel(2)], certifier)
    assert found["verdict"].to_list() == [None, None]
    assert found["radius, l2"].to_list() == [0.0, 0.0]


@pytest.mark.parametrize(("threshold", "verdict"), [(-1e6, "sensitive"), (1e6, "other")])
def test_verdicts_are_names_of_classes(model, frame, threshold, verdict):
    found = score_table(model.with_threshold(threshold), frame, [ThreatModel(2)], certifier_for("smoothing", n=50))
    assert found["verdict"].to_list() == [getattr(model, verdict)] * 2
    assert bool((found["radius, l2"] > 0).all()) == (verdict == "sensitive")


def test_a_table_without_rows_is_refused(model, frame):
    with pytest.raises(InputError, match="`frame` must be of at least one row"):
        score_table(model, frame.head(0), [ThreatModel(2)], certifier_for("smoothing"))


def test_rows_at_once_are_many_for_quick_methods_and_enough_for_every_worker():
    model = random_mlp(1)[0]
    assert rows_at_once(model, certifier_for("closed-form")) == KEPT // model.activations > 10_000
    assert rows_at_once(model, certifier_for("exact")) == between_savings(certifier_for("exact")) == 16
    assert rows_at_once(model, certifier_for("exact", workers=3)) == 3 * 64
