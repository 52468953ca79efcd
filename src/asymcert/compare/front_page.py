"""The part of a comparison's page, pictures and file that is about fronts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asymcert.compare.front_plots import Panel, alarm_panel, front_panel, picture_of, plot_of
from asymcert.compare.front_tables import lead_table, matched_table, points_table, sentences
from asymcert.compare.fronts import Point, by_contender, front, told_sizes
from asymcert.compare.leads import Lead, NormFronts, fronts_of
from asymcert.compare.looks import looks
from asymcert.compare.run import Result
from asymcert.compare.settings import RATES
from asymcert.evaluate.detection import Estimate
from asymcert.report.pictures import save_picture
from asymcert.report.plots import Plot

ALARMS = RATES[0]  # rate of false alarms at which the share caught is drawn


class FrontPage:
    """What the results of several seeds show as fronts; the first seed's are drawn.

    Parameters
    ----------
    seeds
        Results of `compare` with several settings, for each seed.
    levels
        Balanced accuracies to compare at, by default some that the methods reach.
    """

    def __init__(self, seeds: Sequence[Sequence[Result]], levels: Sequence[float] = ()):
        self.fronts = fronts_of(seeds, levels)
        self.results = seeds[0]
        self.seeds = [int(points[0].rows["seed"][0]) for points in self.fronts[0].seeds]
        self.panels = [front_panel(each.norm, each.seeds[0]) for each in self.fronts]
        self.alarms = list(_alarm_panels(self.fronts))

    def plots(self) -> dict[str, list[Plot]]:
        """The interactive panels."""
        return {"front": [plot_of(panel) for panel in self.panels], "alarm": [plot_of(panel) for panel in self.alarms]}

    def content(self) -> dict[str, Any]:
        """What the page's template shows besides."""
        methods = {result.method.name: result.method.label for result in self.results}
        drawn = looks(list(methods))
        return {
            "switches": [(name, label, drawn[name]) for name, label in methods.items()],
            "fronts": [
                (each.norm, sentences(each), matched_table(each), lead_table(each, self.seeds), points_table(each))
                for each in self.fronts
            ],
            "alarms": f"{100 * ALARMS:g} %",
        }

    def save_picture(self, path: Path) -> None:
        """Draw the fronts into a file."""
        save_picture(picture_of(self.panels), path)

    def record(self) -> dict[str, Any]:
        """All points and comparisons, for the machine-readable file."""
        return {
            "points": [
                _point_record(point, seed, each.sizes, point in along)
                for each in self.fronts
                for seed, points in zip(self.seeds, each.seeds, strict=True)
                for own in by_contender(points).values()
                for along in [front(own)]
                for point in own
            ],
            "leads": [
                _lead_record(lead, each.norm, seed, match.whom)
                for each in self.fronts
                for seed, matches in zip(self.seeds, each.matches, strict=True)
                for match in matches
                for lead in match.leads
            ],
        }


def _alarm_panels(fronts: Sequence[NormFronts]) -> Iterator[Panel]:
    """Of the norms that have points at the rate of false alarms, at the least round radius that fits them."""
    for each in fronts:
        points = [point for point in each.seeds[0] if point.result.rate == ALARMS]
        sizes = told_sizes(points) if points else []
        if sizes:
            yield alarm_panel(each.norm, points, sizes[0])


def _point_record(point: Point, seed: int, sizes: Sequence[float], leading: bool) -> dict[str, Any]:
    result = point.result
    return {
        "seed": seed,
        "norm": _number(point.norm),
        "method": result.method.name,
        "setting": result.setting.name,
        "certifier": result.curve.label,
        "max_fpr_on_validation": result.rate,
        "samples": len(point.rows),
        "balanced_accuracy": _estimate(point.accuracy_estimate),
        "median_radius": _estimate(point.radius_estimate),
        "caught": _estimate(point.estimate(point.caught)),
        "false_alarms": 1.0 - float(point.right[~point.sensitive].mean()),
        "certified": [{"size": size, **_estimate(point.certified_estimate(size))} for size in sizes],
        "on_front": leading,
    }


def _lead_record(lead: Lead, norm: float, seed: int, whom: str) -> dict[str, Any]:
    rival = None if lead.rival is None else lead.rival.contender
    return {
        "seed": seed,
        "norm": _number(norm),
        "against": whom,
        "balanced_accuracy": lead.level,
        "rival": rival,
        "ours": None if lead.ours is None else _number(lead.ours.radius),
        "rivals": None if lead.rival is None else _number(lead.rival.radius),
        "ratio": _estimate(lead.ratio),
        "leader": lead.leader,
        "beyond_interval": lead.beyond,
    }


def _estimate(found: Estimate) -> dict[str, float | str]:
    return {name: _number(value) for name, value in found._asdict().items()}


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))
