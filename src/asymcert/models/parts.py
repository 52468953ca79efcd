"""Feature maps and convex scores as JSON-able descriptions, and back; what model files are made of."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore, SymmetricAverage
from asymcert.features import Centre, CentreAbsolute, Chain, FeatureMap, Hinges, Identity, SoftThreshold, Standardise
from asymcert.linf.feature_map import DistanceFeatures

SCORES: dict[str, type[ConvexScore]] = {c.__name__: c for c in (ConvexMLP, ConvexConvNet)}
MAPS: dict[str, type[FeatureMap]] = {
    c.__name__: c
    for c in (Identity, Centre, CentreAbsolute, SoftThreshold, Hinges, Standardise, Chain, DistanceFeatures)
}


def describe_score(score: ConvexScore) -> dict[str, Any]:
    """Kind and options of a score, without its weights."""
    described = {"kind": type(score).__name__, **score.options()}
    if isinstance(score, SymmetricAverage):
        described["base"] = describe_score(score.base)
    return described


def build_score(described: dict[str, Any]) -> ConvexScore:
    """The score that `describe_score` described, its weights blank."""
    options = dict(described)
    kind = options.pop("kind")
    if kind == SymmetricAverage.__name__:
        return SymmetricAverage(build_score(options["base"]), options["mirror"], options["shift"])
    return SCORES[kind].blank(options)


def describe_map(feature_map: FeatureMap) -> dict[str, Any]:
    """Kind and options of a feature map, without its tensors."""
    described = {"kind": type(feature_map).__name__, **feature_map.options()}
    if isinstance(feature_map, Chain):
        described["maps"] = [describe_map(member) for member in feature_map.maps]  # pyright: ignore
    return described


def build_map(described: dict[str, Any], tensors: dict[str, Tensor]) -> FeatureMap:
    """The feature map that `describe_map` described, with the tensors of its state."""
    options = dict(described)
    kind = MAPS[options.pop("kind")]
    if kind is Chain:
        members = enumerate(options["maps"])
        return Chain(*(build_map(member, below(tensors, f"maps.{index}.")) for index, member in members))
    return kind.restored(options, tensors)


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
