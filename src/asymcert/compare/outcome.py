"""What a comparison found: one line for each certifier and norm, curves, and who wins."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from asymcert._checks import check_norm, check_number, refuse
from asymcert._files import parse_json
from asymcert._version import __version__
from asymcert.compare.contenders import COMPARED
from asymcert.compare.looks import looks
from asymcert.compare.run import CHUNK, CompareOptions, Result
from asymcert.compare.table_methods import COLUMNS
from asymcert.datasets import BinaryData
from asymcert.evaluate.curves import certified_accuracy, summary
from asymcert.report.series import DASHES, GREY, Series, drawn_curve

DRAWN = 300  # points of a curve in the machine-readable file
CHANGED = (1, 2, 3, 5)  # columns whose change is tabulated


@dataclass(frozen=True, eq=False)
class Line:
    """One certifier under one norm."""

    result: Result
    series: Series

    @property
    def norm(self) -> float:
        """The norm that radii are measured in."""
        return self.series.norm

    @property
    def own(self) -> bool:
        """Whether the certificate is made for this norm."""
        return self.norm in self.result.method.own

    @property
    def name(self) -> str:
        """The certifier's."""
        return self.result.curve.label

    @property
    def seed(self) -> int:
        """Of split, training and noise."""
        return int(self.series.rows["seed"][0])

    @property
    def whole(self) -> bool:
        """Whether it was run on all samples."""
        return self.result.curve.whole

    @property
    def half(self) -> float:
        """Largest radius that at least half of the sensitive samples are certified at: their median radius."""
        return float(self.series.summary["median_radius"])

    def on(self, other: Line | None) -> dict[str, Any]:
        """The summary of this line on the samples that another has, or on all, and its `strength` there."""
        rows = self.series.rows
        shared = rows if other is None else rows.join(other.series.rows, on="index", how="semi")
        found = summary(shared).row(0, named=True)
        kept = sum(survival(shared).values()) / len(CHANGED) if self.norm == COLUMNS else found["median_radius"]
        return found | {"strength": float(kept)}


def survival(rows: pl.DataFrame) -> dict[int, float]:
    """Share of the sensitive class that stays flagged under any change of so many columns, missed ones counting 0."""
    own = rows.filter("label")
    kept = [own.select((pl.col("prediction") & (pl.col("radius") >= count)).mean()).item() for count in CHANGED]
    return dict(zip(CHANGED, kept, strict=True))


def lines_of(results: Sequence[Result]) -> list[Line]:
    """All lines of methods as they are, norms ascending, in the order of the results.

    A method keeps its colour, a certifier its dash.
    """
    results = [result for result in results if result.as_it_is]
    drawn = looks([result.method.name for result in results])
    lines = []
    for result in results:
        colour = drawn[result.method.name].colour
        dash = DASHES[result.method.curves.index(result.curve) % len(DASHES)]
        for rows in result.rows.partition_by("threat", maintain_order=True):
            found = summary(rows).row(0, named=True)
            label = result.curve.label if result.curve.whole else f"{result.curve.label} ({len(rows)} samples)"
            named = (label, found["method"], str(found["threat"]), None, rows, certified_accuracy(rows), found)
            lines.append(Line(result, Series(*named, colour, dash)))
    return sorted(lines, key=lambda line: line.norm)


