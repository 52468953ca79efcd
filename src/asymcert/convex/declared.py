"""Scores of one's own: any module that is declared convex, checked on samples before use."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import MEASURED, Owner, check_finite, check_given, check_independent, output_of, refuse
from asymcert.convex.base import ConvexScore

SAVED = "Keep the code that declares it, or build it of asymcert.convex."


class DeclaredScore(Owner, ConvexScore):
    """A module as convex score, whose convexity is declared, not composed; frozen, in float64.

    Certificates are as good as that declaration. Rounding inside the module has no bound: certify with
    ``sound=False``. Model files hold no code, so classifiers with such a score cannot be saved.

    Parameters
    ----------
    module
        Treats samples independently in eval mode: (n, *input_shape) -> (n,) or (n, 1).
    x
        Features, of which the shape is taken.
    """

    def __init__(self, module: nn.Module, x: Tensor):
        super().__init__()
        check_given(module, x)
        self.module = copy.deepcopy(module).double().eval().requires_grad_(False)
        self.input_shape = tuple(x.shape[1:])
        found = tuple(output_of(self.module, x.double()).shape)
        if found not in ((len(x),), (len(x), 1)):
            remedy = "For class scores pass one that returns their difference."
            raise refuse("module", f"of one score for each sample, ({len(x)},)", f"shape {found}", remedy)

    def forward(self, features: Tensor) -> Tensor:
        """What the module makes of a batch."""
        return self.module(features).flatten()

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """None that are known."""
        return iter(())

    def fold(self) -> Self:
        """A copy."""
        return copy.deepcopy(self).double()

    @property
    def activations(self) -> int:
        """As many as weights, for want of a better guess."""
        return max(1, sum(weight.numel() for weight in self.module.parameters()))

    def absolute(self) -> Self:
        """None: what the module computes is not known."""
        raise refuse("score", "able to bound its rounding", "a declared module", "Certify with sound=False.")

    def options(self) -> dict[str, Any]:
        """None that a file could hold."""
        raise refuse("score", "one of the package's own, to be saved", "a declared module", SAVED)


def declared(module: nn.Module, x: Tensor) -> DeclaredScore:
    """A module of one's own as a convex score, whose convexity is checked on samples.

    Parameters
    ----------
    module
        Claimed to be convex in its input: (n, *input_shape) -> (n,) or (n, 1). It is copied.
    x
        Features (n, *input_shape) of the data it is for, a few dozen: inputs, or what a feature map makes of them.

    Raises
    ------
    InputError
        The module is not convex between or near samples, or its gradients are no subgradients (the message has the
        counterexample), values or gradients are not finite, or a sample's score depends on the others.

    Examples
    --------
    >>> declared(torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Softplus()), torch.rand(8, 4)).input_shape
    (4,)
    """
    score = DeclaredScore(module, x)
    check_independent(score, x.detach().double())
    check_convexity(score, x)
    return score


def check_convexity(score: ConvexScore, x: Tensor, steps: int = 30) -> None:
    """Look for segments halfway of which a score's tangent plane exceeds it at an end; none found proves nothing.

    This is what certificates use, and for both ends together the midpoint inequality. Segments join samples, or leave
    them in random directions, short and far beyond the data; each is moved to where the score bends down most.

    Parameters
    ----------
    score
        Run in float64 and eval mode.
    x
        (n, *input_shape).
    steps
        Moves of each segment.

    Raises
    ------
    InputError
        There are such segments; the message says which.
    """
    score, x = copy.deepcopy(score).double().eval(), x.detach().double()
    draws = torch.Generator(x.device).manual_seed(0)
    spread = (x - x.mean(0)).abs().amax().clamp(min=1.0)
    away = spread * torch.randn(3, *x.shape, generator=draws, dtype=x.dtype, device=x.device)
    scales = torch.tensor([0.01, 1.0, 10.0], dtype=x.dtype, device=x.device).view(3, *[1] * x.ndim)
    one = torch.cat([x] * 4)
    other = torch.cat([x.roll(1, dims=0), *(x + scales * away)])
    for _ in range(steps):
        upward = _checked_ends(score, one, other)
        length = 0.2 * (one - other).flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))
        one, other = (end + length * _unit(slope, draws) for end, slope in zip((one, other), upward, strict=True))


def _checked_ends(score: ConvexScore, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Directions (n, ...) in which each end would make ``2 g(middle) - g(one) - g(other)`` grow; refuses violations."""
    middle = (one + other) / 2
    value, slope = _tangent(score, middle)
    found = []
    for end in (one, other):
        there, slope_there = _tangent(score, end)
        terms = (slope * (end - middle)).flatten(1)
        size = value.abs() + there.abs() + terms.abs().sum(1)
        above = value + terms.sum(1) - there - MEASURED * size
        if bool((above > 0).any()):
            worst = int(above.argmax())
            raise _violation(end[worst], there[worst], middle[worst], value[worst] + terms[worst].sum())
        found.append(slope - slope_there)
    return found[0], found[1]


def _violation(end: Tensor, there: Tensor, middle: Tensor, plane: Tensor) -> ValueError:
    """Inputs (*input_shape), the score at the first, and the tangent plane of the second there."""
    must_be = "convex in its input, with the gradients that autograd computes"
    got = f"{there.item():.12g} below {plane.item():.12g}: at {end.tolist()} the tangent plane of {middle.tolist()}"
    remedy = "Keep weights behind the first layer nonnegative; remove detach() and gradients of its own."
    return refuse("module", must_be, got, remedy)


@torch.enable_grad()
def _tangent(score: ConvexScore, points: Tensor) -> tuple[Tensor, Tensor]:
    """Finite values (n,) and gradients (n, *input_shape)."""
    points = points.detach().requires_grad_(True)
    values = score(points)
    if not values.requires_grad:
        raise refuse("module", "differentiable by its input", "values without gradients", "Remove detach().")
    (slope,) = torch.autograd.grad(values.sum(), points)
    check_finite("module's values", values.detach())
    check_finite("module's gradients", slope, "Roots have none at 0: add a small number below them.")
    return values.detach(), slope


def _unit(slope: Tensor, draws: torch.Generator) -> Tensor:
    """Slopes (n, ...) of length 1, at random where there is none."""
    chance = torch.randn(slope.shape, generator=draws, dtype=slope.dtype, device=slope.device)
    flat = slope.flatten(1)
    flat = torch.where(flat.abs().amax(1, keepdim=True) > 0, flat, chance.flatten(1))
    return nn.functional.normalize(flat, dim=1).view_as(slope)
