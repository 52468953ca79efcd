"""The parts of the report page."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from asymcert.evaluate.formatting import floor_percent, floor_significant
from asymcert.report import elements, plots
from asymcert.report.elements import text
from asymcert.report.gallery import data_uri, strips
from asymcert.report.series import ReportData, Series, norm_symbol, threat_text
from asymcert.report.tables import accuracy_table, audit_table, summary_table, units_table

Figures = dict[str, Any]


def body(data: ReportData) -> tuple[str, Figures]:
    """The page between its header and scripts, and the figures to draw in it by the id of their element."""
    figures: Figures = {}
    parts = [
        _header(data),
        "<main>",
        _at_a_glance(data),
        _meaning(data),
        _summary(data),
        _curves(data, figures),
        _surfaces(data, figures),
        _radii(data, figures),
        _gallery(data),
        _audit(data),
        _training(data, figures),
        _units(data),
        _details(data),
        "</main>",
        f"<footer>Written by asymcert {text(data.facts.versions.get('asymcert', ''))} from the rows of one run "
        "folder. Radii, accuracies and lower bounds are rounded down, times and upper bounds up.</footer>",
    ]
    return "\n".join(parts), figures


def _header(data: ReportData) -> str:
    facts = data.facts
    return (
        f"<header>\n<h1>{text(facts.name)}: certified robustness</h1>\n"
        f'<p class="lead">How much an input of class <b>{text(facts.sensitive)}</b> must change before it can '
        f"pass as <b>{text(facts.other)}</b>: a proven lower bound for every sample.</p>\n</header>"
    )


def _at_a_glance(data: ReportData) -> str:
    line, facts = data.widest[0].summary, data.facts
    numbers = [(floor_percent(line["accuracy_sensitive"]), f"of class {facts.sensitive} recognised")]
    if line["n_other"]:
        numbers.append((floor_percent(line["accuracy_other"]), f"of class {facts.other} recognised"))
    for norm in sorted({series.norm for series in data.widest}):
        panel = [series for series in data.widest if series.norm == norm]
        best = max(panel, key=lambda series: series.summary["median_radius"])
        numbers.append((floor_significant(best.summary["median_radius"]), f"median radius, {norm_symbol(norm)}"))
    cards = [f'<div class="card"><b>{text(value)}</b><span>{text(name)}</span></div>' for value, name in numbers]
    return f'<div class="numbers">{"".join(cards)}</div>'


def _meaning(data: ReportData) -> str:
    sensitive, other = (f"<b>{text(name)}</b>" for name in (data.facts.sensitive, data.facts.other))
    return (
        "<h2>What this means</h2>\n"
        f"<p>Every sample that the classifier calls {sensitive} comes with a radius. The classifier keeps calling it "
        f"{sensitive} whatever an attacker does to it, as long as the change is smaller than that radius in the stated "
        "norm. This is proved for each sample and holds against any attack, also ones not yet invented. The "
        "<em>certified accuracy</em> at a size is the share of "
        f"{sensitive} samples that are recognised and whose radius is larger than that size.</p>\n"
        f"<p>It does not say that {other} samples cannot be made to look {sensitive} (false alarms are not "
        "certified), that larger changes succeed, that an unchanged sample is judged rightly, or that samples of "
        "another origin fare as these did. Shaded bands are exact 95 % intervals at each size for the sampling of "
        "the test data.</p>"
    )


def _summary(data: ReportData) -> str:
    table = elements.table(summary_table(data.series, data.facts))
    note = "Radii are over all sensitive samples; one that is not recognised counts as 0."
    return f'<h2>Summary</h2>\n<p class="note">{note}</p>\n<div class="card">{table}</div>'


def _curves(data: ReportData, figures: Figures) -> str:
    cards = []
    for position, (norm, panel) in enumerate(data.panels.items()):
        figures[f"curve-{position}"] = plots.curve_figure(norm, panel, data.overlay)
        plot = elements.plot(f"curve-{position}", f"Certified accuracy against size in {norm_symbol(norm)}")
        table = elements.table(accuracy_table(panel))
        cards.append(elements.card(f"{norm_symbol(norm)} norm{_only_threat(panel)}", plot + table))
    several = any(len(panel) > 1 for panel in data.panels.values())  # their tables need the wider cards
    return f"<h2>Certified accuracy</h2>\n{elements.grid(cards, wide=several)}"


def _surfaces(data: ReportData, figures: Figures) -> str:
    cards = []
    for position, series in enumerate(data.series):
        values = series.surface()
        if values is not None:
            identifier = f"surface-{position}"
            figures[identifier] = plots.surface_figure(series.norm, values, data)
            plot = elements.plot(identifier, "Certified accuracy over threshold and size", "tall")
            cards.append(elements.card(f"{series.adversary} · {series.method}", plot))
    if not cards:
        return ""
    note = (
        "Certified accuracy at every threshold and size. White line: the model's threshold. Dashed line: where "
        "both classes are recognised equally often."
    )
    return f'<h2>The trade-off</h2>\n<p class="note">{note}</p>\n{elements.grid(cards)}'


def _radii(data: ReportData, figures: Figures) -> str:
    cards = []
    for position, (norm, panel) in enumerate(data.panels.items()):
        figures[f"radii-{position}"] = plots.radius_figure(norm, panel)
        plot = elements.plot(f"radii-{position}", f"Histogram of radii in {norm_symbol(norm)}", "low")
        counts = "".join(f'<p class="note">{text(_left_out(series))}</p>' for series in panel)
        cards.append(elements.card(f"{norm_symbol(norm)} norm", plot + counts))
    return f'<h2>Radii of the sensitive samples</h2>\n<div class="grid three">{"".join(cards)}</div>'


def _left_out(series: Series) -> str:
    zero, infinite = int((series.radii == 0).sum()), int(np.isinf(series.radii).sum())
    text = f"{series.label}: {len(series.radii)} samples, {zero} with radius 0"
    return text + (f", {infinite} with an infinite radius" if infinite else "") + "."


def _gallery(data: ReportData) -> str:
    cards = []
    for strip in strips(data.gallery):
        pictures = [
            f'<figure><img src="{data_uri(image)}" alt="sample {index}"><figcaption>{floor_significant(radius)}'
            "</figcaption></figure>"
            for image, radius, index in zip(strip.images, strip.radii, strip.indices, strict=True)
        ]
        title = f"{threat_text(strip.threat, strip.norm)} · {strip.method}: {strip.group} robust"
        cards.append(elements.card(title, f'<div class="strip">{"".join(pictures)}</div>'))
    if not cards:
        return ""
    note = f"Recognised samples of class {text(data.facts.sensitive)} with the smallest and largest certified radii."
    return f'<h2>Least and most robust</h2>\n<p class="note">{note}</p>\n<div class="grid">{"".join(cards)}</div>'


def _audit(data: ReportData) -> str:
    if data.audit.is_empty():
        return ""
    table, broken, tried = audit_table(data.audit)
    if broken:
        meaning = "A guarantee does not hold, unless its rounding errors were ignored."
        verdict = f'<p class="bad">{broken} of {tried} attacks broke a certificate. {meaning}</p>'
    else:
        verdict = f'<p class="good">None of {tried} attacks inside certified radii broke a certificate.</p>'
    return f'<h2>Audit</h2>\n{verdict}\n<div class="card">{elements.table(table)}</div>'


def _training(data: ReportData, figures: Figures) -> str:
    cards = []
    for position, (title, figure) in enumerate(plots.training_figures(data).items()):
        figures[f"training-{position}"] = figure
        cards.append(elements.card(title, elements.plot(f"training-{position}", f"{title} against epoch", "low")))
    return f'<h2>Training</h2>\n<div class="grid three">{"".join(cards)}</div>' if cards else ""


def _units(data: ReportData) -> str:
    table = units_table(data.series, data.facts)
    if table is None:
        return ""
    note = (
        "How far one column alone may move, in its own units, before a change reaches the median radius. Words are "
        "counted in all; a category is safe in any value or not at all (0)."
    )
    shown = elements.table(table, "scroll long")
    return f'<h2>Units</h2>\n<p class="note">{note}</p>\n<div class="card">{shown}</div>'


def _details(data: ReportData) -> str:
    facts = data.facts
    models = sorted({series.summary["model_digest"] for series in data.series})
    values = {
        "Data": facts.name,
        "Data digest": facts.data_digest,
        "Split": ", ".join(sorted({series.summary["split"] for series in data.series})),
        "Model digest": ", ".join(models),
        "Adversaries": "; ".join(dict.fromkeys(threat_text(s.summary["threat"], s.norm) for s in data.series)),
        "Input shape": " × ".join(map(str, facts.input_shape)),
        "Seed": facts.seed,
        "Configuration": json.dumps(facts.config),
        "Versions": ", ".join(f"{name} {number}" for name, number in facts.versions.items()),
        "Created": facts.created,
    }
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in values.items())
    return f'<h2>Details</h2>\n<div class="card"><dl>{items}</dl></div>'


def _only_threat(panel: list[Series]) -> str:
    threats = {series.adversary for series in panel}
    rest = next(iter(threats)).partition(" ")[2]
    return f", {rest}" if len(threats) == 1 and rest else ""
