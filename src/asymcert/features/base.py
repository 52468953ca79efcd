"""The contract of a feature map: its value and how far it can stretch a change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


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
        """Upper bound L with ``||phi(x) - phi(y)||_p <= L * ||x - y||_p`` for p = `norm` in [1, inf]."""

    @abstractmethod
    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's features for one sample of `input_shape`."""

    def feature_cost(self, cost: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """Costs of the features that make up for per-feature costs of the input.

        Returns c, broadcastable to the features, with ``||c * (phi(x) - phi(y))||_p <= L * ||cost * (x - y)||_p``
        for the declared L. Any map may use the least cost everywhere; a coordinatewise one keeps each feature's own.

        Parameters
        ----------
        cost
            Positive, broadcastable to one sample of `input_shape`.
        """
        return cost.min()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Constructor arguments that are not tensors, JSON-able; tensors live in the state dict."""
