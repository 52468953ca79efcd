"""An l_inf-distance net as the feature map of a feature-convex classifier."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from asymcert._checks import check_norm, refuse
from asymcert.features import FeatureMap
from asymcert.linf.net import FoldedDistanceNet, LinfDistanceNet


class DistanceFeatures(FeatureMap):
    """The last distances of an l_inf-distance net, 1-Lipschitz in l_inf: below a convex score, a closed-form radius.

    Parameters
    ----------
    net
        As trained, without a tanh head; its number of logits is the number of features. It is folded: the features are
        its distances in units of the raw input.

    Raises
    ------
    InputError
        The net has a head, or is at a finite p, where it is not 1-Lipschitz.

    Source: the layers are those of Zhang, Cai, Lu, He, Wang, ICML 2021; the combination is this package's.
    """

    def __init__(self, net: LinfDistanceNet):
        super().__init__()
        if net.head is not None:
            raise refuse("net", "without a tanh head", f"one with {net.head.first.out_features} units", "Use head=0.")
        self._options = net.options()
        self.net: FoldedDistanceNet = net.fold()
        if math.isfinite(self.net.p):
            raise refuse("net", "at p = inf", f"p = {self.net.p:g}", "Train to the end of the schedule.")

    def forward(self, x: Tensor) -> Tensor:
        """Distances: (n, *input_shape) -> (n, features)."""
        return self.net.features(x)

    def lipschitz(self, norm: float) -> float:
        """1: every feature changes by at most the l_inf change of the input, and so by at most its l_p change."""
        check_norm(norm)
        return 1.0

    def feature_norm(self, norm: float) -> float:
        """The greatest change of a feature, in l_inf, whatever norm the input's is measured in."""
        return math.inf

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number for each of the net's logits."""
        if tuple(input_shape) != self.net.input_shape:
            raise refuse("input_shape", f"{self.net.input_shape}, the net's", tuple(input_shape))
        return (self.net.classes,)

    @property
    def encloses(self) -> bool:
        """True."""
        return True

    def enclosure(self, low: Tensor, high: Tensor, unit: float, least: float) -> tuple[Tensor, Tensor]:
        """Each layer's in turn."""
        return self.net.enclosure(low, high, unit, least)[:2]

    @property
    def activations(self) -> int:
        """Of the net."""
        return self.net.activations

    def magnitude(self, size: Tensor) -> Tensor:
        """The largest input, bounded by their sum, and every layer's largest weight and bias on the way.

        A distance is at most the largest of the numbers it compares, so no later term is larger than this, and each
        operation of a layer rounds by at most a unit of it.
        """
        terms = 0.0
        for layer in self.net.distance_layers():
            terms += float(layer.weight.abs().max()) + (0.0 if layer.bias is None else float(layer.bias.abs().max()))
        largest = size.flatten(1).sum(1, keepdim=True) + terms
        return largest.expand(-1, self.net.classes)

    @property
    def operations(self) -> int:
        """Those of every layer, besides those of any map."""
        return super().operations + sum(layer.roundings for layer in self.net.distance_layers())

    def options(self) -> dict[str, Any]:
        """Constructor arguments of the net."""
        return {"net": self._options}

    @classmethod
    def restored(cls, options: dict[str, Any], tensors: dict[str, Tensor]) -> FeatureMap:
        """The map with an untrained net of these options."""
        return cls(LinfDistanceNet(**options["net"]))
