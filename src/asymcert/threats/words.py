"""Adversaries who edit the words of a text, and what so many edits can change of its features."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_count, check_known, check_number, refuse
from asymcert.threats.parts import as_values

WORD, PAIR, GRAM, OTHER = 0, 1, 2, -1  # families of inputs
KINDS = ("add", "remove", "replace")
STEPS = (0, 256, 64, 24)  # most edits that are told apart, by how many kinds there are
GAINED, LOST = 0, 1  # features that a text has afterwards, or before, and not the other time


@dataclass(frozen=True, eq=False)
class WordEdits:
    """Kinds of edits of a text's words, the price of each, and what every input says of the text.

    Inputs are 0 or 1. Those of words say that a word is there (or is there so many times), those of pairs that two
    words stand side by side, those of grams that some word has a run of letters. The size of a change is the least
    total price of edits that make it.

    Parameters
    ----------
    kinds
        Price of each kind of edit that he makes; names without prices cost 1. ``add`` puts a word between two others,
        at the front or the end; ``remove`` takes one out; ``replace`` puts another in its place, which a misspelling
        does too. Words are any, also such as no text had.
    family
        Int8 (d,): `WORD`, `PAIR` or `GRAM`; `OTHER` for inputs that no edit changes.
    protected
        Boolean (d,): inputs of words that he can not take out.
    grams_per_word
        Most inputs of grams that one word can have.
    ends
        Int64 (d, 2): the inputs of the two words of a pair, twice that of its own word for a word (so that all inputs
        of one word are known), else -1. Where there are no pairs, left out if each word has one input.
    sentences
        Whether he adds any number of whole sentences besides; known to models of texts that read sentences alone.
    marks_stay
        Whether marks that end sentences stay as they are and none is added, so that edits are of one sentence each.

    Raises
    ------
    InputError
        An unknown kind, no kind at all, a price that is not positive, or parts that do not fit each other.

    Examples
    --------
    >>> edits = WordEdits({"add": 1, "remove": 2.5}, torch.tensor([0, 0]))
    >>> edits.describe()
    'add+remove price'
    """

    kinds: Mapping[str, float]  # or kinds without prices
    family: Tensor
    protected: Tensor | None = None
    grams_per_word: int = 0
    ends: Tensor | None = None
    sentences: bool = False
    marks_stay: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", _prices(self.kinds))
        if not self.kinds and not self.sentences:
            raise refuse("edits", f"some of {', '.join(KINDS)}", "none")
        object.__setattr__(self, "family", _part("family", self.family, torch.int8))
        if self.family.ndim != 1 or not bool(((self.family >= OTHER) & (self.family <= GRAM)).all()):
            raise refuse("family", f"a list of {OTHER} to {GRAM}", "others")
        check_count("grams_per_word", self.grams_per_word, 1 if bool((self.family == GRAM).any()) else 0)
        for name, dtype, shape in (("protected", torch.bool, (self.inputs,)), ("ends", torch.int64, (self.inputs, 2))):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _part(name, getattr(self, name), dtype, shape))
        self._check_ends()

    def _check_ends(self) -> None:
        ends, known = self.words, (self.family == WORD) | (self.family == PAIR)
        inside = bool(((ends >= 0) & (ends < self.inputs))[known].all()) and bool((ends[~known] == -1).all())
        if not inside or bool((self.family[ends[known]] != WORD).any()):
            raise refuse("ends", "two inputs of words for every word and pair, and -1 for others", "others")

    @property
    def words(self) -> Tensor:
        """Int64 (d, 2): `ends`, or each word its own where they are left out."""
        if self.ends is not None:
            return self.ends
        return torch.where(self.family == WORD, torch.arange(self.inputs), -1)[:, None].expand(-1, 2)

    @property
    def inputs(self) -> int:
        """Number d of inputs."""
        return len(self.family)

    @classmethod
    def from_dict(cls, values: object) -> WordEdits:
        """Read what `to_dict` gave; an `InputError` for anything else."""
        if not isinstance(values, Mapping) or not {"kinds", "family"} <= set(values):
            raise refuse("edits", "a dictionary with 'kinds' and 'family'", repr(values)[:100])
        check_known(values, [item.name for item in fields(cls)], "edits of words")
        parts: dict[str, Any] = {name: part for name, part in values.items() if part is not None}
        for name, dtype in (("family", torch.int64), ("protected", torch.bool), ("ends", torch.int64)):
            if name in parts:
                parts[name] = as_values(name, parts[name], dtype)
        for name in ("sentences", "marks_stay"):
            if not isinstance(parts.get(name, False), bool):
                raise refuse(name, "true or false", repr(parts[name]))
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; parts that are None are left out."""
        parts = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: part.tolist() if isinstance(part, Tensor) else part
            for name, part in parts.items()
            if part is not None
        }

    def describe(self) -> str:
        """Kinds in a few characters, and which other parts there are."""
        names = [*self.kinds, *(["sentences"] if self.sentences else [])]
        parts = {
            "price": any(price != 1 for price in self.prices),
            "protected": self.protected is not None and bool(self.protected.any()),
            "marks": self.marks_stay,
        }
        return " ".join(["+".join(names), *(name for name, there in parts.items() if there)])

    @property
    def described(self) -> bool:
        """Whether `describe` says all of it, but what inputs are."""
        return all(price == 1 for price in self.prices) and self.protected is None

    @property
    def prices(self) -> list[float]:
        """Of the kinds, in their order."""
        assert isinstance(self.kinds, dict)
        return list(self.kinds.values())

    @property
    def plans(self) -> Plans:
        """Numbers of edits of each kind, cheapest first."""
        return plans_of(tuple(self.kinds), tuple(self.prices))

    def check(self, x: Tensor) -> None:
        """Refuse inputs (n, d) that are not the features of texts."""
        if tuple(x.shape[1:]) != (self.inputs,):
            raise refuse("edits", f"about inputs of shape {tuple(x.shape[1:])}", f"about {self.inputs} inputs")
        text = x[:, self.text.to(x.device)]
        if not bool(((text == 0) | (text == 1)).all()):
            raise refuse("x", "0 or 1 in all inputs of a text", "other values", "Encode texts by their vocabulary.")

    @property
    def text(self) -> Tensor:
        """Bool (d,): inputs that edits can change."""
        return self.family != OTHER

    def size(self, delta: Tensor) -> Tensor:
        """A LOWER bound on the price of edits after which inputs differ by `delta`: (n, d) -> float64 (n,).

        Counts features by family, and asks how many edits have to be made for so many; whether some text has just these
        features is not asked. Infinite where no edits do it. The price of a changed text is that of its own edits.
        """
        changed = self._changes(delta)[:, None]  # (n, 1, 6)
        plans, room = self.plans, self.slots().to(delta.device)
        enough = (changed <= room).all(2)
        price = plans.price.to(delta.device)[enough.double().argmax(1)]
        beyond = torch.where((changed[:, 0] > 0) & (room.amax(0) == 0), math.inf, plans.limit).amax(1)
        return torch.where(enough.any(1), price, beyond)

    def _changes(self, delta: Tensor) -> Tensor:
        """How many inputs of each family are gained and lost, then those that nothing can change: (n, 7)."""
        family = self.family.to(delta.device)
        counts = [((delta * sign > 0) & (family == own)).sum(1) for own in (WORD, PAIR, GRAM) for sign in (1, -1)]
        never = family == OTHER
        if self.protected is not None:
            never = never | self.protected.to(delta.device) & (delta < 0)
        return torch.stack([*counts, ((delta != 0) & never).sum(1)], 1)

    def slots(self) -> Tensor:
        """How many inputs of each family the plans can gain and lose at most: int64 (C, 7), in that order; then 0."""
        add, remove, replace = self.plans.counts.unbind(1)
        put, taken = add + replace, remove + replace
        grams = self.grams_per_word
        pairs = 2 * put + remove, 2 * taken + add
        return torch.stack([put, taken, *pairs, grams * put, grams * taken, torch.zeros_like(put)], 1)


