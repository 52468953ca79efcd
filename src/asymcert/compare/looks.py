"""How methods are drawn: the same colour and marker everywhere, whatever a method is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asymcert.compare.contenders import COMPARED
from asymcert.compare.table_methods import FOR_TABLES
from asymcert.report.series import COLOURS

# most are Paul Tol's; as many as methods, and with no common divisor with the markers: the two tell 228 methods apart
PALETTE = (*COLOURS, "#8B5E3C", "#7B3294", "#999933", "#882255", "#44AA99", "#DDCC77", "#888888")
PALETTE += ("#332288", "#CC6677", "#117733", "#AA4499", "#661100")
MARKERS = {  # by plotly: matplotlib's, and a character
    "circle": ("o", "●"),
    "square": ("s", "■"),
    "diamond": ("D", "◆"),
    "triangle-up": ("^", "▲"),
    "triangle-down": ("v", "▼"),
    "cross": ("P", "✚"),
    "x": ("X", "✖"),
    "star": ("*", "★"),
    "pentagon": ("p", "⬟"),
    "triangle-left": ("<", "◀"),
    "triangle-right": (">", "▶"),
    "hexagon": ("h", "⬢"),
}


class Look(NamedTuple):
    """How a method is drawn."""

    colour: str
    marker: str  # plotly's
    filled: bool = True

    @property
    def dash(self) -> str:
        """Of lines, as plotly calls it."""
        return "solid" if self.filled else "dash"

    @property
    def drawn(self) -> str:
        """Matplotlib's marker."""
        return MARKERS[self.marker][0]

    @property
    def symbol(self) -> str:
        """The marker as a character."""
        return MARKERS[self.marker][1]


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """By the methods' names."""
    known = COMPARED if COMPARED.keys() >= set(methods) else FOR_TABLES
    order, markers = list(dict.fromkeys([*known, *methods])), list(MARKERS)
    return {name: Look(PALETTE[n % len(PALETTE)], markers[n % len(markers)]) for n, name in enumerate(order)}
