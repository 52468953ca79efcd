"""Attacks inside every certified radius: none may succeed. Just beyond an exact one, one must."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import Tensor

from asymcert._checks import check_count, check_number, refuse
from asymcert._version import __version__
from asymcert.attacks import (
    Attack,
    AttackResult,
    ColumnPairs,
    ColumnSearch,
    ProjectedGradient,
    RandomSearch,
    RoundingAttack,
)
from asymcert.errors import RunError
from asymcert.evaluate.beyond import BEYOND, EXACT, Beyond
from asymcert.evaluate.run import Progress
from asymcert.evaluate.text_audit import audit_texts, resumed
from asymcert.models.base import BinaryClassifier
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import AUDIT_SCHEMA, KEY, check_rows, distinct, threat_key
from asymcert.runs.tables import AUDIT, CERTIFICATES
from asymcert.threats.model import ThreatModel

if TYPE_CHECKING:
    from asymcert.datasets.binary import Split

FRACTION = 0.999  # of the certified radius: the published test of a certificate


def audit(
    model: BinaryClassifier,
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
    model_digest: str | None = None,
) -> pl.DataFrame:
    """Attack the certificates that a run folder holds, of every method, and store a row for each.

    Certificates that were attacked before with the same attack, fraction and seed are not attacked again.

    Parameters
    ----------
    model, split, run, threats, split_name
        As in `evaluate`, which came before.
    attacks, fraction, seed, chunk, progress
        As in `attack_rows`; rows are stored after every chunk.
    model_digest
        The model's digest, where it is known already.

    Returns
    -------
    polars.DataFrame
        One row for each certificate of positive radius and each attack that it is open to, in `AUDIT_SCHEMA`; of edits
        of words see `audit_texts`.

    Raises
    ------
    RunError
        The folder holds no certificates of this model, split and one of the threat models.
    InputError
        As `attack_rows`.
    """
    certificates = _stored_certificates(model_digest or model.digest, run, threats, split_name)
    if any(threat.edits is not None for threat in threats):
        return audit_texts(model, split, run, threats, certificates, seed=seed, progress=progress)
    results = [AUDIT_SCHEMA.to_frame()]
    for attack in default_attacks() if attacks is None else attacks:

        def attacked(pending: pl.DataFrame, attack: Attack = attack) -> Iterator[pl.DataFrame]:
            return _attacked(model, split.x, pending, threats, [attack], fraction, seed, chunk, progress)

        results.append(resumed(run, AUDIT, certificates, attack.name, _budget_share(attack, fraction), seed, attacked))
    return pl.concat(results).sort(*KEY, "attack")


def attack_rows(
    model: BinaryClassifier,
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

    Attacks on rounding get all of the radius: every change of smaller size, to the last bit; attacks on counted columns
    (norm 0) the radius itself, of which no change is to undo the verdict either. Rows of the exact method
    also state an upper bound, and `Beyond` must undo the verdict just beyond it: its row is a success, as of any
    attack, where the certificate turns out wrong, that is where no flip is found. Rows that certify nothing (radius 0)
    are left out. What is certified is what is attacked: gradients may be those of a surrogate, but
    `BinaryClassifier.margin_at_most` judges. Any ``success`` in the result means that a guarantee of this package does
    not hold for this model; of smoothing it says so with confidence 0.999 (`ALPHA` of `asymcert.models.smoothed`), for
    a certificate that may itself be wrong with probability `Smoothing.alpha`.

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
        By default those of `default_attacks`.
    fraction
        Share of the radius that is the attack's budget, in (0, 1); attacks on rounding and on counted columns and
        `Beyond` have their own.
    seed
        Of the attacks' random starts; each threat model and attack starts from it anew.
    chunk
        Certificates attacked at a time.
    progress
        Called with (attacks done, attacks in all) after every chunk.

    Returns
    -------
    polars.DataFrame
        One row for each certificate and attack that it is open to, in `AUDIT_SCHEMA`.

    Raises
    ------
    InputError
        The rows belong to another model, name a threat model that is not given or samples that `x` lacks, an input
        lies outside its box, or an option is out of range.
    """
    attacks = default_attacks() if attacks is None else list(attacks)
    _check_model(model.digest, rows)
    parts = _attacked(model, x, rows, threats, attacks, fraction, seed, chunk, progress)
    return pl.concat([AUDIT_SCHEMA.to_frame(), *parts])


