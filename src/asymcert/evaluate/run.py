"""Certify a split into a run folder, sample by sample, resuming what was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import Tensor

from asymcert._checks import check_count, refuse
from asymcert.certify import Certifier, certifier_for, default_method
from asymcert.evaluate.alerts import store_alerts
from asymcert.models.base import BinaryClassifier
from asymcert.proofs.folder import Proofs
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import GALLERY_SCHEMA, KEY, SERIES, Origin, distinct, make_rows, options_text, threat_key
from asymcert.runs.tables import CERTIFICATES, GALLERY
from asymcert.threats.model import ThreatModel

if TYPE_CHECKING:
    from asymcert.datasets.binary import Split

GALLERY_SIZE = 8  # samples of each group, per threat model
Progress = Callable[[int, int], None]  # takes the numbers of what is done and of all


def evaluate(
    model: BinaryClassifier,
    split: Split,
    run: RunFolder,
    threats: Sequence[ThreatModel],
    method: str | Certifier | None = None,
    *,
    data_digest: str,
    seed: int,
    split_name: str = "test",
    chunk: int = 256,
    progress: Progress | None = None,
    proofs: str | Path | None = None,
    model_digest: str | None = None,
) -> pl.DataFrame:
    """Certify every sample against every threat model and store a row for each.

    Rows that the folder already holds for the same model, data, split, method with its options, and threat model are
    not computed again, so an interrupted evaluation resumes; it loses at most the chunk in work. The threat models are
    stored too, see `RunFolder.threats`.

    Parameters
    ----------
    model
        The classifier.
    split
        Inputs of shape (n, *input_shape) and labels (n,), True where sensitive.
    run
        An existing run folder.
    threats
        The adversaries, all different.
    method
        Name of a certifier, or one with settings of its own; by default that of the model's kind.
    data_digest
        Digest of the data set that the split belongs to.
    seed
        Stored with the rows.
    split_name
        Name of the split.
    chunk
        Samples certified and stored at a time.
    progress
        Called with (rows done, rows in all) after every chunk.
    proofs
        Folder to keep a proof of every positive radius in, in a folder of its own for each threat model.
        Samples that have a row but no proof are certified again.
    model_digest
        The model's digest, where it is known already.

    Returns
    -------
    polars.DataFrame
        The n * len(threats) rows of this evaluation, in the schema of `rows`, sorted by threat model and index.

    Raises
    ------
    InputError
        An argument does not fit; the threat models repeat.
    RunError
        The folder holds no run, or is damaged.
    """
    check_count("chunk", chunk)
    keys = _keys(threats)
    certifier = method if isinstance(method, Certifier) else certifier_for(method or default_method(model, threats))
    x, label = _labelled(split)
    run.facts()  # refuses a folder that holds no run
    for threat in threats:
        run.save_threat(threat)
    origin = Origin(split_name, model_digest or model.digest, data_digest, seed, options_text(certifier))
    stored = _stored(run, origin, certifier, keys, len(x))
    adversaries = dict(zip(keys, threats, strict=True))
    kept = Proofs(proofs, origin, certifier.method, adversaries)
    finished = kept.finished(stored)
    total, done = len(x) * len(threats), len(finished)
    parts = [stored]
    for indices, members in _pending(finished, adversaries, len(x)):
        for index in torch.tensor(indices).split(chunk):
            rows = _certify(certifier, model, x[index], members, index, label[index], origin, kept)
            run.append(CERTIFICATES, rows.join(stored, on=list(KEY), how="anti"))
            parts.append(rows)
            done += len(rows)
            if progress is not None:
                progress(done, total)
    rows = distinct(pl.concat(parts))
    if x.ndim == 4:
        _store_gallery(run, rows, x)
    if split.texts is not None:
        store_alerts(run, model, split.texts, rows)
    return rows


def _labelled(split: Split) -> tuple[Tensor, Tensor]:
    x, label = torch.as_tensor(split.x), torch.as_tensor(split.y)
    if len(x) == 0 or len(x) != len(label):
        raise refuse("split", "of as many labels as inputs, at least one", f"{len(x)} inputs, {len(label)} labels")
    return x, label


def _keys(threats: Sequence[ThreatModel]) -> list[str]:
    for threat in threats:
        if not isinstance(threat, ThreatModel):
            raise refuse("threats", "made of ThreatModel", type(threat).__name__, "Use [ThreatModel(norm=2)].")
    keys = [threat_key(threat) for threat in threats]
    if not keys or len(set(keys)) < len(keys):
        raise refuse("threats", "at least one, all different", keys)
    return keys


def _stored(run: RunFolder, origin: Origin, certifier: Certifier, keys: list[str], n: int) -> pl.DataFrame:
    """Rows of this evaluation that the folder already holds."""
    same = {
        "model_digest": origin.model_digest,
        "data_digest": origin.data_digest,
        "split": origin.split,
        "method": certifier.method,
        "options": origin.options,
    }
    return distinct(run.read(CERTIFICATES).filter(pl.col("threat").is_in(keys), pl.col("index") < n, **same))


def _pending(
    stored: pl.DataFrame, threats: dict[str, ThreatModel], n: int
) -> Iterator[tuple[list[int], list[ThreatModel]]]:
    """Samples still to certify, with the threat models that lack the same ones and so share the passes."""
    groups: dict[tuple[int, ...], list[ThreatModel]] = {}
    for key, threat in threats.items():
        done = set(stored.filter(pl.col("threat") == key)["index"].to_list())
        missing = tuple(index for index in range(n) if index not in done)
        groups.setdefault(missing, []).append(threat)
    for missing, members in groups.items():
        if missing:
            yield list(missing), members


def _certify(
    certifier: Certifier,
    model: BinaryClassifier,
    x: Tensor,
    threats: list[ThreatModel],
    index: Tensor,
    label: Tensor,
    origin: Origin,
    proofs: Proofs,
) -> pl.DataFrame:
    """Rows of some samples; their proofs are kept first, so that a row tells that its proof was tried."""
    start = time.perf_counter()
    certificates = certifier.certify(model, x, threats)
    seconds = (time.perf_counter() - start) / len(x)
    proofs.keep(model, x, index, certificates)
    return pl.concat([make_rows(certificate, index, label, origin, seconds) for certificate in certificates])


def _store_gallery(run: RunFolder, rows: pl.DataFrame, x: Tensor) -> None:
    """Keep the pixels of the least and most robust samples, unless the folder has them already."""
    galleries = [_gallery(part, x) for part in rows.partition_by(SERIES, maintain_order=True)]
    fresh = pl.concat(galleries)
    run.append(GALLERY, fresh.join(run.read(GALLERY), on=[*SERIES, "samples"], how="anti"))


def _gallery(rows: pl.DataFrame, x: Tensor) -> pl.DataFrame:
    """Gallery rows of one curve: sensitive samples that are recognised, by radius."""
    recognised = rows.filter("label", "prediction").sort("radius", "index")
    size = min(GALLERY_SIZE, len(recognised) // 2 or len(recognised))
    groups = {"least": recognised.head(size), "most": recognised.reverse().head(size)}
    ranked = [part.with_columns(group=pl.lit(group)).with_row_index("rank") for group, part in groups.items()]
    chosen = pl.concat(ranked)
    samples = x[torch.tensor(chosen["index"].to_list(), dtype=torch.int64)].float().cpu()
    return chosen.with_columns(
        pl.col("rank").cast(pl.Int64),
        samples=pl.lit(len(rows), dtype=pl.Int64),
        shape=pl.Series([list(samples.shape[1:])] * len(chosen), dtype=pl.List(pl.Int64)),
        pixels=pl.Series(samples.flatten(1).tolist(), dtype=pl.List(pl.Float32)),
    ).select(list(GALLERY_SCHEMA))
