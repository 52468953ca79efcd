"""What a change of the recipe does: variants of one training, several seeds each, the same test samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from asymcert._checks import check_choice, refuse
from asymcert._floats import NORMS, norm_name
from asymcert.certify import certify_each
from asymcert.datasets import BinaryData
from asymcert.evaluate.run import Progress
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.studies.records import read_row, write_row
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat
from asymcert.training import preset_for, train
from asymcert.training.presets import PRESETS
from asymcert.training.smoothing import train_smoothed

SMOOTHING_SAMPLES = 200  # of each class: every one costs thousands of passes
TrainVariant = Callable[..., BinaryClassifier]  # (data, seed=, **overrides)


@dataclass(frozen=True)
class Study:
    """Variants of one training.

    Parameters
    ----------
    variants
        Arguments of `train` that each variant changes.
    train
        Returns the classifier of data, a seed and those arguments.
    limit
        First test samples of each class to measure on; None for all.
    certify
        Method and options of the certificates.
    columns
        Of a table, whether to count columns too.
    """

    variants: Mapping[str, Mapping[str, Any]]
    train: TrainVariant = train
    limit: int | None = None
    certify: Mapping[str, Any] = field(default_factory=dict)
    columns: bool = False

    def describe(self, variant: str) -> str:
        """Everything that a variant's row depends on besides data and seed."""
        parts = (dict(self.variants[variant]), self.limit, dict(self.certify), *(["columns"] if self.columns else []))
        return f"{getattr(self.train, '__name__', self.train)} {parts}"


def study_of(name: str, data: BinaryData, **overrides: Any) -> Study:
    """A ready-made study around the preset of the data.

    Parameters
    ----------
    name
        ``feature-map``, ``regularisation``, ``augmentation``, ``target`` or ``sigma``.
    data
        Decides on the preset, and on which variants apply: only images are augmented.
    overrides
        Fields of `TrainConfig` that all variants share, such as ``epochs``; for ``sigma`` none are taken.

    Raises
    ------
    InputError
        An unknown name, or a study that the data do not allow.
    """
    check_choice("name", name, tuple(STUDIES))
    return STUDIES[name](data, overrides)


def ablate(
    data: BinaryData,
    study: Study,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """TrainVariant every variant with every seed, and measure it on the test split.

    Parameters
    ----------
    data
        Test samples are only measured on.
    study
        The variants.
    seeds
        Of training.
    folder
        Where to keep a file for each variant and seed, so that an interrupted study goes on; None keeps none.
    progress
        Called with the numbers of finished and of all trainings.

    Returns
    -------
    polars.DataFrame
        A row for each training: `variant`, `seed`, `accuracy_sensitive`, `accuracy_other`, `accuracy_balanced`, medians
        of the certified radius over the sensitive test samples (wrong ones count 0), the feature map's constants
        ``lipschitz_l1``, ``lipschitz_l2``, ``lipschitz_linf`` (null for other kinds of classifier), ``median_columns``
        where columns are counted, and the `seconds` of training.

    Raises
    ------
    InputError
        No variants or seeds.
    RunError
        The folder holds a training of other data or with other arguments.
    """
    if not study.variants or not seeds:
        raise refuse("study", "of at least one variant and one seed", f"{len(study.variants)} and {len(seeds)}")
    rows, cases = [], [(name, seed) for name in study.variants for seed in seeds]
    for done, (name, seed) in enumerate(cases):
        if progress is not None:
            progress(done, len(cases))
        compute = partial(_measure, data, study, name, seed)
        if folder is None:
            rows.append(compute())
        else:
            key = {"data": data.digest, "variant": name, "seed": seed, "arguments": study.describe(name)}
            rows.append(_kept(Path(folder) / f"{_slug(name)}-{seed}.json", key, compute))
    if progress is not None:
        progress(len(cases), len(cases))
    return pl.DataFrame(rows, infer_schema_length=None)


def summarise(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean over seeds of every number, one row for each variant, with the number of `seeds`.

    ``spread_balanced`` is the standard deviation of the balanced accuracy between seeds, null for a single one.
    """
    numbers = [name for name in rows.columns if name not in ("variant", "seed")]
    return rows.group_by("variant", maintain_order=True).agg(
        pl.len().alias("seeds"),
        *(pl.col(name).mean() for name in numbers),
        pl.col("accuracy_balanced").std().alias("spread_balanced"),
    )


def _measure(data: BinaryData, study: Study, name: str, seed: int) -> dict[str, Any]:
    start = time.perf_counter()
    model = study.train(data, seed=seed, **study.variants[name])
    seconds = time.perf_counter() - start
    x, sensitive = _first(data, study.limit)
    certificates = certify_each(model, x, [ThreatModel(norm) for norm in NORMS], **study.certify)
    right = certificates[0].sensitive == sensitive
    if certificates[0].abstained is not None:
        right &= ~certificates[0].abstained
    hits, rejections = (float(right[part].double().mean()) for part in (sensitive, ~sensitive))
    medians = [float(certificate.radius[sensitive].median()) for certificate in certificates]
    counted = {"median_columns": _columns(model, x[sensitive], study.certify)} if study.columns else {}
    return {
        "variant": name,
        "seed": seed,
        "accuracy_sensitive": hits,
        "accuracy_other": rejections,
        "accuracy_balanced": (hits + rejections) / 2,
        **{f"median_{norm_name(norm)}": median for norm, median in zip(NORMS, medians, strict=True)},
        **counted,
        **{f"lipschitz_{norm_name(norm)}": _constant(model, norm) for norm in NORMS},
        "seconds": seconds,
    }


def _first(data: BinaryData, limit: int | None) -> tuple[Tensor, Tensor]:
    """The first test samples of each class, and which of them are sensitive."""
    chosen = torch.cat([(data.test.y == side).nonzero()[:limit, 0] for side in (True, False)])
    return data.test.x[chosen], data.test.y[chosen]


def _columns(model: BinaryClassifier, x: Tensor, options: Mapping[str, Any]) -> float:
    """The median number of columns that may change without undoing the verdict; of two in the middle, the smaller."""
    threat = ThreatModel(0) if model.scaling is None else TableThreat(model.scaling).counting(lower=0.0, upper=1.0)
    return float(certify_each(model, x, [threat], **options)[0].radius.median())


def _constant(model: BinaryClassifier, norm: float) -> float | None:
    return model.feature_map.lipschitz(norm) if isinstance(model, FeatureConvexClassifier) else None


def _kept(path: Path, key: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The row that the file holds, or a new one that is then stored there."""
    row = read_row(path, key)
    if row is None:
        row = compute()
        write_row(path, key, row)
    return row


def _slug(name: str) -> str:
    return "".join(character if character.isalnum() or character in ".-" else "-" for character in name)


def _trainings(data: BinaryData, shared: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]]) -> Study:
    """Variants of the data's preset, written out as whole recipes so that a kept row knows all that it depends on."""
    one_network = "image" if len(data.input_shape) == 1 else None  # of tables too: with any map and option
    base = preset_for(data, one_network).changed("model 'feature-convex'", shared)
    return Study({name: {"config": base.changed("this study", changes)} for name, changes in variants.items()})


