"""The command that explains the verdict on one text."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from asymcert._checks import check_count, refuse
from asymcert.attacks.texts.prices import described
from asymcert.cli import show
from asymcert.cli.parameters import DataDir, Json, RunPath, SplitName
from asymcert.cli.steps import chosen_split
from asymcert.evaluate.formatting import ceil_percent, floor_significant, printable
from asymcert.evaluate.text import TextExplanation, WordShare, explain_text, promise
from asymcert.evaluate.text_audit import problem_of
from asymcert.runs.run import Run

MOST_SHOWN = 12  # words


def explain(
    run: RunPath,
    text: Annotated[
        str | None, typer.Option(help="The text; - reads it from standard input.", show_default=False)
    ] = None,
    index: Annotated[
        int | None, typer.Option(help="In place of --text: a text's place in the split.", show_default=False)
    ] = None,
    split: SplitName = "test",
    cuts: Annotated[int, typer.Option(help="Tangent planes of the certificates.")] = 1,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Explain the verdict on one text: what it promises, the words that carry it, the cheapest edits that undo it.

    Examples: asymcert explain runs/sms --text "You have won a prize" · asymcert explain runs/sms --index 7
    """
    opened = Run(run, data_dir)
    encoder = problem_of(opened.model).encoder
    found = explain_text(opened.model, _text(opened, text, index, split), cuts)
    verdict = opened.model.sensitive if found.sensitive else opened.model.other
    if as_json:
        show.result({"verdict": verdict, **_facts(found), "promise": promise(found, encoder)}, as_json)
        return
    show.result({"verdict": verdict, "margin": floor_significant(found.margin)}, as_json)
    if not found.sensitive:
        return
    print(f"\n{promise(found, encoder)}\n")
    show.table("Words that carry the verdict", _word_rows(found.words), as_json)
    if found.evasion is None:
        print("\nno edited text is known that undoes it")
    else:
        edits = "; ".join(described(found.evasion.edits))
        known = {"undone by": f"{found.evasion.price:g} edits: {edits}", "as in": found.evasion.text}
        print("\n" + "\n".join(f"{name}: {printable(value)}" for name, value in known.items()))


def _text(run: Run, text: str | None, index: int | None, split: str) -> str:
    """The text that is asked about."""
    if (text is None) == (index is None):
        raise refuse("--text", "given, or else --index", "both" if text is not None else "neither")
    if text is not None:
        return sys.stdin.buffer.read().decode("utf-8", "replace") if text == "-" else text
    check_count("--index", index, 0)
    texts = chosen_split(run.data, split).texts or ()
    if index >= len(texts):
        raise refuse("--index", f"at most {len(texts) - 1}, the last text of the {split} split", index)
    return texts[index]


def _facts(found: TextExplanation) -> dict[str, Any]:
    """All of an explanation, JSON-able."""
    evasion = found.evasion
    return {
        "sensitive": found.sensitive,
        "margin": found.margin,
        "outlasts": found.outlasts,
        "sentences": found.sentences,
        "disguises": found.disguises,
        "words": [vars(each) for each in found.words],
        "evasion": evasion and {"text": evasion.text, "price": evasion.price, "edits": described(evasion.edits)},
    }


def _word_rows(words: list[WordShare]) -> list[dict[str, Any]]:
    carrying = [each for each in words if each.share > 0]
    return [{"word": each.word, "carries of the margin": ceil_percent(each.share)} for each in carrying[:MOST_SHOWN]]
