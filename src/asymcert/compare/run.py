"""Train or load every method, certify the same samples, attack what is deterministic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from asymcert._checks import check_choice, check_count, refuse
from asymcert._floats import NORMS
from asymcert.compare.methods import BUDGETS, COMPARED, Curve, Method
from asymcert.compare.table_methods import FOR_TABLES, methods_for
from asymcert.datasets import BinaryData, Split
from asymcert.errors import InputError
from asymcert.evaluate import RunFacts, RunFolder, evaluate
from asymcert.evaluate.audit import attack_rows
from asymcert.models.base import BinaryClassifier
from asymcert.runs.fitting import fit_run
from asymcert.runs.rows import KEY, SCHEMA
from asymcert.runs.tables import AUDIT
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat

SAMPLES = 1000
CHUNK = 100  # samples certified between two savings, and at a time
StageProgress = Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True)
class CompareOptions:
    """How a comparison is run.

    Parameters
    ----------
    methods
        Names, by default all that are for the kind of data, see `methods_for`.
    budget
        ``cpu`` or ``gpu``, which takes the published base networks.
    samples
        First test samples to certify.
    audited
        Certified samples of each curve and norm to attack; 0 for none.
    seed
        Of split and training.
    device
        To train on.

    Raises
    ------
    InputError
        An unknown method or budget, or a number out of range.
    """

    methods: tuple[str, ...] | None = None
    budget: str = "cpu"
    samples: int = SAMPLES
    audited: int = 50
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("budget", self.budget, BUDGETS)
        for name in self.methods or ():
            check_choice("methods", name, tuple(COMPARED | FOR_TABLES))
        if self.methods == ():
            raise refuse("methods", "at least one", "none", f"Choose from {', '.join(COMPARED | FOR_TABLES)}.")
        check_count("samples", self.samples, 2)
        check_count("audited", self.audited, 0)


@dataclass(frozen=True, eq=False)
class Result:
    """Rows of one certifier of one method: those of all norms, and the attacks on them; none where it refused."""

    method: Method
    curve: Curve
    rows: pl.DataFrame
    audit: pl.DataFrame = field(default_factory=pl.DataFrame)
    refusal: str = ""


def compare(
    data: BinaryData,
    out: Path,
    options: CompareOptions | None = None,
    progress: StageProgress | None = None,
    known: Mapping[str, Method] | None = None,
) -> list[Result]:
    """Run the comparison into a folder, one run folder for each method; what is finished is not done again.

    Every method sees the same split, the same first test samples, and changes that stay in [0, 1]; on tables numbers of
    changed columns too.

    Parameters
    ----------
    data
        Training, validation and test splits.
    out
        Folder to make, or to continue.
    options
        By default `CompareOptions()`.
    progress
        Called with what is being done, and how much of how much is.
    known
        What the names of methods stand for, by default those of `methods_for`.

    Raises
    ------
    InputError
        A method is not for this kind of data.
    RunError
        A method's folder holds another run.
    """
    options, known = options or CompareOptions(), methods_for(data) if known is None else known
    names = tuple(known) if options.methods is None else options.methods
    for name in names:
        check_choice("methods", name, tuple(known))
    report = progress or (lambda what, done, total: None)
    results = []
    for name in names:
        method, run = known[name], RunFolder(out / name)
        model = _model(data, run, method, options, report)
        for curve in method.curves:
            try:
                results.append(_result(data, run, model, method, curve, options, report))
            except InputError as error:
                if not curve.optional:
                    raise
                results.append(Result(method, curve, SCHEMA.to_frame(), refusal=str(error)))
    return results


def threats(data: BinaryData, norms: Sequence[float] = NORMS) -> list[ThreatModel]:
    """The adversaries: any change that stays in [0, 1], in l1, l2 or l_inf, or (norm 0) of so many columns."""
    counted = [] if data.scaling is None or 0 not in norms else [TableThreat(data.scaling).counting()]
    return [*counted, *(ThreatModel(norm, lower=0.0, upper=1.0) for norm in norms if norm != 0)]


def _model(
    data: BinaryData, run: RunFolder, method: Method, options: CompareOptions, report: StageProgress
) -> BinaryClassifier:
    facts = RunFacts.of(data, {"model": method.name, "budget": options.budget}, options.seed)

    def train(checkpoint: Path, on_epoch: Callable[[dict[str, Any]], None]) -> BinaryClassifier:
        fixed: dict[str, Any] = {"seed": options.seed, "device": options.device, "checkpoint": checkpoint}
        return method.train(data, budget=options.budget, on_epoch=on_epoch, **fixed)

    def logged(record: dict[str, Any]) -> None:
        report(f"{method.name}: train", record["epoch"], 0)

    return fit_run(run, facts, train, logged)


def _result(
    data: BinaryData,
    run: RunFolder,
    model: BinaryClassifier,
    method: Method,
    curve: Curve,
    options: CompareOptions,
    report: StageProgress,
) -> Result:
    count = max(2, math.ceil(curve.share * options.samples))
    split, adversaries = data.test.chosen(range(min(count, len(data.test)))), threats(data, curve.norms)
    rows = evaluate(
        model,
        split,
        run,
        adversaries,
        curve.certifier,
        data_digest=data.digest,
        seed=options.seed,
        chunk=CHUNK,
        progress=lambda done, total: report(curve.label, done, total),
    )
    if not (method.deterministic and options.audited):
        return Result(method, curve, rows)
    most = min(options.audited, method.audited)
    return Result(method, curve, rows, _attacked(run, model, split, rows, adversaries, most, options.seed))


def _attacked(
    run: RunFolder,
    model: BinaryClassifier,
    split: Split,
    rows: pl.DataFrame,
    adversaries: Sequence[ThreatModel],
    count: int,
    seed: int,
) -> pl.DataFrame:
    """Attacks on the first certified samples of each norm, those not made before stored."""
    chosen = pl.concat([rows.head(0), *_first(rows, count)])
    known = run.read(AUDIT).join(chosen.select(KEY), on=list(KEY), how="semi")
    pending = chosen.join(known.select(KEY), on=list(KEY), how="anti")
    fresh = attack_rows(model, split.x, pending, adversaries, seed=seed)
    run.append(AUDIT, fresh)
    return pl.concat([known, fresh])


def _first(rows: pl.DataFrame, count: int) -> Iterator[pl.DataFrame]:
    for part in rows.filter(pl.col("radius") > 0).partition_by("threat", maintain_order=True):
        yield part.sort("index").head(count)
