"""What the report page shows, section by section, for its template."""

from __future__ import annotations

import json
from typing import Any

from asymcert.evaluate.formatting import floor_percent, floor_significant
from asymcert.report.detector import (
    at_rates,
    calibration_plot,
    figures_table,
    fragile_alerts,
    ranking_plots,
    sizes_shown,
    unpromised_note,
)
from asymcert.report.gallery import strips
from asymcert.report.plots import Plot, curve_plot, radius_plot, surface_plot, training_plots
from asymcert.report.series import ReportData, by_unit, threat_text, with_curves
from asymcert.report.tables import audit_table, summary_table, units_table
from asymcert.report.texts import attacks_table, carriers_table, sentence_notes, undone_table
from asymcert.threats.model import WORDS

NORMS = "norms"  # that radii are measured in, beside columns and words


def content(data: ReportData) -> dict[str, Any]:
    """All that is no plot, by the template's names; what a run does not have is empty."""
    return {
        "facts": data.facts,
        "numbers": _at_a_glance(data),
        "several": any(len(panel) > 1 for panel in data.panels.values()),  # curves in a table, which needs the width
        "summary": summary_table(data.series, data.facts),
        "detector": figures_table(data.detectors[0][1], data.facts) if data.detectors else None,
        "alerts": [
            (f"{item.adversary} · {item.method}", unpromised_note(item), fragile_alerts(item, data.facts, data.alerts))
            for item in data.series
        ],
        "measures": list(dict.fromkeys(item.unit if item.norm == 0 else NORMS for item in data.series)),
        "attacked": any(sizes_shown(judged) for _, judged in data.detectors),
        "words": None if data.alerts.is_empty() else carriers_table(data.alerts),
        "texts": None if data.attacked.is_empty() else attacks_table(data.attacked),
        "undone": None if data.attacked.is_empty() else undone_table(data.attacked),
        "sentences": sentence_notes(data.series),
        "strips": list(strips(data.gallery)),
        "audit": None if data.audit.is_empty() else audit_table(data.audit),
        "units": units_table(data.series, data.facts),
        "details": _details(data),
    }


def plots_of(data: ReportData) -> dict[str, list[Plot]]:
    """The interactive plots of each section."""
    surfaces = [surface_plot(series, data.facts) for series in data.series]
    rated = [each for series, judged in data.detectors for each in at_rates(series, judged)]
    drawn = [each for each in data.detectors if sizes_shown(each[1])] or data.detectors[:1]
    calibrations = [calibration_plot(judged) for _, judged in data.detectors]
    return {
        "curve": [curve_plot(panel, data.overlay) for panel in data.panels.values()],
        "surface": [plot for plot in surfaces if plot is not None],
        "rate": [curve_plot(panel, {}) for panel in by_unit(with_curves(rated)).values()],
        "ranking": [plot for series, judged in drawn for plot in ranking_plots(series, judged)],
        "calibration": [plot for plot in calibrations[:1] if plot is not None],
        "radii": [radius_plot(panel) for panel in data.panels.values()],
        "training": training_plots(data),
    }


def _at_a_glance(data: ReportData) -> list[tuple[str, str]]:
    """Numbers and what they are."""
    line, facts = data.widest[0].summary, data.facts
    numbers = [(floor_percent(line["accuracy_sensitive"]), f"of class {facts.sensitive} recognised")]
    if line["n_other"]:
        numbers.append((floor_percent(line["accuracy_other"]), f"of class {facts.other} recognised"))
    for unit, panel in by_unit(with_curves(data.widest)).items():
        best = max(panel, key=lambda series: series.summary["median_radius"])
        adversary = best.adversary if unit == WORDS else unit
        numbers.append((floor_significant(best.summary["median_radius"]), f"median radius, {adversary}"))
    return numbers


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
