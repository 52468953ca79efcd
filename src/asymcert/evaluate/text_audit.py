"""Attacks on certified texts, as strings: inside every radius none may succeed; beyond it, the cheapest that does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from asymcert._checks import refuse
from asymcert._version import __version__
from asymcert.attacks.texts.cheapest import cheapest_edit
from asymcert.attacks.texts.prices import EditPrices, described
from asymcert.attacks.texts.problem import TextProblem
from asymcert.attacks.texts.search import TextAttack, default_text_attacks
from asymcert.attacks.texts.supply import Supply
from asymcert.attacks.texts.trial import ChangedText, Trial
from asymcert.datasets.text_columns import EncodedColumn
from asymcert.evaluate.run import Progress
from asymcert.models.base import BinaryClassifier
from asymcert.models.text import TextClassifier
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import KEY, TEXT_SCHEMA, threat_key
from asymcert.runs.tables import SCHEMAS, TEXTS
from asymcert.threats.model import ThreatModel

if TYPE_CHECKING:
    from asymcert.datasets.binary import Split

BEYOND = "cheapest edits"  # the attack whose budget is more than the radius
MOST = 20.0  # its budget, or twice the radius where that is more
CHUNK = 64  # certificates between two savings


class TextAudit:
    """Attacks on the texts of a split.

    Parameters
    ----------
    model
        The classifier that was certified, with its encoder in its scaling.
    split
        With its texts; harmless ones lend their words and sentences to the attacks.
    threats
        The adversaries that certificates name.
    seed
        Of what is drawn; each certificate and attack starts from it anew.

    Raises
    ------
    InputError
        The model is not one of texts, the split has none, or a threat model is not about edits of words.
    """

    def __init__(self, model: BinaryClassifier, split: Split, threats: Sequence[ThreatModel], seed: int = 0):
        if split.texts is None:
            raise refuse("split", "with the texts that it was made of", "one without")
        self.problem, self.texts, self.seed = problem_of(model), split.texts, seed
        harmless = [text for text, label in zip(split.texts, split.y.tolist(), strict=True) if not label]
        self.supply = Supply.of(self.problem.encoder, harmless)
        self.prices = {threat_key(threat): prices_of(self.problem, threat) for threat in threats}

    def inside(
        self, rows: pl.DataFrame, attack: TextAttack, progress: Progress | None = None
    ) -> Iterator[pl.DataFrame]:
        """Attack certificates with their radii as budgets: rows in `TEXT_SCHEMA`, a chunk at a time."""
        rows = rows.filter(pl.Series([attack.fits(self.prices[key]) for key in rows["threat"]], dtype=pl.Boolean))

        def tried(row: dict[str, Any]) -> ChangedText:
            generator = np.random.default_rng((self.seed, row["index"]))
            trial = Trial(self.problem, *self._target(row), row["radius"], self.supply, generator)
            if not trial.best.undoes:
                attack.run(trial)
            return trial.best

        yield from self._chunks(rows, attack.name, tried, progress)

    def beyond(self, rows: pl.DataFrame, progress: Progress | None = None) -> Iterator[pl.DataFrame]:
        """The cheapest known change that undoes each verdict: rows in `TEXT_SCHEMA`, a chunk at a time."""

        def tried(row: dict[str, Any]) -> ChangedText:
            most, seed = max(MOST, 2 * row["radius"]), (self.seed, row["index"])
            return cheapest_edit(self.problem, *self._target(row), most=most, supply=self.supply, seed=seed)

        yield from self._chunks(rows.filter(pl.col("radius").is_finite()), BEYOND, tried, progress)

    def _target(self, row: dict[str, Any]) -> tuple[str, EditPrices]:
        return self.texts[row["index"]], self.prices[row["threat"]]

    def _chunks(
        self, rows: pl.DataFrame, attack: str, tried: Callable[[dict[str, Any]], ChangedText], progress: Progress | None
    ) -> Iterator[pl.DataFrame]:
        done = 0
        for part in rows.iter_slices(CHUNK):
            found = [self._row(row, attack, tried) for row in part.iter_rows(named=True)]
            done += len(part)
            if progress is not None:
                progress(done, len(rows))
            yield pl.DataFrame(found, schema=TEXT_SCHEMA)

    def _row(self, row: dict[str, Any], attack: str, tried: Callable[[dict[str, Any]], ChangedText]) -> dict[str, Any]:
        """What became of one certificate: broken, if what undoes its verdict costs no more than its radius."""
        before = self.problem.evaluations
        best = tried(row)
        return {name: row[name] for name in (*KEY, "norm", "radius")} | {
            "attack": attack,
            "fraction": math.inf if attack == BEYOND else 1.0,
            "size": best.price,
            "margin": best.margin,
            "success": best.undoes and best.price <= row["radius"],
            "seed": self.seed,
            "version": __version__,
            "attempts": self.problem.evaluations - before,
            "text": best.text if best.undoes else "",
            "edits": "; ".join(described(best.edits)) if best.undoes else "",
        }


def audit_texts(
    model: BinaryClassifier,
    split: Split,
    run: RunFolder,
    threats: Sequence[ThreatModel],
    certificates: pl.DataFrame,
    attacks: Sequence[TextAttack] | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """What `audit` does for edits of words; the rows of the search beyond the radii, in `TEXT_SCHEMA`, come last."""
    texts = TextAudit(model, split, threats, seed)
    parts = [
        resumed(
            run, TEXTS, certificates, attack.name, 1.0, seed, partial(texts.inside, attack=attack, progress=progress)
        )
        for attack in (default_text_attacks() if attacks is None else attacks)
    ]
    beyond = resumed(run, TEXTS, certificates, BEYOND, math.inf, seed, partial(texts.beyond, progress=progress))
    return pl.concat([*parts, beyond])


def resumed(
    run: RunFolder,
    table: str,
    certificates: pl.DataFrame,
    attack: str,
    fraction: float,
    seed: int,
    attacked: Callable[[pl.DataFrame], Iterator[pl.DataFrame]],
) -> pl.DataFrame:
    """Rows of an attack on certificates: those that the run's table has, and the others, attacked and stored now."""
    stored = run.read(table)
    stored = SCHEMAS[table].to_frame() if stored.is_empty() else stored
    same = (pl.col("attack") == attack) & (pl.col("fraction") == fraction) & (pl.col("seed") == seed)
    known = stored.filter(same).join(certificates, on=list(KEY), how="semi")
    parts = [known]
    for part in attacked(certificates.join(known, on=list(KEY), how="anti")):
        run.append(table, part)
        parts.append(part)
    return pl.concat(parts)