def default_attacks() -> list[Attack]:
    """Gradients, a search without them, rounding at the very edge, and the other side of exact certificates.

    For norm 0 one column after another, and pairs. Each takes the rows that it is open to.
    """
    return [ProjectedGradient(), RandomSearch(), RoundingAttack(), Beyond(), ColumnSearch(), ColumnPairs()]


def _attacked(
    model: BinaryClassifier,
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
    rows = _certified(len(x), rows, known)
    open_to = [_open_to(attack, rows) for attack in attacks]
    done, total = 0, sum(len(part) for part in open_to)
    keys = rows["threat"].unique(maintain_order=True)
    for key, (attack, targets) in itertools.product(keys, zip(attacks, open_to, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        for part in targets.filter(pl.col("threat") == key).iter_slices(chunk):
            index = torch.tensor(part["index"].to_list(), dtype=torch.int64, device=x.device)
            result = attack.run(model, x[index], known[key], _budget(attack, part, fraction), generator)
            yield _audit_rows(part, result, attack, fraction, seed)
            done += len(part)
            if progress is not None:
                progress(done, total)


def _open_to(attack: Attack, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that an attack has something to say about."""
    rows = rows.filter((pl.col("norm") == 0) == attack.counts)
    if not isinstance(attack, Beyond):
        return rows
    return rows.filter(pl.col("method") == EXACT, pl.col("upper").is_finite())


def _budget_share(attack: Attack, fraction: float) -> float:
    """What the audit row's ``fraction`` says."""
    if isinstance(attack, Beyond):
        return BEYOND
    return 1.0 if attack.at_edge or attack.counts else fraction


def _budget(attack: Attack, rows: pl.DataFrame, fraction: float) -> Tensor:
    """Largest size of each row's change, float64 (n,)."""
    if isinstance(attack, Beyond):
        return BEYOND * torch.tensor(rows["upper"].to_list(), dtype=torch.float64)
    radius = torch.tensor(rows["radius"].to_list(), dtype=torch.float64)
    if not attack.at_edge:
        return _budget_share(attack, fraction) * radius
    below = torch.nextafter(radius, torch.zeros_like(radius))  # certificates speak of sizes less than the radius
    return torch.where(radius.isinf(), radius, below)


def _stored_certificates(
    model_digest: str, run: RunFolder, threats: Sequence[ThreatModel], split_name: str
) -> pl.DataFrame:
    """The run's rows of this model, its data, the split and the threat models, with a positive radius."""
    rows = distinct(run.read(CERTIFICATES)).filter(
        pl.col("model_digest") == model_digest,
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


def _check_model(digest: str, rows: pl.DataFrame) -> None:
    """Refuse certificates of another model."""
    others = set(check_rows(rows).filter(pl.col("radius") > 0)["model_digest"]) - {digest}
    if others:
        raise refuse("rows", f"certificates of model {digest[:12]}", f"of {min(others)[:12]}")


def _certified(n: int, rows: pl.DataFrame, known: dict[str, ThreatModel]) -> pl.DataFrame:
    """Rows with a positive radius, checked against the split and the threat models."""
    rows = check_rows(rows).filter(pl.col("radius") > 0)
    unknown = sorted(set(rows["threat"]) - set(known))
    if unknown:
        raise refuse("threats", f"those of the rows, {unknown} among them", sorted(known))
    outside = rows.filter((pl.col("index") < 0) | (pl.col("index") >= n))
    if not outside.is_empty():
        raise refuse("rows", f"about samples 0 to {n - 1}", f"index {outside['index'][0]}", "Pass the same split.")
    return rows


def _audit_rows(rows: pl.DataFrame, result: AttackResult, attack: Attack, fraction: float, seed: int) -> pl.DataFrame:
    margin = result.margin.cpu()
    # the row claims a sensitive verdict: any other one breaks it, even where the model denies it unattacked
    undone = ~(margin > 0)
    columns = {
        "attack": pl.lit(attack.name),
        "fraction": pl.lit(float(_budget_share(attack, fraction))),
        "size": pl.Series(result.size.tolist(), dtype=pl.Float64),
        "margin": pl.Series(margin.tolist(), dtype=pl.Float64),
        "success": pl.Series((~undone if isinstance(attack, Beyond) else undone).tolist(), dtype=pl.Boolean),
        "seed": pl.lit(seed, dtype=pl.Int64),
        "version": pl.lit(__version__),
    }
    return rows.with_columns(**columns).select(list(AUDIT_SCHEMA))
