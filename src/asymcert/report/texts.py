"""What a report says of texts: words that carry verdicts, attacks and what became of them, whole added sentences."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from asymcert.evaluate.curves import certified_accuracy_at
from asymcert.evaluate.formatting import floor_percent, floor_significant, interval_text, printable
from asymcert.evaluate.text_audit import BEYOND, summary_of
from asymcert.report.series import Series
from asymcert.report.tables import Table

CARRIERS = 20  # words listed
UNDONE = 10  # texts listed
SHOWN = 220  # characters of a text


def shortened(text: str) -> str:
    """The beginning of a text, in which nothing is hidden."""
    return printable(text[:SHOWN]) + ("…" if len(text) > SHOWN else "")


def carriers_table(alerts: pl.DataFrame) -> Table:
    """The words that carry most over all alerts, with how many alerts each carries in, and how much there."""
    words = alerts.select("words", "shares").explode("words", "shares").filter(pl.col("shares") > 0)
    each = words.group_by("words").agg(pl.len(), pl.col("shares").median().alias("median"), pl.col("shares").sum())
    top = each.sort("shares", "words", descending=[True, False]).head(CARRIERS)
    rows = [(printable(word), str(count), floor_percent(median)) for word, count, median, _ in top.rows()]
    return Table(("Word", "Alerts that it carries", "Of the margin there, median"), tuple(rows))


def attacks_table(attacked: pl.DataFrame) -> tuple[Table, int, int]:
    """Attacks on texts, how many certificates they broke, and how many texts were tried."""
    found = summary_of(attacked)
    rows = [
        (
            line["attack"],
            str(line["certificates"]),
            str(line["texts"]),
            str(line["broken"]),
            str(line["undone"]),
            floor_significant(line["median_price"]),
        )
        for line in found.iter_rows(named=True)
    ]
    header = ("Attack", "Certificates", "Texts tried", "Certificates broken", "Verdicts undone", "Median price")
    return Table(header, tuple(rows)), int(found["broken"].sum()), int(found["texts"].sum())


def undone_table(attacked: pl.DataFrame) -> Table:
    """The cheapest changed texts that undo verdicts: what was certified, what it took, and by which edits."""
    undone = attacked.filter(pl.col("attack") == BEYOND, pl.col("text") != "")
    least = undone.sort("size", "index", "threat").unique("index", keep="first", maintain_order=True).head(UNDONE)
    rows = [
        (str(line["index"]), shortened(line["text"]), shortened(line["edits"]), *_prices(line))
        for line in least.iter_rows(named=True)
    ]
    return Table(("Row", "Changed text", "Edits", "Certified", "Undone by"), tuple(rows), 3)


def _prices(line: dict[str, float]) -> tuple[str, str]:
    return floor_significant(line["radius"]), floor_significant(line["size"])


def sentence_notes(series: Sequence[Series]) -> list[str]:
    """For each adversary who adds whole sentences alone: the share of sensitive texts that outlasts any number."""
    return [
        f"{interval_text(certified_accuracy_at(each.rows, [1.0]).row(0)[1:])} ({each.method})"
        for each in series
        if each.only_sentences
    ]
