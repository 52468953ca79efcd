"""Whether a new model is weaker than an old one on the same samples: a gate before a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from asymcert._checks import check_count, check_number, did_you_mean, refuse
from asymcert.evaluate.curves import CONFIDENCE, round_sizes
from asymcert.evaluate.detection import Estimate, Floats, Times, once, ranking, resampled
from asymcert.runs.rows import one_series, ruled_out

RESAMPLES = 4000
MAX_DROP = 0.01
RATE = 0.01  # of false alarms, at which the share caught is told
COUNTED = (1.0, 3.0)  # sizes, where columns are counted
ALARMS = "false_alarms"  # worse the greater it is
RANKED = {"roc_auc": "auc", "average_precision": "average_precision", f"tpr_at_fpr_{RATE:g}": f"caught@{RATE:g}"}
SCHEMA = {"schema": "asymcert.gate", "version": 1}
EXACT = 1e-9  # 0.95 - 0.94 is more than 0.01 by rounding alone

Rows = Mapping[str, pl.DataFrame]
Figures = dict[tuple[str, str | None], Floats]


@dataclass(frozen=True)
class Drop:
    """How much weaker the new model is by one figure.

    Parameters
    ----------
    figure
        ``balanced_accuracy``, ``recall``, ``false_alarms``, ``auc``, ``average_precision``, ``caught@0.01`` (the share
        caught at 1 % false alarms), or ``recall@SIZE``: the share of sensitive samples that no change of that size
        lets pass, where columns are counted, and of less than that size elsewhere.
    adversary
        Of certified figures, by name.
    old, new
        The figures, shares.
    drop
        By how much the new one is worse, and its paired bootstrap interval; negative where it is better.
    allowed
        The greatest drop that passes.
    weaker
        Whether that makes the new model fail.
    """

    figure: str
    adversary: str | None
    old: float
    new: float
    drop: Estimate
    allowed: float
    weaker: bool

    @property
    def name(self) -> str:
        """Figure and adversary."""
        return self.figure if self.adversary is None else f"{self.figure} ({self.adversary})"

    @property
    def verdict(self) -> str:
        """In words; beyond chance is a drop whose whole interval lies beyond what is allowed."""
        if not self.weaker:
            return "passes"
        if self.drop.value <= self.allowed + EXACT:
            return "may be weaker"
        return "weaker, beyond chance" if self.drop.lower > self.allowed + EXACT else "weaker, may be chance"

    def to_dict(self) -> dict[str, Any]:
        """Fields and verdict, with ``drop`` as ``value``, ``lower``, ``upper``: as `asymcert gate --json` has it."""
        return vars(self) | {"drop": self.drop._asdict(), "verdict": self.verdict}


def drops(
    new: Rows,
    old: Rows,
    max_drop: float = MAX_DROP,
    overrides: Mapping[str, float] = MappingProxyType({}),
    radii: Sequence[float] | None = None,
    *,
    strict: bool = False,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> list[Drop]:
    """Compare two models by their clean and certified figures on the same samples.

    Intervals are of the difference: every resample draws the same samples for both models, from either class as many
    as it has. What both models get right or wrong alike cancels, so they are narrower than those of either figure.

    Parameters
    ----------
    new, old
        Evaluation rows of either model by the adversary's name, all of the same samples, with both classes.
    max_drop
        The greatest drop of a figure that passes, a share.
    overrides
        Other allowances, by the figure's name.
    radii
        Sizes that certified figures are told at; by default 1 and 3 where columns are counted, elsewhere two round
        ones within the old model's radii.
    strict
        Fail where the upper end of a drop's interval exceeds what is allowed, so that only a model that is shown not to
        be weaker passes. Otherwise fail where the drop itself does.
    resamples, confidence, seed
        Of the bootstrap.

    Returns
    -------
    list
        A `Drop` for each figure; the model is weaker if any is. ``caught@0.01`` is left out where the harmless samples
        are too few to show that rate.

    Raises
    ------
    InputError
        The rows are not of the same samples and adversaries, lack a class, or an option is out of range.
    """
    check_count("resamples", resamples)
    check_number("confidence", confidence, 0.0, np.nextafter(1.0, 0.0), open_low=True)
    _check_allowed(max_drop, overrides, radii)
    _check_paired(new, old)
    sides = [{name: rows.sort("index") for name, rows in side.items()} for side in (old, new)]
    label = next(iter(sides[0].values()))["label"].to_numpy()
    sizes = {name: _sizes(rows, radii) for name, rows in sides[0].items()}
    before, after = (_figures(side, sizes, once(label)) for side in sides)
    drawn = [[_figures(side, sizes, times) for side in sides] for times in resampled(label, resamples, seed)]
    _check_known(overrides, [figure for figure, _ in before])
    tails = [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]
    found = []
    for key in before:
        ends = np.quantile(np.concatenate([_worse(key, *both) for both in drawn]), tails)
        drop = Estimate(float(_worse(key, before, after)[0]), float(ends[0]), float(ends[1]))
        allowed = overrides.get(key[0], max_drop)
        weaker = (drop.upper if strict else drop.value) > allowed + EXACT
        found.append(Drop(*key, float(before[key][0]), float(after[key][0]), drop, allowed, weaker))
    return found


def _worse(key: tuple[str, str | None], old: Figures, new: Figures) -> Floats:
    """By how much a figure (b,) of the new model is worse."""
    return new[key] - old[key] if key[0] == ALARMS else old[key] - new[key]


def _sizes(rows: pl.DataFrame, radii: Sequence[float] | None) -> list[float]:
    """Of changes that one adversary's figures are told at."""
    if radii is not None:
        return list(dict.fromkeys(map(float, radii)))
    if rows["norm"][0] == 0:
        return list(COUNTED)
    return round_sizes(rows.filter("label")["radius"].to_numpy())[1:4:2]


