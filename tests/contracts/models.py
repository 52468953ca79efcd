"""Small classifiers with random weights, some of them with a robust radius that is known exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore
from asymcert.features import Centre, CentreAbsolute, Chain, FeatureMap, Identity, Standardise
from asymcert.models.feature_convex import FeatureConvexClassifier


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dyadic(shape: Sequence[int], generator: torch.Generator, bits: int = 6) -> Tensor:
    """Multiples of 2^-bits in [-4, 4): sums of products of a few of them are exact in float64."""
    return torch.randint(-(4 << bits), 4 << bits, tuple(shape), generator=generator).double() / 2**bits


@torch.no_grad()
def randomise(score: ConvexScore, generator: torch.Generator, spread: float = 1.0) -> ConvexScore:
    """Gaussian weights everywhere, folded to be nonnegative where convexity needs it."""
    for parameter in score.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread / math.sqrt(fan_in))
    for _, weight in score.nonnegative():
        weight.abs_()
    return score


@torch.no_grad()
def hostile(score: ConvexScore, kind: str, dtype: torch.dtype, generator: torch.Generator, least: int) -> ConvexScore:
    """Weights for `dtype` that are ordinary, `scaled` to all sizes, `cancelling`, or `denormal`: down to 10^least."""
    for weight in score.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
        if kind == "scaled":
            weight.mul_(10.0 ** (40 * torch.rand((), generator=generator) - 20))
        if kind == "denormal":
            weight.mul_(10.0 ** (least * torch.rand((), generator=generator)))
        if kind == "cancelling":
            large = 1e6 if dtype == torch.float64 else 30.0
            weight.add_(large * torch.randint(-2, 3, weight.shape, generator=generator))
    score.project_()
    return score


def balanced(feature_map: FeatureMap, score: ConvexScore, x: Tensor, share: float = 0.25) -> FeatureConvexClassifier:
    """Classifier whose threshold leaves a share of the samples `x` below it."""
    shape = tuple(x.shape[1:])
    model = FeatureConvexClassifier(feature_map, score, input_shape=shape)
    return model.with_threshold(float(model.margin(x).quantile(share)))


def random_mlp(
    seed: int,
    d: int = 6,
    hidden: Sequence[int] = (16, 8),
    feature_map: FeatureMap | None = None,
    n: int = 24,
    passthrough: bool = True,
) -> tuple[FeatureConvexClassifier, Tensor]:
    """Classifier on d inputs in [0, 1] and n samples of which about three quarters are sensitive."""
    generator = seeded(seed)
    x = torch.rand(n, d, generator=generator, dtype=torch.float64)
    feature_map = Identity() if feature_map is None else feature_map
    score = randomise(ConvexMLP(feature_map.output_shape((d,)), hidden, passthrough), generator)
    return balanced(feature_map, score, x), x


def random_conv(seed: int, pool: str = "max", n: int = 12) -> tuple[FeatureConvexClassifier, Tensor]:
    """Convolutional classifier on 1 x 6 x 6 images in [0, 1], through the centre-and-absolute map."""
    generator = seeded(seed)
    x = torch.rand(n, 1, 6, 6, generator=generator, dtype=torch.float64)
    feature_map = CentreAbsolute(torch.full((1, 6, 6), 0.5))
    score = ConvexConvNet((2, 6, 6), channels=3, depth=3, first_kernel=3, pool=pool, pool_size=2)
    return balanced(feature_map, randomise(score, generator, 1.5), x), x


def feature_maps(d: int, generator: torch.Generator) -> dict[str, FeatureMap]:
    """One of every kind on d inputs, and nested chains; constants are dyadic, so values are exact."""
    mean = dyadic((d,), generator)
    return {
        "identity": Identity(),
        "centre": Centre(mean),
        "centre-absolute": CentreAbsolute(mean),
        "standardise": Standardise(0.25),
        "chain": Chain(Centre(mean), Standardise(4.0), CentreAbsolute(torch.zeros(d))),
        "nested": Chain(Chain(Standardise(0.5), CentreAbsolute(mean)), Chain(Identity(), Centre(torch.ones(2 * d)))),
    }


class Mixing(FeatureMap):
    """A map that the package does not know: its features mix inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)

    def lipschitz(self, norm: float) -> float:
        return 2.0

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def options(self) -> dict:
        return {}


@torch.no_grad()
def linear_score(weight: Tensor) -> ConvexMLP:
    """``g(v) = weight . v`` as a network: hidden weights zero, the direct connection does it all."""
    score = ConvexMLP(tuple(weight.shape), (1,)).double()
    for parameter in score.parameters():
        parameter.zero_()
    score.direct[0].weight.copy_(weight.reshape(1, -1))  # pyright: ignore
    return score


class Function(nn.Module):
    """Any function of a batch, as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def linear_model(weight: Tensor, threshold: float) -> FeatureConvexClassifier:
    """Sensitive iff ``weight . x > threshold``; true radius margin / ||weight||_q without a box."""
    return FeatureConvexClassifier(Identity(), linear_score(weight), threshold, input_shape=tuple(weight.shape))


def folded_model(weight: Tensor, threshold: float) -> FeatureConvexClassifier:
    """Sensitive iff ``sum_i weight_i (x_i + |x_i|) > threshold``, weight >= 0.

    For x > 0 the true radius, until it reaches a coordinate's zero, is ``margin / (2 ||weight||_q)``: a change moves
    both halves of the features by its full length, so the map's own Lipschitz constant is attained in every norm.
    """
    d = len(weight)
    score = linear_score(torch.cat((weight, weight)))
    return FeatureConvexClassifier(CentreAbsolute(torch.zeros(d)), score, threshold, input_shape=(d,))


def cancelling_model(seed: int, dtype: torch.dtype, d: int = 6) -> tuple[FeatureConvexClassifier, Tensor]:
    """A linear classifier whose sum of large terms cancels, so that rounding decides many verdicts; and 32 samples.

    All numbers are float32 numbers. Pairs of inputs that are nearly equal have opposite weights of about 30.
    """
    generator = seeded(seed)
    half = torch.randn(d // 2, generator=generator) * 30.0
    left = torch.rand(32, d // 2, generator=generator)
    x = torch.cat((left, left + 0.03 * torch.rand(32, d // 2, generator=generator)), dim=1).double()
    model = linear_model(torch.cat((half, -half)).double(), 0.0)
    return model.with_threshold(float(model.margin(x).quantile(0.25))).to(dtype), x
