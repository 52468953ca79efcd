"""What a report shows, taken from a run folder: one series is one certified-accuracy curve."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from asymcert.certify import ClosedForm
from asymcert.errors import InputError, RunError
from asymcert.evaluate.curves import certified_accuracy, certified_accuracy_at, round_sizes, summary
from asymcert.evaluate.judged import Judged, judge
from asymcert.evaluate.labels import COLUMNS, method_labels, threat_labels
from asymcert.evaluate.surface import Surface, surface
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import SERIES, check_schema, distinct
from asymcert.runs.tables import ALERTS, AUDIT, CERTIFICATES, GALLERY, TEXTS
from asymcert.threats.model import WORDS, ThreatModel

# Okabe and Ito's palette: told apart under every common colour blindness, and in grey
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#6b7280"
WORD_COUNTS = (0, 1, 2, 3, 5, 10, 20)  # that are listed; curves end with the last
LONGEST_CURVE = 500  # points of a drawn curve
SUBSCRIPTS = str.maketrans("0123456789.", "₀₁₂₃₄₅₆₇₈₉.")
OVERLAY_SCHEMA = pl.Schema({"norm": pl.Float64, "radius": pl.Float64, "accuracy": pl.Float64})


@dataclass(frozen=True, eq=False)
class Series:
    """One curve: its rows, its summary, what it is called, and how it is drawn."""

    label: str  # method and adversary, as far as they differ from those of the panel's other curves
    method: str  # with the options that tell it from other curves
    adversary: str  # the threat model's name with the norm as a symbol
    threat: ThreatModel | None  # None in a run whose threat models were not kept
    rows: pl.DataFrame
    curve: pl.DataFrame  # columns of certified_accuracy
    summary: Mapping[str, Any]  # columns of curves.summary
    colour: str
    dash: str

    @property
    def norm(self) -> float:
        """The norm that radii are measured in."""
        return self.summary["norm"]

    @property
    def unit(self) -> str:
        """What radii are measured in: ``ℓ₂``, ``columns``, ``words``."""
        return unit_of(self.summary["threat"], self.norm)

    @property
    def only_sentences(self) -> bool:
        """Whether the adversary adds whole sentences and does nothing else: a radius is 0 or infinite."""
        return self.threat is not None and self.threat.edits is not None and not self.threat.edits.kinds

    @property
    def radii(self) -> NDArray[np.float64]:
        """Radii (n,) of the sensitive samples; 0 where they are not recognised."""
        return self.rows.filter("label")["radius"].to_numpy()

    @property
    def whole(self) -> bool:
        """Whether sizes of changes are whole numbers: of columns or words, unless a price of theirs is none.

        A curve then stands for what it is at whole numbers, and is nothing between them.
        """
        finite = self.radii[np.isfinite(self.radii)]
        if self.norm != 0 or (finite >= LONGEST_CURVE).any():  # more counts than a curve can show
            return False
        if self.threat is None:
            return bool((finite == np.floor(finite)).all())
        prices = self.threat.cost if self.threat.edits is None else self.threat.edits.prices
        return prices is None or bool((np.asarray(prices) % 1 == 0).all())

    def steps(self, end: float) -> dict[str, NDArray[np.float64]]:
        """Points of the drawn curve, at least to radius `end`: ``radius``, in percent the other columns of `curve`.

        Of counts, a point at each up to `end`; elsewhere each point holds up to the next one.
        """
        if self.whole:
            drawn = certified_accuracy_at(self.rows, np.arange(np.floor(end) + 1).tolist())
            return {name: drawn[name].to_numpy() * (1 if name == "radius" else 100) for name in drawn.columns}
        drawn = drawn_curve(self.curve)
        end = max(end, drawn["radius"][-1])  # no way back: axes of words end before some radii
        values = {name: 100 * np.append(drawn[name].to_numpy(), drawn[name][-1]) for name in drawn.columns[1:]}
        return {"radius": np.append(drawn["radius"].to_numpy(), end), **values}

    def histogram(self, edges: NDArray[np.float64]) -> NDArray[np.int64]:
        """Number of positive, finite radii in each bin."""
        return np.histogram(self.radii[(self.radii > 0) & np.isfinite(self.radii)], edges)[0]

    def surface(self) -> Surface | None:
        """Certified accuracy over radius and threshold; None where method or classes do not allow it."""
        both = self.summary["n_sensitive"] > 0 and self.summary["n_other"] > 0
        return surface(self.rows) if both and self.summary["method"] == ClosedForm.method else None


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report shows."""

    facts: RunFacts
    series: tuple[Series, ...]
    gallery: pl.DataFrame
    audit: pl.DataFrame
    attacked: pl.DataFrame  # texts
    alerts: pl.DataFrame  # texts of the reported split that were called sensitive
    log: list[dict[str, Any]]
    overlay: Mapping[str, pl.DataFrame]
    judged: tuple[Judged | None, ...]  # of each series, None where a class is absent

    @property
    def detectors(self) -> list[tuple[Series, Judged]]:
        """Series over samples of both classes, with what makes a detector of them."""
        return [(item, found) for item, found in zip(self.series, self.judged, strict=True) if found is not None]

    @property
    def widest(self) -> list[Series]:
        """Series over the most samples: a method may have been tried on a few only."""
        most = max(_samples(series.summary) for series in self.series)
        return [series for series in self.series if _samples(series.summary) == most]

    @property
    def panels(self) -> dict[str, list[Series]]:
        """Series by unit, norms ascending."""
        return by_unit(with_curves(self.series))


