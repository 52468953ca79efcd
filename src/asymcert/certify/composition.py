"""Whether a classifier's margin is convex in the input itself, which exact radii need."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asymcert._checks import refuse
from asymcert.certify.coordinates import Coordinates
from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore, SymmetricAverage
from asymcert.errors import InputError
from asymcert.features import CoordinatewiseMap
from asymcert.models.feature_convex import FeatureConvexClassifier


def check_composition_convex(model: FeatureConvexClassifier) -> None:
    """Refuse a classifier whose ``g(phi(x))`` is not known to be convex in x.

    It is where every feature is affine, or convex with a score that never falls when the feature grows, as after
    training with a monotone absolute half. Monotonicity is read from the weights: all of a feature's first weights
    are nonnegative.

    Raises
    ------
    InputError
        Says what is in the way, and names the method to use instead.
    """
    coordinates = Coordinates(model.feature_map, model.input_shape)
    feature_map = coordinates.rest
    if not isinstance(feature_map, CoordinatewiseMap) or not feature_map.coordinatewise:
        raise _cannot(f"{type(feature_map).__name__}, whose features mix inputs")
    bent = _bent_features(feature_map, coordinates.shape)
    if bool(bent.any()):
        _check_nondecreasing(model.score, bent)


def _bent_features(feature_map: CoordinatewiseMap, input_shape: tuple[int, ...]) -> Tensor:
    """Features that are convex but not affine, bool feature_shape."""
    change = feature_map.slopes(input_shape).diff(dim=0)  # from each piece to the next
    if bool((change < 0).any()):
        raise _cannot(f"{type(feature_map).__name__}, of which some features are not convex in the input")
    return (change > 0).any(0)


def _check_nondecreasing(score: ConvexScore, features: Tensor) -> None:
    """Refuse a score that can fall when one of `features` (bool, feature_shape) grows."""
    if isinstance(score, SymmetricAverage):  # which moves features within their channel
        channels = features.flatten(1).any(1).view(-1, 1, 1)
        _check_nondecreasing(score.base, channels.expand_as(features))
    elif isinstance(score, ConvexMLP):
        columns = features.flatten()
        _check_nonnegative("first.weight", score.first.weight[:, columns])
        for index, layer in enumerate(score.direct):
            _check_nonnegative(f"direct.{index}.weight", _weight(layer)[:, columns])
    elif isinstance(score, ConvexConvNet):
        first = score.first.weight[:, features.flatten(1).any(1)]
        _check_nonnegative("first.weight", first)
        for index, layer in enumerate(score.direct):  # of width 1, on what the first convolution gives
            passed = torch.einsum("oi,icxy->ocxy", _weight(layer)[:, :, 0, 0], first)
            _check_nonnegative(f"direct.{index}.weight times first.weight", passed)
    else:
        raise _cannot(f"a {type(score).__name__} on convex features, which cannot be seen to be nondecreasing in them")


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer.weight


def _check_nonnegative(name: str, weight: Tensor) -> None:
    if bool((weight < 0).any()):
        least = float(weight.min())
        raise _cannot(f"one with {name} down to {least:g} on convex features, so that its margin need not be convex")


def _cannot(got: str) -> InputError:
    remedy = "Use method='refined', or train with a monotone absolute half."
    return refuse("model", "one whose margin is convex in the input for method 'exact'", got, remedy)
