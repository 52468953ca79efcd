"""The words that carry the verdict on a text, and the cheapest edited text that is known to undo it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asymcert.attacks.texts.cheapest import cheapest_edit
from asymcert.attacks.texts.prices import described
from asymcert.attacks.texts.problem import TextProblem
from asymcert.evaluate.text_audit import prices_of, problem_of
from asymcert.evaluate.words import word_shares
from asymcert.models.base import BinaryClassifier
from asymcert.serve.answers import Answer, Asked
from asymcert.serve.refusals import RequestError
from asymcert.threats.model import ThreatModel

MOST_EXPLAINED = 16  # texts of one request: each takes up to a second
MOST_WORDS = 20  # that carry one verdict


def check_few(texts: Sequence[Any]) -> None:
    """Refuse, with status 413, to explain many texts at once."""
    if len(texts) > MOST_EXPLAINED:
        remedy = "Send several requests, or leave out `reasons` and `evasions`."
        raise RequestError(413, f"`texts` must be at most {MOST_EXPLAINED} to be explained, got {len(texts)}. {remedy}")


def explain(model: BinaryClassifier, texts: Sequence[Any], found: Sequence[Answer], asked: Asked) -> None:
    """Put ``reasons`` (words with ``word`` and ``share``) and ``evasion`` into the answers about texts.

    An evasion has ``text``, ``price`` and ``edits`` in words; None where none is known or the threat edits no words.
    """
    problem = problem_of(model)
    edits = next((t for t in asked.threats.values() if t.edits is not None and t.edits.kinds), None)
    for text, answer in zip(texts, found, strict=True):
        if answer["problem"] is None:
            alert = answer["margin"] > 0
            if asked.reasons:
                answer["reasons"] = _words(problem, text, answer["margin"]) if alert else []
            if asked.evasions:
                answer["evasion"] = _evasion(problem, text, edits) if alert and edits is not None else None


def _words(problem: TextProblem, text: str, margin: float) -> list[dict[str, Any]]:
    shares = word_shares(problem, text, margin)
    return [vars(each) for each in shares[:MOST_WORDS] if each.share > 0]


def _evasion(problem: TextProblem, text: str, threat: ThreatModel) -> dict[str, Any] | None:
    found = cheapest_edit(problem, text, prices_of(problem, threat))
    if not found.undoes:
        return None
    return {"text": found.text, "price": found.price, "edits": described(found.edits)}
