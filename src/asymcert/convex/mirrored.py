"""A convex score averaged over an input and its mirror image, both of which training sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.convex.base import ConvexScore, freeze
from asymcert.convex.ensemble import ConvexEnsemble
from asymcert.convex.mlp import ConvexMLP


class MirroredScore(ConvexScore):
    """``g(v) = (base(v) + base(m(v))) / 2``, where the mirror m moves features and may turn their signs.

    m is linear, so the average is convex if the base is, and `fold` gives it as one `ConvexMLP` of twice the width. An
    average that is trained as such, unlike `SymmetricAverage`.

    Parameters
    ----------
    base
        A perceptron, or several side by side.
    index
        Int64 (features,), a permutation: the mirror image's feature i is the image's feature ``index[i]``.
    sign
        (features,), 1 or -1: times this.

    Raises
    ------
    InputError
        No permutation, other signs, or a base whose weights must have signs of their own.
    """

    index: Tensor
    sign: Tensor

    def __init__(self, base: ConvexMLP | ConvexEnsemble, index: Tensor, sign: Tensor):
        super().__init__()
        features = math.prod(base.input_shape)
        if not torch.equal(index.sort().values, torch.arange(features, device=index.device)):
            raise refuse("index", f"a permutation of {features} features", f"{len(index)} others")
        if sign.shape != index.shape or not bool((sign.abs() == 1).all()):
            raise refuse("sign", f"1 or -1 for each of {features} features", "others")
        if base.signs:
            raise refuse("base", "of weights of any sign", "one with signs", "Leave `signs` out.")
        self.base, self.input_shape = base, base.input_shape
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("sign", sign, persistent=False)

    def members(self, features: Tensor) -> Tensor:
        """The base's scores, of each of its members if it has several: (n, *input_shape) -> (n,) or (members, n)."""
        score = self.base.members if isinstance(self.base, ConvexEnsemble) else self.base
        flat = features.flatten(1)
        return (score(flat) + score(flat[:, self.index] * self.sign)) / 2

    def forward(self, features: Tensor) -> Tensor:
        """(n, *input_shape) -> (n,)."""
        scores = self.members(features)
        return scores.mean(0) if scores.ndim > 1 else scores

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Those of the base."""
        for name, weight in self.base.nonnegative():
            yield f"base.{name}", weight

    def project_(self) -> None:
        """The base's."""
        self.base.project_()

    @property
    def activations(self) -> int:
        """Those of both passes."""
        return 2 * self.base.activations

    def options(self) -> dict[str, Any]:
        """Those of the base."""
        return self.base.options()

    @torch.no_grad()
    def fold(self) -> ConvexMLP:
        """The average as one perceptron, in float64, frozen."""
        base = self.base.fold()
        folded = ConvexMLP.blank({**base.options(), "hidden": [2 * width for width in base.hidden_widths]})
        folded = folded.to(base.first.weight.device).double()
        for level, (source, target) in enumerate(zip(base.layers, folded.layers, strict=True)):
            last = level == len(base.layers) - 1
            if level == 0:
                target.weight.copy_(self._both(source.weight, last))
            else:
                double = (source.weight, source.weight)
                target.weight.copy_(torch.cat(double, 1) / 2 if last else torch.block_diag(*double))
                if base.passthrough:
                    direct, passed = base.direct[level - 1].weight, folded.direct[level - 1].weight
                    passed.copy_(self._both(direct, last))  # pyright: ignore
            target.bias.copy_(source.bias if last else torch.cat((source.bias, source.bias)))
        freeze(folded)
        return folded

    def _both(self, weight: Tensor, last: bool) -> Tensor:
        """Rows (units, features) for the image and for its mirror image; of the last layer their mean."""
        mirrored = torch.empty_like(weight)
        mirrored[:, self.index] = weight * self.sign.to(weight)
        return (weight + mirrored) / 2 if last else torch.cat((weight, mirrored))
