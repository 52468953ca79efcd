"""Small convex networks trained side by side; their average is deployed as one network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import check_count, refuse
from asymcert.convex.base import SignedScore, checked_signs, freeze
from asymcert.convex.mlp import ConvexMLP

START = 4.0  # mean sum of a unit's weights over the mean of its draws: each starts in [0, START / inputs]


class ConvexEnsemble(SignedScore):
    """Average of `members` networks, each a `ConvexMLP` with passthrough and first layers of its own.

    An average of convex functions is convex, and `fold` gives it as one `ConvexMLP` whose hidden weights are block
    diagonal. All parts that see the input are rows of one matrix, so a step costs little more than that of one network.

    Parameters
    ----------
    input_shape
        Shape of one sample's features; they are flattened.
    hidden
        Widths of each member's hidden layers.
    members
        How many.
    signs
        As in `ConvexMLP`.

    Source: the averaging of members that are trained by their own losses is that of Gorishniy, Kotelnikov, Babenko,
    TabM, ICLR 2025.
    """

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int], members: int, signs: Sequence[int] = ()):
        super().__init__()
        if not hidden:
            raise refuse("hidden", "at least one width", "none", "An average of additive scores is one.")
        for name, count in (*(("input_shape", n) for n in input_shape), ("members", members)):
            check_count(name, count)
        self.input_shape, self.hidden_widths, self.count = tuple(input_shape), tuple(hidden), members
        self.signs = checked_signs(signs, math.prod(input_shape))
        self.widths = (*hidden, 1)
        self.direct = nn.Linear(math.prod(input_shape), members * sum(self.widths))
        pairs = itertools.pairwise(self.widths)
        self.hidden = nn.ParameterList(torch.rand(members, before, after) * (START / before) for before, after in pairs)
        self.project_()

    def members(self, features: Tensor) -> Tensor:
        """Every member's own score: (n, *input_shape) -> (members, n)."""
        parts = self.direct(features.flatten(1)).split([self.count * width for width in self.widths], dim=1)
        first, *rest = [part.unflatten(1, (self.count, -1)).transpose(0, 1) for part in parts]  # (members, n, width)
        for weight, part in zip(self.hidden, rest, strict=True):
            first = torch.bmm(torch.relu(first), weight) + part
        return first.squeeze(2)

    def forward(self, features: Tensor) -> Tensor:
        """(n, *input_shape) -> (n,)."""
        return self.members(features).mean(0)

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """The weights between hidden layers."""
        for index, weight in enumerate(self.hidden):
            yield f"hidden.{index}", weight

    def from_input(self) -> Iterator[tuple[str, Tensor]]:
        """The one matrix of all that see it."""
        yield "direct.weight", self.direct.weight

    @property
    def activations(self) -> int:
        """Inputs and two values a hidden unit."""
        return math.prod(self.input_shape) + 2 * self.count * sum(self.widths)

    def options(self) -> dict[str, Any]:
        """Constructor arguments."""
        shape, hidden = list(self.input_shape), list(self.hidden_widths)
        return {"input_shape": shape, "hidden": hidden, "members": self.count, "signs": self.signs}

    @torch.no_grad()
    def fold(self) -> ConvexMLP:
        """The average as one network with block diagonal weights, in float64, frozen."""
        wide = [self.count * width for width in self.hidden_widths]
        folded = ConvexMLP.blank({"input_shape": self.input_shape, "hidden": wide, "signs": self.signs})
        folded = folded.to(self.direct.weight.device).double()
        sizes = [self.count * width for width in self.widths]
        weights, biases = self.direct.weight.double().split(sizes), self.direct.bias.double().split(sizes)
        folded.first.weight.copy_(weights[0])
        folded.first.bias.copy_(biases[0])
        hidden = [weight.double().transpose(1, 2) for weight in self.hidden]
        for index, layer in enumerate(folded.layers[1:]):
            last = index == len(hidden) - 1
            block = torch.cat(tuple(hidden[index]), 1) / self.count if last else torch.block_diag(*hidden[index])
            layer.weight.copy_(block)
            layer.bias.copy_(biases[index + 1].mean() if last else biases[index + 1])
            passed = weights[index + 1]
            folded.direct[index].weight.copy_(passed.mean(0, keepdim=True) if last else passed)  # pyright: ignore
        freeze(folded)
        return folded
