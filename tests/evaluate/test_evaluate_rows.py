import dataclasses
import math

import polars as pl
import pytest
import torch

from asymcert.certify import Certificate, ClosedForm
from asymcert.errors import InputError
from asymcert.runs.rows import (
    SCHEMA,
    Origin,
    check_rows,
    distinct,
    make_rows,
    one_series,
    options_text,
    threat_key,
)
from asymcert.threats.model import ThreatModel

ORIGIN = Origin("test", "model", "data", 7)


def test_rows_hold_what_the_certificate_says():
    margin = torch.tensor([1.0, -2.0], dtype=torch.float64)
    certificate = Certificate(
        torch.tensor([0.25, 0.0], dtype=torch.float64), margin, 4 * torch.ones_like(margin), ThreatModel(1), "m"
    )
    rows = make_rows(certificate, torch.tensor([5, 9]), torch.tensor([False, True]), ORIGIN, 0.125)
    assert rows.schema == SCHEMA
    assert rows.select("index", "label", "prediction", "margin", "radius", "slope").rows() == [
        (5, False, True, 1.0, 0.25, 4.0),
        (9, True, False, -2.0, 0.0, 4.0),
    ]
    constants = rows.select("norm", "method", "threat", "split", "model_digest", "data_digest", "seed", "seconds")
    assert constants.unique().rows() == [(1.0, "m", "l1", "test", "model", "data", 7, 0.125)]


def test_rows_hold_the_known_upper_ends_and_the_options():
    one = torch.ones(2, dtype=torch.float64)
    upper = torch.tensor([1.5, math.inf], dtype=torch.float64)
    certificate = Certificate(one, one, one, ThreatModel(1), "exact", True, upper=upper)
    origin = Origin("test", "model", "data", 7, "sound=True, tolerance=0.01")
    rows = make_rows(certificate, torch.arange(2), torch.tensor([True, True]), origin, 0.1)
    assert rows["upper"].to_list() == [1.5, math.inf]
    assert rows["options"].unique().to_list() == ["sound=True, tolerance=0.01"]
    without = Certificate(one, one, one, ThreatModel(1), "m")
    assert (
        make_rows(without, torch.arange(2), torch.tensor([True, True]), ORIGIN, 0.1)["upper"].to_list()
        == [math.inf] * 2
    )


def test_options_tell_results_apart_and_the_number_of_processes_does_not():
    @dataclasses.dataclass(frozen=True)
    class Many(ClosedForm):
        cuts: int = 8
        workers: int = 1

    assert options_text(Many()) == "sound=True, cuts=8"
    assert options_text(Many(workers=2)) == options_text(Many())
    assert len({options_text(Many(*given)) for given in ((True, 8), (False, 8), (True, 4))}) == 3


@pytest.mark.parametrize(
    ("index", "label"),
    [
        (torch.tensor([0]), torch.tensor([True, False])),
        (torch.tensor([0, 1]), torch.tensor([1, 0])),
        (torch.tensor([0.0, 1.0]), torch.tensor([True, False])),
    ],
)
def test_rows_refuse_labels_and_indices_that_do_not_fit(index, label):
    one = torch.ones(2, dtype=torch.float64)
    with pytest.raises(InputError, match="must be torch"):
        make_rows(Certificate(one, one, one, ThreatModel(), "m"), index, label, ORIGIN, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": pl.lit(float("nan"))}, "`radius` must be nonnegative"),
        ({"radius": pl.lit(-1.0)}, "`radius` must be nonnegative"),
        ({"prediction": pl.lit(False), "radius": pl.lit(1.0)}, "0 where the verdict is not sensitive"),
        ({"upper": pl.col("radius") / 2}, "`radius` must be at most `upper`"),
        ({"upper": pl.lit(float("nan"))}, "`radius` must be at most `upper`"),
        ({"seed": pl.lit(0.5)}, "columns and types"),
        ({"extra": pl.lit(1)}, "columns and types"),
        ({"method": pl.lit(None, dtype=pl.String)}, "nulls in"),
    ],
)
def test_damaged_rows_are_refused(rows, change, message):
    with pytest.raises(InputError, match=message):
        check_rows(rows.with_columns(**change))


def test_absent_or_reordered_columns_are_refused(rows):
    with pytest.raises(InputError, match="absent \\['seed'\\]"):
        check_rows(rows.drop("seed"))
    with pytest.raises(InputError, match="another order"):
        check_rows(rows.select(reversed(rows.columns)))


def test_one_series_refuses_mixtures_and_repetitions(rows):
    with pytest.raises(InputError, match="several values of \\['threat'\\]"):
        one_series(pl.concat([rows, rows.with_columns(threat=pl.lit("l1"))]))
    with pytest.raises(InputError, match="each sample once"):
        one_series(pl.concat([rows, rows]))


def test_distinct_keeps_the_row_recorded_first(rows):
    later = rows.with_columns(seconds=pl.lit(9.0))
    assert distinct(pl.concat([rows, later])).equals(distinct(rows))


def test_threat_key_tells_apart_what_the_description_leaves_out():
    costs = [ThreatModel(2, cost=torch.tensor([1.0, value])) for value in (2.0, 3.0)]
    assert costs[0].describe() == costs[1].describe()
    assert threat_key(costs[0]) != threat_key(costs[1])
    assert threat_key(costs[0]) == threat_key(ThreatModel(2, cost=torch.tensor([1.0, 2.0])))
    assert threat_key(ThreatModel(2, lower=0.12345678)) != threat_key(ThreatModel(2, lower=0.12345679))
    assert threat_key(ThreatModel(2)) == "l2"
