"""Attacks just inside every certified radius: none may succeed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import Tensor

from asymcert._checks import check_count, check_number, refuse
from asymcert._version import __version__
from asymcert.attacks import Attack, AttackResult, ProjectedGradient
from asymcert.classifier import FeatureConvexClassifier
from asymcert.errors import RunError
from asymcert.evaluate.rows import KEY, SCHEMA, SERIES, check_rows, distinct, threat_key
from asymcert.evaluate.run_folder import AUDIT, CERTIFICATES, RunFolder
from asymcert.threat import ThreatModel

if TYPE_CHECKING:
    from asymcert.datasets.binary import Split

Progress = Callable[[int, int], None]
FRACTION = 0.999  # of the certified radius: the published test of a certificate
AUDIT_SCHEMA = pl.Schema(
    {
        **{name: SCHEMA[name] for name in SERIES},
        "index": pl.Int64,
        "norm": pl.Float64,
        "attack": pl.String,
        "fraction": pl.Float64,  # of the radius: the budget of the attack
        "radius": pl.Float64,
        "size": pl.Float64,  # of the best change found, at most fraction * radius
        "margin": pl.Float64,  # after that change
        "success": pl.Boolean,  # True: the verdict was undone, so the certificate is broken
        "seed": pl.Int64,
        "version": pl.String,
    }
)


def audit(
    model: FeatureConvexClassifier,
    split: Split,
    run: RunFolder,
    threats: Sequence[ThreatModel],
    attacks: Sequence[Attack] | None = None,
    *,
    split_name: str = "test",
    fraction: float = FRACTION,
    seed: int = 0,
    chunk: int = 256,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Attack the certificates that a run folder holds, by every method, and store a row for each.

    Certificates that were attacked before with the same attack, fraction and seed are not attacked again.

    Parameters
    ----------
    model, split, run, threats, split_name
        As in `evaluate`, which came before.
    attacks, fraction, seed, chunk, progress
        As in `attack_rows`; rows are stored after every chunk.

    Returns
    -------
    polars.DataFrame
        One row for each certificate of positive radius and each attack, in `AUDIT_SCHEMA`.

    Raises
    ------
    RunError
        The folder holds no certificates of this model, split and one of the threat models.
    InputError
        As `attack_rows`.
    """
    attacks = [ProjectedGradient()] if attacks is None else list(attacks)
    stored = run.read(AUDIT)
    stored = AUDIT_SCHEMA.to_frame() if stored.is_empty() else stored
    results = [AUDIT_SCHEMA.to_frame()]
    certificates = _stored_certificates(model, run, threats, split_name)
    for attack in attacks:
        same = (pl.col("attack") == attack.name) & (pl.col("fraction") == fraction) & (pl.col("seed") == seed)
        known = stored.filter(same).join(certificates, on=list(KEY), how="semi")
        pending = certificates.join(known, on=list(KEY), how="anti")
        for part in _attacked(model, split.x, pending, threats, [attack], fraction, seed, chunk, progress):
            run.append(AUDIT, part)
            results.append(part)
        results.append(known)
    return pl.concat(results).sort(*KEY, "attack")


