"""Training on tables: falls by columns, monotone columns, rare classes, the default recipe at any number of rows."""

import itertools

import pytest
import torch

from asymcert import FeatureConvexClassifier, ThreatModel, certify, train
from asymcert.convex import ConvexMLP
from asymcert.datasets import BinaryData, Split
from asymcert.datasets.columns import CategoryColumn, NumericColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.features import Ramps
from asymcert.training import TrainConfig, preset_for
from asymcert.training.columns import ColumnFalls

COLUMNS = (NumericColumn("size", None, 0.0, 1.0), CategoryColumn("kind", None, ("a", "b")))


def draw(rows, rare=0.5, seed=0):
    """Rows of one number and one category, sensitive where the number is great and the category is not `b`."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) < max(2, round(rare * rows))
    size = torch.rand(rows, generator=generator) * 0.5 + 0.45 * y
    kind = torch.randint(0, 3, (rows,), generator=generator)
    kind[y & (kind == 1)] = 2
    return Split(torch.cat((size[:, None], torch.eye(3)[kind]), 1), y)


def redundant(rows, rare=0.5, seed=0):
    """Rows of eight numbers, each of which is greater for sensitive rows."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) < max(2, round(rare * rows))
    return Split(torch.rand(rows, 8, generator=generator) * 0.6 + 0.4 * y[:, None], y)


