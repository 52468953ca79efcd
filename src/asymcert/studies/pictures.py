"""Figures of studies, in the style of a report's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from asymcert.evaluate.formatting import floor_significant
from asymcert.report.libraries import optional
from asymcert.report.pictures import row_of_axes, save_picture
from asymcert.report.series import COLOURS, GREY, norm_symbol

SYMBOLS = {"l1": norm_symbol(1.0), "l2": norm_symbol(2.0), "linf": norm_symbol(float("inf"))}
CELL = 0.52  # inches


def write_pairs_picture(rows: pl.DataFrame, path: Path) -> None:
    """Median radii of a sweep as a PNG: a matrix for each norm, sensitive classes down, the others across."""
    classes = sorted({*rows["sensitive"], *rows["other"]})
    names = _names(rows)
    side = CELL * len(classes) + 1.6
    figure = optional("matplotlib.figure").Figure(figsize=(side * len(SYMBOLS), side), layout="constrained")
    axes = figure.subplots(1, len(SYMBOLS), squeeze=False)[0]
    for axis, (norm, symbol) in zip(axes, SYMBOLS.items(), strict=True):
        values = _matrix(rows, classes, f"median_{norm}")
        image = axis.imshow(values, cmap="cividis", vmin=0.0)
        _annotate(axis, values)
        positions, labels = range(len(classes)), [names[index] for index in classes]
        axis.set_xticks(positions, labels, rotation=90 if max(map(len, labels)) > 2 else 0, fontsize=8, color=GREY)
        axis.set_yticks(positions, labels, fontsize=8, color=GREY)
        axis.set_xlabel("Other class", fontsize=9)
        axis.set_ylabel("Sensitive class", fontsize=9)
        axis.set_title(f"Median certified radius, {symbol}", fontsize=9)
        figure.colorbar(image, ax=axis, shrink=0.8).ax.tick_params(labelsize=8)
    save_picture(figure, path)


def write_variants_picture(rows: pl.DataFrame, path: Path) -> None:
    """Accuracy against median radius of every variant as a PNG: a panel for each norm, a point for each seed."""
    variants = rows["variant"].unique(maintain_order=True).to_list()
    symbols = SYMBOLS | ({"columns": "columns"} if "median_columns" in rows.columns else {})
    figure, axes = row_of_axes(len(symbols), 3.8)
    for axis, (norm, symbol) in zip(axes, symbols.items(), strict=True):
        for index, variant in enumerate(variants):
            own = rows.filter(pl.col("variant") == variant)
            style = {"color": COLOURS[index % len(COLOURS)], "marker": "osD^v"[index // len(COLOURS) % 5], "alpha": 0.8}
            axis.scatter(own[f"median_{norm}"], 100 * own["accuracy_balanced"], label=variant, s=26, **style)
        axis.set_xlabel(f"Median certified radius, {symbol}", fontsize=9)
    axes[0].set_ylabel("Balanced accuracy, %", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=7.5, frameon=False)
    save_picture(figure, path)


def _names(rows: pl.DataFrame) -> dict[int, str]:
    """Names of classes by position."""
    both = [(rows["sensitive"], rows["sensitive_name"]), (rows["other"], rows["other_name"])]
    return {index: name for indices, named in both for index, name in zip(indices, named, strict=True)}


def _matrix(rows: pl.DataFrame, classes: Sequence[int], column: str) -> Any:
    """Values by sensitive and other class, NaN where there is none."""
    values = np.full((len(classes), len(classes)), np.nan)
    for sensitive, other, value in rows.select("sensitive", "other", column).iter_rows():
        values[classes.index(sensitive), classes.index(other)] = value
    return values


def _annotate(axis: Any, values: Any) -> None:
    """The number in every cell, rounded down, white where the cell is dark."""
    middle = np.nanmax(values) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value < middle else "black"
            text = floor_significant(float(value), 2)
            axis.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour)