def read_report_data(run: RunFolder, overlay: Mapping[str, pl.DataFrame] | None = None) -> ReportData:
    """Read a run folder's rows; of several splits the one named test, or else the first, is reported.

    Raises
    ------
    RunError
        The folder holds no rows of its own data set, or they hold no sensitive sample.
    InputError
        A frame of `overlay` lacks the columns norm, radius and accuracy.
    """
    facts = run.facts()
    rows = distinct(run.read(CERTIFICATES).filter(run.own))
    if rows.is_empty():
        raise RunError(f"{run.path}: holds no certificates of its model and data set. Run `asymcert certify` first.")
    splits = rows["split"].unique().sort().to_list()
    rows = rows.filter(pl.col("split") == ("test" if "test" in splits else splits[0]))
    if not rows["label"].any():
        raise RunError(f"{run.path}: no sensitive sample was certified. Certify a split that holds both classes.")
    gallery = run.read(GALLERY).join(rows.select(SERIES).unique(), on=SERIES, how="semi")
    audit = run.read(AUDIT)
    audit = audit.filter(run.own) if set(SERIES) <= set(audit.columns) else audit
    attacked = run.read(TEXTS).filter(run.own)
    alerts = run.read(ALERTS).filter(*run.own, pl.col("split") == rows["split"][0])
    series = series_of(rows, run.threats())
    judged = tuple(judge(run, item.rows) if item.summary["n_other"] else None for item in series)
    log, curves = run.read_log(), _checked_overlay(overlay)
    return ReportData(facts, series, gallery, audit, attacked, alerts, log, curves, judged)


def with_curves(series: Sequence[Series]) -> Sequence[Series]:
    """Without those whose radii are 0 or infinite by their nature, unless there are no others."""
    return [each for each in series if not each.only_sentences] or series


def by_unit(series: Sequence[Series]) -> dict[str, list[Series]]:
    """Series in their order under what their radii are measured in, norms ascending."""
    units = [unit for _, unit in sorted({(each.norm, each.unit) for each in series})]
    return {unit: [each for each in series if each.unit == unit] for unit in units}


def unit_of(threat: str, norm: float) -> str:
    """What the radii of a threat model's key are measured in."""
    return WORDS if threat.partition(" ")[0] == WORDS else norm_symbol(norm)


def norm_symbol(norm: float) -> str:
    """A norm as text: ``ℓ₁``, ``ℓ₂``, ``ℓ∞``; ``columns`` for norm 0."""
    if norm == 0:
        return COLUMNS
    return "ℓ∞" if np.isinf(norm) else f"ℓ{f'{norm:g}'.translate(SUBSCRIPTS)}"


def unit_title(unit: str) -> str:
    """Heading of what is measured so: ``ℓ₂ norm``, ``number of columns``."""
    return f"number of {unit}" if unit in (COLUMNS, WORDS) else f"{unit} norm"


def threat_text(threat: str, norm: float) -> str:
    """A threat model's name or key with the norm as a symbol: ``l2 box[0,1]`` -> ``ℓ₂ box[0,1]``."""
    _, _, rest = threat.partition(" ")
    return f"{unit_of(threat, norm)} {rest}".rstrip()


def overlaid(overlay: Mapping[str, pl.DataFrame], norm: float) -> Iterator[tuple[str, pl.DataFrame, str]]:
    """Name, points and colour of the curves laid over a norm's; the colour is that of the column ``colour``, if any."""
    for colour, (name, frame) in zip(itertools.cycle(COLOURS[::-1]), overlay.items(), strict=False):
        own = frame.filter(frame["norm"] == norm)
        if not own.is_empty():
            yield name, own, own["colour"][0] if "colour" in own.columns else colour


