"""Input-convex multilayer perceptron."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_count
from asymcert.convex.base import SignedScore, WeightOptions, checked_signs, freeze
from asymcert.convex.fold import fold_affine, normalisations, trained_scales
from asymcert.convex.weights import make_nonnegative


class ConvexMLP(SignedScore):
    """ReLU network with nonnegative hidden weights and free connections from the input.

    ``z_1 = relu(C_0 v + b_0)``, ``z_{l+1} = relu(A_l z_l + C_l v + b_l)``, ``g(v) = A_L z_L + C_L v + b_L`` with
    ``A_l >= 0``.

    Parameters
    ----------
    input_shape
        Shape of one sample's features; they are flattened.
    hidden
        Widths of the hidden layers; without any the score is affine, so additive behind a coordinatewise map.
    passthrough
        Whether layers after the first see the input (the C_l).
    batch_norm
        Whether a scalar batch normalisation precedes each ReLU.
    weights
        Initialisation and upkeep of the nonnegative weights.
    monotone
        Whether the second half of the features enters with nonnegative weights only: behind the centre-and-absolute map
        the score is then convex in the input itself, and exact certificates apply.

    Source: Amos, Xu, Kolter, ICML 2017; the shape 200-50 is that of Pfrommer et al. 2023 for MNIST and Malimg.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        hidden: Sequence[int] = (200, 50),
        passthrough: bool = True,
        batch_norm: bool = False,
        weights: WeightOptions | None = None,
        monotone: bool = False,
        signs: Sequence[int] = (),
    ):
        super().__init__()
        for width in (*input_shape, *hidden):
            check_count("hidden", width)
        self.input_shape, self.hidden_widths = tuple(input_shape), tuple(hidden)
        self.passthrough, self.batch_norm = passthrough, batch_norm
        self.weights, self.monotone = weights or WeightOptions(), monotone
        inputs, widths = math.prod(input_shape), (*hidden, 1)
        self.signs = checked_signs(signs, inputs)
        self.first = nn.Linear(inputs, widths[0])
        pairs = list(itertools.pairwise(widths))
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)
        self.direct = nn.ModuleList(nn.Linear(inputs, after, bias=False) for _, after in pairs if passthrough)
        self.norms = normalisations(hidden, batch_norm, self.weights.initialisation == "standardised")
        for layer in self.layers[1:]:
            make_nonnegative(layer, self.weights, readout=layer is self.layers[-1])
        self.project_()

    def forward(self, features: Tensor) -> Tensor:
        """(n, *input_shape) -> (n,)."""
        v = features.flatten(1)
        return self._through(self.first(v), [layer(v) for layer in self.direct])

    def of_sets(self, features: Tensor, starts: Tensor) -> Tensor:
        """Scores of n samples whose features are 1 or 0, given by those that are 1: int64 (m,), (n,) -> (n,).

        Sample i has the features from number ``starts[i]`` of the list to before ``starts[i + 1]``.
        """
        return self.of_sums(functional.embedding_bag(features, self.table, starts, mode="sum"))

    @property
    def table(self) -> Tensor:
        """What each feature adds to the units of all layers: (features, units)."""
        return torch.cat([weight for _, weight in self.from_input()]).T.contiguous()

    def of_sums(self, sums: Tensor) -> Tensor:
        """Scores of samples by the sums of their features' rows of `table`: (n, units) -> (n,)."""
        first, *direct = sums.split([len(weight) for _, weight in self.from_input()], dim=1)
        return self._through(first + self.first.bias, direct)

    def _through(self, s: Tensor, direct: Sequence[Tensor]) -> Tensor:
        """Scores (n,) of pre-activations (n, width) of the first layer, and what later ones see of the input."""
        for index, layer in enumerate(self.hidden):
            if self.norms:
                s = self.norms[index](s)
            s = layer(torch.relu(s))
            if self.passthrough:
                s = s + direct[index]
        return s.squeeze(1)

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Hidden weights, the scales of batch normalisation, and those of monotone features."""
        for index, layer in enumerate(self.layers[1:]):
            yield f"hidden.{index}.weight", layer.weight
        yield from trained_scales(self.norms)
        for name, weight in self.from_input():
            if self.monotone:
                yield f"{name}.weight on the second half", weight[:, weight.shape[1] // 2 :]

    def from_input(self) -> Iterator[tuple[str, Tensor]]:
        """Name and weight of every layer that sees the input."""
        for name, layer in (("first", self.first), *((f"direct.{i}", part) for i, part in enumerate(self.direct))):
            assert isinstance(layer.weight, Tensor)
            yield name, layer.weight

    @property
    def layers(self) -> list[nn.Linear]:
        """Affine layers of the main path; the last one makes the score."""
        return [self.first, *self.hidden]  # pyright: ignore[reportReturnType]

    @property
    def activations(self) -> int:
        """Inputs and two values a hidden unit."""
        return math.prod(self.input_shape) + 2 * sum(self.hidden_widths)

    def options(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "input_shape": list(self.input_shape),
            "hidden": list(self.hidden_widths),
            "passthrough": self.passthrough,
            "batch_norm": self.batch_norm,
            "monotone": self.monotone,
            **({"signs": self.signs} if self.signs else {}),  # as files of models without them were written
        }

    @torch.no_grad()
    def fold(self) -> Self:
        """Same function without normalisation or parametrisation, in float64, frozen."""
        folded = self.blank({**self.options(), "batch_norm": False}).to(self.first.weight.device).double()
        for index, (source, target) in enumerate(zip(self.layers, folded.layers, strict=True)):
            scale = fold_affine(source, target, list(self.norms), index)
            if index > 0 and self.passthrough:
                direct, folded_direct = self.direct[index - 1], folded.direct[index - 1]
                folded_direct.weight.copy_(direct.weight.double() * scale)  # pyright: ignore
        freeze(folded)
        return folded
