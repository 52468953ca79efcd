import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.datasets import Augmentation
from asymcert.errors import InputError


def batch(n=40, channels=2, height=5, width=7):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(1))


def candidates(image, crop, flip):
    """Every result that is allowed, by padding and slicing: an independent, slow reference."""
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (crop, crop), (crop, crop)), mode="edge")
    crops = [padded[:, i : i + height, j : j + width] for i in range(2 * crop + 1) for j in range(2 * crop + 1)]
    return crops + [c[:, :, ::-1] for c in crops] if flip else crops


@settings(max_examples=15, deadline=None)
@given(crop=st.integers(0, 3), flip=st.booleans(), seed=st.integers(0, 2**31))
def test_every_result_is_a_crop_of_the_padded_image(crop, flip, seed):
    x = batch(6)
    result = Augmentation(crop, flip)(x, torch.Generator().manual_seed(seed))
    assert result.shape == x.shape
    for image, changed in zip(x.numpy(), result.numpy(), strict=True):
        assert any(np.array_equal(changed, c) for c in candidates(image, crop, flip))


def test_all_shifts_and_both_flips_occur():
    x = batch(1).expand(600, -1, -1, -1)
    result = Augmentation(1, True)(x, torch.Generator().manual_seed(0)).numpy()
    allowed = candidates(x[0].numpy(), 1, True)
    counts = [sum(np.array_equal(r, c) for r in result) for c in allowed]
    assert sum(counts) == 600
    assert min(counts) > 10  # 600 draws of 18 equally likely results, 33 expected each


def test_the_generator_decides():
    x = batch()
    change = Augmentation(2, True)
    first, again, other = (change(x, torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_to_do_returns_the_input():
    x = torch.rand(3, 4)
    assert Augmentation()(x, torch.Generator()) is x


def test_refusals():
    with pytest.raises(InputError, match="`crop` must be an integer of at least 0"):
        Augmentation(-1)
    with pytest.raises(InputError, match="`flip` must be True or False"):
        Augmentation(0, 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"`x` must be of shape \(n, C, H, W\)"):
        Augmentation(1)(torch.rand(3, 4), torch.Generator())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_with_a_generator_of_the_host():
    x = batch()
    change = Augmentation(2, True)
    there = change(x.cuda(), torch.Generator().manual_seed(3))
    assert torch.equal(there.cpu(), change(x, torch.Generator().manual_seed(3)))
