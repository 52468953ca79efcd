"""How adversaries and results show themselves: one line in a console, a small table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Context
from xml.etree.ElementTree import Element, SubElement, tostring

THREE_DIGITS = Context(prec=3, rounding=ROUND_FLOOR)


class Shown(ABC):
    """Something that is shown by a few facts about it; never by all that it holds."""

    @abstractmethod
    def _shown(self) -> Mapping[str, str]:
        """The facts, by name."""

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}: {value}" for name, value in self._shown().items())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        """What Jupyter shows: a table whose values are escaped."""
        table = Element("table")
        SubElement(table, "caption").text = type(self).__name__
        for name, value in self._shown().items():
            line = SubElement(table, "tr")
            SubElement(line, "th", scope="row").text = name
            SubElement(line, "td").text = value
        return tostring(table, encoding="unicode", method="html")


def floored(value: float) -> str:
    """Three significant digits that are never more than the value.

    Examples
    --------
    >>> floored(0.0123496), floored(31.999), floored(float("inf"))
    ('0.0123', '31.9', 'inf')
    """
    return f"{float(THREE_DIGITS.create_decimal(value)):g}"
