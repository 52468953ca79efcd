"""The command that explains the verdict on one text."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from asymcert._checks import check_count, refuse
from asymcert.cli import show
from asymcert.cli.parameters import DataDir, Json, RunPath, SplitName
from asymcert.cli.steps import chosen_split
from asymcert.datasets.text_columns import LONGEST
from asymcert.evaluate.formatting import ceil_percent, floor_significant, printable
from asymcert.evaluate.text import TextExplanation, explain_texts
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
    (found,) = explain_texts(opened.model, [_text(opened, text, index, split)], cuts)
    verdict = {"verdict": opened.model.sensitive if found.sensitive else opened.model.other}
    if as_json:
        show.result(verdict | {"sensitive": found.sensitive} | found.to_dict(), as_json)
        return
    show.result(verdict | {"margin": floor_significant(found.margin)}, as_json)
    if found.sensitive:
        _print_reasons(found)


def _print_reasons(found: TextExplanation) -> None:
    """Promise, words and cheapest edits, for people."""
    print(f"\n{found.promise or 'Nothing is certified of it.'}\n")
    carrying = [each for each in found.words if each.share > 0][:MOST_SHOWN]
    rows = [{"word": each.word, "carries of the margin": ceil_percent(each.share)} for each in carrying]
    show.table("Words that carry the verdict", rows, as_json=False)
    if found.evasion is None:
        print("\nNo edited text is known that undoes it.")
    else:
        edits = printable("; ".join(found.edits))
        print(f"\nUndone by {found.evasion.price:g} edits: {edits}\nas in: {printable(found.evasion.text)}")


def _text(run: Run, text: str | None, index: int | None, split: str) -> str:
    """The text that is asked about."""
    if text is not None and index is None:
        return sys.stdin.buffer.read(4 * LONGEST + 4).decode("utf-8", "replace") if text == "-" else text
    if index is None or text is not None:
        raise refuse("--text", "given, or else --index", "neither" if text is None else "both")
    check_count("--index", index, 0)
    texts = chosen_split(run.data, split).texts or ()
    if index >= len(texts):
        raise refuse("--index", f"at most {len(texts) - 1}, the last text of the {split} split", index)
    return texts[index]
