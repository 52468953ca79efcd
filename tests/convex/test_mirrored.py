"""The average over mirror images that is trained as such: its fold, convexity, what scores the same, refusals."""

import pytest
import torch

from asymcert.convex import ConvexEnsemble, ConvexMLP, MirroredScore
from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute, Chain, Haar, Identity, LowPass, Ramps, opponent_colours
from asymcert.training.parts import mirrored
from contracts.convexity import assert_convex
from contracts.models import randomise, seeded

INDEX, SIGN = torch.tensor([1, 0, 2, 4, 3, 5]), torch.tensor([1.0, 1.0, -1.0, 1.0, 1.0, 1.0])
BASES = {
    "several layers": lambda: ConvexMLP((6,), (5, 4)),
    "no passthrough": lambda: ConvexMLP((6,), (5, 4), passthrough=False),
    "affine": lambda: ConvexMLP((6,), ()),
    "monotone": lambda: ConvexMLP((6,), (5,), monotone=True),
    "normalised": lambda: ConvexMLP((6,), (5, 4), batch_norm=True),
    "members": lambda: ConvexEnsemble((6,), (5, 4), 3),
}
LINEAR = {
    "none": (),
    "low-pass": (LowPass(1, 4, 8),),
    "bands": (Haar(opponent_colours(3), 2, 4, 8),),
    "bands of sums": (LowPass(1, 4, 8), Haar(opponent_colours(3), 1, 2, 4)),
}


@pytest.fixture(params=BASES)
def score(request):
    return MirroredScore(randomise(BASES[request.param](), seeded(0)), INDEX, SIGN).double().eval()


@torch.no_grad()
def test_is_the_mean_over_both_and_its_fold_is_the_same(score):
    v = torch.randn(20, 6, generator=seeded(1), dtype=torch.float64)
    mirror = torch.stack([v[:, 1], v[:, 0], -v[:, 2], v[:, 4], v[:, 3], v[:, 5]], 1)
    expected = (score.base(v) + score.base(mirror)) / 2
    torch.testing.assert_close(score(v), expected, rtol=1e-13, atol=1e-13)
    folded = score.fold()
    torch.testing.assert_close(folded(v), expected, rtol=1e-12, atol=1e-12)
    folded.check_convex()
    assert not any(weight.requires_grad for weight in folded.parameters())


def test_is_convex_and_so_is_its_fold(score):
    assert_convex(score, (6,), seeded(2), 64)
    assert_convex(score.fold(), (6,), seeded(3), 64)


@torch.no_grad()
@pytest.mark.parametrize("linear", LINEAR)
def test_mirrored_images_score_the_same_where_the_mean_is_symmetric(linear):
    """To single precision, in which the mixing of colours is stored."""
    feature_map = Chain(*LINEAR[linear], CentreAbsolute(torch.zeros(1)))
    base = randomise(ConvexMLP(feature_map.output_shape((3, 4, 8)), (6, 5)), seeded(4)).double()
    score = mirrored(base, feature_map, (3, 4, 8))
    x = torch.rand(9, 3, 4, 8, generator=seeded(5), dtype=torch.float64)
    torch.testing.assert_close(score(feature_map(x)), score(feature_map(x.flip(3))), rtol=0, atol=1e-5)
    assert float((base(feature_map(x)) - base(feature_map(x.flip(3)))).abs().min()) > 1e-4


def test_large_images_need_no_matrix():
    feature_map = Chain(Haar(opponent_colours(3), 3, 160, 160), Identity())
    assert len(mirrored(ConvexMLP((76800,), (1,)), feature_map, (3, 160, 160)).index) == 76800


@pytest.mark.parametrize("linear", [LowPass(1, 4, 7), Haar(torch.eye(1), 1, 4, 7)])
def test_blocks_that_do_not_divide_the_image_are_refused(linear):
    feature_map = Chain(linear, Centre(torch.zeros(1)))
    base = ConvexMLP(feature_map.output_shape((1, 4, 7)), (3,))
    with pytest.raises(InputError, match=r"`mirror` must be False where blocks do not divide .* bands=0"):
        mirrored(base, feature_map, (1, 4, 7))


@pytest.mark.parametrize(
    ("feature_map", "shape"),
    [(Identity(), (6,)), (Chain(Haar(torch.eye(1), 1, 2, 4), Ramps.fit(torch.rand(9, 8), 4)), (1, 2, 4))],
)
def test_what_has_no_mirror_image_is_refused(feature_map, shape):
    base = ConvexMLP(feature_map.output_shape(shape), (3,))
    with pytest.raises(InputError, match="`mirror` must be False for ramps, and for what is no image"):
        mirrored(base, feature_map, shape)


@pytest.mark.parametrize(
    ("index", "sign", "name"),
    [
        (INDEX[:5], SIGN[:5], "index"),
        (INDEX.clamp(max=4), SIGN, "index"),
        (INDEX, SIGN[:1], "sign"),
        (INDEX, 2 * SIGN, "sign"),
    ],
)
def test_refusals(index, sign, name):
    with pytest.raises(InputError, match=f"`{name}` must be .* 6 features"):
        MirroredScore(ConvexMLP((6,), (3,)), index, sign)


def test_signs_of_weights_are_refused():
    with pytest.raises(InputError, match="`base` must be of weights of any sign"):
        MirroredScore(ConvexMLP((6,), (3,), signs=[1] * 6), INDEX, SIGN)
