"""Bounds on floating-point errors: of the certifier's own passes, and of the classifier that is deployed.

For any masks m in [0, 1] and any choice in a maximum, the network with its ReLUs and maxima replaced by them is an
affine function that a convex network lies above. A computed forward pass *is* a computation of the affine function of
its own masks, and the computed gradient is that function's. So every error is the error of evaluating a known affine
function: at most ``gamma_K`` times the sum of absolute terms, K being the roundings on a path. The sum of absolute
terms at v is ``slope . |v| + constant`` whatever the masks, and is found once per model.

Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2002, chapter 3; for what ignoring this costs,
Jia and Rinard, SAS 2021, and Jin, Ohrimenko, Rubinstein, 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert._floats import GREATEST, UNIT, UP, scaled_norm
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class _Arithmetic:
    """Unit roundoff, least positive number and greatest number of a floating-point type."""

    unit: float
    least: float
    greatest: float


FLOAT64 = _Arithmetic(UNIT, 2.0**-1074, GREATEST)
FLOAT32 = _Arithmetic(2.0**-24, 2.0**-149, torch.finfo(torch.float32).max)
ARITHMETIC = {torch.float64: FLOAT64, torch.float32: FLOAT32}


@dataclass(frozen=True)
class _Terms:
    """Sum of absolute terms as ``constant + per_input . |x|``, features' sizes as ``base + steep * max |x|``."""

    per_input: Tensor  # (d,)
    constant: float
    base: float
    steep: float


@dataclass(frozen=True)
class DeployedError:
    """Bound ``fixed + rate * r`` on the error of the deployed margin at any admissible change of size r <= limit.

    `fixed` and `limit` are float64 (n,); a larger change could overflow the deployed type.
    """

    fixed: Tensor
    rate: float
    limit: Tensor


