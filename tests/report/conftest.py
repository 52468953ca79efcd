from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import torch

from asymcert.certify import ClosedForm
from asymcert.convex import ConvexMLP
from asymcert.datasets.binary import Split
from asymcert.evaluate.robust import operating_points, record_points
from asymcert.evaluate.run import evaluate
from asymcert.features import CentreAbsolute
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.report import write_report
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import AUDIT_SCHEMA
from asymcert.threats.model import ThreatModel

HOSTILE = "<script>document.title='taken'</script>$x_1$"


class Halved(ClosedForm):
    """A second method: half the closed-form radius, which is sound too."""

    method = "halved"

    def _certificates(self, model, x, threats):
        return [
            replace(part, radius=part.radius / 2, method="halved") for part in super()._certificates(model, x, threats)
        ]


def make_run(path, hostile: bool = False) -> RunFolder:
    """A run with three norms, also at a rate of false alarms, two methods in l2, a gallery, a log and an audit."""
    torch.manual_seed(0)
    x, y = 0.3 * torch.rand(40, 1, 5, 5), torch.arange(40) % 2 == 0
    x[y, :, :, :2] += 0.35
    feature_map = CentreAbsolute(x.mean(0))
    score = ConvexMLP(feature_map.output_shape((1, 5, 5)), (8, 4))
    optimizer = torch.optim.Adam(score.parameters(), 0.01)
    for _ in range(25):
        value = score(feature_map(x))
        loss = torch.nn.functional.softplus(-torch.where(y, value, -value)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        score.project_()
    model = FeatureConvexClassifier(feature_map, score, input_shape=(1, 5, 5))
    model = model.with_threshold(float(model.margin(x)[y].quantile(0.2)))
    names = (HOSTILE, f"{HOSTILE}2") if hostile else ("malware", "harmless")
    run = RunFolder(path)
    run.create(RunFacts(HOSTILE if hostile else "toy", None, "data", *names, (1, 5, 5), {"note": names[0]}, 0))
    run.save_model(model)
    settings = {"data_digest": "data", "seed": 0}
    threats = [ThreatModel(1), ThreatModel(2), ThreatModel(float("inf"), 0, 1)]
    rows = evaluate(model, Split(x, y), run, threats, **settings)
    evaluate(model, Split(x, y), run, [ThreatModel(2)], Halved(), **settings)
    (point,) = operating_points(model, Split(x, y), [0.1])
    record_points(run, [point], model_digest=model.digest, data_digest="data", split="test")
    evaluate(point.model, Split(x, y), run, threats, **settings)
    for epoch in range(4):
        run.append_log(
            {"epoch": epoch, "loss": 1 / (1 + epoch), "accuracy_sensitive": 0.5, "medians": {"l1": 0.1 * epoch}}
        )
    tried = {"attack": pl.lit("pgd"), "fraction": 0.999, "size": pl.col("radius"), "success": pl.lit(False)}
    run.append("audit", rows.filter(pl.col("radius") > 0).with_columns(**tried).select(list(AUDIT_SCHEMA)))
    return run


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="session")
def overlay() -> dict[str, pl.DataFrame]:
    return {"Published <b>": pl.DataFrame({"norm": [1, 1], "radius": [0.0, 0.5], "accuracy": [0.9, 0.1]})}


@pytest.fixture(scope="session")
def page(run, overlay):
    return write_report(run, overlay)


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory):
    return write_report(make_run(tmp_path_factory.mktemp("hostile") / "run", hostile=True))
