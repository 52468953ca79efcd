"""Convex separability of the classes of a data set, and what it limits.

The region where an input-convex classifier gives the other verdict, ``{x : g(x) <= threshold}``, is convex. If it holds
a set of points of the other class, it holds their convex hull. So no sound certificate of such a classifier can give a
sensitive point a radius beyond its distance to that hull, whatever the classifier and the method: the *upper* bound of
a row is a limit for every input-convex classifier that is right on those points. One that calls some of them sensitive
is not bound by it. Behind a feature map that bends the input, the limit holds in the features, not in the input.

The *lower* bound, if positive, proves that the point is outside the hull; if all points of a class are, the data is
convexly separable: some convex function is positive on them and not on the others.

Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import torch
from torch import Tensor

from asymcert._checks import check_choice, check_count, check_norm, refuse
from asymcert._floats import NORMS
from asymcert.datasets import BinaryData
from asymcert.theory.hull import HullDistances, hull_distances

HULL_SPLITS = ("train", "test")
SCHEMA = {
    "split": pl.String,
    "class": pl.String,
    "index": pl.Int64,
    "norm": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "gap": pl.Float64,
    "data_digest": pl.String,
}


def separate(
    data: BinaryData,
    norms: Sequence[float] = (2.0,),
    *,
    splits: Sequence[str] = HULL_SPLITS,
    both: bool = True,
    limit: int | None = None,
    tolerance: float = 1e-3,
    iterations: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Distance of every point to the convex hull of the other class's training points.

    Parameters
    ----------
    data
        Its training and validation points together span the hulls and are the split ``train``.
    norms
        Among 1, 2 and inf.
    splits
        Whose points, among ``train`` and ``test``.
    both
        Whether also the points of the other class against the hull of the sensitive one.
    limit
        Only the first points of each class and split.
    tolerance, iterations
        When a point is done, see `hull_distances`.
    progress
        Called with the numbers of finished and of all rows.

    Returns
    -------
    polars.DataFrame
        A row for each point and norm: `split`, `class` of the point, its `index` among the points of its split (of
        training followed by validation for ``train``), `norm`, `lower`, `upper`, `gap` of the distance in the units of
        the inputs, and `data_digest`.

    Raises
    ------
    InputError
        An unknown norm or split, or an option out of range.
    """
    _check_options(norms, splits, limit)
    sides = (True, False) if both else (True,)
    generators, sensitive = points_of(data, "train")
    chosen = {(split, side): _first(data, split, side, limit) for side in sides for split in splits}
    frames, total, done = [], len(norms) * sum(map(len, chosen.values())), 0
    for (split, side), index in chosen.items():
        points, hull = points_of(data, split)[0][index], generators[sensitive != side]
        for norm in norms:
            found = hull_distances(
                points, hull, norm, tolerance=tolerance, iterations=iterations, precision=torch.float32
            )
            name = data.sensitive if side else data.other
            frames.append(_rows(data.digest, split, name, index, norm, found))
            done += len(index)
            if progress is not None:
                progress(done, total)
    return pl.concat(frames)


