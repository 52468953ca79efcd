"""Distances and their gradients against the plain formula in float64, by every kernel that runs here."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.errors import InputError
from asymcert.linf.kernels import backend, box_distances, eager, lp_distance, native, sorted_distance

POWERS = (1.0, 1.5, 2.0, 8.0, 23.7, 300.0, math.inf)
SHAPES = ((5, 3, 7), (1, 1, 1), (33, 20, 70), (4, 300, 17), (7, 2, 784))
KERNELS = ("native", "eager")


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    """Run a test with the compiled loops and with the plain formula."""
    if request.param == "native" and native.library() is None:
        pytest.skip("no C++ compiler")
    if request.param == "eager":
        monkeypatch.setattr(native, "library", lambda: None)
    return request.param


def plain(x, w, p):
    """The formula in float64, scaled so that no power overflows; autograd gives the reference gradients."""
    size = (x.double()[:, None, :] - w.double()[None]).abs()
    largest = size.amax(-1)
    if math.isinf(p):
        return largest
    scale = largest.detach().clamp(min=1e-300)
    return scale * (size / scale[..., None]).pow(p).sum(-1).pow(1 / p)


def rows(n, m, d, dtype=torch.float32):
    generator = torch.Generator().manual_seed(n * m + d)
    x = torch.rand(n, d, generator=generator, dtype=torch.float64)
    w = torch.randn(m, d, generator=generator, dtype=torch.float64)
    return x.to(dtype).requires_grad_(), w.to(dtype).requires_grad_()


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_distances_and_gradients_are_those_of_the_plain_formula(kernel, shape, p):
    x, w = rows(*shape)
    assert backend(x, p) == kernel
    distance = lp_distance(x, w, p)
    weights = torch.randn(distance.shape, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad(distance, (x, w), weights)
    expected = plain(x, w, p)
    theirs = torch.autograd.grad(expected, (x, w), weights.double())
    torch.testing.assert_close(distance.double(), expected, rtol=2e-6, atol=0)
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got.double(), want.double(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("p", [1.5, 2.0, 8.0, 31.3, math.inf])
def test_gradients_in_float64_by_differences(p):
    x, w = rows(4, 3, 6, torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: lp_distance(a, b, p), (x, w), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_neither_overflow_nor_underflow(kernel, p, scale):
    x, w = rows(3, 4, 9)
    near = lp_distance(x, w, p)
    far = lp_distance(x * scale, w * scale, p)
    torch.testing.assert_close(far / scale, near, rtol=1e-5, atol=0)
    for gradient in torch.autograd.grad(far.sum(), (x, w)):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("p", POWERS)
def test_equal_rows_have_distance_and_gradient_zero(kernel, p):
    x = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    w = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]], requires_grad=True)
    distance = lp_distance(x, w, p)
    grad_x, grad_w = torch.autograd.grad(distance.sum(), (x, w))
    assert distance.tolist() == [[0.0, 2.0]]
    assert grad_x.tolist() == [[0.0, 0.0, -1.0]]
    assert grad_w.tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("p", [2.0, math.inf])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_not_swallowed(kernel, p, bad):
    x, w = (value.detach() for value in rows(3, 4, 9))
    x[1, 4] = bad
    distance = lp_distance(x, w, p)
    assert sorted_distance(x, w, SHARES)[1].isnan().all()
    assert distance[1].isnan().all()
    assert distance[[0, 2]].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_box_distances_are_attained_in_the_box(kernel, dtype):
    x, w = (value.detach() for value in rows(20, 6, 5, dtype))
    low, high = x - 0.1, x + torch.rand(x.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    least, most = box_distances(low, high, w)
    nearest = w[None].clamp(low[:, None], high[:, None])
    farthest = torch.where((w - low[:, None]).abs() > (high[:, None] - w).abs(), low[:, None], high[:, None])
    assert torch.equal(least, (nearest - w).abs().amax(-1))
    assert torch.equal(most, (farthest - w).abs().amax(-1))


SHARES = torch.tensor([0.5, 0.25, 0.125])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 3, 7), (33, 20, 70), (4, 30, 3), (2, 2, 784)])
def test_sorted_distances_and_gradients_are_those_of_the_plain_formula(kernel, shape, dtype):
    x, w = rows(*shape, dtype)
    assert backend(x) == kernel
    distance = sorted_distance(x, w, SHARES.to(dtype))
    sizes = (x[:, None].double() - w.double()).abs().sort(-1, descending=True).values[..., :3]
    expected = (sizes * SHARES).sum(-1)
    torch.testing.assert_close(distance.double(), expected, rtol=1e-6, atol=0)
    weights = torch.randn(distance.shape, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad(distance, (x, w), weights.to(dtype))
    theirs = torch.autograd.grad(expected, (x, w), weights.double())
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got.double(), want.double(), rtol=1e-5, atol=1e-5)
    one = torch.ones(1, dtype=dtype)
    assert torch.equal(sorted_distance(x, w, one), lp_distance(x, w))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_of_sorted_distances_are_attained_in_the_box(kernel, dtype):
    x, w = (value.detach() for value in rows(20, 6, 5, dtype))
    low, high = x - 0.1, x + torch.rand(x.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    bounds = box_distances(low, high, w, SHARES.to(dtype))
    nearest = w[None].clamp(low[:, None], high[:, None])
    farthest = torch.where((w - low[:, None]).abs() > (high[:, None] - w).abs(), low[:, None], high[:, None])
    for bound, point in zip(bounds, (nearest, farthest), strict=True):
        sizes = (point - w).abs().sort(-1, descending=True).values[..., :3]
        torch.testing.assert_close(bound, (sizes * SHARES.to(dtype)).sum(-1), rtol=1e-6, atol=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 3.0, 8.0, 100.0, math.inf]))
def test_distances_never_move_by_more_than_the_input(seed, p):
    generator = torch.Generator().manual_seed(seed)
    x, y, w = (torch.randn(4, 6, generator=generator, dtype=torch.float64) for _ in range(3))
    apart = torch.linalg.vector_norm(x - y, ord=p, dim=1)
    change = (lp_distance(x, w, p) - lp_distance(y, w, p)).abs().amax(1)
    assert (change <= apart * (1 + 1e-12)).all()


def test_memory_stays_bounded(monkeypatch):
    monkeypatch.setattr(eager, "PIECE_VALUES", 64)
    x, w = rows(13, 11, 9)
    pieces = list(eager._pieces(x, w))
    assert len(pieces) > 10
    assert all(len(x[a]) * len(w[b]) * 9 <= 64 for a, b in pieces)
    monkeypatch.setattr(native, "library", lambda: None)
    torch.testing.assert_close(lp_distance(x, w, 3.0).double(), plain(x, w, 3.0), rtol=2e-6, atol=0)
    monkeypatch.undo()
    monkeypatch.setattr(native, "library", lambda: None)
    whole = torch.autograd.grad(lp_distance(x, w, 3.0).sum(), (x, w))
    monkeypatch.setattr(eager, "PIECE_VALUES", 64)
    pieced = torch.autograd.grad(lp_distance(x, w, 3.0).sum(), (x, w))
    torch.testing.assert_close(pieced, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(native.library() is None, reason="no C++ compiler")
def test_threads_share_the_work(monkeypatch):
    monkeypatch.setattr(native, "PARALLEL_WORK", 1)
    monkeypatch.setattr(native, "BLOCK_VALUES", 40)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    x, w = rows(6, 20, 9)
    assert native._threads(x, w) == 3
    for p in (7.5, math.inf):
        distance = lp_distance(x, w, p)
        torch.testing.assert_close(distance.double(), plain(x, w, p), rtol=2e-6, atol=0)
        ours = torch.autograd.grad(distance.sum(), (x, w))
        theirs = torch.autograd.grad(plain(x, w, p).sum(), (x, w))
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-5)


def test_a_missing_or_failing_compiler_is_no_error(monkeypatch):
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    assert native.library.__wrapped__() is None
    monkeypatch.setattr(native.shutil, "which", lambda name: "/bin/false")
    assert native.library.__wrapped__() is None


def test_operators_are_registered_as_torch_expects():
    x, w = rows(3, 4, 5)
    torch.library.opcheck(torch.ops.asymcert.max_distance, (x, w))
    torch.library.opcheck(torch.ops.asymcert.greatest_differences, (x, w, 2))
    torch.library.opcheck(torch.ops.asymcert.power_distance, (x, w, torch.tensor(8.0, dtype=torch.float64)))


def test_wrong_arguments_are_refused():
    x = torch.zeros(2, 3)
    for wrong, p in ((torch.zeros(2, 4), 2.0), (torch.zeros(3), 2.0), (x.double(), 2.0), (x, 0.5)):
        with pytest.raises(InputError):
            lp_distance(x, wrong, p)
