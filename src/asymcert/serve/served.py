"""The model that a service answers for, read from the run folder that it was started with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from asymcert._checks import check_choice
from asymcert._files import jsonable, parse_json
from asymcert._version import __version__
from asymcert.certify import Certifier
from asymcert.datasets.columns import CategoryColumn, Column, NumericColumn
from asymcert.models.base import BinaryClassifier
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.run import Run
from asymcert.serve.answers import Answer, Asked, answers
from asymcert.serve.graphs import GraphCertifier, pays
from asymcert.serve.offers import Offers
from asymcert.serve.questions import TEXTS, Question
from asymcert.serve.reading import ArrayReader, Reader
from asymcert.serve.reasons import check_reasons
from asymcert.serve.rows import RowReader
from asymcert.serve.texts import check_few, explain
from asymcert.threats.model import ThreatModel

ENGINES = ("model", "onnx")
Threats = Callable[[BinaryClassifier], Sequence[ThreatModel]]
Certifiers = Callable[[BinaryClassifier, Sequence[ThreatModel]], Certifier]


@dataclass(frozen=True)
class Source:
    """Where the model comes from and what it answers; it can be sent to another process.

    Parameters
    ----------
    folder
        Of the run, or ``zoo:NAME``.
    threats
        The adversaries for a model.
    certifier
        What certifies a model against them.
    engine
        ``"model"``, or ``"onnx"`` for graphs where those are faster.

    Raises
    ------
    InputError
        Another engine, or ``zoo:NAME`` of no model.
    """

    folder: Path
    threats: Threats
    certifier: Certifiers
    engine: str = ENGINES[0]

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, ENGINES)
        object.__setattr__(self, "folder", RunFolder(self.folder).path)

    def load(self) -> Served:
        """Read the run's model anew.

        Raises
        ------
        RunError
            The folder holds no run, or no model that fits it.
        InputError
            A threat model or the certifier does not fit the model, or they do not fit each other.
        """
        run = Run(self.folder)
        threats = self.threats(run.model)
        graphs = None
        if self.engine == ENGINES[1]:
            graphs = GraphCertifier(run.model, [threat for threat in threats if pays(run.model, threat)])
        certifier, card = self.certifier(run.model, threats), _written_card(self.folder, run.digest)
        certifier.certify(run.model, torch.empty(0, *run.model.input_shape), threats)  # what no request could be told
        return Served(run.model, run.digest, run.facts, Offers.of(threats), certifier, graphs, card)


@dataclass(frozen=True, eq=False)
class Served:
    """A model with all that answering takes; a reload makes another one.

    Parameters
    ----------
    model, digest
        The classifier and its digest.
    facts
        Of the run.
    offers
        The adversaries.
    certifier
        What certifies.
    graphs
        What certifies faster where it can, and nothing else is asked than verdicts and radii.
    written_card
        What `asymcert card` has written of this very model; None where it has not.
    """

    model: BinaryClassifier
    digest: str
    facts: RunFacts
    offers: Offers
    certifier: Certifier
    graphs: GraphCertifier | None = None
    written_card: Any = None

    @cached_property
    def reader(self) -> Reader:
        """What reads samples."""
        scaling = self.model.scaling
        return ArrayReader(self.model.input_shape) if scaling is None else RowReader(scaling)

    @property
    def of_texts(self) -> bool:
        """Whether it classifies texts by their windows."""
        return self.model.scaling is not None and self.model.scaling.windows is not None

    def asked(self, question: Question) -> Asked:
        """What a question asks, once it fits the model.

        Raises
        ------
        RequestError
            422: samples of another kind, a threat that is not offered, or reasons that the model has not.
        """
        self.reader.check(question.kind)
        threats = self.offers.chosen(question.threats)
        if question.reasons or question.evasions:
            if self.of_texts:
                check_few(question.samples)
            else:
                check_reasons(self.model, list(threats.values()))
        return Asked(threats, question.reasons, question.evasions)

    def answers(self, asked: Asked, kind: str, parts: Sequence[Sequence[Any]], most: int) -> list[list[Answer]]:
        """Answers to the samples of requests that ask the same, `most` certified at a time."""
        samples = [sample for part in parts for sample in part]
        readable = self.reader.read(kind, parts)
        plain = Asked(asked.threats) if self.of_texts else asked
        found = answers(self.model, self.certifier_for(plain), readable, plain, len(samples), most)
        if plain != asked:
            explain(self.model, _texts(samples, kind), found, asked)
        rest = iter(found)
        return [[next(rest) for _ in part] for part in parts]

    def certifier_for(self, asked: Asked) -> Certifier:
        """What answers a question: graphs give no counter-examples, which evasions are read from."""
        if self.graphs is None or asked.reasons or asked.evasions:
            return self.certifier
        return self.graphs if self.graphs.knows(list(asked.threats.values())) else self.certifier

    @cached_property
    def described(self) -> dict[str, Any]:
        """What ``GET /v1/model`` says, JSON-able."""
        facts, model = self.facts, self.model
        return jsonable(
            {
                "name": facts.name,
                "kind": type(model).__name__,
                "classes": {"sensitive": model.sensitive, "other": model.other},
                "digests": {"model": self.digest, "data": facts.data_digest},
                "threshold": model.threshold,
                "input_shape": list(model.input_shape),
                "takes": list(self.reader.kinds),
                "columns": [] if model.scaling is None else [_column(each) for each in model.scaling.columns],
                "asks": self.reader.asks,
                "threats": self.offers.to_dict(),
                "method": self.certifier.method,
                "sound": self.certifier.sound,
                "trained": {"created": facts.created, "seed": facts.seed, "versions": facts.versions},
                "version": __version__,
                "card": self.written_card,
            }
        )


def _column(column: Column) -> dict[str, Any]:
    """What a column is taken for, and where it can move."""
    more: dict[str, Any] = {}
    if isinstance(column, NumericColumn):
        more = {"low": column.low, "high": column.high}
    elif isinstance(column, CategoryColumn):
        more = {"values": list(column.values)}
    return {"name": column.name, "kind": column.kind, "fill": column.fill, **more}


def _written_card(folder: Path, digest: str) -> Any:
    """The run's ``card.json``, if there is one and it is of this model."""
    try:
        card = parse_json((folder / "card.json").read_bytes(), finite=True)
        return card if card["model"]["digest"] == digest else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _texts(samples: Sequence[Any], kind: str) -> list[Any]:
    """Texts, also of rows that have nothing else."""
    return [s if kind == TEXTS else next(iter(s.values()), None) if isinstance(s, dict) else None for s in samples]
