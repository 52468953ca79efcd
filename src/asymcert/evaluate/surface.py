"""The whole trade-off: certified accuracy over radius and threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from asymcert._checks import check_count, check_number, refuse
from asymcert._floats import UNIT
from asymcert.certify import ClosedForm, certify
from asymcert.datasets.binary import Split
from asymcert.errors import InputError
from asymcert.evaluate.detection import RATES
from asymcert.models.base import BinaryClassifier
from asymcert.runs.rows import one_series
from asymcert.threats.model import ThreatModel

Floats = NDArray[np.float64]
Grid = Sequence[float] | Floats
BLOCK_VALUES = 2**22  # values in memory at a time: 32 MB


@dataclass(frozen=True, eq=False)
class Surface:
    """Accuracies of one closed-form evaluation at every radius and threshold of a grid.

    Parameters
    ----------
    radii
        Float64 (R,), ascending, in the units of ``ThreatModel.size``.
    thresholds
        Float64 (T,), ascending, relative to the model's own threshold: 0 is the model as it is.
    certified
        Float64 (R, T): certified accuracy of the sensitive class, by the definition of `certified_accuracy`.
    accuracy_sensitive, accuracy_other
        Float64 (T,): accuracies of the two classes on unchanged samples.
    """

    radii: Floats
    thresholds: Floats
    certified: Floats
    accuracy_sensitive: Floats
    accuracy_other: Floats

    @property
    def balanced_threshold(self) -> float | None:
        """Least threshold of the grid at which the other class is recognised at least as often as the sensitive one.

        None where the grid has no such threshold.
        """
        reached = np.flatnonzero(self.accuracy_other >= self.accuracy_sensitive)
        return float(self.thresholds[reached[0]]) if len(reached) else None


def surface(rows: pl.DataFrame, radii: Grid | None = None, thresholds: Grid | None = None) -> Surface:
    """Evaluate every radius and threshold of a grid at once, without running the model again.

    A threshold that is higher by t lowers every margin by t and leaves the slopes as they are, so the closed-form
    radius becomes ``max(0, margin - t) / slope``. Rounding is towards fewer certified samples: from every margin, twice
    the most is subtracted that sound certificates have subtracted from a row's for rounding errors.

    Parameters
    ----------
    rows
        Closed-form evaluation rows of one model, split and threat model.
    radii
        Finite and nonnegative, by default 101 from 0 to the largest finite radius.
    thresholds
        Finite, relative to the model's own, by default about 100 quantiles of the two classes' scores.

    Returns
    -------
    Surface
        Over the grid, radii and thresholds in ascending order.

    Raises
    ------
    InputError
        The rows come from another method, whose radii do not depend on the threshold through margin and slope
        alone; or mix several curves; or lack a class; or the grid is not finite.

    Sound when the rows' margins and slopes are those of the closed form.
    """
    label, margin, slope = _columns(rows)
    if label.all() or not label.any():
        raise refuse("rows", "of both classes", "one class only", "Evaluate a split that holds both.")
    proven = margin[label] - _rounding(rows)
    radius_grid = _default_radii(rows) if radii is None else _grid("radii", radii)
    shift_grid = _default_thresholds(label, margin) if thresholds is None else _grid("thresholds", thresholds)
    if radius_grid[0] < 0:
        raise refuse("radii", "nonnegative", float(radius_grid[0]))
    clean = _certified(margin[label], np.zeros(int(label.sum())), np.zeros(1), shift_grid)[0]
    certified = np.minimum(_certified(proven, slope[label], radius_grid, shift_grid), clean)
    others = np.sort(margin[~label] + 4 * UNIT * np.abs(margin[~label]))
    accuracy_other = np.searchsorted(others, shift_grid, side="right") / len(others)
    return Surface(radius_grid, shift_grid, certified, clean, accuracy_other)


def columns_surface(
    model: BinaryClassifier, split: Split, threat: ThreatModel, most: int = 5, thresholds: Grid | None = None
) -> Surface:
    """The surface where columns are counted: the model is certified again at every threshold, by its default method.

    Parameters
    ----------
    model
        The classifier.
    split
        Samples of both classes.
    threat
        An adversary of norm 0.
    most
        Radii are 0 to so many columns.
    thresholds
        Finite, relative to the model's own, by default about 25 quantiles of the two classes' scores.

    Raises
    ------
    InputError
        Another norm, a split without one of the classes, or a model that no method counts columns of.
    """
    check_count("most", most)
    label = split.y.cpu().numpy()
    if threat.norm != 0:
        raise refuse("threat", "of norm 0", threat.describe(), "Use `surface` for other norms.")
    if label.all() or not label.any():
        raise refuse("split", "of both classes", "one class only")
    margin = model.margin(split.x).double().cpu().numpy()
    own = np.union1d(_default_thresholds(label, margin)[::4], [0.0])
    shifts = own if thresholds is None else _grid("thresholds", thresholds)
    moved = [certify(model.with_threshold(model.threshold + t), split.x[split.y], threat) for t in shifts]
    counts = np.arange(most + 1.0)
    kept = [[(c.sensitive & (c.radius >= count)).double().mean() for c in moved] for count in counts]
    other = [float(np.mean(margin[~label] <= t)) for t in shifts]
    certified = np.array(kept, dtype=np.float64)
    return Surface(counts, shifts, certified, certified[0], np.array(other))


def follows_threshold(rows: pl.DataFrame) -> bool:
    """Whether radii at any threshold follow from margins and slopes: those of the closed form do."""
    return set(rows["method"]) == {ClosedForm.method} and not rows["slope"].is_nan().any()


def lowest_margins(rows: pl.DataFrame, radius: float) -> Floats:
    """Margins (n,) that no change of size at most `radius` goes below, or that it reaches: rounded as in `surface`.

    Parameters
    ----------
    rows
        Closed-form evaluation rows of one model, split and threat model.
    radius
        Finite and nonnegative, in the units of ``ThreatModel.size``.

    Raises
    ------
    InputError
        The rows come from another method or mix several curves, or the radius is out of range.
    """
    check_number("radius", radius, 0.0, float(np.finfo(np.float64).max))
    _, margin, slope = _columns(rows)
    return np.maximum(_left(margin - _rounding(rows), radius * slope), np.finfo(np.float64).min)


def _columns(rows: pl.DataFrame) -> tuple[NDArray[np.bool_], Floats, Floats]:
    one_series(rows)
    if not follows_threshold(rows):
        raise InputError(
            f"`rows` must be closed-form rows, got method {rows['method'].unique().to_list()}. Radii of other methods, "
            "and of some threat models, are not a function of margin and slope, so another threshold needs another "
            "certification: certify `model.with_threshold(...)`, or evaluate with method='closed-form'."
        )
    label = rows["label"].to_numpy()
    return label, rows["margin"].to_numpy(), rows["slope"].to_numpy()


def _rounding(rows: pl.DataFrame) -> float:
    """Twice the most that certificates subtracted from a margin for rounding: errors hardly depend on the threshold."""
    finite = rows.filter(pl.col("radius") > 0, pl.col("radius").is_finite())
    subtracted = finite["margin"] - finite["radius"] * finite["slope"]
    return 2.0 * max(0.0, float(subtracted.max() or 0.0))  # pyright: ignore[reportArgumentType] a series of floats


def _certified(margin: Floats, slope: Floats, radii: Floats, thresholds: Floats) -> Floats:
    """(R, T): fraction of samples with ``margin - r * slope > t``, in blocks of radii of bounded memory."""
    n = len(margin)
    result = np.empty((len(radii), len(thresholds)))
    step = max(1, BLOCK_VALUES // n)
    for start in range(0, len(radii), step):
        left = _left(margin, radii[start : start + step, None] * slope)  # (block, n)
        left.sort(axis=1)
        for offset, values in enumerate(left):
            result[start + offset] = n - np.searchsorted(values, thresholds, side="right")
    return result / n


def _left(margin: Floats, fall: Floats) -> Floats:
    """Margins that are left after they have fallen, never above the exact value."""
    return margin - fall - 4 * UNIT * (np.abs(margin) + fall)


def _grid(name: str, values: Grid) -> Floats:
    grid = np.unique(np.asarray(values, dtype=np.float64))  # ascending
    if len(grid) == 0 or not bool(np.isfinite(grid).all()):
        raise refuse(name, "finite and not empty", values)
    return grid


def _default_radii(rows: pl.DataFrame) -> Floats:
    radius = rows.filter("label", pl.col("radius").is_finite())["radius"].to_numpy()
    largest = float(radius.max()) if len(radius) else 0.0
    return np.linspace(0.0, largest, 101) if largest > 0 else np.zeros(1)


def _default_thresholds(label: NDArray[np.bool_], margin: Floats) -> Floats:
    """Every 2 % of either class, but where hardly any of it is on the right side; 1 % and 0.1 % of false alarms; 0."""
    rejected = np.append(np.linspace(0.02, 1.0, 50), 1.0 - np.array(RATES))
    missed = np.linspace(0.0, 0.98, 50)
    wanted = [*np.quantile(margin[~label], rejected, method="higher"), *np.quantile(margin[label], missed)]
    values = np.unique(margin)
    between = (values[1:] + values[:-1]) / 2  # where no rounding turns a tie into a verdict
    above = np.searchsorted(values[1:-1], wanted, side="right")
    return np.union1d(between[above] if len(between) else [], [0.0])
