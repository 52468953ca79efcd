"""One text: the words that carry its verdict, the edits that it outlasts, and the cheapest text known to undo it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from asymcert._checks import refuse
from asymcert.attacks.texts.cheapest import cheapest_edit
from asymcert.attacks.texts.prices import described
from asymcert.attacks.texts.problem import TextProblem
from asymcert.attacks.texts.supply import Supply
from asymcert.attacks.texts.trial import ChangedText
from asymcert.certify import certify
from asymcert.datasets.text_columns import LONGEST
from asymcert.evaluate.text_audit import prices_of, problem_of
from asymcert.evaluate.words import WordShare, word_shares
from asymcert.models.base import BinaryClassifier
from asymcert.texts.encoder import TextEncoder
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat

EDITS = {  # kinds of edits, and what people call words so edited
    ("add",): "added",
    ("add", "remove"): "added or removed",
    ("replace",): "replaced",
    ("add", "remove", "replace"): "added, removed or replaced",
}
DISGUISES = ("look-alike letters", "case", "accents", "invisible characters", "kinds and numbers of spaces")
FOLDED = {"spaced": "letters spaced or dotted apart", "repeats": "repeated letters", "digits": "digits for letters"}


@dataclass(frozen=True)
class TextExplanation:
    """Why a text is called sensitive, and what it takes to undo that; empty where it is not.

    Parameters
    ----------
    margin
        Of the text; sensitive iff positive.
    outlasts
        For each of `EDITS`, by name, how many words can be so edited without undoing the verdict; inf for any number.
    sentences
        Whether any number of whole sentences can be added.
    disguises
        Whether no change that leaves the canonical form as it is undoes the verdict.
    promise
        The same in sentences.
    words
        The greatest share first.
    evasion
        The cheapest text that is known to undo the verdict, with its edits; None where none is known.
    """

    margin: float
    outlasts: dict[str, float]
    sentences: bool
    disguises: bool
    promise: str
    words: list[WordShare]
    evasion: ChangedText | None

    @property
    def sensitive(self) -> bool:
        """The verdict."""
        return self.margin > 0

    @property
    def edits(self) -> list[str]:
        """Those of the cheapest text, in words; none where there is no such text."""
        return described(self.evasion.edits) if self.evasion else []

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; of the cheapest text ``text``, ``price`` and ``edits``, in words."""
        parts = {item.name: getattr(self, item.name) for item in fields(self)}
        evasion = self.evasion
        told = evasion and {"text": evasion.text, "price": evasion.price, "edits": self.edits}
        return parts | {"words": [vars(each) for each in self.words], "evasion": told}


def explain_text(model: BinaryClassifier, text: str, cuts: int = 1, supply: Supply | None = None) -> TextExplanation:
    """Certify one text against each of `EDITS`, and search for a text that undoes its verdict.

    Parameters
    ----------
    model
        Classifier of texts, with its encoder in its scaling.
    text
        As it was written.
    cuts
        Tangent planes of certificates, see method ``words``.
    supply
        What may be added in the search besides words of the vocabulary.

    Raises
    ------
    InputError
        The model is not one of texts, or the text is longer than they are.
    """
    problem = problem_of(model)
    if len(text) > LONGEST:
        raise refuse("text", f"of at most {LONGEST} characters", len(text), "Shorten it.")
    x, margin = problem.inputs([text]), float(problem.margins([text])[0])
    if not margin > 0:
        return TextExplanation(margin, {}, False, False, "", [], None)
    threats = [edits_of(problem, kinds) for kinds in EDITS]
    radii = [float(certify(model, x, threat, cuts=cuts).radius) for threat in threats]
    outlasts = dict(zip(EDITS.values(), radii, strict=True))
    sentences = bool(certify(model, x, edits_of(problem, (), sentences=True)).radius > 0)
    undecoded = TextProblem(problem.model, replace(problem.encoder, decoded=False))
    disguises = bool(undecoded.margins([text])[0] > 0)
    promise = _promise(problem.encoder, outlasts, sentences, disguises)
    words = word_shares(problem, text, margin)
    found = cheapest_edit(problem, text, prices_of(problem, threats[-1]), supply=supply)
    evasion = found if found.undoes else None
    return TextExplanation(margin, outlasts, sentences, disguises, promise, words, evasion)


def _promise(encoder: TextEncoder, outlasts: Mapping[str, float], sentences: bool, disguises: bool) -> str:
    """What certificates say in sentences; nothing where they say nothing."""
    stands = [f"any {_words(count)} {name}" for name, count in outlasts.items() if count > 0]
    stands += ["any number of whole added sentences"] if sentences else []
    kept = "" if encoder.windows == "whole" else ", as long as the marks between sentences stay as they are"
    certified = [f"The verdict stands under {_listed(stands)}{kept}."] if stands else []
    changes = [*DISGUISES, *(name for option, name in FOLDED.items() if getattr(encoder.form, option))]
    marks = "punctuation" if encoder.windows == "whole" else "punctuation inside sentences"
    hidden = f"It stands under any change of {_listed(changes)}, and of {marks} that leaves the words as they are."
    return " ".join([*certified, *([hidden] if disguises else [])])


def _words(count: float) -> str:
    return "number of words" if math.isinf(count) else f"{count:g} word{'' if count == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def edits_of(problem: TextProblem, kinds: tuple[str, ...], sentences: bool = False) -> ThreatModel:
    """An adversary who makes these edits; where sentences are scored, their marks stay as they are."""
    assert problem.model.scaling is not None
    marks_stay = problem.encoder.windows != "whole"
    return TableThreat(problem.model.scaling).words(kinds, sentences=sentences, marks_stay=marks_stay)
