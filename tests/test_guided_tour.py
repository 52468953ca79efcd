"""The guided tour in CONTRIBUTING is the way that a certificate takes, and it is short."""

import re
import sys
from pathlib import Path

import torch

import asymcert
from asymcert import ThreatModel, certify
from asymcert.convex import ConvexMLP
from asymcert.features import Centre
from asymcert.models.feature_convex import FeatureConvexClassifier

SOURCE = Path(asymcert.__file__).parent
# What classifiers, scores, maps, threats and certificates are, and checks of arguments: read for their docstrings.
CONTRACTS = {
    "threats/parts.py",
    "_checks.py",
    "models/base.py",
    "convex/base.py",
    "features/base.py",
    "threats/model.py",
    "certify/base.py",
}


def tour():
    text = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.findall(r"^\d\. `([a-z_/]+\.py)`", text, re.MULTILINE)


def files_run(work):
    """Files of the package whose functions a piece of work runs."""
    seen = set()

    def note(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if SOURCE in path.parents:
            seen.add(path.relative_to(SOURCE).as_posix())

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def test_the_tour_is_what_runs_for_a_closed_form():
    model = FeatureConvexClassifier(Centre(torch.zeros(4)), ConvexMLP((4,), (8, 4)), -1.0, input_shape=(4,))
    x = torch.rand(5, 4)
    run = files_run(lambda: certify(model, x, ThreatModel(2), method="closed-form"))
    assert run - CONTRACTS == set(tour())


def test_the_tour_is_short():
    lines = sum(len((SOURCE / name).read_text(encoding="utf-8").splitlines()) for name in tour())
    assert len(tour()) <= 7
    assert lines <= 900
