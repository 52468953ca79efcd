"""How far each input of a sample may move because of what stands in the sample itself.

Rows are only known as inputs, which a table's scaling has clipped and rounded: an input at an end of [0, 1] stands for
every value of its column beyond. Limits are so wide that they hold for all of these. By a share of at most 1 the ends
of what can be reached, ``value -+ share * |value|``, grow with the value, so that what is reached from beyond an end
is, clipped, reached from the end as well; greater shares limit nothing there. A column at an end is no limit to another
on the side that it may lie farther out on. What methods make of limits is an interval for each input: an adversary who
is stronger, where values are a list or columns move together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_finite, refuse
from asymcert._floats import up

ROUNDING = 2.0**-22  # of the inputs before and after, in single precision, and of a handful of operations


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of d inputs; an input's value in its own units is ``base + unit * x``.

    Parameters
    ----------
    base, unit
        Float64 (d,); units are positive.
    share
        Float64 (d,): greatest change as a share of the input's own value, in its own units; inf where none is.
    values
        For each input the values (of the input, not of its units) that it may be changed to; None for any. A category's
        inputs may become 1 where 1 is among their values.
    between
        Int64 (k, 3): an input, and the two whose values, in their own units, it stays between when the row is changed.

    Raises
    ------
    InputError
        Parts of other shapes, a share or a unit that is not positive, or an input that there is not.
    """

    base: Tensor
    unit: Tensor
    share: Tensor | None = None
    values: tuple[Tensor | None, ...] | None = None
    between: Tensor | None = None

    def __post_init__(self) -> None:
        d = len(self.base)
        for part in (self.base, self.unit, *(own for own in self.values or () if own is not None)):
            check_finite("limits", part)
        if self.unit.shape != (d,) or not bool((self.unit > 0).all()):
            raise refuse("unit", f"positive, of shape ({d},)", "other units")
        if self.share is not None and (self.share.shape != (d,) or not bool((self.share >= 0).all())):
            raise refuse("max_change", f"nonnegative shares of shape ({d},)", "others")
        if self.values is not None and (
            len(self.values) != d or any(v is not None and not len(v) for v in self.values)
        ):
            raise refuse("values", f"{d} lists, none of them empty", "others")
        places = torch.empty(0, 3) if self.between is None else self.between
        if places.shape[1:] != (3,) or not bool(((places >= 0) & (places < d)).all()):
            raise refuse("between", f"three inputs below {d} each", "others")

    @classmethod
    def from_dict(cls, parts: object) -> Limits:
        """Read what `to_dict` gave."""
        names = {item.name for item in fields(cls)}
        if not isinstance(parts, Mapping) or not {"base", "unit"} <= set(parts) <= names:
            raise refuse("limits", f"a dictionary with keys among {sorted(names)}", repr(parts)[:100])
        try:
            numbers = {name: _floats(parts[name]) for name in ("base", "unit", "share") if parts.get(name) is not None}
            listed = parts.get("values")
            values = None if listed is None else tuple(None if own is None else _floats(own) for own in listed)
            between = parts.get("between")
            places = None if between is None else torch.tensor(between, dtype=torch.int64).reshape(-1, 3)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise refuse("limits", "made of lists of numbers", str(error).partition("\n")[0]) from None
        return cls(**numbers, values=values, between=places)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; an infinite share is the text ``inf``."""
        parts = {name: getattr(self, name) for name in ("base", "unit", "between") if getattr(self, name) is not None}
        found: dict[str, Any] = {name: part.tolist() for name, part in parts.items()}
        if self.share is not None:
            found["share"] = [value if value < float("inf") else "inf" for value in self.share.tolist()]
        if self.values is not None:
            found["values"] = [None if own is None else own.tolist() for own in self.values]
        return found

    @property
    def loose(self) -> bool:
        """Whether intervals alone say less than all of it."""
        return self.values is not None or self.between is not None

    def narrowed(self, x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest change (n, d) of inputs (n, d), within `low` and `high`, rounded outward."""
        least, most = low, high
        if self.share is not None:
            room = self._room(x)
            least, most = torch.maximum(least, -room), torch.minimum(most, room)
        for place, listed in enumerate(self.values or ()):
            if listed is not None:
                ends = listed.aminmax()
                least[:, place] = torch.maximum(least[:, place], (float(ends.min) - x[:, place]).clamp(max=0.0))
                most[:, place] = torch.minimum(most[:, place], (float(ends.max) - x[:, place]).clamp(min=0.0))
        if self.between is not None:
            least, most = self._pressed(x, least, most)
        return least, most

    def _room(self, x: Tensor) -> Tensor:
        """Greatest change by the shares: (n, d)."""
        share, base, unit = (part.to(x.device, torch.float64) for part in (self._shares, self.base, self.unit))
        room = share * ((base / unit).abs().mul(up(4)) * ROUNDING + (base / unit + x.double()).abs())
        room = (room + (1.0 + share.clamp(max=1e6)) * ROUNDING) * up(8)
        clipped = (share > 1) & ((x <= 0) | (x >= 1))
        return torch.where(clipped | share.isinf(), torch.inf, room).to(x)

    @property
    def _shares(self) -> Tensor:
        return torch.full_like(self.base, torch.inf) if self.share is None else self.share

    def _pressed(self, x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Between the least that one of the two columns can have and the greatest that the other one can."""
        assert self.between is not None
        base, unit = self.base.to(x), self.unit.to(x)
        least, most = low.clone(), high.clone()
        for place, *ends in self.between.tolist():
            lowest = torch.stack([self._end(x + low, end, -1) for end in ends]).amin(0)
            highest = torch.stack([self._end(x + high, end, 1) for end in ends]).amax(0)
            slack = ROUNDING * (1.0 + (base[[place, *ends]].abs().max() + unit[ends].max()) / unit[place])
            own = x[:, place]
            bottom, top = ((end - base[place]) / unit[place] for end in (lowest, highest))
            least[:, place] = torch.maximum(least[:, place], (bottom - own - slack).clamp(max=0.0))
            most[:, place] = torch.minimum(most[:, place], (top - own + slack).clamp(min=0.0))
        return least, most

    def _end(self, x: Tensor, place: int, sign: int) -> Tensor:
        """The outermost value, in its units, of one input of inputs (n, d), which stands for all beyond at its ends."""
        value = x[:, place]
        open_ended = value >= 1 if sign > 0 else value <= 0
        return torch.where(open_ended, sign * torch.inf, self.base[place].to(x) + self.unit[place].to(x) * value)

    def allows(self, x: Tensor, point: Tensor) -> Tensor:
        """Whether inputs (n, d) may become `point` by lists and columns between others: bool (n,)."""
        allowed = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for place, listed in enumerate(self.values or ()):
            if listed is not None:
                allowed &= (point[:, place] == x[:, place]) | torch.isin(point[:, place], listed.to(point))
        if self.between is not None:
            before, after = (self.base.to(x) + self.unit.to(x) * each for each in (x, point))
            for places in self.between.tolist():
                own, one, other = after[:, places].unbind(1)
                inside = (own >= torch.minimum(one, other)) & (own <= torch.maximum(one, other))
                allowed &= inside | (after[:, places] == before[:, places]).all(1)
        return allowed

    def settled(self, x: Tensor, point: Tensor) -> Tensor:
        """Points (n, d) with listed inputs at a value of their lists not farther from `x` (n, d), or back at it."""
        point = point.clone()
        for place, listed in enumerate(self.values or ()):
            if listed is not None:
                start, end = x[:, place : place + 1], point[:, place : place + 1]
                values = torch.cat((start, listed.to(x).expand(len(x), -1)), 1)
                within = ((values - start) * (end - start) >= 0) & ((values - start).abs() <= (end - start).abs())
                distance = torch.where(within, (values - end).abs(), torch.inf)
                point[:, place] = values.gather(1, distance.argmin(1, keepdim=True))[:, 0]
        return point


def _floats(values: Any) -> Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float64)
