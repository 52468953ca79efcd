"""What the report page shows, section by section, for its template."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from asymcert.evaluate.formatting import floor_percent, floor_significant
from asymcert.report.gallery import strips
from asymcert.report.plots import Plot, curve_figure, radius_figure, surface_figure, training_figures
from asymcert.report.series import ReportData, Series, norm_symbol, threat_text
from asymcert.report.tables import accuracy_table, audit_table, summary_table, units_table


def content(data: ReportData) -> dict[str, Any]:
    """All that is no plot, by the template's names; what a run does not have is empty."""
    return {
        "facts": data.facts,
        "numbers": _at_a_glance(data),
        "several": any(len(panel) > 1 for panel in data.panels.values()),  # curves in a table, which needs the width
        "summary": summary_table(data.series, data.facts),
        "strips": list(strips(data.gallery)),
        "audit": None if data.audit.is_empty() else audit_table(data.audit),
        "units": units_table(data.series, data.facts),
        "details": _details(data),
    }


def plots_of(data: ReportData) -> dict[str, list[Plot]]:
    """The interactive plots of each section."""
    return {
        "curve": [
            Plot(
                f"{norm_symbol(norm)} norm{_only_threat(panel)}",
                f"Certified accuracy against size in {norm_symbol(norm)}",
                curve_figure(norm, panel, data.overlay),
                accuracy_table(panel),
            )
            for norm, panel in data.panels.items()
        ],
        "surface": [
            Plot(
                f"{series.adversary} · {series.method}",
                "Certified accuracy over threshold and size",
                surface_figure(series.norm, values, data),
            )
            for series in data.series
            if (values := series.surface()) is not None
        ],
        "radii": [
            Plot(
                f"{norm_symbol(norm)} norm",
                f"Histogram of radii in {norm_symbol(norm)}",
                radius_figure(norm, panel),
                notes=[_left_out(series) for series in panel],
            )
            for norm, panel in data.panels.items()
        ],
        "training": [Plot(title, f"{title} against epoch", figure) for title, figure in training_figures(data).items()],
    }


def _at_a_glance(data: ReportData) -> list[tuple[str, str]]:
    """Numbers and what they are."""
    line, facts = data.widest[0].summary, data.facts
    numbers = [(floor_percent(line["accuracy_sensitive"]), f"of class {facts.sensitive} recognised")]
    if line["n_other"]:
        numbers.append((floor_percent(line["accuracy_other"]), f"of class {facts.other} recognised"))
    for norm in sorted({series.norm for series in data.widest}):
        best = max(series.summary["median_radius"] for series in data.widest if series.norm == norm)
        numbers.append((floor_significant(best), f"median radius, {norm_symbol(norm)}"))
    return numbers


def _left_out(series: Series) -> str:
    zero, infinite = int((series.radii == 0).sum()), int(np.isinf(series.radii).sum())
    text = f"{series.label}: {len(series.radii)} samples, {zero} with radius 0"
    return text + (f", {infinite} with an infinite radius" if infinite else "") + "."


def _details(data: ReportData) -> dict[str, Any]:
    facts = data.facts
    models = sorted({series.summary["model_digest"] for series in data.series})
    return {
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


def _only_threat(panel: list[Series]) -> str:
    threats = {series.adversary for series in panel}
    rest = next(iter(threats)).partition(" ")[2]
    return f", {rest}" if len(threats) == 1 and rest else ""