@dataclass(frozen=True, eq=False)
class Plans:
    """All numbers of edits of total price up to a limit, the cheapest first.

    Parameters
    ----------
    counts
        Int64 (C, 3): words added, removed, replaced.
    price
        Float64 (C,): total price, rounded down.
    below
        Float64 (C,): the greatest total price of edits that are cheaper, rounded down; 0 for the first.
    limit
        Greatest total price up to which all are listed, rounded down.
    """

    counts: Tensor
    price: Tensor
    below: Tensor
    limit: float


@lru_cache(maxsize=32)
def plans_of(kinds: tuple[str, ...], prices: tuple[float, ...]) -> Plans:
    """Plans of edits of these kinds at these prices; just no edit where there is no kind."""
    exact, most = [Fraction(price) for price in prices], STEPS[len(prices)]
    limit = most * min(exact, default=Fraction(0))
    totals: dict[Fraction, list[tuple[int, ...]]] = {}
    for counts in itertools.product(*(range(int(limit / price) + 1) for price in exact)):
        total = sum((count * price for count, price in zip(counts, exact, strict=True)), Fraction(0))
        if total <= limit:
            totals.setdefault(total, []).append(counts)
    ordered, price, below = [], [], []
    for last, total in itertools.pairwise([Fraction(0), *sorted(totals)]):
        ordered += totals[total]
        price += [floored(total)] * len(totals[total])
        below += [floored(last)] * len(totals[total])
    counts = torch.zeros(len(ordered), len(KINDS), dtype=torch.int64)
    for column, kind in enumerate(kinds):
        counts[:, KINDS.index(kind)] = torch.tensor([own[column] for own in ordered])
    return Plans(counts, _numbers(price), _numbers(below), floored(limit))


def _prices(kinds: object) -> dict[str, float]:
    """Price of each kind, in the order of `KINDS`."""
    names = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(names, Mapping | list | tuple) or not all(name in KINDS for name in names):
        raise refuse("edits", f"made of {', '.join(KINDS)}", repr(kinds))
    priced = names if isinstance(names, Mapping) else dict.fromkeys(names, 1.0)
    for kind, price in priced.items():
        check_number(f"price of '{kind}'", price, 1e-9, 1e9)
    return {kind: float(priced[kind]) for kind in KINDS if kind in priced}


def _part(name: str, value: object, dtype: torch.dtype, shape: tuple[int, ...] | None = None) -> Tensor:
    """A tensor of that type and shape; whole numbers of another type are converted where they fit."""
    wanted = f"a tensor of {str(dtype).removeprefix('torch.')}"
    if not isinstance(value, Tensor):
        raise refuse(name, wanted, type(value).__name__)
    if value.is_floating_point() or (value.dtype == torch.bool) != (dtype == torch.bool):
        raise refuse(name, wanted, value.dtype)
    if not bool((value == value.to(dtype)).all()):
        raise refuse(name, wanted, "greater numbers")
    if shape is not None and tuple(value.shape) != shape:
        raise refuse(name, f"of shape {shape}", tuple(value.shape))
    return value.to(dtype)


def _numbers(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def floored(exact: Fraction) -> float:
    """The greatest float that is not above a number."""
    number = float(exact)
    return number if Fraction(number) <= exact else math.nextafter(number, -math.inf)
