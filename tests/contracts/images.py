"""Classifiers behind a low-pass on small images, and adversaries of every kind."""

import math

import torch
from torch import Tensor

from asymcert.convex import ConvexMLP
from asymcert.features import Centre, CentreAbsolute, Chain, FeatureMap, Hinges, LowPass, SoftThreshold
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, randomise, seeded

SHAPE = (2, 3, 5)  # blocks of four, two and one pixel
COST = torch.rand(SHAPE, generator=seeded(1)).double() + 0.25
MUTABLE = torch.rand(SHAPE, generator=seeded(2)) > 0.3
DIRECTION = torch.randint(-1, 2, SHAPE, generator=seeded(3))


def rests(shape: tuple[int, ...]) -> dict[str, FeatureMap]:
    """Maps of what a low-pass gives."""
    mean = torch.ones(shape)
    return {
        "centre": Centre(mean),
        "centre-absolute": CentreAbsolute(mean),
        "hinges": Hinges(mean, 2, 2.0),
        "soft-threshold": SoftThreshold(mean, 0.2),
    }


def behind_low_pass(
    kind: str, seed: int = 0, shape: tuple[int, ...] = SHAPE, n: int = 8
) -> tuple[FeatureConvexClassifier, Tensor]:
    """A classifier of images, and images in [0, 1] of which three quarters are sensitive."""
    generator, low_pass = seeded(seed), LowPass(1, *shape[1:])
    x = torch.rand(n, *shape, generator=generator, dtype=torch.float64)
    feature_map = Chain(low_pass, rests(low_pass.output_shape(shape))[kind])
    return balanced(feature_map, randomise(ConvexMLP(feature_map.output_shape(shape), (8, 4)), generator), x), x


def image_threats() -> list[ThreatModel]:
    """Every part of a threat model, each in some norms."""
    parts = (
        {},
        {"lower": 0.0, "upper": 1.0},
        {"lower": 0.0, "cost": COST},
        {"lower": 0.0, "upper": 1.0, "cost": COST},
        {"upper": 1.5, "direction": DIRECTION},
        {"mutable": MUTABLE},
    )
    return [ThreatModel(norm, **part) for part in parts for norm in (1.0, 1.5, 2.0, math.inf)]
