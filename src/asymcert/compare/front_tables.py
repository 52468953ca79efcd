"""What a page says of fronts: sentences about who leads where, and tables, rounded outward."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asymcert.compare.front_plots import threshold_text
from asymcert.compare.fronts import best, by_contender, front
from asymcert.compare.leads import OURS, Lead, Match, NormFronts, Stretch
from asymcert.evaluate.detection import Estimate
from asymcert.evaluate.formatting import MISSING, ceil_significant, floor_percent, floor_significant, interval_text
from asymcert.report.tables import Table


def sentences(fronts: NormFronts) -> list[tuple[str, list[tuple[str, str]], str]]:
    """For each match: whom ours is against, with the first seed who leads where, and what others say.

    Our leads are ``good``, a rival's ``bad`` where they are beyond the interval, all else is ``even``.
    """
    return [
        (
            f"Against {same[0].whom}",
            [(_kind(each), _stretch_text(each)) for each in same[0].stretches()],
            _seeds_text(same),
        )
        for same in zip(*fronts.matches, strict=True)
    ]


def _kind(stretch: Stretch) -> str:
    if stretch.alone or not stretch.leader:
        return "even"
    return "good" if stretch.leader == OURS else "bad" if any(each.beyond for each in stretch.leads) else "even"


def _seeds_text(seeds: Sequence[Match]) -> str:
    """At how many of the levels ours leads with each seed, and whether they agree; empty for one seed."""
    if len(seeds) == 1:
        return ""
    leaders = [[lead.leader == OURS for lead in match.leads] for match in seeds]
    counts = " / ".join(str(sum(each)) for each in leaders)
    agree = "All agree" if all(each == leaders[0] for each in leaders) else "They do not agree"
    return f"By seed, ours leads at {counts} of {len(leaders[0])} matched accuracies. {agree}."


def _stretch_text(stretch: Stretch) -> str:
    """Who leads between two accuracies, by how much, and whether beyond the intervals."""
    start, end = floor_percent(stretch.start), floor_percent(stretch.end)
    where = f"{start} to {end}:" if start != end else f"At {start}:"
    ours = stretch.leader == OURS
    if stretch.alone:
        return f"{where} only {stretch.leader} gets so far"
    if not stretch.leader:
        return f"{where} both have the same radius"
    ratios = [each.ratio.value if ours else _inverse(each.ratio.value) for each in stretch.leads]
    least, most = floor_significant(min(ratios)), floor_significant(max(ratios))
    times = least if least == most else f"{least} to {most}"
    beyond = sum(each.beyond for each in stretch.leads)
    sure = "" if beyond == len(ratios) else "in part " if beyond else "not "
    whom = f"the radius of {' and '.join(stretch.rivals)}" if ours else "our radius"
    return f"{where} {stretch.leader} leads with {times} times {whom}, {sure}beyond the interval"


def _inverse(ratio: float) -> float:
    return 1 / ratio if ratio else math.inf


def matched_table(fronts: NormFronts) -> Table:
    """Every contender's greatest radius at the matched accuracies."""
    rows = []
    for name, own in by_contender(fronts.seeds[0]).items():
        points = [best(own, level) for level in fronts.levels]
        rows.append((name, *(MISSING if each is None else floor_significant(each.radius) for each in points)))
    return Table(("Greatest radius at", *map(floor_percent, fronts.levels)), tuple(rows))


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
