"""What a feature-convex recipe is built of: its map, its score, what the score's mirror image is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.convex import ConvexConvNet, ConvexEnsemble, ConvexMLP, MirroredScore
from asymcert.convex.base import WeightOptions
from asymcert.datasets.binary import channel_mean
from asymcert.features import (
    Centre,
    CentreAbsolute,
    Chain,
    FeatureMap,
    Haar,
    Hinges,
    Identity,
    LowPass,
    Ramps,
    SoftThreshold,
    opponent_colours,
    orthogonal,
    shape_after,
    sll,
    split_linear,
)
from asymcert.features.linear import LinearMap
from asymcert.training.config import LEARNED, TrainConfig

Trainable = ConvexMLP | ConvexEnsemble | ConvexConvNet


def build_map(config: TrainConfig, x: Tensor) -> FeatureMap:
    """The configured feature map, centred at a mean of training inputs `x` where it centres."""
    linear: list[FeatureMap] = []
    if (config.levels or config.bands) and x.ndim != 4:
        raise refuse("levels", "0, like bands, for what is no image", f"{config.levels}, {config.bands}")
    if config.levels:
        linear.append(LowPass(config.levels, *x.shape[2:]))
        x = linear[-1](x)
    if config.bands:
        linear.append(Haar(opponent_colours(x.shape[1]), config.bands, *x.shape[2:]))
        x = linear[-1](x)
    rest = _map_of(config, x, 2.0**config.levels)
    return Chain(*linear, rest) if linear else rest


def _map_of(config: TrainConfig, x: Tensor, reach: float = 1.0) -> FeatureMap:
    """The configured map of inputs (n, ...) that range over [0, reach]."""
    if config.feature_map == "ramps":
        return Ramps.fit(x, config.edges)
    if config.feature_map == "identity":
        return Identity()
    mean = x.mean(0) if config.centre_on == "pixel" else channel_mean(x)
    if config.feature_map in LEARNED:
        build = sll if config.feature_map == "sll" else orthogonal
        convolutional = config.map_layers == "convolutional"
        return Chain(Centre(mean), build(tuple(x.shape[1:]), config.map_width, config.map_depth, convolutional))
    if config.feature_map == "soft-threshold":
        return SoftThreshold(mean, config.soft_width)
    if config.feature_map == "hinges":
        return Hinges(mean, config.hinge_count, reach)
    return Centre(mean) if config.feature_map == "centre" else CentreAbsolute(mean)


def build_score(config: TrainConfig, input_shape: tuple[int, ...]) -> Trainable:
    """The configured convex network on features of `input_shape`, freshly initialised by torch's generator."""
    weights = WeightOptions(config.nonnegativity, config.initialisation)  # pyright: ignore[reportArgumentType]
    if config.architecture == "additive":
        return ConvexMLP(input_shape, ())
    if config.architecture == "mlp" and config.members > 1:
        return ConvexEnsemble(input_shape, config.hidden, config.members)
    if config.architecture == "mlp":
        return ConvexMLP(input_shape, config.hidden, config.passthrough, config.batch_norm, weights, config.monotone)
    names = ("channels", "depth", "first_kernel", "kernel", "stride", "passthrough", "pool", "pool_size", "batch_norm")
    chosen = {name: getattr(config, name) for name in (*names, "monotone")}
    return ConvexConvNet(input_shape, weights=weights, **chosen)


@torch.no_grad()
def standardise(score: Trainable, features: Tensor) -> None:
    """Let a network with standardised initialisation measure its units on (n, *input_shape), and centre its score."""
    score(features)
    score.layers[-1].bias -= score(features).mean()


@torch.no_grad()
def mirrored(score: ConvexMLP | ConvexEnsemble, feature_map: FeatureMap, input_shape: tuple[int, ...]) -> MirroredScore:
    """The score averaged over an image's features and those of its mirror image.

    The latter are meant as they are where the map is centred at a symmetric mean and folds at that alone; elsewhere the
    average is as convex, but of features near them.

    Raises
    ------
    InputError
        Samples are no images, features are not theirs one by one, or sums over blocks of a mirror image are others.
    """
    linear, rest = split_linear(feature_map)
    shape = shape_after(linear, input_shape)
    if len(input_shape) != 3 or any(isinstance(part, Ramps) for part in rest.modules()):
        raise refuse("mirror", "False for ramps, and for what is no image", True, "Leave it out.")
    count = math.prod(shape)
    numbers = torch.arange(1.0, count + 1, dtype=torch.float64)
    found, others = _of_mirror_image(linear, numbers.view(shape)).round(), numbers.sin()
    index, sign = (found.abs().long() - 1).clamp(0, count - 1), found.sign()
    if not torch.allclose(_of_mirror_image(linear, others.view(shape)), others[index] * sign, atol=1e-4):
        raise refuse("mirror", "False where blocks do not divide the image", True, "Set levels=0 and bands=0.")
    copies = math.prod(score.input_shape) // count  # the first is odd in the coordinate, others are not
    indices = torch.cat([index + copy * count for copy in range(copies)])
    return MirroredScore(score, indices, torch.cat((sign.float(), torch.ones(count * (copies - 1)))))


def _of_mirror_image(linear: tuple[LinearMap, ...], coordinates: Tensor) -> Tensor:
    """What linear maps give of the mirror image of the least image that they give `coordinates` of: (d,)."""
    images = coordinates[None]
    for part in reversed(linear):
        images = part.inverse(images)
    images = images.flip(3)
    for part in linear:
        images = part(images)
    return images.flatten()
