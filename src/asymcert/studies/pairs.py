"""All ordered pairs of classes: how far the sensitive one can be certified, and what goes with that.

One file for each pair, so an interrupted sweep goes on where it stopped.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from asymcert._checks import check_choice, check_count, refuse
from asymcert._floats import NORMS, norm_name
from asymcert.certify import METHODS, certify_each
from asymcert.datasets import BinaryData, load
from asymcert.datasets.classes import CLASSES
from asymcert.evaluate.run import Progress
from asymcert.models.thresholds import balanced_threshold
from asymcert.studies.records import read_row, write_row
from asymcert.theory.hull import hull_distances
from asymcert.theory.separability import points_of
from asymcert.threats.model import ThreatModel
from asymcert.training import train
from asymcert.training.presets import PRESETS

MEDIANS = tuple(f"median_{norm_name(norm)}" for norm in NORMS)
CHARACTERISTICS = ("hull_l2", "linear_l2", "centres_l2", "spread_l2", "size_l2")
RIDGE = 1e-3  # share of the mean variance that is added to the linear classifier's covariance
TOLERANCE = 1e-2  # gap of the hull distances, in units of the inputs


@dataclass(frozen=True)
class PairOptions:
    """What a sweep measures.

    Parameters
    ----------
    data
        ``mnist``, ``fashion``, ``digits`` or ``cifar10``, trained by the preset of that name.
    classes
        Positions of at least two classes; every ordered pair of them is measured.
    epochs
        Passes over the training data, fewer than the preset's: a sweep is about differences.
    points
        First sensitive test samples whose hull distance is found.
    iterations
        The most for a hull distance.
    seed
        Of splits and training.
    preset
        Recipe; None for that of the data's name.
    method
        Of certificates; None for the classifiers' default.

    Raises
    ------
    InputError
        Unknown data, preset or method, or a number out of range.
    """

    data: str = "mnist"
    classes: tuple[int, ...] = tuple(range(10))
    epochs: int = 8
    points: int = 50
    iterations: int = 60
    seed: int = 0
    preset: str | None = None
    method: str | None = None

    def __post_init__(self) -> None:
        check_choice("data", self.data, tuple(CLASSES))
        if self.preset is not None:
            check_choice("preset", self.preset, tuple(PRESETS))
        if self.method is not None:
            check_choice("method", self.method, tuple(METHODS))
        for name in ("epochs", "points", "iterations"):
            check_count(name, getattr(self, name))
        check_count("seed", self.seed, 0)
        known = range(len(CLASSES[self.data]))
        if len(set(self.classes)) < 2 or not set(self.classes) <= set(known):
            raise refuse("classes", f"at least two of 0 to {len(known) - 1}", list(self.classes))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(sensitive, other), all ordered pairs."""
        return list(itertools.permutations(sorted(set(self.classes)), 2))


