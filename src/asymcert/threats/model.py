"""What the adversary may do to an input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_finite, check_norm, refuse
from asymcert._floats import dual_exponent, norm_name
from asymcert.threats.columns import ColumnGroups
from asymcert.threats.limits import Limits
from asymcert.threats.parts import FACTS, Values, as_values, broadcast, check_box, check_name, shown
from asymcert.threats.shown import Shown
from asymcert.threats.words import WordEdits

WORDS = "words"  # what results call edits of words
COUNTED = ("groups", "exclusive")  # parts that say what a column is, where columns are counted
DEAREST = 1e100  # cost, and 1 / DEAREST the cheapest: beyond them quotients by slopes would overflow

_KINDS = {
    "lower": torch.float64,
    "upper": torch.float64,
    "cost": torch.float64,
    "mutable": torch.bool,
    "direction": torch.int64,
    "groups": torch.int64,
    "exclusive": torch.bool,
}


@dataclass(frozen=True, eq=False, repr=False)
class ThreatModel(Shown):
    """The changes `delta` that an adversary can afford and is able to make.

    The size of a change is ``||cost * delta||_p``; for p = 0 it is the total price of the columns that change, their
    number where prices are 1. All parts but the norm are optional and broadcast against one sample (shape
    ``input_shape``).

    Parameters
    ----------
    norm
        p, 0 or in [1, inf].
    lower, upper
        Box that the changed input stays in, in the units of the input.
    cost
        Price of one unit of change, per feature, positive; for p = 0 of any change.
    mutable
        Boolean mask of the features that can change at all.
    direction
        Per feature: 0 both ways, +1 increase only, -1 decrease only.
    name
        What results call this adversary, such as ``spammer``; None describes its parts.
    groups
        For p = 0: inputs with the same number are one column, such as all inputs of a category; by default each input
        is one.
    exclusive
        For p = 0, boolean: inputs of columns of which exactly one input is 1 and the others are 0, and stay so.
    limits
        How far inputs may move because of what stands in the sample itself.
    edits
        For p = 0 and the box [0, 1]: edits of the words of a text; the size is their price, see `WordEdits`.

    Raises
    ------
    InputError
        A norm that is none, a cost that is not positive or not within 1e-100 to 1e100, a box that is empty, a direction
        outside {-1, 0, 1}, or groups for another norm than 0.

    Examples
    --------
    >>> threat = ThreatModel(norm=1, lower=0, upper=1, direction=torch.tensor([1, 0]))
    >>> threat.describe(), threat.to_dict()["direction"]
    ('l1 box[0,1] direction', [1, 0])
    """

    norm: float = 2.0
    lower: Values = None
    upper: Values = None
    cost: Values = None
    mutable: Tensor | None = None
    direction: Tensor | None = None
    name: str | None = None
    groups: Tensor | None = None
    exclusive: Tensor | None = None
    limits: Limits | None = None
    edits: WordEdits | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", 0.0 if self.norm == 0 else check_norm(self.norm))
        for name in ("lower", "upper", "cost"):
            value = getattr(self, name)
            if value is not None:
                value = torch.as_tensor(value, dtype=torch.float64, device=None if isinstance(value, Tensor) else "cpu")
                check_finite(name, value)
                object.__setattr__(self, name, value)
        self._check_parts()

    def _check_parts(self) -> None:
        if isinstance(self.cost, Tensor) and not bool((self.cost > 0).all()):
            raise refuse(
                "cost", "positive", f"a least cost of {float(self.cost.min()):g}", "Use `mutable` to forbid a change."
            )
        if isinstance(self.cost, Tensor) and not bool(((self.cost >= 1 / DEAREST) & (self.cost <= DEAREST)).all()):
            ends = f"{float(self.cost.min()):g} to {float(self.cost.max()):g}"
            raise refuse("cost", f"from {1 / DEAREST:g} to {DEAREST:g}", ends, "Measure changes in other units.")
        check_box(self.lower, self.upper)
        for name in ("mutable", "direction", *COUNTED):
            part = getattr(self, name)
            if part is not None and name in COUNTED and self.norm != 0:
                raise refuse(name, "left out for norms other than 0", f"{name} and norm {self.norm:g}")
            if part is not None and not isinstance(part, Tensor):
                raise refuse(name, "a torch.Tensor", type(part).__name__, "Convert it with torch.as_tensor.")
        for name, wanted in (("mutable", torch.bool), ("exclusive", torch.bool), ("groups", torch.int64)):
            part = getattr(self, name)
            if part is not None and part.dtype != wanted:
                raise refuse(name, "a boolean tensor" if wanted is torch.bool else "an int64 tensor", str(part.dtype))
        if self.direction is not None:
            if not bool(torch.isin(self.direction, torch.tensor([-1, 0, 1], device=self.direction.device)).all()):
                raise refuse("direction", "made of -1, 0 and 1", "other values")
            object.__setattr__(self, "direction", self.direction.long())
        if self.name is not None:
            check_name(self.name)
        if self.limits is not None and not isinstance(self.limits, Limits):
            raise refuse("limits", "of type Limits", type(self.limits).__name__)
        if self.edits is not None:
            self._check_edits()

    def _check_edits(self) -> None:
        if not isinstance(self.edits, WordEdits):
            raise refuse("edits", "of type WordEdits", type(self.edits).__name__)
        ends = [float(end) if isinstance(end, Tensor) and end.ndim == 0 else None for end in (self.lower, self.upper)]
        others = ("cost", "mutable", "direction", *COUNTED, "limits")
        given = [name for name in others if getattr(self, name) is not None]
        if self.norm != 0 or ends != [0.0, 1.0] or given:
            got = f"norm {self.norm:g}, lower and upper {ends}, and {given or 'nothing'}"
            raise refuse("edits", "given with norm 0, lower 0, upper 1 and nothing else", got)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ThreatModel:
        """Read what `to_dict` gave; parts may be left out.

        Raises
        ------
        InputError
            An unknown key, or a value of the wrong type or range; the message names the key.
        """
        known = [item.name for item in fields(cls)]
        if not isinstance(values, Mapping):
            raise refuse("threat", "a dictionary", type(values).__name__)
        unknown = sorted(str(key) for key in values if key not in known)
        if unknown:
            raise refuse("threat", f"a dictionary with keys among {known}", f"the unknown {unknown}")
        parts: dict[str, Any] = {name: part for name, part in values.items() if part is not None or name == "norm"}
        for name, kind in _KINDS.items():
            if name in parts:
                parts[name] = as_values(name, parts[name], kind)
        if parts.get("norm") == "inf":
            parts["norm"] = math.inf
        if "limits" in parts:
            parts["limits"] = Limits.from_dict(parts["limits"])
        if "edits" in parts:
            parts["edits"] = WordEdits.from_dict(parts["edits"])
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form with every part; `from_dict` gives back exactly this threat model.

        An infinite norm is the text ``inf``, tensors are nested lists, absent parts are None; those that only norm 0
        has, limits and edits, are left out of others.
        """
        left_out = {*(() if self.norm == 0 else COUNTED), "limits", "edits"}
        parts = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in left_out}
        parts |= {} if self.limits is None else {"limits": self.limits.to_dict()}
        parts |= {} if self.edits is None else {"edits": self.edits.to_dict()}
        plain = {name: part.tolist() if isinstance(part, Tensor) else part for name, part in parts.items()}
        return {**plain, "norm": "inf" if math.isinf(self.norm) else self.norm}

    @property
    def dual_norm(self) -> float:
        """The exponent q of the dual norm, 1/p + 1/q = 1."""
        if self.norm == 0:
            raise refuse("norm", "in [1, inf] to have a dual", "0", "Use a method that counts columns.")
        return dual_exponent(self.norm)

    def describe(self) -> str:
        """Short text for result rows, such as ``l2``, ``linf box[0,1]`` or, with a name, ``l1 spammer``."""
        if self.edits is not None:
            return f"{WORDS} {self.name or self.edits.describe()}"
        if self.name is not None:
            return f"{norm_name(self.norm)} {self.name}"
        parts = [norm_name(self.norm)]
        if self.lower is not None or self.upper is not None:
            parts.append(f"box[{shown(self.lower, '-inf')},{shown(self.upper, 'inf')}]")
        parts += [
            name for name in ("cost", "mutable", "direction", "groups", "limits") if getattr(self, name) is not None
        ]
        return " ".join(parts)

    def _shown(self) -> dict[str, str]:
        facts = {"size": WORDS if self.edits is not None else norm_name(self.norm)}
        if self.lower is not None or self.upper is not None:
            facts["box"] = f"[{shown(self.lower, '-inf')}, {shown(self.upper, 'inf')}]"
        parts = ((name, getattr(self, part), told) for name, (part, told) in FACTS.items())
        return facts | {name: told(part) for name, part, told in parts if part is not None}

    def cost_for(self, shape: tuple[int, ...]) -> Tensor:
        """Costs of one sample of `shape`, float64; ones by default.

        Raises
        ------
        InputError
            The costs do not broadcast to `shape`.
        """
        return broadcast("cost", torch.ones((), dtype=torch.float64) if self.cost is None else self.cost, shape)

    def columns(self, shape: tuple[int, ...]) -> ColumnGroups:
        """What counts as one column of a sample of `shape`, for p = 0.

        Raises
        ------
        InputError
            The parts do not broadcast to `shape`, or columns have no price or form of their own.
        """
        parts = [
            None if part is None else broadcast(name, part, shape)
            for name, part in (("groups", self.groups), ("exclusive", self.exclusive))
        ]
        return ColumnGroups.of(parts[0], parts[1], self.cost_for(shape))

    def size(self, delta: Tensor) -> Tensor:
        """Size of each change: shape (n, *input_shape) -> (n,), in the dtype of `delta`; of edits a lower bound."""
        if self.edits is not None:
            return self.edits.size(delta).to(delta.dtype)
        if self.norm == 0:
            return self.columns(tuple(delta.shape[1:])).to(delta.device).size(delta.flatten(1)).to(delta.dtype)
        if isinstance(self.cost, Tensor):
            delta = delta * self.cost_for(tuple(delta.shape[1:])).to(delta)
        return torch.linalg.vector_norm(delta.flatten(1), ord=self.norm, dim=1)

    def check(self, x: Tensor) -> None:
        """Refuse inputs (n, *input_shape) outside the box, and parts that do not broadcast to them.

        Raises
        ------
        InputError
            An input lies outside its own box, or a part has the wrong shape.
        """
        shape = tuple(x.shape[1:])
        for name in ("cost", "mutable", "direction", *COUNTED):
            part = getattr(self, name)
            if part is not None:
                broadcast(name, part, shape)
        if self.limits is not None and len(self.limits.base) != math.prod(shape):
            raise refuse("limits", f"about {math.prod(shape)} inputs", f"about {len(self.limits.base)}")
        if self.edits is not None:
            self.edits.check(x)
        outside = self.outside(x)
        if bool(outside.any()):
            raise refuse(
                "x",
                "inside the box of the threat model",
                f"{int(outside.sum())} of {len(x)} samples outside it",
                "Scale the input, or widen `lower` and `upper`.",
            )
        if self.exclusive is not None and not bool(self.columns(shape).to(x.device).settled(x.flatten(1)).all()):
            raise refuse("x", "1 in one input of each exclusive column and 0 in the others", "other values")

    def outside(self, x: Tensor) -> Tensor:
        """Bool (n,): which inputs (n, *input_shape) lie outside the box."""
        shape, found = tuple(x.shape[1:]), torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for name, end, beyond in (("lower", self.lower, torch.lt), ("upper", self.upper, torch.gt)):
            if end is None:
                continue
            limit = broadcast(name, end, shape).to(x)
            if isinstance(end, Tensor) and end.numel() == 1 and x.numel():  # one look at the farthest input is quicker
                farthest = x.amin() if name == "lower" else x.amax()
                if not bool(beyond(farthest, end.to(x)).any()):
                    continue
            found |= beyond(x, limit).flatten(1).any(1)
        return found

    def interval(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest admissible change of each feature, each of shape (n, *input_shape).

        Raises
        ------
        InputError
            An input lies outside its own box.
        """
        self.check(x)
        shape = tuple(x.shape[1:])
        low = torch.full_like(x, -math.inf) if self.lower is None else broadcast("lower", self.lower, shape).to(x) - x
        high = torch.full_like(x, math.inf) if self.upper is None else broadcast("upper", self.upper, shape).to(x) - x
        if self.mutable is not None:
            frozen = ~broadcast("mutable", self.mutable, shape).to(x.device)
            low, high = low.masked_fill(frozen, 0.0), high.masked_fill(frozen, 0.0)
        if self.edits is not None:
            frozen = ~self.edits.text.to(x.device)
            low, high = low.masked_fill(frozen, 0.0), high.masked_fill(frozen, 0.0)
        if self.direction is not None:
            direction = broadcast("direction", self.direction, shape).to(x.device)
            low, high = low.masked_fill(direction > 0, 0.0), high.masked_fill(direction < 0, 0.0)
        if self.limits is not None:
            ends = self.limits.narrowed(x.flatten(1), low.flatten(1).clone(), high.flatten(1).clone())
            low, high = (end.view_as(x) for end in ends)
        return low, high