def drawn_curve(curve: pl.DataFrame, length: int = LONGEST_CURVE) -> pl.DataFrame:
    """A step curve of at most `length` points that nowhere lies above the given one.

    Every kept point stands for the points up to the next kept one, with the least accuracy among them.
    """
    if len(curve) <= length:
        return curve
    kept = np.unique(np.linspace(0, len(curve) - 1, length).astype(np.int64))
    last = np.append(kept[1:] - 1, len(curve) - 1)
    return curve[kept].with_columns(curve[last]["accuracy"], curve[last]["lower"])


def largest_radius(panel: Sequence[Series]) -> float:
    """Largest finite radius of a panel, 1 if there is none; of words no more than are of interest."""
    radii = np.concatenate([series.radii for series in panel])
    finite = radii[np.isfinite(radii)]
    largest = float(finite.max()) if len(finite) and finite.max() > 0 else 1.0
    return min(largest, WORD_COUNTS[-1]) if panel[0].unit == WORDS else largest


def listed_sizes(panel: Sequence[Series]) -> Sequence[float]:
    """Sizes of changes that are told of series of one unit."""
    return WORD_COUNTS if panel[0].unit == WORDS else round_sizes(np.concatenate([each.radii for each in panel]))


def series_of(rows: pl.DataFrame, known: Mapping[str, ThreatModel]) -> tuple[Series, ...]:
    """The curves of evaluation rows with sensitive samples, norms ascending; `known` are threat models by key."""
    summaries = summary(rows).sort("norm", "threat", "method", "options", "model_digest")
    summaries = summaries.filter(pl.col("n_sensitive") > 0)
    kinds = summaries.select("method", "options").unique(maintain_order=True).rows()
    methods = dict(zip(kinds, method_labels(kinds), strict=True))
    keys = summaries["threat"].unique(maintain_order=True).to_list()
    adversaries = dict(zip(keys, threat_labels(keys), strict=True))
    models = summaries["model_digest"].unique(maintain_order=True).to_list()
    result = []
    for line in summaries.iter_rows(named=True):
        kind, key = (line["method"], line["options"]), line["threat"]
        same = [unit_of(*other) == unit_of(key, line["norm"]) for other in summaries["threat", "norm"].rows()]
        panel = summaries.filter(pl.Series(same))
        threats = panel["threat"].unique(maintain_order=True).to_list()
        copies = summaries.filter(*(pl.col(name) == line[name] for name in SERIES if name != "model_digest"))
        adversary = threat_text(adversaries[key], line["norm"])
        parts = [methods[kind], adversary.partition(" ")[2] if len(threats) > 1 else ""]
        parts += [line["model_digest"][:8] if len(copies) > 1 else ""]
        parts += [f"{_samples(line)} samples" if len({_samples(other) for other in panel.to_dicts()}) > 1 else ""]
        copy = models.index(line["model_digest"]) if len(copies) > 1 else 0
        colour, dash = kinds.index(kind) + copy, threats.index(key)
        if unit_of(key, line["norm"]) == WORDS:  # many adversaries, few methods
            colour, dash = dash + copy, kinds.index(kind)
        own = rows.filter(*(pl.col(name) == line[name] for name in SERIES))
        result.append(
            Series(
                " · ".join(filter(None, parts)),
                methods[kind],
                adversary,
                known.get(key),
                own,
                certified_accuracy(own),
                line,
                COLOURS[colour % len(COLOURS)],
                DASHES[dash % len(DASHES)],
            )
        )
    return tuple(result)


def _samples(line: Mapping[str, Any]) -> int:
    """Number of samples of a summary's row."""
    return line["n_sensitive"] + line["n_other"]


def _checked_overlay(overlay: Mapping[str, pl.DataFrame] | None) -> dict[str, pl.DataFrame]:
    checked = {}
    for name, frame in (overlay or {}).items():
        if not set(OVERLAY_SCHEMA) <= set(frame.columns):
            raise InputError(f"`overlay[{name!r}]` must have the columns {list(OVERLAY_SCHEMA)}, got {frame.columns}.")
        frame = frame.select(list(OVERLAY_SCHEMA)).cast(OVERLAY_SCHEMA)
        check_schema(f"overlay[{name!r}]", frame, OVERLAY_SCHEMA)
        checked[name] = frame.sort("norm", "radius")
    return checked
