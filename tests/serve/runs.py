"""Runs of a table, of texts and of images, small enough to be made anew for a session of tests."""

import numpy as np
import polars as pl
import torch

from asymcert.convex import ConvexMLP
from asymcert.datasets.tables import load_table
from asymcert.features import CentreAbsolute
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.training import train
from contracts.messages import additive

ROWS = 120


def table_frame() -> pl.DataFrame:
    """Two numbers, one of them with a mark, one with gaps, a category, and a class that follows from them."""
    draw = np.random.default_rng(0)
    size, rate, gaps = draw.random(ROWS) * 100, draw.random(ROWS), draw.random(ROWS)
    kind = draw.choice(["pdf", "exe", "doc"], ROWS)
    bad = (size / 100 + rate + 0.5 * (kind == "exe")) > 1.1
    return pl.DataFrame(
        {
            "size": np.round(size, 2),
            "rate": [f"{100 * value:.1f}%" for value in rate],
            "gaps": [None if place % 7 == 0 else float(value) for place, value in enumerate(gaps)],
            "kind": kind,
            "class": np.where(bad, "bad", "good"),
        }
    )


def table_run(folder, seed: int = 0) -> RunFolder:
    path = folder.parent / f"{folder.name}.csv"
    table_frame().write_csv(path)
    data = load_table(path, "class", "bad")
    return _stored(folder, data, train(data, seed=seed, epochs=20))


def _stored(folder, data, model) -> RunFolder:
    run = RunFolder(folder)
    run.create(RunFacts.of(data, {}, 0))
    run.save_model(model)
    return run


def text_run(folder) -> RunFolder:
    return _bare(folder, additive("both"))


def image_run(folder) -> RunFolder:
    generator = torch.Generator().manual_seed(0)
    feature_map = CentreAbsolute(torch.rand(1, 3, 3, generator=generator))
    score = ConvexMLP(feature_map.output_shape((1, 3, 3)), (4,))
    for weight in score.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    score.project_()
    return _bare(folder, FeatureConvexClassifier(feature_map, score, input_shape=(1, 3, 3)))


def _bare(folder, model) -> RunFolder:
    """A run that no data are known of."""
    scaling = None if model.scaling is None else model.scaling.to_dict()
    run = RunFolder(folder)
    run.create(RunFacts("toy", None, "data", model.sensitive, model.other, model.input_shape, {}, 0, scaling))
    run.save_model(model)
    return run