def attack_rows(
    model: FeatureConvexClassifier,
    x: Tensor,
    rows: pl.DataFrame,
    threats: Sequence[ThreatModel],
    attacks: Sequence[Attack] | None = None,
    *,
    fraction: float = FRACTION,
    seed: int = 0,
    chunk: int = 256,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Attack every certificate at a fraction of its radius; a certificate of infinite radius, anywhere in the box.

    Rows that certify nothing (radius 0) are left out. Any ``success`` in the result means that a guarantee of this
    package does not hold for this model.

    Parameters
    ----------
    model
        The classifier that was certified.
    x
        The split, (n, *input_shape).
    rows
        Certificates in the schema of evaluation rows; ``index`` counts in `x`.
    threats
        The adversaries that the rows name, in any order; more do no harm.
    attacks
        By default, projected gradient descent.
    fraction
        Share of the radius that is the attack's budget, in (0, 1).
    seed
        Of the attacks' random starts; each threat model and attack starts from it anew.
    chunk
        Certificates attacked at a time.
    progress
        Called with (attacks done, attacks in all) after every chunk.

    Returns
    -------
    polars.DataFrame
        One row for each certificate and attack, in `AUDIT_SCHEMA`.

    Raises
    ------
    InputError
        The rows belong to another model, name a threat model that is not given or samples that `x` lacks, an input
        lies outside its box, or an option is out of range.
    """
    attacks = [ProjectedGradient()] if attacks is None else list(attacks)
    parts = _attacked(model, x, rows, threats, attacks, fraction, seed, chunk, progress)
    return pl.concat([AUDIT_SCHEMA.to_frame(), *parts])


def _attacked(
    model: FeatureConvexClassifier,
    x: Tensor,
    rows: pl.DataFrame,
    threats: Sequence[ThreatModel],
    attacks: Sequence[Attack],
    fraction: float,
    seed: int,
    chunk: int,
    progress: Progress | None,
) -> Iterator[pl.DataFrame]:
    """Audit rows, a chunk at a time."""
    _check_options(attacks, fraction, seed, chunk)
    known = {threat_key(threat): threat for threat in threats}
    rows = _certified(model, len(x), rows, known)
    done = 0
    for key, attack in itertools.product(rows["threat"].unique(maintain_order=True), attacks):
        generator = torch.Generator().manual_seed(seed)
        for part in rows.filter(pl.col("threat") == key).iter_slices(chunk):
            index = torch.tensor(part["index"].to_list(), dtype=torch.int64, device=x.device)
            budget = fraction * torch.tensor(part["radius"].to_list(), dtype=torch.float64)
            result = attack.run(model, x[index], known[key], budget, generator)
            yield _audit_rows(part, result, attack, fraction, seed)
            done += len(part)
            if progress is not None:
                progress(done, len(rows) * len(attacks))


def _stored_certificates(
    model: FeatureConvexClassifier, run: RunFolder, threats: Sequence[ThreatModel], split_name: str
) -> pl.DataFrame:
    """The run's rows of this model, its data, the split and the threat models, with a positive radius."""
    rows = distinct(run.read(CERTIFICATES)).filter(
        pl.col("model_digest") == model.digest,
        pl.col("data_digest") == run.facts().data_digest,
        pl.col("split") == split_name,
        pl.col("threat").is_in([threat_key(threat) for threat in threats]),
    )
    if rows.is_empty():
        raise RunError(f"{run.path}: no certificates of this model for these threat models. Evaluate it first.")
    return rows.filter(pl.col("radius") > 0)


def _check_options(attacks: Sequence[Attack], fraction: float, seed: int, chunk: int) -> None:
    names = [attack.name for attack in attacks]
    if not names or len(set(names)) < len(names):
        raise refuse("attacks", "at least one, with different names", names)
    check_number("fraction", fraction, 0.0, 1.0, open_low=True)
    if fraction == 1:
        raise refuse("fraction", "below 1", fraction, "A certificate claims nothing at its very radius.")
    check_count("seed", seed, 0)
    check_count("chunk", chunk)


def _certified(
    model: FeatureConvexClassifier, n: int, rows: pl.DataFrame, known: dict[str, ThreatModel]
) -> pl.DataFrame:
    """Rows with a positive radius, checked against the model, the split and the threat models."""
    rows = check_rows(rows).filter(pl.col("radius") > 0)
    others = rows.filter(pl.col("model_digest") != model.digest)
    if not others.is_empty():
        raise refuse("rows", f"certificates of model {model.digest[:12]}", f"of {others['model_digest'][0][:12]}")
    unknown = sorted(set(rows["threat"]) - set(known))
    if unknown:
        raise refuse("threats", f"those of the rows, {unknown} among them", sorted(known))
    outside = rows.filter((pl.col("index") < 0) | (pl.col("index") >= n))
    if not outside.is_empty():
        raise refuse("rows", f"about samples 0 to {n - 1}", f"index {outside['index'][0]}", "Pass the same split.")
    return rows


def _audit_rows(rows: pl.DataFrame, result: AttackResult, attack: Attack, fraction: float, seed: int) -> pl.DataFrame:
    margin = result.margin.cpu()
    columns = {
        "attack": pl.lit(attack.name),
        "fraction": pl.lit(float(fraction)),
        "size": pl.Series(result.size.tolist(), dtype=pl.Float64),
        "margin": pl.Series(margin.tolist(), dtype=pl.Float64),
        # the row claims a sensitive verdict: any other one breaks it, even where the model denies it unattacked
        "success": pl.Series((~(margin > 0)).tolist(), dtype=pl.Boolean),
        "seed": pl.lit(seed, dtype=pl.Int64),
        "version": pl.lit(__version__),
    }
    return rows.with_columns(**columns).select(list(AUDIT_SCHEMA))
