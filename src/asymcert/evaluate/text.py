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
from asymcert.attacks.texts.trial import ChangedText
from asymcert.certify.texts import Words
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.text_columns import LONGEST
from asymcert.evaluate.formatting import listed
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


def explain_texts(
    model: BinaryClassifier, texts: Sequence[str], cuts: int = 1, search: bool = True
) -> list[TextExplanation]:
    """Certify each text against each of `EDITS`, and search for texts that undo their verdicts.

    Parameters
    ----------
    model
        Classifier of texts, with its encoder in its scaling.
    texts
        As they were written.
    cuts
        Tangent planes of certificates, see method ``words``.
    search
        Whether to search, which takes most of the time.

    Raises
    ------
    InputError
        The model is not one of texts, a text is longer than they are, or `cuts` is no number of planes.
    """
    problem, certifier = problem_of(model), Words(cuts)
    for text in texts:
        if len(text) > LONGEST:
            raise refuse("text", f"of at most {LONGEST} characters", len(text), "Shorten it.")
    return [_explained(problem, certifier, text, search) for text in texts]


def _explained(problem: TextProblem, certifier: Words, text: str, search: bool) -> TextExplanation:
    x, margin = problem.inputs([text]), float(problem.margins([text])[0])
    if not margin > 0:
        return TextExplanation(margin, {}, False, False, "", [], None)
    assert problem.model.scaling is not None
    threats = usual_edits(problem.model.scaling)
    radii = [float(each.radius) for each in certifier.certify(problem.model, x, threats)]
    outlasts, sentences = dict(zip(EDITS.values(), radii, strict=False)), any(radii[len(EDITS) :])
    undecoded = TextProblem(problem.model, replace(problem.encoder, decoded=False))
    disguises = bool(undecoded.margins([text])[0] > 0)
    promise = _promise(problem.encoder, outlasts, sentences, disguises)
    evasion = cheapest_edit(problem, text, prices_of(problem, threats[len(EDITS) - 1])) if search else None
    evasion = evasion if evasion and evasion.undoes else None
    return TextExplanation(margin, outlasts, sentences, disguises, promise, word_shares(problem, text, margin), evasion)


def _promise(encoder: TextEncoder, outlasts: Mapping[str, float], sentences: bool, disguises: bool) -> str:
    """What certificates say in sentences; nothing where they say nothing."""
    stands = [f"any {_words(count)} {name}" for name, count in outlasts.items() if count > 0]
    stands += ["any number of whole added sentences"] if sentences else []
    kept = "" if encoder.windows == "whole" else ", as long as the marks between sentences stay as they are"
    certified = [f"The verdict stands under {listed(stands)}{kept}."] if stands else []
    changes = [*DISGUISES, *(name for option, name in FOLDED.items() if getattr(encoder.form, option))]
    marks = "punctuation" if encoder.windows == "whole" else "punctuation inside sentences"
    hiding = listed([*changes, marks])
    hidden = f"It stands under every change of {hiding} that leaves the words, as the guard reads them, as they are."
    return " ".join([*certified, *([hidden] if disguises else [])])


def _words(count: float) -> str:
    return "number of words" if math.isinf(count) else f"{count:g} word{'' if count == 1 else 's'}"


def usual_edits(scaling: TableScaling) -> list[ThreatModel]:
    """Adversaries who make `EDITS`, and where sentences are scored one who adds whole ones; their marks then stay."""
    assert scaling.windows is not None
    by_sentence = scaling.windows.encoder.windows != "whole"
    table = TableThreat(scaling)
    alone = [table.words((), sentences=True, marks_stay=True)] if by_sentence else []
    return [*(table.words(kinds, marks_stay=by_sentence) for kinds in EDITS), *alone]
