"""Classifiers behind a low-pass or bands on small images, and adversaries of every kind."""

import itertools
import math

import torch
from torch import Tensor

from asymcert.attacks import ProjectedGradient
from asymcert.certify import certify
from asymcert.convex import ConvexMLP
from asymcert.features import Centre, CentreAbsolute, Chain, FeatureMap, Haar, Hinges, Identity, LowPass, SoftThreshold
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, randomise, seeded

SHAPE = (2, 3, 5)  # blocks of four, two and one pixel
COST = torch.rand(SHAPE, generator=seeded(1)).double() + 0.25
MUTABLE = torch.rand(SHAPE, generator=seeded(2)) > 0.3
DIRECTION = torch.randint(-1, 2, SHAPE, generator=seeded(3))


def rests(shape: tuple[int, ...], middle: float = 1.0) -> dict[str, FeatureMap]:
    """Maps of what a low-pass or bands give."""
    mean = torch.full(shape, middle)
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
    low_pass = LowPass(1, *shape[1:])
    return _behind(low_pass, rests(low_pass.output_shape(shape))[kind], seed, shape, n)


def behind_bands(
    kind: str, seed: int = 0, shape: tuple[int, ...] = SHAPE, n: int = 8, sums: int = 0, levels: int = 2
) -> tuple[FeatureConvexClassifier, Tensor]:
    """The same behind bands of colours turned by an eighth, where `sums` says so of a low-pass's sums."""
    part: FeatureMap = LowPass(sums, *shape[1:]) if sums else Identity()
    inner = part.output_shape(shape)
    turn = torch.eye(1) if shape[0] == 1 else torch.tensor([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2.0)
    linear = (*([part] if sums else []), Haar(turn, levels, *inner[1:]))
    return _behind(Chain(*linear), rests(linear[-1].output_shape(inner), 0.125)[kind], seed, shape, n)


def _behind(
    linear: FeatureMap, rest: FeatureMap, seed: int, shape: tuple[int, ...], n: int
) -> tuple[FeatureConvexClassifier, Tensor]:
    generator = seeded(seed)
    x = torch.rand(n, *shape, generator=generator, dtype=torch.float64)
    feature_map = Chain(*(linear.maps if isinstance(linear, Chain) else [linear]), rest)  # pyright: ignore
    return balanced(feature_map, randomise(ConvexMLP(feature_map.output_shape(shape), (8, 4)), generator), x), x


def attacked(model: FeatureConvexClassifier, x: Tensor, threats: list[ThreatModel]) -> bool:
    """Whether an attack undoes a verdict inside a radius; closed form <= tangent <= refined, and not all are 0."""
    for threat in threats:
        radii = [certify(model, x, threat, method).radius for method in ("closed-form", "tangent")]
        radii.append(certify(model, x, threat, "refined", cuts=3, steps=1).radius)
        assert all(bool((less <= more * (1 + 1e-12)).all()) for less, more in itertools.pairwise(radii))
        assert bool((radii[0][model.predict(x)] > 0).all())
        size = 0.999 * radii[2].clamp(max=1e3)
        if bool(ProjectedGradient(12, 2).run(model, x, threat, size, seeded(0)).success.any()):
            return True
    return False


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
