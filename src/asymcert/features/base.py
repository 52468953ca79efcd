"""The contract of a feature map: its value and how far it can stretch a change."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import refuse
from asymcert._floats import UP


def widened(low: Tensor, high: Tensor, unit: float, least: float, extra: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """Intervals with room for two roundings of `unit` each, of numbers up to their own size and `extra`."""
    if not unit:
        return low, high
    error = 2.0 * unit * UP * (torch.maximum(low.abs(), high.abs()) + extra) + least
    return low - error, high + error


ROUNDINGS = 8  # of a simple map, and of each part of others


class FeatureMap(nn.Module, ABC):
    """A Lipschitz map ``phi`` from inputs of shape (n, *input_shape) to features.

    A subclass declares, for every p, an upper bound on its Lipschitz constant; certificates trust that
    number, so it must hold for all inputs, and it is rounded up.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch: (n, *input_shape) -> (n, *output_shape)."""

    @abstractmethod
    def lipschitz(self, norm: float) -> float:
        """Upper bound L, p in [1, inf]: ``||phi(x) - phi(y)||_r <= L * ||x - y||_p``, where r = feature_norm(p)."""

    def feature_norm(self, norm: float) -> float:
        """The r in [1, inf] that features are measured in where inputs are in l_p, p = `norm`: p unless overridden."""
        return norm

    @abstractmethod
    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's features for one sample of `input_shape`."""

    def feature_cost(self, cost: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """Costs of the features that make up for per-feature costs of the input.

        Returns c, broadcastable to the features, with ``||c * (phi(x) - phi(y))||_r <= L * ||cost * (x - y)||_p``
        for the declared L and r. Any map may use the least cost everywhere; a coordinatewise one keeps each feature's
        own.

        Parameters
        ----------
        cost
            Positive, broadcastable to one sample of `input_shape`.
        """
        return cost.min()

    @property
    def coordinatewise(self) -> bool:
        """Whether each feature depends on one input coordinate only, which tangent certificates need."""
        return False

    @property
    def encloses(self) -> bool:
        """Whether `enclosure` is defined, which the certificate of that name needs."""
        return False

    def enclosure(self, low: Tensor, high: Tensor, unit: float, least: float) -> tuple[Tensor, Tensor]:
        """Bounds of the features over boxes of inputs, exact and as computed: (n, *shape) twice to the same.

        Parameters
        ----------
        low, high
            Corners of the boxes.
        unit, least
            Unit roundoff and least normal number of the type that is computed in.
        """
        raise refuse("feature_map", "one that encloses its features", f"{type(self).__name__} without enclosure")

    def magnitude(self, size: Tensor) -> Tensor:
        """Bound on the absolute terms that a feature is computed from: |x| <= size (n, *input_shape) -> features.

        Rounding errors of the map are at most a few units of it; affine and nondecreasing in `size`.
        """
        remedy = "Define the method, or certify with sound=False."
        raise refuse("feature_map", "able to bound its rounding", f"{type(self).__name__} without magnitude", remedy)

    def magnitude_of_exact(self, size: Tensor) -> Tensor:
        """`magnitude` where inputs are exact: given in the type that is computed in, not converted or computed."""
        return self.magnitude(size)

    @property
    def operations(self) -> int:
        """Most roundings on a path through the map, conversion of its input to the deployed type included."""
        return ROUNDINGS * len(list(self.modules()))

    def fold(self) -> FeatureMap:
        """The map that is deployed: itself, unless training has parameters of its own that its weights are made of."""
        return self

    @property
    def activations(self) -> int:
        """Values that one sample's pass through the map itself keeps, beyond its input and output."""
        return 0

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Constructor arguments that are not tensors, JSON-able; tensors live in the state dict."""

    @classmethod
    def restored(cls, options: dict[str, Any], tensors: dict[str, Tensor]) -> FeatureMap:
        """The map with these `options` and tensors, which may stay out where `options` say their shapes."""
        return cls(**tensors, **options)


class CoordinatewiseMap(FeatureMap):
    """A map whose every feature is a continuous piecewise linear function of one input coordinate.

    Unless `sources` says otherwise, features are joined along the first axis of a sample, one block of the input's
    shape for each function: input (c, ...), features (m * c, ...). With `knots` a subclass says all that the tangent
    certificates need to follow the map exactly instead of by its Lipschitz constant.
    """

    @property
    def coordinatewise(self) -> bool:
        """True."""
        return True

    @property
    def encloses(self) -> bool:
        """True."""
        return True

    def enclosure(self, low: Tensor, high: Tensor, unit: float, least: float) -> tuple[Tensor, Tensor]:
        """Values at the ends, and at knots on the way: each function is affine between them."""
        knots = self.knots(tuple(low.shape[1:])).to(low)
        values = torch.stack([self(low), self(high), *(self(torch.clamp(knot, low, high)) for knot in knots)])
        error = self.operations * unit * UP * self.magnitude(torch.maximum(low.abs(), high.abs())) + least
        return values.amin(0) - error, values.amax(0) + error

    def sources(self, input_shape: tuple[int, ...]) -> Tensor:
        """The flat position of the coordinate that each feature, also flat, comes from: int64 (F,)."""
        inputs, features = math.prod(input_shape), math.prod(self.output_shape(input_shape))
        return torch.arange(inputs).repeat(features // inputs)

    def knots(self, input_shape: tuple[int, ...]) -> Tensor:
        """Where any of the functions bends, float64 (k, *input_shape) ascending along the first axis; more do no harm.

        None by default: the functions are affine.
        """
        return torch.empty(0, *input_shape, dtype=torch.float64)

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """Inputs at which a feature takes the given values: (k, *output_shape) -> (j, *input_shape), in any order.

        A chain of maps needs them, to carry the knots of later maps back to the input.
        """
        remedy = "Define the method, or put the map last in the chain."
        raise refuse("maps", "able to carry knots back", f"{type(self).__name__} without preimages", remedy)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Same as the input's."""
        return input_shape

    def feature_cost(self, cost: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """The input's own costs, once for each function: each feature comes from one coordinate."""
        copies = self.output_shape(input_shape)[0] // input_shape[0]
        return cost if copies == 1 else torch.cat([cost.expand(input_shape)] * copies, dim=0)

    def slopes(self, input_shape: tuple[int, ...]) -> Tensor:
        """Derivatives of all features on the k + 1 pieces between knots: (k + 1, *output_shape)."""
        knots = self.knots(input_shape)
        if not len(knots):
            inside = torch.zeros(1, *input_shape, dtype=torch.float64, device=knots.device)
        else:
            beyond = knots.abs().clamp(min=1.0)
            edges = torch.cat((knots[:1] - beyond[:1], knots, knots[-1:] + beyond[-1:]))
            inside = (edges[1:] + edges[:-1]) / 2
        inside.requires_grad_(True)
        with torch.enable_grad():  # the derivative of u . phi by the inputs is linear in u, with these slopes
            values = self(inside)
            u = torch.zeros_like(values, requires_grad=True)
            (gradient,) = torch.autograd.grad((values * u).sum(), inside, create_graph=True)
            return torch.autograd.grad(gradient.sum(), u)[0]

    def magnitude(self, size: Tensor) -> Tensor:
        """Values at zero, and slopes times size and knots; a map that computes with larger terms overrides it."""
        shape = tuple(size.shape[1:])
        steepest = self.slopes(shape).abs().amax(0)
        knots = self.knots(shape).abs()
        reach = size + knots.amax(0) if len(knots) else size
        copies = steepest.shape[0] // shape[0]
        at_zero = self(torch.zeros_like(size[:1])).abs()
        return at_zero + steepest * torch.cat([reach] * copies, dim=1)
