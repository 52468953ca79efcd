"""Learned feature maps: layers with known l2 constants, one after another."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import check_choice, check_norm, refuse
from asymcert._floats import UP, norm_ratio
from asymcert.features.base import ROUNDINGS, FeatureMap
from asymcert.features.layers import LAYERS, Layer, Shape
from asymcert.features.spectral import product_above
from asymcert.features.trained_layers import orthogonal_layers, sll_layers

LARGEST_UNIT = 2.0**-24  # unit roundoff of float32, the coarsest type that is certified


class LayeredMap(FeatureMap):
    """Layers one after another, each with an l2 Lipschitz constant that is computed from its weights.

    Features are measured in l2, whatever norm the input is in. Layers with free parameters are trained; `fold` gives
    the map of fixed weights that is deployed.

    Parameters
    ----------
    layers
        Of `asymcert.features.layers`, or their trainable forms.
    input_shape
        Shape of one sample: constants in norms above l2 depend on its size.

    Raises
    ------
    InputError
        A layer of another kind, or layers that do not fit together.
    """

    def __init__(self, layers: Sequence[nn.Module], input_shape: Sequence[int]):
        super().__init__()
        for layer in layers:
            if not isinstance(layer, Layer):
                remedy = "Declare its constant: features.declared."
                raise refuse("layers", f"made of {', '.join(LAYERS)}", type(layer).__name__, remedy)
        self.input_shape, self.layers = tuple(input_shape), nn.ModuleList(layers)
        self._shapes = [self.input_shape]
        for layer in self._members():
            self._shapes.append(layer.output_shape(self._shapes[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Apply every layer in turn."""
        for layer in self.layers:
            x = layer(x)
        return x

    def constant(self) -> float:
        """Upper bound of the l2 constant: the product of all layers', from the weights in use."""
        product = 1.0
        for layer in self._members():
            product = product_above(product, layer.fold().constant())
        return product

    def lipschitz(self, norm: float) -> float:
        """The l2 constant times the greatest l2 norm of an input of unit l_p norm, rounded up."""
        return self.constant() * norm_ratio(2.0, check_norm(norm), math.prod(self.input_shape)) * UP

    def feature_norm(self, norm: float) -> float:
        """2."""
        return 2.0

    def output_shape(self, input_shape: Shape) -> Shape:
        """After the last layer; refuses another input than the map is for."""
        if tuple(input_shape) != self.input_shape:
            raise refuse("input_shape", f"{self.input_shape}, the map's", tuple(input_shape))
        return self._shapes[-1]

    @property
    def activations(self) -> int:
        """Outputs of every layer, and the units of gradient steps."""
        pairs = zip(self._members(), self._shapes[1:], strict=True)
        return sum(math.prod(shape) + layer.units * math.prod(shape[1:]) for layer, shape in pairs)

    @property
    def operations(self) -> int:
        """Roundings of every layer on a path, and the conversion of the input."""
        pairs = zip(self._members(), self._shapes, strict=False)
        return ROUNDINGS + sum(layer.terms(shape).roundings for layer, shape in pairs)

    def magnitude(self, size: Tensor) -> Tensor:
        """An l2 norm, the same for every feature, of all terms on the way: errors pass layers by their constants.

        With values of norm at most s and an error of at most ``gamma * m``, a layer of constant L whose absolute terms
        have norm ``gain * s + shift`` leaves an error of at most ``gamma * (L m + gain (s + gamma m) + shift)``. The
        l2 norm of an input is bounded by its sum.
        """
        values = terms = size.flatten(1).sum(1, keepdim=True)
        for layer, shape in zip(self._members(), self._shapes, strict=False):
            own, constant = layer.terms(shape), layer.constant()
            compounding = constant + own.gain * own.roundings * LARGEST_UNIT * 2.0
            terms = (compounding * terms + own.gain * values + own.shift) * UP
            values = (constant * values + own.shift) * UP
        shape = self._shapes[-1]
        return terms.expand(-1, math.prod(shape)).unflatten(1, shape)

    @torch.no_grad()
    def fold(self) -> Self:
        """With fixed weights, computed in float64."""
        layers = [layer.fold() for layer in copy.deepcopy(self).double()._members()]
        return type(self)(layers, self.input_shape)

    def options(self) -> dict[str, Any]:
        """The input's shape and the kinds of layer."""
        return {"input_shape": list(self.input_shape), "layers": [type(layer).__name__ for layer in self.layers]}

    @classmethod
    def restored(cls, options: dict[str, Any], tensors: dict[str, Tensor]) -> FeatureMap:
        """The map of fixed layers with these weights."""
        layers = []
        for index, kind in enumerate(options["layers"]):
            check_choice("layers", kind, tuple(LAYERS))
            start = f"layers.{index}."
            own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
            layers.append(LAYERS[kind](**own))
        return cls(layers, options["input_shape"])

    def _members(self) -> Iterator[Layer]:
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer


def sll(input_shape: Shape, width: int = 512, depth: int = 4, convolutional: bool = False) -> LayeredMap:
    """An untrained map of SLL steps, drawn from torch's global generator; see `sll_layers`."""
    return LayeredMap(sll_layers(input_shape, width, depth, convolutional), input_shape)


def orthogonal(input_shape: Shape, width: int = 512, depth: int = 4, convolutional: bool = False) -> LayeredMap:
    """An untrained map of orthogonal layers, drawn from torch's global generator; see `orthogonal_layers`."""
    return LayeredMap(orthogonal_layers(input_shape, width, depth, convolutional), input_shape)
