from __future__ import annotations

import polars as pl
import pytest
import torch

from asymcert.certify import certify_each
from asymcert.convex import ConvexMLP
from asymcert.datasets.binary import Split
from asymcert.features import CentreAbsolute
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import Origin, make_rows
from asymcert.threats.model import ThreatModel


@pytest.fixture(scope="session")
def split() -> Split:
    """60 images of 1 x 4 x 4, alternating classes; the sensitive ones are brighter on one side."""
    generator = torch.Generator().manual_seed(0)
    x = 0.3 * torch.rand(60, 1, 4, 4, generator=generator)
    y = torch.arange(60) % 2 == 0
    x[y, :, :, :2] += 0.35
    return Split(x, y)


@pytest.fixture(scope="session")
def model(split: Split) -> FeatureConvexClassifier:
    """A small network, trained for a moment, that errs on some samples."""
    torch.manual_seed(0)
    feature_map = CentreAbsolute(split.x.mean(0))
    score = ConvexMLP(feature_map.output_shape((1, 4, 4)), (8, 4))
    optimizer = torch.optim.Adam(score.parameters(), 0.01)
    for _ in range(25):
        value = score(feature_map(split.x))
        loss = torch.nn.functional.softplus(-torch.where(split.y, value, -value)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        score.project_()
    scores = FeatureConvexClassifier(feature_map, score, 0.0, input_shape=(1, 4, 4)).margin(split.x)
    return FeatureConvexClassifier(
        feature_map, score, float(scores[split.y].quantile(0.2)), input_shape=(1, 4, 4), sensitive="bad", other="good"
    )


@pytest.fixture
def threats() -> list[ThreatModel]:
    return [ThreatModel(1), ThreatModel(2), ThreatModel(float("inf"), 0, 1)]


@pytest.fixture
def facts() -> RunFacts:
    return RunFacts("toy", None, "data", "bad", "good", (1, 4, 4), {"epochs": 25}, 0)


@pytest.fixture
def run(tmp_path, facts: RunFacts) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create(facts)
    return folder


@pytest.fixture(scope="session")
def rows(model: FeatureConvexClassifier, split: Split) -> pl.DataFrame:
    """Closed-form rows in l2 of the whole split."""
    certificate = certify_each(model, split.x, [ThreatModel(2)])[0]
    return make_rows(certificate, torch.arange(60), split.y, Origin("test", "model", "data", 0), 0.5)