@dataclass(frozen=True)
class Verdict:
    """Ours against a rival in one norm, on the samples that the rival was run on.

    Parameters
    ----------
    norm
        Of the radii at which half of the sensitive class is certified, which decide; where columns are counted, the
        share of the class that survives a change of `CHANGED` columns does, on average over these.
    ours
        The best of ours there.
    rival
        The best of those run on all samples, or one that was run on a part.
    """

    norm: float
    ours: Line | None
    rival: Line | None

    @cached_property
    def summaries(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Ours and the rival's on the rival's samples, None where there is none."""
        ours, rival = (None if line is None else line.on(self.rival) for line in (self.ours, self.rival))
        return ours, rival

    @property
    def radii(self) -> tuple[float, float]:
        """Ours and the rival's, 0 where there is none; where columns are counted, shares."""
        ours, rival = (0.0 if found is None else float(found["strength"]) for found in self.summaries)
        return ours, rival

    @property
    def won(self) -> bool:
        """Whether ours is ahead."""
        ours, rival = self.radii
        return self.rival is None or ours > rival


def verdicts(lines: Sequence[Line]) -> list[Verdict]:
    """For each norm one against the rivals that saw all samples, then one against each that saw a part."""
    result = []
    for norm in sorted({line.norm for line in lines}):
        here = [line for line in lines if line.norm == norm]
        ours = [line for line in here if line.result.method.ours and line.whole]
        rivals = [line for line in here if not line.result.method.ours]
        strongest = max(
            (line for line in rivals if line.whole), key=lambda line: line.on(None)["strength"], default=None
        )
        result += [_against(norm, ours, rival) for rival in (strongest, *(line for line in rivals if not line.whole))]
    return result


def _against(norm: float, ours: Sequence[Line], rival: Line | None) -> Verdict:
    return Verdict(norm, max(ours, key=lambda line: line.on(rival)["strength"], default=None), rival)


def coloured(published: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Published curves with a column ``colour``, that of the method they are of; grey for others."""
    drawn = looks(list(COMPARED))
    known = {f"published: {method.published}": drawn[name].colour for name, method in COMPARED.items()}
    return {name: frame.with_columns(colour=pl.lit(known.get(name, GREY))) for name, frame in published.items()}


def read_published(path: Path, name: str) -> dict[str, pl.DataFrame]:
    """Published curves of a data set from a JSON file: ``{"curves": {data set: {norm: {method: [[radius, share]]}}}}``.

    Returns
    -------
    dict of str to polars.DataFrame
        By the method's name in the file: columns ``norm``, ``radius`` and ``accuracy`` (fractions).

    Raises
    ------
    InputError
        The file is missing, no such JSON, or does not hold curves of the data set: norms of at least 1, radii that are
        finite and not negative, shares in [0, 1].
    """
    try:
        rows = _published_rows(parse_json(path.read_bytes())["curves"][name])
        if not rows:
            raise ValueError("no point of a curve")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error.args[0]!r} in it" if isinstance(error, KeyError) else str(error)
        remedy = 'Its form is {"curves": {data set: {"l1", "l2" or "linf": {method: [[radius, share], ...]}}}}.'
        raise refuse("published", f"a file with curves of {name!r}", f"{path} ({reason})", remedy) from error
    frame = pl.DataFrame(rows, ["method", "norm", "radius", "accuracy"], orient="row")
    return {str(key[0]): part.drop("method") for key, part in frame.partition_by("method", as_dict=True).items()}


def _published_rows(norms: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[tuple[str, float, float, float]]:
    """Method, norm, radius and share of every point; all are floats, since integers would make other columns."""
    rows = []
    for key, methods in norms.items():
        norm = check_norm(float(key.removeprefix("l")))
        for method, points in methods.items():
            for radius, share in points:
                check_number("radius", radius, 0.0, sys.float_info.max)
                check_number("share", share, 0.0, 1.0)
                rows.append((f"published: {method}", norm, float(radius), float(share)))
    return rows


def published_half(curve: pl.DataFrame, norm: float) -> float | None:
    """Radius at which a published curve comes down to one half, interpolated; None where it does not in that norm."""
    points = curve.filter(pl.col("norm") == norm).sort("radius", maintain_order=True)
    above = points.filter(pl.col("accuracy") >= 0.5)
    below = points.filter(pl.col("accuracy") < 0.5)
    if above.is_empty() or below.is_empty():
        return None
    (start, high), (end, low) = (
        row.select("radius", "accuracy").row(place) for row, place in ((above, -1), (below, 0))
    )
    return start + (end - start) * (high - 0.5) / (high - low)


def machine_readable(data: BinaryData, lines: Sequence[Line], options: CompareOptions) -> dict[str, Any]:
    """All figures of the page, and the curves; infinite radii are the text ``inf``."""
    return {
        "data": data.name,
        "data_digest": data.digest,
        "sensitive": data.sensitive,
        "other": data.other,
        "budget": options.budget,
        "samples": options.samples,
        "batch": CHUNK,
        "version": __version__,
        "lines": [_as_json(line, options) for line in lines],
    }


def _as_json(line: Line, options: CompareOptions) -> dict[str, Any]:
    found, method = line.series.summary, line.result.method
    curve = drawn_curve(line.series.curve, DRAWN)
    audit = line.result.audit
    own = audit.filter(pl.col("norm") == line.norm) if len(audit) else audit
    return {
        "method": method.name,
        "certifier": line.name,
        "seed": line.seed,
        "norm": _number(line.norm),
        "own_norm": line.own,
        "deterministic": method.deterministic,
        "samples": len(line.series.rows),
        "accuracy_sensitive": found["accuracy_sensitive"],
        "accuracy_other": found["accuracy_other"],
        "abstained": int(line.series.rows["abstained"].sum()),
        "radius_at_half": _number(line.half),
        "median_upper": _number(found["median_upper"]),
        **({"survival": survival(line.series.rows)} if line.norm == COLUMNS else {}),
        "seconds": found["seconds"],
        "attacked": len(own),
        "attacks_won": int(own["success"].sum()) if len(own) else None,
        "deviations": method.deviations[options.budget],
        "curve": [[_number(r), a] for r, a in zip(curve["radius"], curve["accuracy"], strict=True)],
    }


def _number(value: float) -> float | str:
    return float(value) if np.isfinite(value) else ("inf" if value == math.inf else "nan")
