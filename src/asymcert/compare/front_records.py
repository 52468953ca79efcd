"""Fronts from the file that a comparison leaves, ``comparison.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asymcert._checks import refuse
from asymcert._files import parse_json
from asymcert.compare.contenders import COMPARED
from asymcert.compare.front_plots import Marks, Panel, front_axes, percent
from asymcert.compare.looks import looks
from asymcert.compare.table_methods import FOR_TABLES
from asymcert.errors import InputError
from asymcert.evaluate.detection import Estimate

LABELS = {name: method.label for name, method in (FOR_TABLES | COMPARED).items()}
Records = Sequence[Mapping[str, Any]]


def recorded_panel(path: str | Path, norm: float | None = None) -> Panel:
    """The fronts of a comparison's first seed in one norm, which may be left out where there is one only.

    Raises
    ------
    InputError
        The file is no comparison at several points, or holds no points of that norm.
    """
    try:
        points = parse_json(Path(path).read_bytes())["points"]
        norms = sorted({float(point["norm"]) for point in points})
        chosen = norms[0] if norm is None and len(norms) == 1 else norm
        own = [point for point in points if float(point["norm"]) == chosen and point["seed"] == points[0]["seed"]]
        if chosen is not None and own:
            return Panel(*front_axes(chosen), _marks([point for point in own if point["on_front"] is True]), True)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        reason = f"{path} ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'nothing'})"
        remedy = "Make it with `asymcert compare DATA --points 5`."
        raise refuse("comparison", "a comparison.json with points of fronts", reason, remedy) from error
    raise refuse("norm", f"one of {norms}", norm)


def _marks(records: Records) -> list[Marks]:
    """One contender's front each, in the order of the file."""
    most = max((int(record["samples"]) for record in records), default=0)
    drawn = looks([record["method"] for record in records])
    fronts: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        fronts.setdefault(_contender(record, most), []).append(record)
    marks, seen = [], set()
    for name, own in fronts.items():
        look = drawn[own[0]["method"]]
        look = look._replace(filled=look not in seen)
        seen.add(look)
        ordered = sorted(own, key=lambda record: _estimate(record["balanced_accuracy"]).value)
        accuracies = [percent(_estimate(record["balanced_accuracy"])) for record in ordered]
        marks.append(Marks(name, (), look, accuracies, [_estimate(record["median_radius"]) for record in ordered]))
    return marks


def _contender(record: Mapping[str, Any], most: int) -> str:
    """As `Point.contender`: a method, or a certifier that was run on a part of the samples."""
    if record["samples"] == most:
        return str(LABELS.get(record["method"], record["certifier"]))
    return f"{record['certifier']} ({record['samples']} samples)"


def _estimate(found: Mapping[str, Any]) -> Estimate:
    return Estimate(*(float(found[name]) for name in Estimate._fields))
