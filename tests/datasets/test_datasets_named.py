import os

import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from asymcert.datasets import load, load_source, names
from asymcert.errors import InputError

published = pytest.mark.skipif(not os.environ.get("ASYMCERT_DATA"), reason="ASYMCERT_DATA names no data folder")


def counts(data):
    return [(int(s.y.sum()), int((~s.y).sum())) for s in (data.train, data.val, data.test)]


def test_digits_are_scikit_learns():
    data = load("digits-3-8")
    images, labels = load_digits(return_X_y=True)
    assert data.input_shape == (1, 8, 8)
    assert (data.name, data.sensitive, data.other) == ("digits-3-8", "3", "8")
    assert sum(a for a, _ in counts(data)) == (labels == 3).sum()
    assert sum(b for _, b in counts(data)) == (labels == 8).sum()
    assert counts(data)[2] == (37, 35)
    known = {tuple(row / 16): label for row, label in zip(images, labels, strict=True) if label in (3, 8)}
    for split in (data.train, data.val, data.test):
        for x, y in zip(split.x, split.y, strict=True):
            assert known[tuple(x.flatten().tolist())] == (3 if y else 8)


def test_seeds_and_repeats():
    first, again, other = load("digits-1-7"), load("digits-1-7", seed=0), load("digits-1-7", seed=1)
    assert first.digest == again.digest
    assert first.digest != other.digest


def test_sensitive_swaps_the_classes_and_nothing_else():
    plain, swapped = load("digits-3-8"), load("digits-3-8", sensitive=8)
    assert (swapped.sensitive, swapped.other) == ("8", "3")
    assert sum(a for a, _ in counts(swapped)) == sum(b for _, b in counts(plain))
    assert load("digits-3-8", sensitive="3").digest == plain.digest
    assert load("breast-cancer", sensitive="benign").other == "malignant"


def test_breast_cancer_goes_through_the_scaling():
    data = load("breast-cancer")
    assert data.input_shape == (30,)
    assert (data.sensitive, data.other) == ("malignant", "benign")
    assert sum(a for a, _ in counts(data)) == 212
    assert data.scaling is not None
    assert data.scaling.feature_names == tuple(load_breast_cancer().feature_names)
    assert load_source(data.source).digest == data.digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minst-3-8", "Did you mean mnist-3-8"),
        ("nothing like it", "`name` must be a data set such as"),
        ("digits-3-3", "pair of different classes"),
        ("mnist-3-12", "classes from: 0, 1, 2"),
        ("cifar10-cat-dgo", "Did you mean dog"),
        ("fashion-shirts-3", "`name` must be"),
        (3, "`name` must be"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(InputError, match=message):
        load(name)


def test_other_refusals():
    with pytest.raises(InputError, match="`sensitive` must be '3' or '8', got '5'"):
        load("digits-3-8", sensitive="5")
    with pytest.raises(InputError, match="`seed` must be an integer"):
        load("digits-3-8", seed=-1)


def test_names_are_loadable_pairs():
    assert [name for name, _ in names()][:2] == ["digits-3-8", "breast-cancer"]
    assert all(line and "\n" not in line for _, line in names())


@published
@pytest.mark.parametrize(
    ("name", "shape", "classes", "expected"),
    [
        ("mnist-3-8", (1, 28, 28), ("3", "8"), [(4905, 4681), (1226, 1170), (1010, 974)]),
        ("fashion-shirts", (1, 28, 28), ("T-shirt/top", "Shirt"), [(4800, 4800), (1200, 1200), (1000, 1000)]),
        ("cifar10-cats-dogs", (3, 32, 32), ("cat", "dog"), [(4000, 4000), (1000, 1000), (1000, 1000)]),
    ],
)
def test_published_counts(name, shape, classes, expected):
    data = load(name)
    assert data.input_shape == shape
    assert (data.sensitive, data.other) == classes
    assert counts(data) == expected
    assert data.train.x.dtype == torch.float32
    assert float(data.train.x.max()) == 1


@published
def test_published_test_images_keep_their_order_whatever_the_seed():
    first, other = load("mnist-3-8"), load("mnist-3-8", seed=9)
    assert torch.equal(first.test.x, other.test.x)
    assert not torch.equal(first.val.x, other.val.x)
    both = torch.cat([first.train.x, first.val.x]).sum((1, 2, 3)).sort().values
    assert torch.equal(both, torch.cat([other.train.x, other.val.x]).sum((1, 2, 3)).sort().values)
