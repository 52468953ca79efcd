"""The comparison as one page, pictures and a machine-readable file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from asymcert.compare.outcome import (
    Line,
    Verdict,
    coloured,
    lines_of,
    machine_readable,
    panels_of,
    published_half,
    verdicts,
)
from asymcert.compare.run import CHUNK, CompareOptions, Result
from asymcert.datasets import BinaryData
from asymcert.evaluate.formatting import MISSING, ceil_significant, floor_percent, floor_significant
from asymcert.report import elements, plots
from asymcert.report.elements import text
from asymcert.report.page import write_page
from asymcert.report.pictures import curve_picture, save_picture
from asymcert.report.series import norm_symbol
from asymcert.report.tables import Table

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
    lines, overlay = lines_of(results), coloured(published or {})
    seeds = [lines, *(lines_of(other) for other in others)]
    every = [result for part in (results, *others) for result in part]
    figures: dict[str, Any] = {}
    body = "\n".join(
        [
            _header(data, options),
            "<main>",
            _verdicts([verdicts(part) for part in seeds]),
            _curves(lines, overlay, figures),
            _accuracies(lines, data),
            _radii(lines, overlay),
            _seeds(seeds),
            _times(lines),
            _audit(every),
            _deviations(results, options),
            "</main>",
            "<footer>Radii and accuracies are rounded down, times up.</footer>",
        ]
    )
    save_picture(curve_picture(panels_of(lines), overlay, many=True), out / "certified_accuracy.png")
    record = json.dumps(
        machine_readable(data, [line for part in seeds for line in part], options), indent=1, allow_nan=False
    )
    (out / "comparison.json").write_text(record + "\n", encoding="utf-8")
    return write_page(out / "index.html", f"{data.name}: methods compared", body, figures)


def _header(data: BinaryData, options: CompareOptions) -> str:
    return (
        f"<header>\n<h1>{text(data.name)}: methods compared</h1>\n"
        f'<p class="lead">Class <b>{text(data.sensitive)}</b> must not pass as <b>{text(data.other)}</b>. Every method '
        f"was trained on the same split (seed {options.seed}, budget {text(options.budget)}), balanced on the same "
        f"validation data, and certified on the first {options.samples} test samples, against changes that stay in "
        "[0, 1]. Certified accuracy is over the sensitive class; a wrong or withheld verdict counts as radius 0.</p>\n"
        "</header>"
    )


def _verdicts(seeds: Sequence[Sequence[Verdict]]) -> str:
    cards: dict[float, str] = {}
    for same in zip(*seeds, strict=True):
        cards[same[0].norm] = cards.get(same[0].norm, "") + _verdict(same)
    note = (
        "The radius at which half of the sensitive class is certified; a rival that was run on the first samples only "
        "is compared on those. Mind the accuracies."
    )
    drawn = [elements.card(norm_symbol(norm), content) for norm, content in cards.items()]
    return f'<h2>Who wins</h2>\n<p class="note">{note}</p>\n{elements.grid(drawn)}'


def _verdict(seeds: Sequence[Verdict]) -> str:
    """Both sides and the sentence: of the first seed, and how often ours leads where there are several."""
    shown = seeds[0]
    whole = shown.rival is None or shown.rival.whole
    sides = (("Ours", shown.ours), ("Strongest rival" if whole else "Against", shown.rival))
    content = "".join(
        f"<p>{text(f'{who}: {_reached(line, found)}')}</p>"
        for (who, line), found in zip(sides, shown.summaries, strict=True)
        if line is not None and found is not None
    )
    kind, say = _said(shown)
    if len(seeds) > 1:
        say += f" Ours leads with {sum(verdict.won for verdict in seeds)} of {len(seeds)} seeds."
    return f'{content}<p class="{kind}">{text(say)}</p>'


def _reached(line: Line, found: Mapping[str, Any]) -> str:
    accuracy = floor_percent(found["accuracy_balanced"])
    return f"{floor_significant(found['median_radius'])} ({line.series.label}; {accuracy} right)"


def _said(verdict: Verdict) -> tuple[str, str]:
    """Whether it is good, and the sentence."""
    ours, rival = verdict.radii
    if verdict.ours is None or verdict.rival is None:
        return "good", "Nothing to compare with."
    if verdict.won:
        return "good", f"Ours certifies half of the class to {_multiple(ours, rival)} the rival's radius."
    return "bad", f"The rival wins, with {_multiple(rival, ours)} our radius."


def _multiple(first: float, second: float) -> str:
    return f"{floor_significant(first / second, 3)} times" if second > 0 else "more than any multiple of"


def _curves(lines: Sequence[Line], overlay: Mapping[str, pl.DataFrame], figures: dict[str, Any]) -> str:
    cards = []
    for position, (norm, panel) in enumerate(panels_of(lines).items()):
        figures[f"curve-{position}"] = plots.curve_figure(norm, panel, overlay, many=True)
        drawn = elements.plot(f"curve-{position}", f"Certified accuracy against size in {norm_symbol(norm)}", "tall")
        cards.append(elements.card(f"{norm_symbol(norm)} norm", drawn))
    return f'<h2>Certified accuracy</h2>\n<div class="stack">{"".join(cards)}</div>'


def _accuracies(lines: Sequence[Line], data: BinaryData) -> str:
    header = ("Method", f"{data.sensitive}: right", f"{data.other}: right", "Balanced accuracy", "Abstained")
    rows, seen = [], set()
    for line in lines:
        if line.result.method.name in seen:
            continue
        seen.add(line.result.method.name)
        found = line.series.summary
        shares = [floor_percent(found[f"accuracy_{name}"]) for name in ("sensitive", "other", "balanced")]
        rows.append((line.result.method.label, *shares, str(int(line.series.rows["abstained"].sum()))))
    return _section("Clean accuracy", "Without any change of the input.", Table(header, tuple(rows)))


def _radii(lines: Sequence[Line], overlay: Mapping[str, pl.DataFrame]) -> str:
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
    note = (
        "Half of the sensitive class is certified to this radius; where a change is known for half of the class, its "
        f"size bounds the best possible. {OWN}: a norm that the certificate is made for; for others it is converted by "
        "the inequality between norms. Smoothing's radii hold with probability 99.9 % each, over its own draws; all "
        "others without exception. Published figures are of other splits and trainings."
    )
    return _section("Radii", note, Table(header, tuple(rows), 1))


def _seeds(seeds: Sequence[Sequence[Line]]) -> str:
    """Accuracies and radii of every seed; nothing where there is one."""
    if len(seeds) == 1:
        return ""
    norms = sorted({line.norm for line in seeds[0]})
    header = ("Certifier", "Balanced accuracy", *(norm_symbol(norm) for norm in norms))
    rows = []
    for name in dict.fromkeys(line.name for line in seeds[0]):
        own = {norm: _same(seeds, name, norm) for norm in norms}
        accuracies = [floor_percent(line.series.summary["accuracy_balanced"]) for line in own[norms[0]]]
        radii = [" / ".join(floor_significant(line.half) for line in own[norm]) for norm in norms]
        rows.append((name, " / ".join(accuracies), *radii))
    numbers = ", ".join(str(part[0].seed) for part in seeds)
    note = f"Seeds {numbers}, of split, training and noise; all else on this page is of the first."
    return _section("Seeds", note, Table(header, tuple(rows), 1))


def _same(seeds: Sequence[Sequence[Line]], name: str, norm: float) -> list[Line]:
    return [line for part in seeds for line in part if (line.name, line.norm) == (name, norm)]


def _radius_text(line: Line) -> str:
    upper = line.series.summary["median_upper"]
    bound = f" to {ceil_significant(upper)}" if math.isfinite(upper) else ""
    return f"{floor_significant(line.half)}{bound} {OWN if line.own else ''}".rstrip()


def _times(lines: Sequence[Line]) -> str:
    rows = {line.name: line.series.summary["seconds"] for line in lines}
    table = Table(("Certifier", "Seconds"), tuple((name, ceil_significant(value, 2)) for name, value in rows.items()))
    note = f"Median per sample for all three norms together, in batches of {CHUNK}, measured in this run."
    return _section("Seconds per certificate", note, table)


def _audit(results: Sequence[Result]) -> str:
    tried = sum(len(result.audit) for result in results)
    if not tried:
        return "<h2>Attacks</h2>\n<p>Nothing was attacked.</p>"
    won = sum(int(result.audit["success"].sum()) for result in results if len(result.audit))
    kind = "bad" if won else "good"
    return f'<h2>Attacks</h2>\n<p class="{kind}">{won} of {tried} attacks inside certified radii succeeded.</p>'


def _deviations(results: Sequence[Result], options: CompareOptions) -> str:
    methods = {result.method.label: result.method.deviations[options.budget] for result in results}
    methods |= {result.curve.label: f"left out: {result.refusal}" for result in results if result.refusal}
    table = Table(("Method", "Differs from the published setting by"), tuple(methods.items()), 2)
    return _section("Deviations", "", table)


def _section(title: str, note: str, table: Table) -> str:
    remark = f'<p class="note">{text(note)}</p>\n' if note else ""
    return f'<h2>{text(title)}</h2>\n{remark}<div class="card">{elements.table(table)}</div>'
