"""What the commands do: load, certify, attack, report, with progress bars."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from torch import Tensor

from asymcert._checks import check_choice, check_count, refuse
from asymcert._floats import NORMS
from asymcert.certify import Certifier
from asymcert.cli import show
from asymcert.cli.options import parse_edits, parse_norm
from asymcert.datasets import BinaryData, Split
from asymcert.datasets.table_batches import Batches
from asymcert.datasets.table_files import write_tables
from asymcert.errors import InputError
from asymcert.evaluate import evaluate, threat_key
from asymcert.evaluate.audit import audit
from asymcert.evaluate.chunks import between_savings
from asymcert.evaluate.labels import method_labels
from asymcert.evaluate.robust import OperatingPoint, operating_points, record_points
from asymcert.evaluate.same_rows import certified, new_rows
from asymcert.evaluate.scoring import score_batches
from asymcert.evaluate.text import usual_edits
from asymcert.models.base import BinaryClassifier
from asymcert.models.zoo import check_own
from asymcert.runs.rows import distinct, options_text, parse_parquet
from asymcert.runs.run import Run
from asymcert.runs.tables import CERTIFICATES
from asymcert.theory.separability import limits
from asymcert.threats.file import read_threat
from asymcert.threats.model import WORDS, ThreatModel
from asymcert.threats.table import TableThreat

SPLITS = ("train", "val", "test")
MOST_SHOWN = 10  # broken certificates


def chosen_split(data: BinaryData, name: str, limit: int | None = None) -> Split:
    """A split by name, or its first samples."""
    check_choice("split", name, SPLITS)
    split = {"train": data.train, "val": data.val, "test": data.test}[name]
    if limit is None:
        return split
    check_count("limit", limit)
    return split.chosen(range(min(limit, len(split))))


def threats_for(
    model: BinaryClassifier,
    norms: list[str] | None = None,
    files: list[Path] | None = None,
    box: bool = True,
    edits: str | None = None,
) -> list[ThreatModel]:
    """Threat models of files, and one for each norm, in [0, 1] if `box`; the three usual norms if none is named.

    Of texts they are the usual kinds of edits then. Where columns are counted they are those of the model's table, and
    so are words, which `edits` are of.
    """
    if not norms and not files and edits is None and model.scaling is not None and model.scaling.windows is not None:
        return usual_edits(model.scaling)
    named = [f"{norm:g}" for norm in NORMS] if not norms and not files else norms or []
    if edits is not None and WORDS not in named:
        raise refuse("--edits", f"given with --norm {WORDS}", "another norm")
    return [_named(model, norm, box, edits) for norm in named] + [read_threat(path, model) for path in files or []]


def _named(model: BinaryClassifier, text: str, box: bool, edits: str | None) -> ThreatModel:
    table = None if model.scaling is None else TableThreat(model.scaling)
    if text == WORDS:
        if table is None:
            raise refuse("norm", f"{WORDS!r} for a model of texts only", "another model")
        kinds, sentences = parse_edits(edits)
        return table.words(kinds, sentences=sentences)
    norm = parse_norm(text, counts=True)
    bounds: dict[str, Any] = dict(zip(("lower", "upper"), (0.0, 1.0) if box else (None, None), strict=True))
    return table.counting(**bounds) if table is not None and norm == 0 else ThreatModel(norm, **bounds)


def check_inside(model: BinaryClassifier, threats: list[ThreatModel], x: Tensor) -> None:
    """Refuse samples of a table outside a threat model's box, by their columns."""
    if model.scaling is None:
        return
    for threat in threats:
        TableThreat(model.scaling).check_inside(threat, x)


