"""Which classifiers have a margin that is convex in the input."""

import pytest
import torch

from asymcert import FeatureConvexClassifier, ThreatModel
from asymcert.certify.composition import check_composition_convex
from asymcert.certify.exact import Exact
from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore, SymmetricAverage
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute, SoftThreshold
from contracts.convexity import assert_convex
from contracts.models import Mixing, randomise, seeded
from contracts.monotone import monotone, monotone_conv, monotone_mlp


class Unknown(ConvexScore):
    """``-sum(v)``: convex, but it falls, and its weights do not tell."""

    def __init__(self, input_shape):
        super().__init__()
        self.input_shape, self.one = input_shape, torch.nn.Parameter(torch.ones(1))

    def forward(self, features):
        return -features.flatten(1).sum(1)

    def nonnegative(self):
        return iter(())

    def fold(self):
        return self.double()

    @property
    def activations(self):
        return 1

    def options(self):
        return {"input_shape": self.input_shape}


def not_convex():
    """Model parts that need not give a margin that is convex in the input, and what the error says of each."""
    half, image = torch.full((6,), 0.5), torch.full((1, 6, 6), 0.5)
    hidden = ConvexMLP((12,), (8,))
    first = monotone(randomise(ConvexMLP((12,), (8,)), seeded(0)), 6)
    with torch.no_grad():
        first.direct[0].weight[0, 9] = -1e-3
    conv = ConvexConvNet((2, 6, 6), channels=3, depth=2, first_kernel=3, passthrough=True)
    return {
        "first weights": (CentreAbsolute(half), randomise(hidden, seeded(0)), (6,), "first.weight down to -"),
        "direct weights": (CentreAbsolute(half), first, (6,), "direct.0.weight down to -0.001"),
        "convolution": (CentreAbsolute(image), randomise(conv, seeded(0)), (1, 6, 6), "first.weight down to -"),
        "average": (CentreAbsolute(image), SymmetricAverage(randomise(conv, seeded(0))), (1, 6, 6), "first.weight"),
        "soft threshold": (SoftThreshold(half, 0.1), ConvexMLP((6,), (8,)), (6,), "not convex in the input"),
        "unknown": (CentreAbsolute(half), Unknown((12,)), (6,), "a Unknown on convex features"),
        "mixing": (Mixing(), ConvexMLP((6,), (8,)), (6,), "whose features mix inputs"),
    }


@pytest.mark.parametrize("kind", not_convex())
def test_refuses_margins_that_need_not_be_convex_and_names_refined(kind):
    feature_map, score, shape, message = not_convex()[kind]
    model = FeatureConvexClassifier(feature_map, score, -100.0, input_shape=shape)
    with pytest.raises(InputError, match=rf"(?s){message}.*refined"):
        Exact().certify(model, torch.rand(2, *shape), [ThreatModel(1)])


def test_passed_on_features_of_a_convolution_count_too():
    model, _ = monotone_conv(46, passthrough=True)
    check_composition_convex(model)
    with torch.no_grad():
        model.score.direct[1].weight.neg_()
    with pytest.raises(InputError, match=r"direct.1.weight times first.weight down to -"):
        check_composition_convex(model)


def test_networks_built_with_a_monotone_half_pass():
    score = ConvexMLP((12,), (8, 4), monotone=True)
    model = FeatureConvexClassifier(CentreAbsolute(torch.full((6,), 0.5)), score, -1.0, input_shape=(6,))
    check_composition_convex(model)
    assert_convex(model.margin, (6,), seeded(5))


def test_what_passes_is_convex_in_the_input():
    for model, shape in (
        (monotone_mlp(1, feature_map=CentreAbsolute(torch.full((6,), 0.5)))[0], (6,)),
        (monotone_conv(2)[0], (1, 6, 6)),
    ):
        check_composition_convex(model)
        assert_convex(model.margin, shape, seeded(3))


def test_what_is_refused_may_bend_the_other_way():
    """Weight -1 on the absolute half gives -|u|, and the midpoint inequality fails."""
    score = ConvexMLP((2,), (1,)).double()
    with torch.no_grad():
        for parameter in score.parameters():
            parameter.zero_()
        score.direct[0].weight[0, 1] = -1.0
    model = FeatureConvexClassifier(CentreAbsolute(torch.zeros(1)), score, -1.0, input_shape=(1,))
    with pytest.raises(InputError, match="refined"):
        check_composition_convex(model)
    with pytest.raises(AssertionError):
        assert_convex(model.margin, (1,), seeded(4))