def sweep(
    options: PairOptions,
    folder: str | Path,
    *,
    workers: int = 1,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Train, certify and characterise every pair; pairs whose file is in the folder are not measured again.

    Parameters
    ----------
    options
        What to measure.
    folder
        Made if needed; holds a JSON file for each pair.
    workers
        Processes, of one thread each.
    data_dir
        Folder with the data, see `load`.
    progress
        Called with the numbers of finished and of all pairs.

    Returns
    -------
    polars.DataFrame
        A row for each pair: positions and names of `sensitive` and `other`, `accuracy_sensitive`, `accuracy_other`,
        medians of the radius over the sensitive test samples (wrong ones count 0), the characteristics of
        `characterise`, and `seconds`.

    Raises
    ------
    RunError
        The folder holds pairs that were measured with other options.
    """
    check_count("workers", workers)
    folder = Path(folder)
    key = _identity(options)
    left = [pair for pair in options.pairs if read_row(_path(folder, pair), key) is None]
    done, total = len(options.pairs) - len(left), len(options.pairs)
    if progress is not None:
        progress(done, total)
    for _ in _each(partial(_measure_and_store, options, folder, data_dir), left, workers):
        done += 1
        if progress is not None:
            progress(done, total)
    return pl.DataFrame([read_row(_path(folder, pair), key) for pair in options.pairs])


def measure(options: PairOptions, pair: tuple[int, int], data_dir: str | Path | None = None) -> dict[str, Any]:
    """One row of `sweep`, for (sensitive, other)."""
    start = time.perf_counter()
    data = load(f"{options.data}-{pair[0]}-{pair[1]}", data_dir, seed=options.seed)
    every: dict[str, Any] = {"epochs": options.epochs, "validate_every": options.epochs}
    model = train(data, preset=options.preset, seed=options.seed, **every)
    x, sensitive = data.test.x, data.test.y
    right = model.predict(x) == sensitive
    certificates = certify_each(model, x[sensitive], [ThreatModel(norm) for norm in NORMS], options.method)
    medians = [float(certificate.radius.median()) for certificate in certificates]
    return {
        "sensitive": pair[0],
        "other": pair[1],
        "sensitive_name": data.sensitive,
        "other_name": data.other,
        "accuracy_sensitive": float(right[sensitive].double().mean()),
        "accuracy_other": float(right[~sensitive].double().mean()),
        **dict(zip(MEDIANS, medians, strict=True)),
        **characterise(data, options.points, options.iterations),
        "seconds": time.perf_counter() - start,
    }


def characterise(data: BinaryData, points: int, iterations: int) -> dict[str, float]:
    """What can be said of two classes without our classifier, all in l2 and in the units of the inputs.

    Returns
    -------
    dict
        ``hull_l2``: median distance of the first `points` sensitive test samples to the other class's training hull,
        midway between its bounds. ``linear_l2``: median distance of sensitive test samples to the hyperplane of a
        linear classifier, wrong ones counting 0. ``centres_l2``: between the means of the classes. ``spread_l2``: root
        mean square distance of the sensitive class to its mean. ``size_l2``: median norm of its samples.
    """
    x, sensitive = points_of(data, "train")
    own, other = x[sensitive].flatten(1).double(), x[~sensitive].flatten(1).double()
    test = data.test.x[data.test.y]
    found = hull_distances(
        test[:points], x[~sensitive], 2.0, tolerance=TOLERANCE, iterations=iterations, precision=torch.float32
    )
    return {
        "hull_l2": float((found.lower.median() + found.upper.median()) / 2),
        "linear_l2": float(_linear_distances(data, own, other).median()),
        "centres_l2": float((own.mean(0) - other.mean(0)).norm()),
        "spread_l2": float((own - own.mean(0)).square().sum(1).mean().sqrt()),
        "size_l2": float(test.flatten(1).double().norm(dim=1).median()),
    }


def correlations(rows: pl.DataFrame) -> pl.DataFrame:
    """Spearman's rank correlation of every median radius with every characteristic, over the pairs.

    Pairs share classes, so they are no independent samples: a coefficient describes these pairs, and tests nothing.

    Returns
    -------
    polars.DataFrame
        `norm` (by name), `characteristic`, `spearman` (null where either does not vary), `pairs`.
    """
    found = []
    for median, name in itertools.product(MEDIANS, CHARACTERISTICS):
        varies = rows[median].n_unique() > 1 and rows[name].n_unique() > 1
        value = rows.select(pl.corr(median, name, method="spearman")).item() if varies else None
        found.append((median.removeprefix("median_"), name, value, len(rows)))
    schema = {"norm": pl.String, "characteristic": pl.String, "spearman": pl.Float64, "pairs": pl.Int64}
    return pl.DataFrame(found, schema=schema, orient="row")


def _linear_distances(data: BinaryData, own: Tensor, other: Tensor) -> Tensor:
    """Distances of sensitive test samples to the plane of Fisher's discriminant, 0 on the wrong side: (n,)."""
    covariance = (torch.cov(own.T) + torch.cov(other.T)) / 2
    covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
    normal = torch.linalg.solve(covariance, own.mean(0) - other.mean(0))
    normal /= normal.norm()
    threshold = balanced_threshold(data.val.x.flatten(1).double() @ normal, data.val.y)
    return (data.test.x[data.test.y].flatten(1).double() @ normal - threshold).clamp(min=0.0)


def _measure_and_store(options: PairOptions, folder: Path, data_dir: str | Path | None, pair: tuple[int, int]) -> None:
    write_row(_path(folder, pair), _identity(options), measure(options, pair, data_dir))


def _each(work: Callable[[Any], Any], items: Sequence[Any], workers: int) -> Iterator[Any]:
    """Results of all items as they finish; in this process if one worker is enough."""
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        for future in as_completed([pool.submit(work, item) for item in items]):
            yield future.result()


def _path(folder: Path, pair: tuple[int, int]) -> Path:
    return folder / f"pair-{pair[0]}-{pair[1]}.json"


def _identity(options: PairOptions) -> dict[str, Any]:
    """What rows must agree in; which classes are swept is no matter of one pair."""
    return {name: value for name, value in asdict(options).items() if name != "classes" and value is not None}
