"""One small classifier of every kind, in float32 with a threshold among its margins, and inputs in [0, 1]."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
from torch import Tensor

from asymcert.certify import METHODS, certifier_for, methods_for
from asymcert.certify.base import Certifier
from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore
from asymcert.features import Centre, CentreAbsolute, Chain, orthogonal, sll
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.net import LinfDistanceNet
from asymcert.models import (
    BinaryClassifier,
    ConvexConcaveClassifier,
    DistanceClassifier,
    FeatureConvexClassifier,
    LipschitzClassifier,
    ReluClassifier,
    SmoothedClassifier,
    SplitClassifier,
    TreeSum,
    UnionClassifier,
)
from asymcert.models.cayley import cayley_network, cayley_resnet
from asymcert.models.networks import BaseNetwork
from asymcert.models.relu import relu_network
from contracts.models import randomise, seeded
from contracts.trees import random_trees

ROW, IMAGE, LARGE = (6,), (1, 4, 4), (1, 12, 12)
CLASSES = ("a", "b", "c")
OPTIONS = {  # quick ones
    "smoothing": {"n0": 10, "n": 100, "alpha": 0.01},
    "crown": {"ascents": 1, "steps": 4},
    "branch-and-bound": {"ascents": 1, "steps": 4, "tolerance": 0.2},
    "interval-bounds": {"steps": 4},
    "interval": {"steps": 4},
    "exact": {"tolerance": 0.1},
}
REFUSED = {  # by methods that need a margin convex in the input, or features of one coordinate each
    "feature-convex on images": ("exact",),
    "feature-convex on distances": ("tangent", "refined", "exact"),
    "feature-convex on learned features": ("tangent", "refined", "exact", "enclosure"),
}


def score(features: int = 6, seed: int = 0) -> ConvexScore:
    return randomise(ConvexMLP((features,), (8, 4)), seeded(seed))


def net(shape: tuple[int, ...], **options) -> LinfDistanceNet:
    found = LinfDistanceNet(shape, width=8, depth=2, centre=0.5, deviation=0.3, **options)
    for _ in range(10):
        found(torch.rand(16, *shape))
    return found.eval()


def convex_concave() -> BinaryClassifier:
    centre, concave = Centre(torch.full(ROW, 0.5)), [score(seed=1), score(seed=2)]
    return ConvexConcaveClassifier(centre, score(), concave, input_shape=ROW, classes=CLASSES)


def convolutional() -> BinaryClassifier:
    convex = randomise(ConvexConvNet((2, 4, 4), channels=3, depth=2, first_kernel=3), seeded(0))
    return FeatureConvexClassifier(CentreAbsolute(torch.full(IMAGE, 0.5)), convex, input_shape=IMAGE)


def on_distances() -> BinaryClassifier:
    return FeatureConvexClassifier(DistanceFeatures(net(ROW, classes=5)), score(5), input_shape=ROW)


def on_learned() -> BinaryClassifier:
    return FeatureConvexClassifier(Chain(sll(ROW, 8, 2), orthogonal(ROW, 6, 1)), score(), input_shape=ROW)


def union() -> BinaryClassifier:
    """Of a convex score for l2, and a distance net for l_inf, at a threshold of its own."""
    convex = FeatureConvexClassifier(CentreAbsolute(torch.full(ROW, 0.5)), score(12, 3), input_shape=ROW)
    distances = DistanceClassifier(net(ROW))
    return UnionClassifier([convex, distances])


KINDS: dict[str, Callable[[], BinaryClassifier]] = {
    "feature-convex": lambda: FeatureConvexClassifier(Centre(torch.full(ROW, 0.5)), score(), input_shape=ROW),
    "feature-convex on images": convolutional,
    "feature-convex on distances": on_distances,
    "feature-convex on learned features": on_learned,
    "convex-concave": convex_concave,
    "distance net": lambda: DistanceClassifier(net(ROW)),
    "distance net of convolutions": lambda: DistanceClassifier(net(IMAGE, convolutions=((3, 3, 1),))),
    "distance net with a head": lambda: DistanceClassifier(net(ROW, head=5, classes=3), classes=CLASSES),
    "orthogonal": lambda: LipschitzClassifier.fold(cayley_network(ROW, (8, 4)), input_shape=ROW),
    "orthogonal on images": lambda: LipschitzClassifier.fold(cayley_resnet(LARGE, width=2), input_shape=LARGE),
    "relu": lambda: ReluClassifier.fold(relu_network(ROW, (4,)), input_shape=ROW),
    "smoothed": lambda: SmoothedClassifier(BaseNetwork("mlp", ROW, width=16), "gaussian", 0.2),
    "splitting": lambda: SplitClassifier(BaseNetwork("mlp", ROW, width=16), 51),
    "union": union,
    "trees": lambda: TreeSum(random_trees(0, each=8)),
}


@functools.cache
def shared(kind: str) -> tuple[BinaryClassifier, Tensor]:
    """The classifier and four inputs, of which half are sensitive; not to be changed."""
    torch.manual_seed(0)
    model = KINDS[kind]().float()
    x = torch.rand(4, *model.input_shape, generator=seeded(1))
    if isinstance(model, SplitClassifier):
        scores = model.split_medians(x, model.splits)
    else:
        scores = model.noisy_medians(x) if isinstance(model, SmoothedClassifier) else model.margin(x).double()
    return model.with_threshold(float(scores.median())), x


def of_kind(kind: str) -> tuple[BinaryClassifier, Tensor]:
    """Copies of `shared`."""
    model, x = shared(kind)
    return copy.deepcopy(model), x.clone()


def certifiers_of(kind: str) -> list[Certifier]:
    """All that certify sizes of such a classifier, fastest first."""
    names = [name for name in methods_for(type(shared(kind)[0])) if METHODS[name].lengths]
    names = [name for name in names if name not in REFUSED.get(kind, ())]
    return [certifier_for(name, **OPTIONS.get(name, {})) for name in names]