def summarise(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each split, class and norm of what `separate` gave.

    Returns
    -------
    polars.DataFrame
        `points`, `outside` (proven outside the hull), `separable` (whether all are), the medians of `lower` and of
        `upper`, and the greatest `gap`.
    """
    keys = ["split", "class", "norm"]
    outside = pl.col("lower") > 0
    return rows.group_by(keys, maintain_order=True).agg(
        pl.len().alias("points"),
        outside.sum().alias("outside"),
        outside.all().alias("separable"),
        pl.col("lower").median(),
        pl.col("upper").median(),
        pl.col("gap").max(),
    )


def limit_curve(rows: pl.DataFrame, radii: Sequence[float]) -> list[float]:
    """Share of the rows' points that any input-convex classifier could certify at each radius.

    Parameters
    ----------
    rows
        Of `separate`, one split, class and norm.
    radii
        In the units of the inputs.

    Returns
    -------
    list of float
        The share with an upper bound of at least the radius: a limit for classifiers that call no training point of the
        other class sensitive.

    Raises
    ------
    InputError
        Rows of several splits, classes or norms, or none.
    """
    if rows.select("split", "class", "norm").n_unique() != 1:
        raise refuse("rows", "of one split, class and norm", f"{len(rows)} rows of another number of them", "Filter.")
    upper = rows["upper"].to_numpy()
    return [float((upper >= radius).mean()) for radius in radii]


def limits(rows: pl.DataFrame, sensitive: str, data_digest: str) -> dict[str, pl.DataFrame]:
    """Curves to lay over a report's: above them no input-convex classifier certifies that is right on the whole hull.

    Parameters
    ----------
    rows
        Of `separate`.
    sensitive
        Name of the sensitive class.
    data_digest
        Of the data that the rows must be of.

    Returns
    -------
    dict of str to polars.DataFrame
        By split and number of points: columns ``norm``, ``radius`` and ``accuracy`` (fractions).

    Raises
    ------
    InputError
        The rows are not those of `separate`, are of other data, or hold nothing of the class.
    """
    if dict(rows.schema) != SCHEMA:
        raise refuse(
            "rows", "those of `separate`", f"columns {rows.columns}", "Make them with asymcert separate --out."
        )
    if set(rows["data_digest"]) != {data_digest}:
        remedy = "Run asymcert separate on the data set of the run, with its seed."
        raise refuse("rows", "of the run's data", "rows of other data, or none", remedy)
    own = rows.filter(pl.col("class") == sensitive)
    if own.is_empty():
        raise refuse("rows", f"of class {sensitive!r}", rows["class"].unique().to_list())
    curves = {}
    for (split,), part in own.partition_by("split", as_dict=True).items():
        frames = []
        for (norm,), points in part.partition_by("norm", as_dict=True).items():
            radius = points["upper"].unique().sort().to_list()
            shares = {"radius": [0.0, *radius], "accuracy": limit_curve(points, [0.0, *radius])}
            frames.append(pl.DataFrame(shares).select(norm=pl.lit(norm), radius="radius", accuracy="accuracy"))
        curves[f"limit of convexity, {part['index'].n_unique()} {split} points"] = pl.concat(frames)
    return curves


def points_of(data: BinaryData, split: str) -> tuple[Tensor, Tensor]:
    """Points and labels of ``train``, which includes validation here, or ``test``."""
    if split == "test":
        return data.test.x, data.test.y
    return torch.cat([data.train.x, data.val.x]), torch.cat([data.train.y, data.val.y])


def _check_options(norms: Sequence[float], splits: Sequence[str], limit: int | None) -> None:
    for name, values in (("norms", norms), ("splits", splits)):
        if not values:
            raise refuse(name, "at least one", "none")
    for norm in norms:
        if check_norm(norm) not in NORMS:
            raise refuse("norms", "among 1, 2 and inf", norm)
    for split in splits:
        check_choice("splits", split, HULL_SPLITS)
    if limit is not None:
        check_count("limit", limit)


def _first(data: BinaryData, split: str, side: bool, limit: int | None) -> Tensor:
    """Indices of the first points of a class in a split."""
    return (points_of(data, split)[1] == side).nonzero()[:limit, 0]


def _rows(data_digest: str, split: str, name: str, index: Tensor, norm: float, found: HullDistances) -> pl.DataFrame:
    columns = {
        "split": [split] * len(index),
        "class": [name] * len(index),
        "index": index.cpu().numpy(),
        "norm": [norm] * len(index),
        "lower": found.lower.cpu().numpy(),
        "upper": found.upper.cpu().numpy(),
        "gap": found.gap.cpu().numpy(),
        "data_digest": [data_digest] * len(index),
    }
    return pl.DataFrame(columns, schema=SCHEMA)
