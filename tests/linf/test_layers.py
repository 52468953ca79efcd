"""Distance layers: their formula, that they are 1-Lipschitz, their bounds, their start and their folding."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional

from asymcert.errors import InputError
from asymcert.linf.layers import DistanceConv2d, DistanceLinear, MeanShift, linf_distance, sorted_shares

LAYERS = {
    "linear": (lambda: DistanceLinear(6, 8), (6,)),
    "narrow": (lambda: DistanceLinear(6, 3, bias=True), (6,)),
    "grouped": (lambda: DistanceLinear(6, 8, groups=2), (6,)),
    "conv": (lambda: DistanceConv2d(2, 4, 3, padding=1), (2, 5, 5)),
    "strided": (lambda: DistanceConv2d(2, 4, 3, stride=2, bias=True), (2, 6, 5)),
    "grouped conv": (lambda: DistanceConv2d(4, 6, 2, stride=2, padding=1, groups=2), (4, 4, 4)),
    "sorted": (lambda: DistanceLinear(12, 8, bias=True, groups=2, rho=0.4), (12,)),
    "sorted conv": (lambda: DistanceConv2d(2, 4, 3, padding=1, rho=0.3), (2, 5, 5)),
}


@pytest.fixture(params=LAYERS)
def case(request):
    """A layer in float64 and a generator of its inputs."""
    build, shape = LAYERS[request.param]
    torch.manual_seed(3)
    layer = build().double()
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    generator = torch.Generator().manual_seed(4)
    return layer, lambda n: torch.randn(n, *shape, generator=generator, dtype=torch.float64)


def test_any_number_of_leading_axes():
    x, w = torch.randn(2, 3, 5), torch.randn(4, 5)
    assert torch.equal(linf_distance(x, w), (x[..., None, :] - w).abs().amax(-1))


@pytest.mark.parametrize("p", [1.0, 2.0, 8.0, math.inf])
def test_conv_is_the_distance_to_every_patch(p):
    torch.manual_seed(0)
    layer, x = DistanceConv2d(4, 6, 3, stride=2, padding=1, groups=2), torch.randn(2, 4, 5, 7)
    layer.p = p
    out = layer(x)
    padded = functional.pad(x, [1, 1, 1, 1], mode="replicate")
    for unit, row, column in ((0, 0, 0), (2, 1, 2), (3, 2, 3), (5, 1, 1)):
        part = slice(0, 2) if unit < 3 else slice(2, 4)
        patch = padded[:, part, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].flatten(1)
        expected = torch.linalg.vector_norm(patch - layer.weight[unit], ord=p, dim=1)
        torch.testing.assert_close(out[:, unit, row, column], expected)
    assert out.shape == (2, 6, 3, 4)


@pytest.mark.parametrize("p", [1.0, 8.0, math.inf])
def test_grouped_units_see_their_own_inputs_only(p):
    layer, x = DistanceLinear(6, 4, groups=2), torch.randn(3, 6)
    layer.p = p
    first, second = linf_distance(x[:, :3], layer.weight[:2], p), linf_distance(x[:, 3:], layer.weight[2:], p)
    assert torch.equal(layer(x), torch.cat((first, second), 1))


def test_1_lipschitz(case):
    layer, draw = case
    x, y = draw(50), draw(50)
    for apart in (1.0, 0.01):
        z = x + apart * (y - x)
        size = (z - x).abs().flatten(1).amax(1)
        assert ((layer(z) - layer(x)).abs().flatten(1).amax(1) <= size * (1 + 1e-12)).all()


def test_interval_bounds_hold_and_are_attained_by_each_unit(case):
    layer, draw = case
    centre, radius = draw(4), draw(4).abs() * 0.3
    low, high = layer.interval(centre - radius, centre + radius)
    for _ in range(40):
        out = layer(centre + radius * draw(4).clamp(-1, 1))
        assert (out >= low - 1e-12).all()
        assert (out <= high + 1e-12).all()
    if isinstance(layer, DistanceLinear) and layer.groups == 1 and not layer.rho:
        x, r, w = centre[:, None], radius[:, None], layer.weight[None]
        worst = torch.where((w - x + r).abs() > (x + r - w).abs(), x - r, x + r)
        bias = 0 if layer.bias is None else layer.bias
        torch.testing.assert_close((worst - w).abs().amax(-1) + bias, high, rtol=0, atol=1e-15)


def test_interval_of_a_point_is_the_value(case):
    layer, draw = case
    x = draw(5)
    low, high = layer.interval(x, x)
    torch.testing.assert_close(low, layer(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(high, layer(x), rtol=0, atol=1e-12 if layer.rho else 0.0)


def test_a_shift_and_a_scale_fold_into_the_weights(case):
    layer, draw = case
    x = draw(5)
    mean = torch.linspace(-1, 2, x.shape[1], dtype=torch.float64)
    expected = 0.3 * layer((x - mean.reshape(-1, *[1] * (x.ndim - 2))) / 0.3)
    layer.shifted(mean, 0.3)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("rho", [0.0, 1e-9, 0.15, 0.5, 0.9])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_shares_of_sorted_differences_are_single_numbers_that_sum_to_at_most_1(rho, count):
    shares = sorted_shares(rho, count)
    assert [float(torch.tensor(share, dtype=torch.float32)) for share in shares] == list(shares)
    assert 1 - Fraction(1, 2**19) <= sum(map(Fraction, shares)) <= 1
    assert all(second == pytest.approx(rho * first, rel=1e-6) for first, second in pairwise(shares))


def test_a_sorted_unit_is_the_mean_over_inputs_left_out():
    torch.manual_seed(0)
    layer, x = DistanceLinear(9, 5, rho=0.4), torch.rand(1, 9).expand(32 * 4000, 9)
    sampled = layer(x, torch.Generator().manual_seed(1))[::32]  # 32 samples leave out the same ones
    assert len(sampled.unique(dim=0)) > 20
    torch.testing.assert_close(sampled.mean(0), layer(x[0]), rtol=0, atol=0.05)
    assert bool((linf_distance(x[:1], layer.weight) - layer(x[:1]) > 0.05).all())


def exact_units(layer, x):
    """What the layer's weights say, in rational numbers: rows of fractions -> the same."""
    shares = sorted_shares(layer.rho, layer.greatest) if layer.rho else (1.0,)
    for row in x:
        for_each = []
        for weights in layer.weight.tolist():
            sizes = sorted((abs(value - Fraction(w)) for value, w in zip(row, weights, strict=True)), reverse=True)
            for_each.append(sum(Fraction(share) * size for share, size in zip(shares, sizes, strict=False)))
        yield for_each


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_in_rational_numbers_no_change_is_stretched_and_enclosures_hold(rho):
    """Without any tolerance: two layers, random inputs, changes along the steepest way and others."""
    torch.manual_seed(0)
    layers = [DistanceLinear(12, 8, rho=rho).double(), DistanceLinear(8, 3, rho=rho).double()]
    x = torch.randn(40, 12, dtype=torch.float64)
    change = torch.randn(40, 12, dtype=torch.float64).sign() * torch.logspace(-12, 0, 40, dtype=torch.float64)[:, None]
    low, high, values = (
        x,
        x,
        [[[Fraction(value) for value in row] for row in part.tolist()] for part in (x, x + change)],
    )
    for layer in layers:
        low, high = layer.enclosure(low, high, 2.0**-53, 0.0)
        values = [list(exact_units(layer, part)) for part in values]
    for row, moved, before, after in zip(values[0], values[1], x.tolist(), (x + change).tolist(), strict=True):
        apart = max(abs(Fraction(a) - Fraction(b)) for a, b in zip(before, after, strict=True))
        assert all(abs(a - b) <= apart for a, b in zip(row, moved, strict=True))
    bounds = zip(values[0], low.tolist(), high.tolist(), strict=True)
    assert all(Fraction(a) <= v <= Fraction(b) for row in bounds for v, a, b in zip(*row, strict=True))