def problem_of(model: BinaryClassifier) -> TextProblem:
    """What attacks ask of a classifier of texts; an `InputError` for another."""
    column = model.scaling.columns[0] if model.scaling is not None else None
    if not isinstance(model, TextClassifier) or not isinstance(column, EncodedColumn):
        remedy = "Alerts of tables are explained by `asymcert certify RUN --norm columns --explain N`."
        raise refuse("model", "a classifier of texts with its encoder", type(model).__name__, remedy)
    return TextProblem(model, column.encoder)


def prices_of(problem: TextProblem, threat: ThreatModel) -> EditPrices:
    """Prices of an adversary's edits; an `InputError` where he makes none."""
    if threat.edits is None:
        raise refuse("threat", "about edits of words", threat.describe())
    return EditPrices.of(threat.edits, problem.encoder.vocabulary)


def summary_of(rows: pl.DataFrame) -> pl.DataFrame:
    """What became of each attack: certificates, texts tried, those broken, verdicts undone and their median price."""
    undone = pl.col("text") != ""
    return rows.group_by("attack", maintain_order=True).agg(
        certificates=pl.len(),
        texts=pl.col("attempts").sum(),
        broken=pl.col("success").sum(),
        undone=undone.sum(),
        median_price=pl.col("size").filter(undone).median(),
    )
