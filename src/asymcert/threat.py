"""What the adversary may do to an input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_finite, check_norm, refuse

Values = float | Tensor | None


@dataclass(frozen=True, eq=False)
class ThreatModel:
    """The changes `delta` that an adversary can afford and is able to make.

    The size of a change is ``||cost * delta||_p``. All parts but the norm are optional and broadcast
    against one sample (shape ``input_shape``).

    Parameters
    ----------
    norm
        p in [1, inf].
    lower, upper
        Box that the changed input stays in, in the units of the input.
    cost
        Price of one unit of change, per feature, positive.
    mutable
        Boolean mask of the features that can change at all.
    direction
        Per feature: 0 both ways, +1 increase only, -1 decrease only.

    Raises
    ------
    InputError
        A norm below 1, a cost that is not positive, a box that is empty, a direction outside {-1, 0, 1}.
    """

    norm: float = 2.0
    lower: Values = None
    upper: Values = None
    cost: Values = None
    mutable: Tensor | None = None
    direction: Tensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", check_norm(self.norm))
        for name in ("lower", "upper", "cost"):
            value = getattr(self, name)
            if value is not None:
                value = torch.as_tensor(value, dtype=torch.float64)
                check_finite(name, value)
                object.__setattr__(self, name, value)
        self._check_parts()

    def _check_parts(self) -> None:
        if isinstance(self.cost, Tensor) and not bool((self.cost > 0).all()):
            raise refuse(
                "cost", "positive", f"a least cost of {float(self.cost.min()):g}", "Use `mutable` to forbid a change."
            )
        lower, upper = self.lower, self.upper
        if isinstance(lower, Tensor) and isinstance(upper, Tensor) and not bool((lower <= upper).all()):
            raise refuse("lower", "at most `upper` everywhere", "an empty box")
        for name in ("mutable", "direction"):
            part = getattr(self, name)
            if part is not None and not isinstance(part, Tensor):
                raise refuse(name, "a torch.Tensor", type(part).__name__, "Convert it with torch.as_tensor.")
        if self.mutable is not None and self.mutable.dtype != torch.bool:
            raise refuse("mutable", "a boolean tensor", str(self.mutable.dtype))
        if self.direction is not None and not bool(torch.isin(self.direction, torch.tensor([-1, 0, 1])).all()):
            raise refuse("direction", "made of -1, 0 and 1", "other values")

    @property
    def dual_norm(self) -> float:
        """The exponent q of the dual norm, 1/p + 1/q = 1."""
        if self.norm == 1:
            return math.inf
        return 1.0 if math.isinf(self.norm) else self.norm / (self.norm - 1)

    def describe(self) -> str:
        """Short text that identifies the threat model in result rows, such as ``l2`` or ``linf box[0,1]``."""
        parts = [norm_name(self.norm)]
        if self.lower is not None or self.upper is not None:
            parts.append(f"box[{_short(self.lower, '-inf')},{_short(self.upper, 'inf')}]")
        parts += [name for name in ("cost", "mutable", "direction") if getattr(self, name) is not None]
        return " ".join(parts)

    def cost_for(self, shape: tuple[int, ...]) -> Tensor:
        """Costs of one sample of `shape`, float64; ones by default.

        Raises
        ------
        InputError
            The costs do not broadcast to `shape`.
        """
        return _broadcast("cost", torch.ones((), dtype=torch.float64) if self.cost is None else self.cost, shape)

    def size(self, delta: Tensor) -> Tensor:
        """Size of each change: shape (n, *input_shape) -> (n,), in the dtype of `delta`."""
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
        for name in ("cost", "mutable", "direction"):
            part = getattr(self, name)
            if part is not None:
                _broadcast(name, part, shape)
        outside = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        if self.lower is not None:
            outside |= (x < _broadcast("lower", self.lower, shape).to(x)).flatten(1).any(1)
        if self.upper is not None:
            outside |= (x > _broadcast("upper", self.upper, shape).to(x)).flatten(1).any(1)
        if bool(outside.any()):
            raise refuse(
                "x",
                "inside the box of the threat model",
                f"{int(outside.sum())} of {len(x)} samples outside it",
                "Scale the input, or widen `lower` and `upper`.",
            )

    def interval(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest admissible change of each feature, each of shape (n, *input_shape).

        Raises
        ------
        InputError
            An input lies outside its own box.
        """
        self.check(x)
        shape = tuple(x.shape[1:])
        low = torch.full_like(x, -math.inf) if self.lower is None else _broadcast("lower", self.lower, shape).to(x) - x
        high = torch.full_like(x, math.inf) if self.upper is None else _broadcast("upper", self.upper, shape).to(x) - x
        if self.mutable is not None:
            frozen = ~_broadcast("mutable", self.mutable, shape).to(x.device)
            low, high = low.masked_fill(frozen, 0.0), high.masked_fill(frozen, 0.0)
        if self.direction is not None:
            direction = _broadcast("direction", self.direction, shape).to(x.device)
            low, high = low.masked_fill(direction > 0, 0.0), high.masked_fill(direction < 0, 0.0)
        return low, high


def norm_name(norm: float) -> str:
    """Name of a norm: ``l1``, ``l2``, ``linf``, ``l1.5``."""
    return "linf" if math.isinf(norm) else f"l{norm:g}"


def _broadcast(name: str, value: Values, shape: tuple[int, ...]) -> Tensor:
    assert isinstance(value, Tensor)
    try:
        return value.expand(shape)
    except RuntimeError:
        raise refuse(name, f"broadcastable to {shape}", f"shape {tuple(value.shape)}") from None


def _short(bound: Values, missing: str) -> str:
    if bound is None:
        return missing
    assert isinstance(bound, Tensor)
    return f"{float(bound):g}" if bound.numel() == 1 else "per feature"
