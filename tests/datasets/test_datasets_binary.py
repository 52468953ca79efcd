import json
import subprocess
import sys

import pytest
import torch

from asymcert.datasets import BinaryData, DataSource, Split, load, load_source
from asymcert.datasets.classes import parse_pair
from asymcert.datasets.splitting import hold_out, three_way
from asymcert.errors import DataError, InputError

X = torch.tensor([[0.0, 0.5], [1.0, 0.25], [0.5, 0.5]])
Y = torch.tensor([True, False, True])


def make(x=X, y=Y, **changes):
    split = Split(X, Y)
    return BinaryData(**{"name": "a", "train": Split(x, y), "val": split, "test": split, **changes}, other="o")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X.double(), Y, "`x` must be a tensor of torch.float32, got torch.float64"),
        (X.numpy(), Y, "`x` must be a tensor"),
        (X, Y.float(), "`y` must be a tensor of torch.bool"),
        (X[:0], Y[:0], "`x` must be of shape"),
        (X[:, 0], Y, "`x` must be of shape"),
        (X, Y[:2], "one label for each sample"),
        (X / 0, Y, "`x` must be finite"),
        (X * 2, Y, r"`x` must be in \[0, 1\], got values from 0 to 2"),
        (-X, Y, r"`x` must be in \[0, 1\]"),
    ],
)
def test_split_refuses(x, y, message):
    with pytest.raises(InputError, match=message):
        Split(x, y)


def test_data_refuses_one_class_and_other_shapes():
    with pytest.raises(DataError, match="split 'train' has no sample of class 'o'"):
        make(y=torch.tensor([True] * 3), sensitive="s")
    with pytest.raises(DataError, match="split 'train' has no sample of class 's'"):
        make(y=torch.tensor([False] * 3), sensitive="s")
    with pytest.raises(InputError, match="`val` must be of input shape"):
        make(x=torch.rand(3, 4), sensitive="s")


def test_digest_changes_with_one_value_and_is_stable():
    data = make(sensitive="s")
    assert data.digest == make(sensitive="s").digest
    assert len(data.digest) == 64
    changed = X.clone()
    changed[1, 1] += 2**-20
    flipped = torch.tensor([True, False, False])
    others = [make(x=changed, sensitive="s"), make(y=flipped, sensitive="s"), make(sensitive="t")]
    others.append(make(sensitive="s", test=Split(changed, Y)))
    assert len({data.digest, *(o.digest for o in others)}) == 5
    assert make(sensitive="s", name="renamed").digest == data.digest


def test_channel_mean():
    assert torch.equal(make(sensitive="s").channel_mean, X.mean(0))
    x = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    split = Split(x, torch.tensor([True, False, True, False, True]))
    mean = BinaryData("a", split, split, split, "s", "o").channel_mean
    assert mean.shape == (3, 1, 1)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean[:, 0, 0], x.transpose(0, 1).reshape(3, -1).mean(1))


def test_source_survives_json_and_loads_the_same_data():
    data = load("digits-3-8", sensitive=8, seed=3)
    source = DataSource.from_dict(json.loads(json.dumps(data.source.to_dict())))
    assert source == data.source
    assert load_source(source).digest == source.load().digest == data.digest


def test_source_refuses_unknown_keys_and_options():
    with pytest.raises(InputError, match="`source` must be a dictionary with the keys"):
        DataSource.from_dict({"name": "digits-3-8", "colour": 1})
    with pytest.raises(InputError, match="unknown \\['colour'\\]"):
        DataSource("a.csv", "1", 0, {"label": "y", "colour": 1})
    with pytest.raises(InputError, match="complete for a table"):
        DataSource("a.csv", "1", 0, {"impute": None})


def test_hold_out_keeps_groups_and_shares():
    y = torch.arange(1000).numpy() % 4 == 0
    groups = torch.arange(1000).numpy() // 8 * 2 + y
    kept, held = hold_out(y, groups, torch.Generator().manual_seed(0), "a")
    assert sorted([*kept, *held]) == list(range(1000))
    assert not set(groups[kept]) & set(groups[held])
    assert y[held].sum() == 50
    assert len(held) == 50 + 150  # the other class is in groups of six rows, and 150 is a multiple


def test_hold_out_skips_a_group_too_large():
    y = torch.tensor([True] * 12 + [False] * 10).numpy()
    groups = torch.tensor([0] * 10 + [1, 2, *range(3, 13)]).numpy()
    for seed in range(5):
        _, held = hold_out(y, groups, torch.Generator().manual_seed(seed), "a")
        assert sorted(held[held < 12]) == [10, 11]


def test_splits_need_rows():
    with pytest.raises(DataError, match="a: too few rows to split: a class has 1 distinct rows"):
        three_way(torch.tensor([True, True, True, False]).numpy(), None, 0, "a")


def test_pairs():
    assert parse_pair("fashion-shirts") == ("fashion", 0, 6)
    assert parse_pair("cifar10-cats-dogs") == parse_pair("cifar10-3-dog") == ("cifar10", 3, 5)
    assert parse_pair("fashion-tshirttop-bag") == ("fashion", 0, 8)


def test_importing_loads_nothing_heavy():
    heavy = "sklearn", "polars", "pooch", "PIL", "rich"
    code = f"import sys, asymcert.datasets; print([m for m in {heavy} if m in sys.modules])"
    stub = "import sys, types; m = types.ModuleType('asymcert'); import importlib.util as u;"
    stub += "m.__path__ = u.find_spec('asymcert').submodule_search_locations; sys.modules['asymcert'] = m;"
    out = subprocess.run([sys.executable, "-c", stub + code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
