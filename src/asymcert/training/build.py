"""Networks from a configuration."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert.convex import ConvexConvNet, ConvexMLP
from asymcert.convex.base import WeightOptions
from asymcert.datasets.binary import channel_mean
from asymcert.features import Centre, CentreAbsolute, FeatureMap, Hinges, Identity, SoftThreshold
from asymcert.training.config import TrainConfig


def build_map(config: TrainConfig, x: Tensor) -> FeatureMap:
    """The configured feature map, centred at a mean of training inputs `x` where it centres."""
    if config.feature_map == "identity":
        return Identity()
    mean = x.mean(0) if config.centre_on == "pixel" else channel_mean(x)
    if config.feature_map == "soft-threshold":
        return SoftThreshold(mean, config.soft_width)
    if config.feature_map == "hinges":
        return Hinges(mean, config.hinge_count)
    return Centre(mean) if config.feature_map == "centre" else CentreAbsolute(mean)


def build_score(config: TrainConfig, input_shape: tuple[int, ...]) -> ConvexMLP | ConvexConvNet:
    """The configured convex network on features of `input_shape`, freshly initialised by torch's generator."""
    weights = WeightOptions(config.nonnegativity, config.initialisation)  # pyright: ignore[reportArgumentType]
    if config.architecture == "mlp":
        return ConvexMLP(input_shape, config.hidden, config.passthrough, config.batch_norm, weights, config.monotone)
    names = ("channels", "depth", "first_kernel", "kernel", "stride", "passthrough", "pool", "pool_size", "batch_norm")
    chosen = {name: getattr(config, name) for name in (*names, "monotone")}
    return ConvexConvNet(input_shape, weights=weights, **chosen)


@torch.no_grad()
def standardise(score: ConvexMLP | ConvexConvNet, features: Tensor) -> None:
    """Let a network with standardised initialisation measure its units on (n, *input_shape), and centre its score."""
    score(features)
    score.layers[-1].bias -= score(features).mean()