def test_wide_layers_begin_as_copies():
    x = torch.rand(3, 5)
    torch.manual_seed(0)
    assert torch.equal(DistanceLinear(5, 7)(x), (x + 10)[:, [0, 1, 2, 3, 4, 0, 1]])
    assert torch.equal(DistanceLinear(6, 6, groups=2)(torch.ones(1, 6)), torch.full((1, 6), 11.0))
    assert not (DistanceLinear(5, 4).weight == -10).any()
    image = torch.rand(2, 3, 6, 6)
    for kernel in (1, 3, 5):
        out = DistanceConv2d(3, 4, kernel, padding=kernel // 2)(image)
        assert torch.equal(out, (image + 10)[:, [0, 1, 2, 0]])
    assert abs(float(DistanceLinear(100, 50).weight.detach().std()) - 1) < 0.05


def test_mean_shift_by_the_batch_in_training_and_by_the_running_mean_after():
    shift, x = MeanShift(2), torch.tensor([[1.0, 10.0], [3.0, 20.0]], requires_grad=True)
    out = shift(x)
    assert out.tolist() == [[-1.0, -5.0], [1.0, 5.0]]
    (gradient,) = torch.autograd.grad(out[0, 0], x)
    assert gradient.tolist() == [[0.5, 0.0], [-0.5, 0.0]]
    torch.testing.assert_close(shift.running, torch.tensor([0.2, 1.5]))
    shift.eval()
    torch.testing.assert_close(shift(x), x - torch.tensor([0.2, 1.5]))
    torch.testing.assert_close(shift.running, torch.tensor([0.2, 1.5]))
    image = MeanShift(3)(torch.randn(4, 3, 2, 2))
    torch.testing.assert_close(image.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-6)


def test_wrong_layers_are_refused():
    for build in (
        lambda: DistanceLinear(0, 3),
        lambda: DistanceLinear(5, 4, groups=2),
        lambda: DistanceConv2d(2, 3, 3, groups=2),
        lambda: DistanceConv2d(2, 2, 0),
        lambda: MeanShift(0),
    ):
        with pytest.raises(InputError):
            build()
    layer = DistanceLinear(2, 2)
    with pytest.raises(InputError):
        layer.p = 0.5


def test_torch_compile_does_not_compile_again_for_every_p():
    torch.manual_seed(0)
    layer, x = DistanceLinear(5, 4), torch.rand(3, 5)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    for p in (8.0, 11.5, math.inf, 19.0, 150.0, 400.0, 700.0):
        layer.p = p
        ours = torch.autograd.grad(compiled(x).sum(), layer.weight)
        theirs = torch.autograd.grad(layer(x).sum(), layer.weight)
        torch.testing.assert_close(ours, theirs)
    assert counter.frame_count <= 3
