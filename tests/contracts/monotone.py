"""Small classifiers whose margin is convex in the input though their feature map bends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asymcert.convex import ConvexConvNet, ConvexMLP
from asymcert.features import CentreAbsolute, FeatureMap
from asymcert.models.feature_convex import FeatureConvexClassifier
from contracts.models import balanced, random_mlp, randomise, seeded


@torch.no_grad()
def monotone(score: ConvexMLP | ConvexConvNet, half: int) -> ConvexMLP | ConvexConvNet:
    """Make the score nondecreasing in its last `half` features, or channels; returns it."""
    layers = [score.first] if isinstance(score, ConvexConvNet) else [score.first, *score.direct]
    for layer in layers:
        layer.weight[:, -half:] = layer.weight[:, -half:].abs()
    if isinstance(score, ConvexConvNet):
        for layer in score.direct:
            layer.weight.abs_()
    return score


def monotone_mlp(
    seed: int,
    d: int = 6,
    hidden: Sequence[int] = (16, 8),
    feature_map: FeatureMap | None = None,
    n: int = 24,
    passthrough: bool = True,
) -> tuple[FeatureConvexClassifier, Tensor]:
    """As `random_mlp`; on centre-and-absolute features the score is nondecreasing in the absolute half."""
    if not isinstance(feature_map, CentreAbsolute):
        return random_mlp(seed, d, hidden, feature_map, n, passthrough)
    generator = seeded(seed)
    x = torch.rand(n, d, generator=generator, dtype=torch.float64)
    score = randomise(ConvexMLP((2 * d,), hidden, passthrough), generator)
    return balanced(feature_map, monotone(score, d), x), x


def monotone_conv(seed: int, pool: str = "max", n: int = 12, **options) -> tuple[FeatureConvexClassifier, Tensor]:
    """A convolutional network on 1 x 6 x 6 images, nondecreasing in their absolute half."""
    generator = seeded(seed)
    x = torch.rand(n, 1, 6, 6, generator=generator, dtype=torch.float64)
    score = ConvexConvNet((2, 6, 6), channels=3, depth=3, first_kernel=3, pool=pool, pool_size=2, **options)
    return balanced(CentreAbsolute(torch.full((1, 6, 6), 0.5)), monotone(randomise(score, generator, 1.5), 1), x), x