def _figures(side: Rows, sizes: Mapping[str, Sequence[float]], times: Times) -> Figures:
    """Every figure (b,) of one model, of samples that are drawn so many times."""
    rows = next(iter(side.values()))
    label, alarm, abstained = (rows[name].to_numpy() for name in ("label", "prediction", "abstained"))
    recall = _share(alarm[label], times[0])
    passed = _share(~(alarm | abstained)[~label], times[1])
    found: Figures = {("balanced_accuracy", None): (recall + passed) / 2, ("recall", None): recall}
    found[ALARMS, None] = _share(alarm[~label], times[1])
    for name, values in ranking(label, rows["margin"].to_numpy(), times, [RATE]).items():
        if not np.isnan(values).any():  # of too few harmless samples to show the rate
            found[RANKED[name], None] = values
    for adversary, each in side.items():
        beyond = ruled_out(each.filter("label"))
        for size in sizes[adversary]:
            found[f"recall@{size:g}", adversary] = _share(beyond > size, times[0])
    return found


def _share(holds: np.ndarray, times: np.ndarray) -> Floats:
    """Shares (b,) of drawn samples for which something holds: bool (m,), and how often each is drawn, (b, m)."""
    return times @ holds / len(holds)


def _check_allowed(max_drop: float, overrides: Mapping[str, float], radii: Sequence[float] | None) -> None:
    for name, value in {"max_drop": max_drop, **overrides}.items():
        check_number(name, value, 0.0, 1.0)
    for size in radii or []:
        check_number("radii", size, 0.0)


def _check_paired(new: Rows, old: Rows) -> None:
    if not new or list(new) != list(old):
        raise refuse("old", f"certified against the adversaries of `new`, {list(new)}", list(old))
    samples = [one_series(rows).sort("index").select("index", "label") for rows in (*new.values(), *old.values())]
    if not all(each.equals(samples[0]) for each in samples):
        raise refuse("old", "of the same samples and labels as `new`", "others", "Certify the same split by both.")
    if samples[0]["label"].n_unique() < 2:
        raise refuse("new", "of samples of both classes", "one class only", "Name rows of both.")


def _check_known(overrides: Mapping[str, float], figures: Sequence[str]) -> None:
    for name in overrides:
        if name not in figures:
            remedy = did_you_mean(name, figures)
            raise refuse("max_drop", f"of a figure among {', '.join(dict.fromkeys(figures))}", repr(name), remedy)