class Rounding:
    """Error bounds of one classifier.

    Parameters
    ----------
    model
        The classifier in float64, with exactly the weights of the deployed one.
    dtype
        The floating-point type that the classifier is deployed in.
    """

    def __init__(self, model: FeatureConvexClassifier, dtype: torch.dtype):
        if dtype not in ARITHMETIC:
            remedy = "Deploy the model in one of them, or certify with sound=False."
            raise refuse("model", "deployed in float32 or float64", str(dtype), remedy)
        self.model, self.deployed_type = model, ARITHMETIC[dtype]
        absolute = model.score.absolute()
        ones = torch.ones(1, *absolute.input_shape, dtype=torch.float64, device=model.device)
        ones.requires_grad_(True)
        with torch.enable_grad():
            value = absolute(ones).sum()
            (slope,) = torch.autograd.grad(value, ones)
        growth = math.prod(1.0 + float(weight.abs().sum()) for weight in absolute.state_dict().values())
        maps = model.feature_map.operations
        self.operations, self._backward = absolute.operations + maps, absolute.backward_operations + maps
        self.growth = growth * max(self.operations, self._backward)  # of the error of any one operation until the end
        self.slope = slope[0] * (1.0 + self._gamma(FLOAT64, self._backward)) + self._underflow(FLOAT64)
        with torch.no_grad():
            at_zero = float(absolute(torch.zeros_like(ones)))
        constant = (at_zero + abs(model.threshold)) * (1.0 + self._gamma(FLOAT64)) + self._underflow(FLOAT64)
        feature_map = self.model.feature_map
        self._terms = {FLOAT64: self._carry_back(feature_map.magnitude_of_exact, constant)}
        if self.deployed_type != FLOAT64:  # inputs are converted
            self._terms[self.deployed_type] = self._carry_back(feature_map.magnitude, constant)

    def _carry_back(self, magnitude: Callable[[Tensor], Tensor], constant: float) -> _Terms:
        """Terms of the whole classifier, of those of its features."""
        shape = self.model.input_shape
        size = torch.zeros(1, *shape, dtype=torch.float64, device=self.slope.device, requires_grad=True)
        with torch.enable_grad():
            at_zero = magnitude(size)
            (per_input,) = torch.autograd.grad((at_zero * self.slope).sum(), size)
        at_zero = at_zero.detach()
        constant = (float((at_zero * self.slope).sum()) + constant) * UP
        steep = float((magnitude(torch.ones_like(size).detach()) - at_zero).max()) * UP
        return _Terms(per_input.flatten() * UP, constant, float(at_zero.max()) * UP, steep)

    @property
    def gradient_error(self) -> Tensor:
        """Bound on the error of each entry of a computed gradient by the features, float64 feature_shape."""
        return (self._gamma(FLOAT64, self._backward) * self.slope + self._underflow(FLOAT64)) * UP

    def cut_error(self, x: Tensor, anchor: Tensor | None = None) -> Tensor:
        """Bound on the error of a cut's computed value at `x`, its anchor being `x` itself unless given: (n,)."""
        if anchor is None:
            return self._error(x.abs(), self._gamma(FLOAT64), FLOAT64)
        gamma = self._gamma(FLOAT64, 2 * self.slope.numel())  # the product of gradient and difference
        return self._error(x.abs(), gamma, FLOAT64) + 2.0 * self._error(anchor.abs(), gamma, FLOAT64)

    def deployed_error(self, x: Tensor, threat: ThreatModel) -> DeployedError:
        """Bound on the error of the deployed forward pass wherever the adversary can go from `x`."""
        size, bounded = self._reach(x, threat)
        fixed = self._error(size, self._gamma(self.deployed_type), self.deployed_type).expand(len(x))
        if bool(bounded.all()):
            return DeployedError(fixed, 0.0, torch.full_like(fixed, math.inf))
        terms = self._terms[self.deployed_type]
        if threat.norm == 0:  # a column may change by any amount
            unlimited = terms.per_input * (~bounded).flatten()
            beyond = terms.steep > 0 or bool((unlimited > 0).any())
            limit = torch.full_like(fixed, 0.0 if beyond else math.inf)
            return DeployedError(fixed, 0.0, limit)
        farther = (~bounded).flatten() / threat.cost_for(self.model.input_shape).to(size).flatten()
        growth = scaled_norm((terms.per_input * farther)[None], threat.dual_norm)  # Hoelder's inequality
        rate = float(self._gamma(self.deployed_type) * growth * UP)
        room = 0.25 * self.deployed_type.greatest / self.growth - self._largest_feature(size, terms) - 1.0
        limit = (room / (terms.steep * float(farther.max()) * UP)).clamp(min=0.0).expand(len(x))
        return DeployedError(fixed, rate, limit)

    def _reach(self, x: Tensor, threat: ThreatModel) -> tuple[Tensor, Tensor]:
        """Greatest |x + change| where a box bounds it, |x| elsewhere: (n or 1, ...); and where it does, input_shape."""
        nowhere = torch.full(self.model.input_shape, math.inf, dtype=torch.float64, device=x.device)
        farthest = torch.zeros_like(nowhere)
        for end in (threat.lower, threat.upper):
            farthest = torch.maximum(farthest, end.to(nowhere).abs() if isinstance(end, Tensor) else nowhere)
        bounded = farthest.isfinite()
        if bool(bounded.all()):
            return farthest[None], bounded
        size = torch.where(bounded, farthest, x.abs())
        return size, bounded if threat.mutable is None else bounded | ~threat.mutable.to(x.device)

    def _error(self, size: Tensor, gamma: float, arithmetic: _Arithmetic) -> Tensor:
        """Bound on the error of a computed score where |x| <= size (n, *input_shape): (n,)."""
        terms = self._terms[arithmetic]
        error = (gamma * (size.flatten(1) @ terms.per_input + terms.constant) * UP + self._underflow(arithmetic)) * UP
        largest = (self._largest_feature(size, terms) + 1.0) * self.growth  # of any intermediate value
        return torch.where(largest < 0.25 * arithmetic.greatest, error, math.inf).nan_to_num(math.inf, math.inf)

    def _largest_feature(self, size: Tensor, terms: _Terms) -> Tensor:
        """Bound on the terms of every feature: (n,)."""
        return (terms.base + terms.steep * size.flatten(1).amax(1)) * UP

    def _gamma(self, arithmetic: _Arithmetic, extra: int = 0) -> float:
        """``K u / (1 - K u)``: relative error after K roundings."""
        total = (self.operations + extra) * arithmetic.unit
        return total / (1.0 - total) * UP if total < 0.5 else math.inf

    def _underflow(self, arithmetic: _Arithmetic) -> float:
        """What products below the least number can add to an error."""
        return arithmetic.least * self.growth * self.operations
