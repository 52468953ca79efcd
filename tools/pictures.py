"""Draw the pictures of docs/understand/ anew.

    python tools/pictures.py [--out docs/understand]

`slope.png`: a convex score along the way that an attacker takes, its tangent at the alert, and how far the tangent
proves that the alert stands. `columns.png`: what each column of one alert can take from the margin at most, the
greatest first; it is of a detector trained on the invented mails of docs/start/index.md.
Needs asymcert[report]; 10 seconds.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from asymcert.estimator import FeatureConvexDetector

ROOT = Path(__file__).parents[1]
ALERT, PROOF, HARMLESS, INK = "#b91c1c", "#2563eb", "#e2e8f0", "#111827"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "understand")
    out = parser.parse_args().out.resolve()
    for name, figure in (("slope", slope()), ("columns", columns())):
        figure.savefig(out / f"{name}.png", dpi=150, facecolor="white", metadata={"Software": None})
        print(out / f"{name}.png")


def slope() -> Figure:
    """A convex score above its tangent."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots()
    way = np.linspace(0.0, 4.4, 400)
    score = 3.0 - 1.7 * way + 0.2 * way**2
    safe = 3.0 / 1.7
    axes.axhspan(-2.2, 0, color=HARMLESS, lw=0)
    axes.plot(way, score, color=INK, lw=2)
    axes.plot(way, 3.0 - 1.7 * way, color=PROOF, lw=2)
    axes.plot([2.5], [0], "o", color=ALERT, ms=6, mfc="white")
    axes.plot([0], [3.0], "o", color=ALERT, ms=9)
    axes.plot([0, safe], [0, 0], color=PROOF, lw=6, solid_capstyle="butt")
    axes.annotate("an alert", (0, 3.0), (0.15, 3.1))
    axes.annotate("the score: it bends upwards only", (1.6, 0.8), (2.0, 1.6), arrowprops={"arrowstyle": "-"})
    axes.annotate("its slope at the alert:\nthe score is never below", (2.95, -1.75), color=PROOF)
    axes.annotate("here the alert is gone", (2.5, 0.0), (2.75, 0.45), color=ALERT, arrowprops={"arrowstyle": "-"})
    axes.annotate("threshold", (4.38, 0.08), ha="right")
    axes.annotate("no alert", (0.02, -2.05))
    axes.annotate("up to here the alert stands: proven", (0.02, -0.4), color=PROOF)
    axes.set(xlim=(-0.12, 4.4), ylim=(-2.2, 3.6), xlabel="how much the attacker changes", ylabel="score", yticks=[])
    axes.set_xticks([0])
    return figure


def columns() -> Figure:
    """What columns of one alert can take, added up."""
    frame = mails()
    spam = frame["class"].to_numpy()
    x = frame.drop("class")
    detector = FeatureConvexDetector(sensitive="spam", random_state=0).fit(x, spam)
    counts = detector.certify(x, norm="columns")
    ((safe, parts),) = detector.explain(x[int(np.flatnonzero(counts == 2)[0])])
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    start = 0.0
    for place, part in enumerate(parts):
        share = 100 * part.share
        axes.barh(place, share, left=start, color=PROOF if place < safe else HARMLESS)
        axes.text(
            start + share / 2, place, f"{share:.0f} %", ha="center", va="center", color="w" if place < safe else INK
        )
        start += share
    axes.axvline(100, color=ALERT, lw=2)
    axes.text(98.5, len(parts) - 1, "here the alert could be gone", ha="right", va="center", color=ALERT)
    names = [part.column.replace("_", " ") for part in parts]
    axes.set(yticks=range(len(parts)), yticklabels=names, xlabel="share of the margin that a change can take at most")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def mails() -> pl.DataFrame:
    """The table of the start page, made by the page's own block."""
    page = (ROOT / "docs" / "start" / "index.md").read_text(encoding="utf-8")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.S) if 'write_csv("mail.csv")' in code)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        exec(compile(block, "docs/start/index.md", "exec"), {})  # noqa: S102 the page is ours
        return pl.read_csv("mail.csv")


if __name__ == "__main__":
    main()
