"""What a page says of fronts: sentences about who leads where, and tables, rounded outward."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asymcert.compare.front_plots import threshold_text
from asymcert.compare.fronts import Point, best, by_contender, front
from asymcert.compare.leads import OURS, RIVALS, SAME, Lead, NormFronts, Stretch, stretches
from asymcert.evaluate.detection import Estimate
from asymcert.evaluate.formatting import (
    MISSING,
    ceil_significant,
    floor_percent,
    floor_significant,
    interval_text,
    listed,
)
from asymcert.report.tables import Table


def sentences(fronts: NormFronts) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each match: whom ours is against, and who leads where, with every seed.

    Our leads beyond the intervals are ``good``, those of rivals ``bad``, all else is ``even``.
    """
    return [
        (f"Against {same[0].whom}", [(_kind(each), _stretch_text(each)) for each in stretches(same)])
        for same in zip(*fronts.matches, strict=True)
    ]


def _kind(stretch: Stretch) -> str:
    if stretch.alone or not stretch.side:
        return "even"
    return "good" if stretch.side == OURS else "bad"


def _stretch_text(stretch: Stretch) -> str:
    """Who leads between two accuracies beyond the intervals, and by how much; numbers are rounded outward."""
    start, end, names = floor_percent(stretch.start), floor_percent(stretch.end), listed(stretch.rivals)
    named = f"the best of {names}" if len(stretch.rivals) > 1 else names
    where = f"{start} to {end}:" if start != end else f"At {start}:"
    if stretch.alone:
        only = {OURS: OURS, RIVALS: names}.get(stretch.side)
        return f"{where} reached by {only} only" if only else f"{where} with some seeds reached by {OURS} only"
    least, most = min(stretch.ratios), max(stretch.ratios)
    if stretch.side == OURS:
        return f"{where} ours leads with {_between(least, most)} times the radius of {named}"
    if stretch.side:
        return f"{where} {named} leads with {_between(_inverse(most), _inverse(least))} times our radius"
    if max(most, _inverse(least)) <= 1 + SAME:
        return f"{where} both have the same radius"
    return f"{where} level, ours has {_between(least, most)} times the radius of {named}"


def _between(least: float, most: float) -> str:
    low, high = floor_significant(least), ceil_significant(most)
    return floor_significant(most) if low == floor_significant(most) else f"{low} to {high}"


def _inverse(ratio: float) -> float:
    return 1 / ratio if ratio else math.inf


def matched_table(fronts: NormFronts) -> Table:
    """Every contender's greatest radius at the matched accuracies, of all seeds."""
    seeds = [by_contender(points) for points in fronts.seeds]
    rows = []
    for name in dict.fromkeys(name for each in seeds for name in each):
        found = [[best(each.get(name, []), level) for each in seeds] for level in fronts.levels]
        rows.append((name, *map(_radii_text, found)))
    return Table(("Greatest radius at", *map(floor_percent, fronts.levels)), tuple(rows))


def _radii_text(points: Sequence[Point | None]) -> str:
    return " / ".join(MISSING if point is None else floor_significant(point.radius) for point in points)


def lead_table(fronts: NormFronts, seeds: Sequence[int]) -> Table | None:
    """Our radius by the rival's at the matched accuracies with intervals, for each match and seed; None without any."""
    rows = []
    for same in zip(*fronts.matches, strict=True):
        for seed, match in zip(seeds, same, strict=True):
            title = f"{match.whom}{f', seed {seed}' if len(seeds) > 1 else ''}"
            rows.append((title, *map(_lead_text, match.leads)))
    header = ("Our radius by that of", *map(floor_percent, fronts.levels))
    return Table(header, tuple(rows), len(header)) if rows else None


def _lead_text(lead: Lead) -> str:
    if lead.ours is None or lead.rival is None:
        return "only ours reaches it" if lead.ours else "only the rival reaches it" if lead.rival else MISSING
    named = f", {lead.rival.contender}" if lead.rival.result.curve.whole else ""
    return f"{_interval(lead.ratio)}{named}"


def points_table(fronts: NormFronts) -> Table:
    """The points that make the fronts, with all figures."""
    certified = (f"Certified to {size:g}" for size in fronts.sizes)
    rows = [
        (
            point.result.curve.label,
            point.result.setting.name,
            threshold_text(point),
            interval_text(point.accuracy_estimate),
            _interval(point.radius_estimate),
            *(floor_percent(point.certified_estimate(size).value) for size in fronts.sizes),
        )
        for own in by_contender(fronts.seeds[0]).values()
        for point in front(own)
    ]
    header = ("Certifier", "Setting", "Threshold", "Balanced accuracy", "Median radius", *certified)
    return Table(header, tuple(rows), 3)


def _interval(found: Estimate) -> str:
    return f"{floor_significant(found.value)} ({floor_significant(found.lower)} – {ceil_significant(found.upper)})"
