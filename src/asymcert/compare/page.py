"""The comparison as one page, pictures and a machine-readable file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from asymcert.compare.front_page import FrontPage
from asymcert.compare.outcome import (
    CHANGED,
    Line,
    Verdict,
    coloured,
    lines_of,
    machine_readable,
    published_half,
    survival,
    verdicts,
)
from asymcert.compare.run import CHUNK, CompareOptions, Result
from asymcert.compare.table_methods import COLUMNS
from asymcert.datasets import BinaryData
from asymcert.evaluate.formatting import MISSING, ceil_significant, floor_percent, floor_significant, listed
from asymcert.report.page import write_page
from asymcert.report.pictures import curve_picture, save_picture
from asymcert.report.plots import curve_plot
from asymcert.report.series import by_unit, norm_symbol
from asymcert.report.tables import Table

TEMPLATES = Path(__file__).parent / "templates"
OWN = "✓"


def write_comparison(
    data: BinaryData,
    results: Sequence[Result],
    out: Path,
    options: CompareOptions,
    published: Mapping[str, pl.DataFrame] | None = None,
    others: Sequence[Sequence[Result]] = (),
) -> Path:
    """Write ``index.html``, ``certified_accuracy.png`` and ``comparison.json`` into `out`; returns the page's path.

    With several settings of the methods, the page is of fronts, and ``fronts.png`` shows them.

    Parameters
    ----------
    data
        What was compared on.
    results
        Of `compare`, drawn and tabulated in full.
    out
        An existing folder.
    options
        Of the comparison.
    published
        Curves to lay over ours, see `read_published`.
    others
        Results of the same methods with other seeds, shown by their radii.
    """
    overlay = coloured(published or {})
    seeds = [lines_of(part) for part in (results, *others)]
    panels = by_unit([line.series for line in seeds[0]])
    save_picture(curve_picture(panels, overlay, many=True), out / "certified_accuracy.png")
    record = machine_readable(data, [line for part in seeds for line in part], options)
    fronts = FrontPage([results, *others], options.levels) if options.points > 1 else None
    if fronts is not None:
        fronts.save_picture(out / "fronts.png")
        record |= fronts.record()
    text = json.dumps(record, indent=1, allow_nan=False)
    (out / "comparison.json").write_text(text + "\n", encoding="utf-8")
    plots = {"curve": [curve_plot(panel, overlay, many=True) for panel in panels.values()]}
    attacks = [result.audit for part in (results, *others) for result in part if len(result.audit)]
    content = _tables(seeds, data, overlay) | {"deviations": _deviations(results, options)}
    content |= {"attacked": sum(map(len, attacks)), "won": sum(int(audit["success"].sum()) for audit in attacks)}
    if fronts is not None:
        plots, content = plots | fronts.plots(), content | fronts.content()
    template = TEMPLATES / ("comparison.html" if fronts is None else "fronts.html")
    return write_page(out / "index.html", template, plots, data=data, options=options, **content)


def _tables(seeds: Sequence[Sequence[Line]], data: BinaryData, overlay: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """What the page says of the lines, by the template's names; the first seed's, but for the verdicts and radii."""
    lines = seeds[0]
    return {
        "verdicts": _verdicts([verdicts(part) for part in seeds]),
        "accuracies": _accuracies(lines, data),
        "radii": _radii(lines, overlay),
        "own": OWN,
        "survival": _survival(lines),
        "seeds": [line.seed for part in seeds for line in part[:1]],
        "radii_by_seed": _radii_by_seed(seeds),
        "times": _times(lines),
        "batch": CHUNK,
    }


def _verdicts(seeds: Sequence[Sequence[Verdict]]) -> dict[float, list[tuple[Verdict, str, str]]]:
    """By norm: verdicts of the first seed, whether each is good, and its sentence, which counts the other seeds too."""
    cards: dict[float, list[tuple[Verdict, str, str]]] = {}
    for same in zip(*seeds, strict=True):
        kind, say = _said(same[0])
        if len(seeds) > 1:
            say += f" Ours leads with {sum(verdict.won for verdict in same)} of {len(seeds)} seeds."
        cards.setdefault(same[0].norm, []).append((same[0], kind, say))
    return cards


def _said(verdict: Verdict) -> tuple[str, str]:
    """Whether it is good, and the sentence."""
    ours, rival = verdict.radii
    if verdict.ours is None or verdict.rival is None:
        return "good", "Nothing to compare with."
    if verdict.norm == COLUMNS:
        shares = f"On average over {listed(CHANGED)} changed columns, {floor_percent(ours)} of the class stay flagged"
        return "good" if verdict.won else "bad", f"{shares}, {floor_percent(rival)} with the rival."
    if verdict.won:
        return "good", f"Ours certifies half of the class to {_multiple(ours, rival)} the rival's radius."
    return "bad", f"The rival wins, with {_multiple(rival, ours)} our radius."


def _multiple(first: float, second: float) -> str:
    return f"{floor_significant(first / second, 3)} times" if second > 0 else "more than any multiple of"


def _accuracies(lines: Sequence[Line], data: BinaryData) -> Table:
    header = ("Method", f"{data.sensitive}: right", f"{data.other}: right", "Balanced accuracy", "Abstained")
    rows, firsts = [], {}
    for line in lines:
        firsts.setdefault(line.result.method.name, line)
    for line in firsts.values():
        found = line.series.summary
        shares = [floor_percent(found[f"accuracy_{name}"]) for name in ("sensitive", "other", "balanced")]
        rows.append((line.result.method.label, *shares, str(int(line.series.rows["abstained"].sum()))))
    return Table(header, tuple(rows))


def _radii(lines: Sequence[Line], overlay: Mapping[str, pl.DataFrame]) -> Table:
    norms = sorted({line.norm for line in lines})
    header = ("Certifier", "Samples", *(norm_symbol(norm) for norm in norms))
    rows = []
    for name in dict.fromkeys(line.name for line in lines):
        own = {line.norm: line for line in lines if line.name == name}
        cells = [_radius_text(own[norm]) if norm in own else MISSING for norm in norms]
        rows.append((name, str(len(next(iter(own.values())).series.rows)), *cells))
    for name, curve in overlay.items():
        halves = [published_half(curve, norm) for norm in norms]
        cells = [MISSING if half is None else floor_significant(half) for half in halves]
        rows.append((name, MISSING, *cells))
    return Table(header, tuple(rows))


def _survival(lines: Sequence[Line]) -> Table | None:
    """Shares of the class that survive changes of columns, where they are counted."""
    counted = [line for line in lines if line.norm == COLUMNS]
    header = ("Certifier", "Balanced accuracy", *(f"{count} column{'s' * (count > 1)}" for count in CHANGED))
    rows = []
    for line in counted:
        shares = (line.series.summary["accuracy_balanced"], *survival(line.series.rows).values())
        rows.append((line.name, *map(floor_percent, shares)))
    return Table(header, tuple(rows)) if rows else None


def _radii_by_seed(seeds: Sequence[Sequence[Line]]) -> Table:
    norms = sorted({line.norm for line in seeds[0]})
    header = ("Certifier", "Balanced accuracy", *(norm_symbol(norm) for norm in norms))
    rows = []
    for name in dict.fromkeys(line.name for line in seeds[0]):
        own = {norm: _same(seeds, name, norm) for norm in norms}
        some = next(filter(None, own.values()))
        accuracies = [floor_percent(line.series.summary["accuracy_balanced"]) for line in some]
        radii = [" / ".join(floor_significant(line.half) for line in own[norm]) or MISSING for norm in norms]
        rows.append((name, " / ".join(accuracies), *radii))
    return Table(header, tuple(rows))


def _same(seeds: Sequence[Sequence[Line]], name: str, norm: float) -> list[Line]:
    return [line for part in seeds for line in part if (line.name, line.norm) == (name, norm)]


def _radius_text(line: Line) -> str:
    upper = line.series.summary["median_upper"]
    bound = f" to {ceil_significant(upper)}" if math.isfinite(upper) else ""
    return f"{floor_significant(line.half)}{bound} {OWN if line.own else ''}".rstrip()


def _times(lines: Sequence[Line]) -> Table:
    rows = {line.name: line.series.summary["seconds"] for line in lines}
    return Table(("Certifier", "Seconds"), tuple((name, ceil_significant(value, 2)) for name, value in rows.items()))


def _deviations(results: Sequence[Result], options: CompareOptions) -> Table:
    methods = {result.method.label: result.method.deviations[options.budget] for result in results}
    methods |= {result.curve.label: f"left out: {result.refusal}" for result in results if result.refusal}
    return Table(("Method", "Differs from the published setting by"), tuple(methods.items()), 2)
