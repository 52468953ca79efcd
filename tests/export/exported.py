"""Classifiers of every kind that can be exported, and ONNX Runtime to run them."""

import math

import numpy as np
import onnxruntime
import torch

from asymcert.convex import ConvexConvNet, ConvexMLP, SymmetricAverage
from asymcert.features import (
    Centre,
    CentreAbsolute,
    Chain,
    Haar,
    Hinges,
    Identity,
    LowPass,
    SoftThreshold,
    Standardise,
    opponent_colours,
)
from asymcert.features.layers import Downsample, MaxMin
from asymcert.features.trained_layers import CayleyLinear
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.cayley import Mix, Pad
from asymcert.models.distance_net import DistanceClassifier
from asymcert.models.lipschitz import LipschitzClassifier
from asymcert.models.relu import ReluClassifier, relu_network
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, randomise, seeded

SHAPE = (2, 7, 6)
SAMPLES = 60


def maps():
    mean = torch.rand(2, 1, 1, generator=seeded(1), dtype=torch.float64)
    pixels = torch.rand(SHAPE, generator=seeded(2), dtype=torch.float64)
    torch.manual_seed(0)
    net = LinfDistanceNet(SHAPE, classes=5, width=8, depth=2, convolutions=((3, 3, 2),), centre=0.5, deviation=0.3)
    return {
        "identity": Identity(),
        "centre": Centre(pixels),
        "centre-absolute": CentreAbsolute(mean),
        "chain": Chain(Standardise(0.3), SoftThreshold(pixels, 0.2), CentreAbsolute(mean)),
        "low-pass": Chain(LowPass(1, 7, 6), Hinges(torch.ones(2, 1, 1), 2, 2.0)),
        "bands": Chain(Haar(opponent_colours(2), 2, 7, 6), CentreAbsolute(torch.zeros(1))),
        "bands-of-sums": Chain(LowPass(1, 7, 6), Haar(torch.eye(2), 1, 4, 3), Identity()),
        "distances": DistanceFeatures(net),
    }


def scores(shape):
    """Every layer, option and size that changes the graph; perceptrons where features are no images."""
    found = {
        "mlp": ConvexMLP(shape, (12, 9, 7)),
        "mlp-without": ConvexMLP(shape, (12, 9), passthrough=False),
        "mlp-shallow": ConvexMLP(shape, (12,)),
    }
    if len(shape) == 1:
        return found
    average = {"depth": 1, "first_kernel": 4, "pool": "average", "pool_size": 3}
    return found | {
        "conv": ConvexConvNet(shape, 3, depth=3, first_kernel=5, stride=2, passthrough=True, pool_size=2),
        "conv-unpooled": ConvexConvNet(shape, 3, depth=2, first_kernel=3),
        "conv-average": ConvexConvNet(shape, 3, **average),
        "symmetric": SymmetricAverage(ConvexConvNet(shape, 3, depth=2, first_kernel=3, pool_size=3), True, 2),
        "symmetric-mlp": SymmetricAverage(ConvexMLP(shape, (9,)), mirror=True),
    }


def inputs(count=SAMPLES, seed=3, shape=SHAPE):
    return torch.rand(count, *shape, generator=seeded(seed), dtype=torch.float64)


def feature_convex(map_name, score_name):
    """A classifier with random weights, and inputs of which a quarter lies below its threshold."""
    feature_map, x = maps()[map_name], inputs()
    score = scores(feature_map.output_shape(SHAPE))[score_name]
    return between(balanced(feature_map, randomise(score, seeded(4)), x), x), x


FEATURE_CONVEX = [
    (map_name, score_name)
    for map_name, feature_map in maps().items()
    for score_name in scores(feature_map.output_shape(SHAPE))
]


def distance(head=0, groups=1, convolutions=((4, 3, 1),), classes=3, bias=False):
    torch.manual_seed(5)
    options = {"width": 8, "depth": 3, "groups": groups, "head": head, "classes": classes}
    net = LinfDistanceNet(SHAPE, convolutions=convolutions, centre=0.5, deviation=0.3, **options)
    for _ in range(5):
        net(torch.rand(16, *SHAPE))
    model, x = DistanceClassifier(net, classes=tuple("abcde"[:classes]), sensitive_class=1), inputs()
    return between(model, x), x


def relu():
    torch.manual_seed(6)
    x = inputs()
    return between(ReluClassifier.fold(relu_network(SHAPE, (9, 8)), input_shape=SHAPE), x), x


def lipschitz():
    torch.manual_seed(7)
    x = inputs(shape=(2, 6, 4))
    flat = 8 * 8 * 7
    inner = torch.nn.Sequential(CayleyLinear(flat, flat), MaxMin())
    layers = [Pad(5), MaxMin(), Downsample(), torch.nn.Flatten(), Mix(inner), CayleyLinear(flat, 6), MaxMin()]
    network = torch.nn.Sequential(*layers, CayleyLinear(6, 2))
    return between(LipschitzClassifier.fold(network, input_shape=(2, 6, 4)), x), x


OTHERS = {
    "distance": distance,
    "distance-head": lambda: distance(head=5),
    "distance-groups": lambda: distance(groups=2, convolutions=()),
    "distance-two": lambda: distance(classes=2),
    "relu": relu,
    "lipschitz": lipschitz,
}


def between(model, x):
    """The classifier with its threshold halfway between the margins of two samples, so that none is a tie."""
    margins = model.margin(x).sort().values
    third = len(x) // 3
    return model.with_threshold(model.threshold + float(margins[third : third + 2].mean()))


def run(graph, x):
    """Outputs of a graph by name."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": np.asarray(x)}), strict=True))


def threats():
    """Adversaries of every norm, and with every part."""
    position = torch.arange(math.prod(SHAPE)).reshape(SHAPE)
    return [
        ThreatModel(norm=1),
        ThreatModel(norm=1.5, lower=0, upper=1),
        ThreatModel(norm=2, lower=0, upper=1, cost=0.5 + position % 3),
        ThreatModel(norm=2, upper=1.5, mutable=position % 2 > 0),
        ThreatModel(norm=math.inf, lower=-0.1 - position / 10, upper=1, direction=position % 3 - 1),
    ]