def _feature_maps(data: BinaryData, shared: Mapping[str, Any]) -> Study:
    """Maps and the mean that they centre on; the absolute half doubles the features and costs Lipschitz constant."""
    variants: dict[str, dict[str, Any]] = {
        "identity": {"feature_map": "identity"},
        "centre": {"feature_map": "centre", "centre_on": "channel"},
        "centre-absolute": {"feature_map": "centre-absolute", "centre_on": "channel"},
        "soft-threshold": {"feature_map": "soft-threshold"},
        "hinges 1": {"feature_map": "hinges", "hinge_count": 1},
        "hinges 3": {"feature_map": "hinges", "hinge_count": 3},
        "hinges 7": {"feature_map": "hinges", "hinge_count": 7},
        "centre-absolute, monotone": {"feature_map": "centre-absolute", "centre_on": "channel", "monotone": True},
    }
    if len(data.input_shape) == 3:
        variants["centre, each pixel"] = {"feature_map": "centre", "centre_on": "pixel"}
        variants["centre-absolute, each pixel"] = {"feature_map": "centre-absolute", "centre_on": "pixel"}
    return _trainings(data, shared, variants)


def _regularisation(data: BinaryData, shared: Mapping[str, Any]) -> Study:
    """Weights of the Jacobian penalty with cross-entropy, none and up."""
    weights = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
    variants = {
        f"{weight:g}": {"loss": "cross-entropy", "penalty": "rms" if weight else "none", "penalty_weight": weight}
        for weight in weights
    }
    return _trainings(data, shared, variants)


def _augmentation(data: BinaryData, shared: Mapping[str, Any]) -> Study:
    """Random crops and flips in training."""
    if len(data.input_shape) != 3:
        raise refuse("data", "images for the study of augmentation", f"inputs of shape {data.input_shape}")
    variants = {
        "none": {"crop": 0, "flip": False},
        "crop 1": {"crop": 1, "flip": False},
        "crop 2": {"crop": 2, "flip": False},
        "crop 3": {"crop": 3, "flip": False},
        "flip": {"crop": 0, "flip": True},
        "crop 1, flip": {"crop": 1, "flip": True},
    }
    return _trainings(data, shared, variants)


def _targets(data: BinaryData, shared: Mapping[str, Any]) -> Study:
    """Changes that training keeps verdicts under: accuracy is given for radius, along the front.

    Of images, multiples of the small preset's target in l2; of tables, numbers of columns.
    """
    if len(data.input_shape) == 1:
        preset, columns = "columns", True
        variants = {f"{count} columns": {"target_columns": count} for count in (1, 2, 3, 5, 8)}
    else:
        own, columns = f"{data.name.partition('-')[0]}-small", False
        preset = own if own in PRESETS else "image-small"
        target = PRESETS[preset].target_l2
        variants = {f"{share:g} times": {"target_l2": share * target} for share in (0.25, 0.5, 1.0, 1.5, 2.5)}
    base = preset_for(data, preset).changed("model 'feature-convex'", shared)
    configs = {name: {"config": base.changed("this study", changes)} for name, changes in variants.items()}
    return Study(configs, certify={"method": "tangent"}, columns=columns)


def _sigmas(data: BinaryData, shared: Mapping[str, Any]) -> Study:
    """Standard deviations of the noise of Gaussian smoothing."""
    if shared:
        raise refuse(", ".join(sorted(shared)), "left out for the study of sigma", "a value")
    variants = {f"{sigma:g}": {"sigma": sigma} for sigma in (0.12, 0.25, 0.5, 0.75, 1.0, 1.5)}
    return Study(variants, train_smoothed, SMOOTHING_SAMPLES)


STUDIES: dict[str, Callable[[BinaryData, Mapping[str, Any]], Study]] = {
    "feature-map": _feature_maps,
    "regularisation": _regularisation,
    "augmentation": _augmentation,
    "target": _targets,
    "sigma": _sigmas,
}
