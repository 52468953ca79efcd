"""Train or load every method, certify the same samples, attack what is deterministic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from asymcert._checks import check_choice, check_count, check_number, refuse
from asymcert._floats import NORMS
from asymcert.certify import METHODS
from asymcert.compare.contenders import COMPARED
from asymcert.compare.methods import BUDGETS, Curve, Method
from asymcert.compare.settings import AS_IT_IS, Setting, operating_points_of
from asymcert.compare.table_methods import FOR_TABLES, methods_for
from asymcert.datasets import BinaryData, Split
from asymcert.errors import InputError
from asymcert.evaluate import RunFacts, RunFolder, evaluate
from asymcert.evaluate.audit import attack_rows
from asymcert.models.base import BinaryClassifier
from asymcert.models.voting import VotingClassifier
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
    points
        Settings of every method's knob, as far as it has so many: 1 takes the methods as they are; with more,
        certificates that are not too slow are made at several thresholds, or shares of votes, too.
    levels
        Balanced accuracies, fractions, that fronts are compared at; by default some that the methods reach.
    without
        Names of certifiers to leave out, such as ``branch-and-bound``; a later comparison adds what they find.

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
    points: int = 1
    levels: tuple[float, ...] = ()
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("budget", self.budget, BUDGETS)
        for name in self.methods or ():
            check_choice("methods", name, tuple(COMPARED | FOR_TABLES))
        if self.methods == ():
            raise refuse("methods", "at least one", "none", f"Choose from {', '.join(COMPARED | FOR_TABLES)}.")
        check_count("samples", self.samples, 2)
        check_count("audited", self.audited, 0)
        check_count("points", self.points)
        for level in self.levels:
            check_number("levels", level, 0.0, 1.0)
        for name in self.without:
            check_choice("without", name, METHODS)


@dataclass(frozen=True, eq=False)
class Result:
    """Rows of one certifier of one method: those of all norms, and the attacks on them; none where it refused.

    `rate` is that of false alarms on validation data which the threshold keeps to, None where it is the model's own.
    """

    method: Method
    curve: Curve
    rows: pl.DataFrame
    audit: pl.DataFrame = field(default_factory=pl.DataFrame)
    refusal: str = ""
    setting: Setting = AS_IT_IS
    rate: float | None = None

    @property
    def as_it_is(self) -> bool:
        """Whether it is of the method without a turn of its knob, at the model's own threshold."""
        return not self.setting.options and self.rate is None


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
    options = options or CompareOptions()
    report = progress or (lambda what, done, total: None)
    settings = [
        (out / name, method, setting)
        for name, method in chosen_methods(data, options, known).items()
        for setting in method.knob[: options.points]
    ]
    results = []
    for number, (folder, method, setting) in enumerate(settings, 1):
        what = f"{number}/{len(settings)} {method.name}, {setting.name}"
        told = partial(_told, report, what)
        results += _Trial(data, RunFolder(setting.folder(folder)), method, setting, options, told).results()
    return results


def _told(report: StageProgress, trial: str, what: str, done: int, total: int) -> None:
    report(f"{trial}: {what}", done, total)


def chosen_methods(
    data: BinaryData, options: CompareOptions, known: Mapping[str, Method] | None = None
) -> dict[str, Method]:
    """The methods of a comparison by name; arguments and errors are those of `compare`."""
    known = methods_for(data) if known is None else known
    names = tuple(known) if options.methods is None else options.methods
    for name in names:
        check_choice("methods", name, tuple(known))
    return {name: _kept(known[name], options.without) for name in names}


def _kept(method: Method, without: Sequence[str]) -> Method:
    """The method with the certifiers that are not left out."""
    curves = tuple(curve for curve in method.curves if curve.certifier.method not in without)
    if not curves:
        wanted, got = f"fewer than all certifiers of {method.name}", ", ".join(without)
        raise refuse("without", wanted, got, "Leave the method out of `methods` instead.")
    return replace(method, curves=curves)


def threats(data: BinaryData, norms: Sequence[float] = NORMS) -> list[ThreatModel]:
    """The adversaries: any change that stays in [0, 1], in l1, l2 or l_inf, or (norm 0) of so many columns."""
    counted = [] if data.scaling is None or 0 not in norms else [TableThreat(data.scaling).counting()]
    return [*counted, *(ThreatModel(norm, lower=0.0, upper=1.0) for norm in norms if norm != 0)]


@dataclass(frozen=True, eq=False)
class _Trial:
    """One setting of a method, in its run folder."""

    data: BinaryData
    run: RunFolder
    method: Method
    setting: Setting
    options: CompareOptions
    report: StageProgress

    def results(self) -> Iterator[Result]:
        """Of every certifier: at the model's own threshold, and at others where it is not too slow."""
        model = self.model()
        swept = self.options.points > 1 and any(curve.swept for curve in self.method.curves)
        if swept and isinstance(model, VotingClassifier):
            model = model.remembering()  # what takes time is the counting, and every point has the same votes
        others = operating_points_of(model, self.data) if swept else []  # all margins of validation, which may be slow
        for curve in self.method.curves:
            try:
                yield self.certified(model, curve)
            except InputError as error:
                if not curve.optional:
                    raise
                yield Result(self.method, curve, SCHEMA.to_frame(), refusal=str(error), setting=self.setting)
                continue
            for point in others if curve.swept else []:
                yield self.certified(point.model, curve, point.max_fpr)

    def model(self) -> BinaryClassifier:
        """Trained, or as it was stored."""
        config = {"model": self.method.name, "budget": self.options.budget, **self.setting.options}

        def train(checkpoint: Path, on_epoch: Callable[[dict[str, Any]], None]) -> BinaryClassifier:
            fixed: dict[str, Any] = {"seed": self.options.seed, "device": self.options.device}
            fixed |= {"budget": self.options.budget, "checkpoint": checkpoint, "on_epoch": on_epoch}
            return self.method.train(self.data, **fixed, **self.setting.options)

        facts = RunFacts.of(self.data, config, self.options.seed)
        return fit_run(self.run, facts, train, lambda record: self.report("train", record["epoch"], 0))

    def certified(self, model: BinaryClassifier, curve: Curve, rate: float | None = None) -> Result:
        """Rows of one certifier and threshold, and at the model's own threshold attacks on them."""
        split = self.data.test.chosen(range(samples_of(self.data, curve, self.options)))
        adversaries, seed = threats(self.data, curve.norms), self.options.seed
        rows = evaluate(
            model,
            split,
            self.run,
            adversaries,
            curve.certifier,
            data_digest=self.data.digest,
            seed=seed,
            chunk=CHUNK,
            progress=lambda done, total: self.report(curve.label, done, total),
        )
        result = Result(self.method, curve, rows, setting=self.setting, rate=rate)
        most = min(self.options.audited, self.method.audited)
        if rate is not None or not (self.method.deterministic and most):
            return result
        return replace(result, audit=_attacked(self.run, model, split, rows, adversaries, most, seed))


def samples_of(data: BinaryData, curve: Curve, options: CompareOptions) -> int:
    """How many test samples a certifier is run on."""
    return min(max(2, math.ceil(curve.share * options.samples)), len(data.test))


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