def table(rows=400, rare=0.5):
    parts = draw(rows, rare), draw(max(rows // 4, 50), rare, 1), draw(max(rows // 4, 50), rare, 2)
    return BinaryData("toy", *parts, sensitive="bad", other="good", scaling=TableScaling(COLUMNS))


def redundant_table(rows=400, rare=0.5):
    parts = redundant(rows, rare), redundant(rows, rare, 1), redundant(rows, rare, 2)
    return BinaryData("toy", *parts, sensitive="bad", other="good")


def balanced(model, split):
    verdicts = model.predict(split.x)
    return float(verdicts[split.y].double().mean() + (~verdicts[~split.y]).double().mean()) / 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_falls_are_the_greatest_over_all_choices_of_columns_and_ends_of_ramps(count):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(40, 4, generator=generator)
    x[:, 3] = (x[:, 3] > 0.5).float()
    ramps = Ramps.fit(x, 4).float()
    columns = torch.tensor([0, 1, 1, 2])
    slope = torch.randn(40, len(ramps.source), generator=generator)
    features = ramps(x)
    direction = ColumnFalls(ramps, columns, count).directions(slope, features)
    by_input = torch.zeros(40, 4)
    for j in range(4):
        own = ramps.source == j
        ends = torch.cat((ramps.low[own], (ramps.low + ramps.width)[own])).unique()
        at = torch.stack([ramps(torch.full((1, 4), float(v)))[:, own] @ slope[:, own].T for v in ends])
        by_input[:, j] = ((slope * features)[:, own].sum(1) - at.amin((0, 1))).clamp(min=0.0)
    by_column = torch.zeros(40, 3).index_add_(1, columns, by_input)
    expected = torch.stack([by_column[:, list(some)].sum(1) for some in itertools.combinations(range(3), count)])
    torch.testing.assert_close((slope * direction).sum(1), expected.amax(0), rtol=1e-4, atol=1e-5)


def test_the_default_recipe_trains_and_certifies_columns():
    data = table()
    records = []
    model = train(data, on_epoch=records.append)
    assert isinstance(model.score, ConvexMLP)
    assert balanced(model, data.test) > 0.9
    assert 0.0 <= records[-1]["certified"] <= 1.0
    radius = certify(model, data.test.x[data.test.y], ThreatModel(0, lower=0.0, upper=1.0)).radius
    assert bool((radius >= 0).all())


def test_training_for_columns_makes_more_verdicts_outlast_three():
    data, shares = redundant_table(), []
    attacks, threat = data.test.x[data.test.y], ThreatModel(0, lower=0.0, upper=1.0)
    for weight in (0.0, 1.0):
        model = train(data, target_columns=3, columns_weight=weight)
        shares.append(float((certify(model, attacks, threat).radius >= 3).double().mean()))
    assert shares[1] > shares[0] + 0.1


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_one_sample_in_six_hundred_is_enough(class_weight):
    data = redundant_table(6000, 1 / 600)
    assert balanced(train(data, class_weight=class_weight), data.test) > 0.9


def test_increasing_columns_never_lower_the_score_also_after_loading(tmp_path):
    data = table()
    model = train(data, increasing=("size",), epochs=3)
    model.save(tmp_path / "model.safetensors")
    restored = FeatureConvexClassifier.load(tmp_path / "model.safetensors")
    assert restored.digest == model.digest
    more = data.test.x.clone()
    more[:, 0] = (more[:, 0] + 0.3).clamp(max=1.0)
    assert bool((restored.margin(more) >= restored.margin(data.test.x)).all())
    assert set(restored.score.signs[:2]) == {1}
    down = train(data, decreasing=("size",), epochs=3)
    assert bool((down.margin(more) <= down.margin(data.test.x)).all())
    for name in ("kind", "size "):
        with pytest.raises(InputError, match="`increasing"):
            train(data, increasing=(name,))
    with pytest.raises(InputError, match="`decreasing` must be one of"):
        train(redundant_table(), decreasing=("8",))
    with pytest.raises(InputError, match="`increasing` must be a sequence of names"):
        TrainConfig(feature_map="ramps", increasing="size")


def test_an_additive_score_has_no_hidden_layers():
    data = table()
    model = train(data, architecture="additive")
    assert model.score.options()["hidden"] == []
    assert balanced(model, data.test) > 0.9
    radii = [certify(model, data.test.x[:20], ThreatModel(2), method).radius for method in ("tangent", "refined")]
    torch.testing.assert_close(radii[0], radii[1])


@pytest.mark.parametrize("rows", [2, 20, 320, 2944, 20_154, 64_000, 320_000])
def test_batches_and_passes_fit_the_rows(rows):
    y = torch.arange(rows) % 2 == 0
    split = Split(torch.zeros(rows, 4), y)
    scaling = TableScaling(tuple(NumericColumn(name, None, 0.0, 1.0) for name in "abcd"))
    recipe = preset_for(BinaryData("t", split, split, split, "bad", "good", scaling=scaling))
    steps = rows // recipe.batch_size * recipe.epochs
    assert 1 <= recipe.batch_size <= rows
    assert 200 <= steps <= 1000
    assert recipe.epochs >= 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target_columns": 1, "loss": "cross-entropy"}, "`target_columns` must be left out without ramps"),
        ({"target_columns": 1, "feature_map": "ramps"}, "`target_columns` must be 0 for other losses"),
        ({"members": 2, "batch_norm": True}, "`batch_norm` must be False for several members"),
        ({"members": 2, "passthrough": False}, "`passthrough` must be True for several members"),
        ({"edges": 1}, "`edges` must be an integer of at least 2"),
        ({"dropout": 1.0}, r"`dropout` must be a number in \[0, 0.99\]"),
        ({"label_smoothing": 2.0}, "`label_smoothing` must be a number"),
    ],
)
def test_refuses(fields, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**fields)


def test_another_map_takes_the_place_of_ramps_without_more_ado():
    recipe = preset_for(BinaryData("t", draw(60), draw(60, seed=1), draw(60, seed=2), "bad", "good"), "table")
    assert recipe.changed("here", {"feature_map": "centre"}).target_columns == 0
    assert recipe.changed("here", {"epochs": 3}).target_columns == recipe.target_columns > 0
    with pytest.raises(InputError, match="target_columns"):
        recipe.changed("here", {"feature_map": "centre", "target_columns": 2})