def output_file(option: str, path: Path, keep: Sequence[Path] = ()) -> Path:
    """A file that a command is to write: its folder is made before any work is spent, so that none is lost.

    Raises
    ------
    InputError
        The path is a folder, a device or the like, one of the files to `keep` by whatever name, lies below a file, or
        may not be written.
    """
    check_own(option, path)
    if path.is_dir():
        raise refuse(option, "a file", f"the folder {path}", "Name a file in it.")
    if path.exists() and not path.is_file():
        raise refuse(option, "a plain file or a new name", f"{path}, which is neither", "Choose another place.")
    same = path.samefile if path.exists() else lambda other: False  # by hard links too
    if any(os.path.realpath(path) == os.path.realpath(other) or (other.exists() and same(other)) for other in keep):
        raise refuse(option, "none of the run's own files and of the inputs", path, "Choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise refuse(option, "a path below folders", f"{path}, which another file is in the way of") from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise refuse(option, "a file that may be written", path, "Change its permissions or choose another place.")
    return path


def certify_run(
    run: Run,
    threats: list[ThreatModel],
    certifier: Certifier,
    split: str = "test",
    limit: int | None = None,
    quiet: bool = False,
    proofs: Path | None = None,
    point: OperatingPoint | None = None,
) -> pl.DataFrame:
    """Certify a split into the run folder, and proofs into theirs, with a progress bar; returns the rows.

    Certified is the run's model, or that at an operating point.
    """
    chosen = chosen_split(run.data, split, limit)
    check_inside(run.model, threats, chosen.x)
    what = "certify" if point is None else f"at {100 * point.max_fpr:g} % false alarms"
    with show.progress(what, len(chosen) * len(threats), quiet) as update:
        return evaluate(
            run.model if point is None else point.model,
            chosen,
            run.folder,
            threats,
            certifier,
            data_digest=run.data.digest,
            model_digest=run.digest if point is None else point.digest,
            seed=run.facts.seed,
            split_name=split,
            chunk=between_savings(certifier),
            progress=lambda done, total: update(done),
            proofs=proofs,
        )


def certify_table(run: Run, table: Path, threats: list[ThreatModel], certifier: Certifier, quiet: bool) -> pl.DataFrame:
    """Certify labelled rows of a file that the model was not trained on; returns their rows, which are kept nowhere."""
    found = new_rows(run, table)
    check_inside(run.model, threats, found.new)
    if found.left_out:
        show.console.print(f"left out: {found.left_out} rows that the model was trained on", soft_wrap=True)
    if found.unknown:
        show.console.print("the model's own data are gone: it may have been trained on some of these", soft_wrap=True)
    with show.progress(f"certify {table.name}", len(found.new), quiet) as update:
        return pl.concat(certified(run.model, found.new, found.y, threats, update, certifier))


def certify_points(run: Run, threats: list[ThreatModel], certifier: Certifier, split: str, quiet: bool) -> None:
    """Certify a split at the usual rates of false alarms too, those that it has enough harmless samples for."""
    points = operating_points(run.model, chosen_split(run.data, split))
    record_points(run.folder, points, model_digest=run.digest, data_digest=run.data.digest, split=split)
    for point in points:
        certify_run(run, threats, certifier, split, quiet=quiet, point=point)


def score_file(
    model: BinaryClassifier,
    table: Batches,
    out: Path,
    threats: list[ThreatModel],
    certifier: Certifier,
    quiet: bool,
    evasions: bool = False,
) -> dict[str, Any]:
    """Certify the rows of a table into a CSV file; returns how many there are, are sensitive, and could not be read."""
    counts = Counter(sensitive=0, problems=0)
    with show.progress("certify", table.rows, quiet) as update:
        rows = score_batches(model, table.frames, threats, certifier, progress=update, evasions=evasions)
        write_tables(output_file("--out", out), (_counted(frame, counts) for frame in rows))
    return {"rows": table.rows, **counts, "out": str(out)}


def _counted(rows: pl.DataFrame, counts: Counter[str]) -> pl.DataFrame:
    """The same rows, after counting those that are sensitive and those without a verdict."""
    counts.update(sensitive=int((rows["margin"] > 0).sum()), problems=rows["problem"].drop_nulls().len())
    return rows


def uncertified(run: Run, threats: list[ThreatModel], split: str, certifier: Certifier | None) -> list[ThreatModel]:
    """Threat models without a certificate of the run's model: by this certifier, or by any."""
    check_choice("split", split, SPLITS)
    rows = own_rows(run, split)
    if certifier is not None:
        rows = rows.filter(pl.col("method") == certifier.method, pl.col("options") == options_text(certifier))
    known = set(rows["threat"])
    return [threat for threat in threats if threat_key(threat) not in known]


def own_rows(run: Run, split: str) -> pl.DataFrame:
    """Rows of the run's own model and of one split."""
    rows = run.folder.read(CERTIFICATES).filter(pl.col("split") == split, pl.col("model_digest") == run.digest)
    return distinct(rows)


def audit_run(run: Run, threats: list[ThreatModel], split: str, quiet: bool) -> pl.DataFrame:
    """Attack the certified samples of a split and store the rows; says so if a certificate broke."""
    chosen = chosen_split(run.data, split)
    with show.progress("attack", len(chosen) * len(threats), quiet) as update:
        rows = audit(
            run.model,
            chosen,
            run.folder,
            threats,
            split_name=split,
            model_digest=run.digest,
            progress=lambda done, total: update(done, total=total),
        )
    broken = rows.filter("success")
    if len(broken):
        show.console.print(f"[bold red]{len(broken)} of {len(rows)} attacks broke a certificate:[/bold red]")
    for row in broken.head(MOST_SHOWN).iter_rows(named=True):
        method = method_labels([(row["method"], row["options"])])[0]
        where = f"{split} sample {row['index']}, {row['threat']}, {method}, radius {row['radius']!r}"
        text = f": {row['text']!r}" if row.get("text") else ""
        show.console.print(f"  {where}: {row['attack']}{text}", soft_wrap=True, markup=False)
    return rows


def report_run(run: Run, hulls: Path | None = None) -> Path:
    """Write the report of a run, over it the limits in a file of hull distances; returns the page's path."""
    from asymcert.report import write_report

    if hulls is None:
        return write_report(run.folder)
    return write_report(run.folder, limits(_hull_rows(hulls), run.facts.sensitive, run.facts.data_digest))


def _hull_rows(path: Path) -> pl.DataFrame:
    try:
        return parse_parquet(path.read_bytes())
    except (OSError, InputError) as error:
        raise refuse("hulls", "a Parquet file", f"{path} ({error})", "Make it with asymcert separate --out.") from error
