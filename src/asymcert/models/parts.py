"""Feature maps and convex scores as JSON-able descriptions, and back; what model files are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from asymcert._checks import check_finite, refuse
from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore, SymmetricAverage
from asymcert.features import (
    Centre,
    CentreAbsolute,
    Chain,
    FeatureMap,
    Haar,
    Hinges,
    Identity,
    LayeredMap,
    LowPass,
    Ramps,
    SoftThreshold,
    Standardise,
)
from asymcert.linf.feature_map import DistanceFeatures

SCORES: dict[str, type[ConvexScore]] = {c.__name__: c for c in (ConvexMLP, ConvexConvNet)}
MAPS: dict[str, type[FeatureMap]] = {
    c.__name__: c
    for c in (
        Identity,
        Centre,
        CentreAbsolute,
        SoftThreshold,
        Hinges,
        Ramps,
        Standardise,
        LowPass,
        Haar,
        Chain,
        LayeredMap,
        DistanceFeatures,
    )
}
CALLS = 50  # of torch for each tensor while a network is built; 5 to 8 are usual
Module = TypeVar("Module", bound=nn.Module)


def filled(build: Callable[[], Module], tensors: dict[str, Tensor]) -> Module:
    """The module that `build` makes, with `tensors` as its weights; nothing is allocated or drawn for it.

    What a file declares costs no more than what it holds: the module is built without values, is refused if it has many
    more layers than there are tensors (`InputError`), and must have their names and shapes (`RuntimeError`).
    """
    with torch.device("meta"), _Unvalued(CALLS * (len(tensors) + 10)):
        module = build()
    module.load_state_dict(tensors, assign=True)
    for name, value in tensors.items():
        check_finite(name, value)
    return module


class _Unvalued(TorchFunctionMode):
    """At most so many calls of torch, of which those that set values do nothing."""

    def __init__(self, calls: int):
        super().__init__()
        self.left = calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:  # once: leaving `no_grad` is a call too
            raise refuse("metadata", "about as many layers as there are tensors", "more")
        name, named = func.__name__, kwargs or {}
        if name.endswith("_") and not name.endswith("__") and name != "requires_grad_":  # in place
            return args[0] if args else named["tensor"]
        return func(*args, **named)


def describe_score(score: ConvexScore) -> dict[str, Any]:
    """Kind and options of a score, without its weights."""
    described = {"kind": type(score).__name__, **score.options()}
    if isinstance(score, SymmetricAverage):
        described["base"] = describe_score(score.base)
    return described


def build_score(described: dict[str, Any]) -> ConvexScore:
    """An untrained score of the kind and options that `describe_score` described."""
    options = dict(described)
    kind = options.pop("kind")
    if kind == SymmetricAverage.__name__:
        return SymmetricAverage(build_score(options["base"]), options["mirror"], options["shift"])
    return SCORES[kind](**options)


def restored_score(described: dict[str, Any], tensors: dict[str, Tensor]) -> ConvexScore:
    """The score that `describe_score` described, with the tensors of its state."""
    return filled(lambda: build_score(described), tensors)


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
        parts = grouped(grouped(tensors)["maps"])
        return Chain(*(build_map(member, parts[str(index)]) for index, member in enumerate(options["maps"])))
    return filled(lambda: kind.restored(options, tensors), tensors)


def grouped(tensors: dict[str, Tensor]) -> defaultdict[str, dict[str, Tensor]]:
    """Tensors by the first part of their names, which end at a dot, and by the rest."""
    groups: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, value in tensors.items():
        first, _, rest = name.partition(".")
        groups[first][rest] = value
    return groups
