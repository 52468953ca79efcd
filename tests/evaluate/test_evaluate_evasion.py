"""Which columns an adversary changes, and to which values, in the table's own units."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from asymcert.certify import Refined, Tangent
from asymcert.convex import ConvexMLP
from asymcert.datasets.columns import NumericColumn
from asymcert.errors import InputError
from asymcert.evaluate.evasion import changed_rows, explain_columns
from asymcert.evaluate.explain import column_value, explain
from asymcert.evaluate.scoring import score_table
from asymcert.evaluate.units import radius_in_units
from asymcert.features import Ramps
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat
from contracts.models import randomise, seeded
from contracts.tables import FRAME, SCALING

TABLE = TableThreat(SCALING)
THREAT = TABLE.counting()
D = TABLE.size
FREE = pl.DataFrame(  # many rows without text
    {
        "size": torch.linspace(90, 520, 40).tolist(),
        "rate": [0.3 * (row % 7) / 6 for row in range(40)],
        "same": [7.0] * 40,
        "kind": ["abz"[row % 3] for row in range(40)],
        "body": ["free"] * 40,
    }
)


@pytest.fixture(scope="module")
def model():
    x = SCALING.transform(FREE)
    ramps = Ramps.fit(torch.cat((x, torch.zeros(1, D), torch.ones(1, D))), 6)
    score = randomise(ConvexMLP(ramps.output_shape((D,)), (8, 4)), seeded(3))
    made = FeatureConvexClassifier(ramps, score, input_shape=(D,), scaling=SCALING, sensitive="bad", other="good")
    return made.with_threshold(float(made.margin(x).quantile(0.2)))


@pytest.mark.parametrize("certifier", [Tangent(), Refined(cuts=3)], ids=lambda each: each.method)
def test_the_changed_row_put_through_the_table_s_own_scaling_undoes_the_verdict(model, certifier):
    x = SCALING.transform(FREE)
    certificate = certifier.certify(model, x, [THREAT])[0]
    told = changed_rows(model, x, certificate)
    known = [row for row, values in enumerate(told) if values]
    assert len(known) > 10
    for row in known:
        values = {name: [value] for name, value in told[row].items()}
        assert len(values) == int(certificate.upper[row])
        assert "same" not in values
        if "body" not in values:
            changed = FREE[row].with_columns(**{name: pl.Series(value) for name, value in values.items()})
            assert not bool(model.predict(SCALING.transform(changed)))
    finite = certificate.upper.isfinite() & certificate.sensitive
    assert len(known) == int(finite.sum())


def test_without_a_counter_example_nothing_is_told(model):
    x = SCALING.transform(FREE[:3])
    assert changed_rows(model, x, Tangent().certify(model, x, [ThreatModel(2)])[0]) == [{}, {}, {}]
    safe = TABLE.counting(mutable=torch.zeros(D, dtype=torch.bool))
    assert changed_rows(model, x, Tangent().certify(model, x, [safe])[0]) == [{}, {}, {}]


def test_shares_of_the_margin_bound_what_a_column_can_do(model):
    x = SCALING.transform(FREE)
    row = int(model.margin(x).argmax())
    radius, parts = explain_columns(model, x[row], THREAT, Tangent())
    assert radius == float(Tangent().certify(model, x[row : row + 1], [THREAT])[0].radius)
    assert [part.share for part in parts] == sorted((part.share for part in parts), reverse=True)
    shares = {part.column: part.share for part in parts}
    assert shares["same"] == 0  # it cannot change
    margin = float(model.margin(x[row : row + 1]))
    for size in (0.0, 200.0, 400.0, 600.0):
        moved = SCALING.transform(FREE[row].with_columns(size=pl.lit(size)))
        assert float(model.margin(moved)) >= margin * (1 - shares["size"]) - 1e-6
    k = int(radius)
    assert sum(sorted(shares.values())[::-1][:k]) < 1 <= sum(sorted(shares.values())[::-1][: k + 1])
    changed = {part.column: part.becomes for part in parts if part.becomes is not None}
    assert k < len(changed) <= float(Tangent().certify(model, x[row : row + 1], [THREAT])[0].upper)
    refused = int(model.margin(x).argmin())
    with pytest.raises(InputError, match="a sample with a sensitive verdict"):
        explain_columns(model, x[refused], THREAT, Tangent())


def test_rows_of_a_file_say_how_many_columns_and_which(model):
    found = score_table(model, FREE, [THREAT, ThreatModel(1, lower=0, upper=1)], Tangent(), 16, evasions=True)
    radii = ["columns", "radius, l1 box[0,1]"]
    assert found.columns == ["row", "verdict", "margin", *radii, "evasion of columns", "problem"]
    certificate = Tangent().certify(model, SCALING.transform(FREE), [THREAT])[0]
    assert found["columns"].to_list() == certificate.radius.tolist()
    told = (found["evasion of columns"] != "").to_numpy()
    assert bool((told <= (found["verdict"] == "bad").to_numpy()).all())
    two = score_table(model, FREE[:2], [THREAT, replace(THREAT, name="thief")], Tangent())
    assert two.columns[3:5] == ["columns box[0,1] mutable", "columns thief"]


def test_a_column_alone_is_safe_in_all_its_values_or_not_at_all(model):
    amounts = radius_in_units(SCALING, 1.0, THREAT)
    assert set(amounts.values()) == {math.inf}
    dear = TABLE.counting(cost=TABLE.costs({"size": 2}, 0))
    none = radius_in_units(SCALING, 0.0, THREAT) | {"same": 0.0}
    assert set(none.values()) == {0.0}
    assert {name for name, amount in radius_in_units(SCALING, 1.0, dear).items() if amount == 0} == {"size"}
    x = SCALING.transform(FREE)
    _, rooms = explain(model, x[int(model.margin(x).argmax())], THREAT, Tangent())
    assert {room.fall for room in rooms} <= {None, 0.0, math.inf}


def test_frame_has_the_columns_of_the_scaling():
    assert FREE.columns == FRAME.columns


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_number_is_told_as_it_was_written(dtype):
    column = NumericColumn("size", None, 0.3, 731.8)
    written = [0.5, 4.0, 5.0, 74.0, 145.29, 700.001]
    inputs = torch.from_numpy(column.scaled(np.array(written))).to(dtype)
    assert [column_value(column, value[None]) for value in inputs] == written
    assert column_value(column, torch.ones(1, dtype=dtype)) == 731.8  # what lies beyond is told as the end
