"""Model files of strangers, of every kind: one line in little time and memory, whatever their headers declare."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from asymcert.convex import ConvexConvNet, ConvexMLP, SymmetricAverage
from asymcert.datasets.columns import CategoryColumn, NumericColumn, WordColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.features import Chain, Hinges, LayeredMap, Standardise, orthogonal, sll
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.net import LinfDistanceNet
from asymcert.models import (
    AblatedClassifier,
    BinaryClassifier,
    ConvexConcaveClassifier,
    DistanceClassifier,
    FeatureConvexClassifier,
    LipschitzClassifier,
    ReluClassifier,
    SmoothedClassifier,
    SplitClassifier,
    TreeSum,
    TreeVote,
)
from asymcert.models.cayley import cayley_network, cayley_resnet
from asymcert.models.files import KEY, digest_of
from asymcert.models.networks import base_network
from asymcert.models.relu import relu_network
from contracts.hostile import deep, swapped
from contracts.readers import ReaderContract
from contracts.trees import random_trees, signs

IMAGE = (1, 8, 8)


def write(path, tensors, metadata):
    """Contents with the digest that fits them, as somebody who means it would."""
    metadata = {"format": 2, **metadata}
    save_file(tensors, path, {KEY: json.dumps({**metadata, "digest": digest_of(tensors, metadata)})})


class ModelContract(ReaderContract):
    """Every integer of the metadata swapped, lists that are too long, and text that cannot be read."""

    most_seconds = 3.0
    sealed = True
    meant = ()  # swaps that leave a valid model

    def model(self) -> BinaryClassifier:
        raise AssertionError("say of what kind")

    def good(self, folder):
        torch.manual_seed(0)
        path = folder / "model.safetensors"
        self.model().save(path)
        return path

    def read(self, path):
        try:
            return BinaryClassifier.load(path)
        finally:
            assert torch.is_grad_enabled()

    def declared(self, metadata):
        """Further metadata, by what is wrong with it."""
        return {}

    def hostile(self, folder):
        torch.manual_seed(0)
        tensors, metadata = self.model().contents()
        cases = {what: case for what, case in swapped(metadata, ("info",)) if what not in self.meant}
        cases["many sides"] = metadata | {"input_shape": [1] * 100_000}
        cases["a name that is a list"] = metadata | {"classes": [["a"], "b"]}
        cases["a threshold that is a number"] = metadata | {"threshold": 0.5}
        cases |= self.declared(metadata)
        paths = {what: folder / f"{index}.safetensors" for index, what in enumerate(cases)}
        for what, path in paths.items():
            write(path, tensors, cases[what])
        for key in ("input_shape", "info"):
            paths[f"deep {key}"] = folder / f"deep {key}.safetensors"
            save_file(tensors, paths[f"deep {key}"], {KEY: deep(metadata, key)})
        paths["an empty tensor"] = folder / "empty.safetensors"
        write(paths["an empty tensor"], tensors | {"none": torch.empty(0, 10**8, dtype=torch.float64)}, metadata)
        paths["a tensor too many"] = folder / "many.safetensors"
        write(paths["a tensor too many"], tensors | {"none": torch.ones(1, dtype=torch.float64)}, metadata)
        return paths


class TestMLP(ModelContract):
    meant = tuple(f"scaling.columns.2.cap = {cap}" for cap in (10**8, 10**18))

    def model(self):
        feature_map = Chain(Standardise(0.5), Hinges(torch.rand(4), 2))
        columns = (NumericColumn("n", None, 0.0, 1.0), CategoryColumn("c", "a", ("a",)), WordColumn("w", "", 1, 4))
        score = ConvexMLP((12,), (5, 3))
        return FeatureConvexClassifier(feature_map, score, input_shape=(4,), scaling=TableScaling(columns))

    def declared(self, metadata):
        (standardise, hinges), score = metadata["feature_map"]["maps"], metadata["score"]
        hinged = {"kind": "Chain", "maps": [standardise, hinges | {"count": 10**8}]}
        grown = {"kind": "Chain", "maps": [standardise, hinges, *[{"kind": "CentreAbsolute"}] * 60]}
        names = [{"kind": "numeric", "name": str(i), "fill": None, "low": 0.0, "high": 1.0} for i in range(20_000)]
        return {
            "wide": metadata | {"score": score | {"hidden": [15_000, 20_000]}},
            "long": metadata | {"score": score | {"hidden": [1] * 100_000}},
            "hinged": metadata | {"feature_map": hinged},
            "grown": metadata | {"feature_map": grown},
            "many maps": metadata | {"feature_map": {"kind": "Chain", "maps": [{"kind": "Identity"}] * 20_000}},
            "many columns": metadata | {"scaling": {"columns": names}},
            "a score twice as deep": metadata | {"score": {"kind": "SymmetricAverage", "base": score}},
        }


class TestConvolutional(ModelContract):
    meant = ("score.shift = 0",)

    def model(self):
        score = ConvexConvNet(IMAGE, 2, 3, 3, passthrough=True, pool_size=2)
        feature_map = Standardise(0.5)
        return FeatureConvexClassifier(feature_map, SymmetricAverage(score, shift=1), input_shape=IMAGE)

    def declared(self, metadata):
        base = metadata["score"]["base"]
        return {
            f"{name} = {number}": metadata | {"score": metadata["score"] | {"base": base | {name: number}}}
            for name, number in (("depth", 3 * 10**8), ("stride", 7), ("first_kernel", 10**5), ("pool_size", 5))
        }


class TestConvexConcave(ModelContract):
    def model(self):
        scores = [ConvexMLP((3,), (4,)) for _ in range(3)]
        names = ("a", "b", "c")
        return ConvexConcaveClassifier(Standardise(0.5), scores[0], scores[1:], input_shape=(3,), classes=names)

    def declared(self, metadata):
        return {"many scores": metadata | {"concave": metadata["concave"] * 5000}}


class TestDistanceNet(ModelContract):
    def model(self):
        net = LinfDistanceNet((2, 4, 4), 3, width=4, depth=3, convolutions=((2, 3, 1),), groups=2)
        return DistanceClassifier(net, classes=("a", "b", "c"))

    def declared(self, metadata):
        return {
            "deeper": metadata | {"net": metadata["net"] | {"depth": 3 * 10**8}},
            "many convolutions": metadata | {"net": metadata["net"] | {"convolutions": [[2, 3, 1]] * 50_000}},
            "many names": metadata | {"names": ["a"] * 100_000},
        }


class TestDistanceNetWithHead(ModelContract):
    def model(self):
        return DistanceClassifier(LinfDistanceNet((3,), 2, width=4, depth=3, groups=2, head=5))


class TestDistanceFeatures(ModelContract):
    def model(self):
        feature_map = DistanceFeatures(LinfDistanceNet((3,), 6, width=4, depth=3, groups=2))
        return FeatureConvexClassifier(feature_map, ConvexMLP((6,), (4,)), input_shape=(3,))


class TestLearnedMap(ModelContract):
    def model(self):
        feature_map = LayeredMap([*sll((3,), 4, 2).layers, *orthogonal((3,), 6, 1).layers], (3,))
        return FeatureConvexClassifier(feature_map, ConvexMLP((6,), (4,)), input_shape=(3,))

    def declared(self, metadata):
        described = metadata["feature_map"]
        rest = described["layers"][1:]
        cases = {"many layers": ["MaxMin"] * 50_000, "unknown layer": ["Linear", *rest], "a layer less": rest}
        return {name: metadata | {"feature_map": described | {"layers": case}} for name, case in cases.items()}


class TestLearnedMapOfImages(ModelContract):
    def model(self):
        feature_map = sll((2, 8, 8), 3, 1, convolutional=True)
        score = ConvexMLP(feature_map.output_shape((2, 8, 8)), (4,))
        return FeatureConvexClassifier(feature_map, score, input_shape=(2, 8, 8))

    def declared(self, metadata):
        shape = [2, 10**6, 10**6]
        large = metadata | {"input_shape": shape, "feature_map": metadata["feature_map"] | {"input_shape": shape}}
        return {"large images": large}


class TestRelu(ModelContract):
    def model(self):
        return ReluClassifier.fold(relu_network((3,), (4, 5)), input_shape=(3,))

    def declared(self, metadata):
        return {"deeper": metadata | {"depth": 3 * 10**8}}


class TestLipschitz(ModelContract):
    def model(self):
        return LipschitzClassifier.fold(cayley_network((6,), (4, 2)), input_shape=(6,))

    def declared(self, metadata):
        return {"many layers": metadata | {"layers": [{"kind": "MaxMin"}] * 50_000}}


class TestOrthogonalConvolutions(ModelContract):
    def model(self):
        return LipschitzClassifier.fold(cayley_resnet((1, 12, 12), width=2), input_shape=(1, 12, 12))

    def declared(self, metadata):
        first, *rest = metadata["layers"]
        return {
            "padded": metadata | {"layers": [first | {"amount": 10**5}, *rest]},
            "padded again": metadata | {"layers": [first | {"amount": 4}] * 20 + rest},
            "large images": metadata | {"input_shape": [1, 10**5, 10**5]},
        }


class TestSmoothed(ModelContract):
    def model(self):
        return SmoothedClassifier(base_network("mlp", (3,), width=8), "gaussian", 0.5)


class TestSmoothedConvolutions(ModelContract):
    def model(self):
        return SmoothedClassifier(base_network("convnet", (3, 16, 16), width=4), "uniform", 0.5)

    def declared(self, metadata):
        return {
            "thin": metadata | {"input_shape": [3, 10**8, 3], "base": metadata["base"] | {"input_shape": [3, 10**8, 3]}}
        }


class TestSplit(ModelContract):
    def model(self):
        return SplitClassifier(base_network("mlp", (3,), width=8), 7)


class TestTrees(ModelContract):
    def model(self):
        return TreeSum(random_trees(0))


class TestVoteOfTrees(ModelContract):
    def model(self):
        return TreeVote(random_trees(0, parts=3))


class TestAblated(ModelContract):
    def model(self):
        return AblatedClassifier(signs(6), torch.arange(6), 2)


def test_a_network_for_images_of_any_size_costs_nothing_for_the_size_that_a_file_declares(tmp_path):
    base = base_network("resnet-18", (3, 32, 32))
    small = SmoothedClassifier(base, "gaussian", 0.5).contents()
    shape = [3, 10**6, 10**6]
    metadata = small[1] | {"input_shape": shape, "base": small[1]["base"] | {"input_shape": shape}}
    write(tmp_path / "model.safetensors", small[0], metadata)
    model = BinaryClassifier.load(tmp_path / "model.safetensors")
    assert model.input_shape == tuple(shape)
    assert model.activations > 10**12


KINDS = [kind for name, kind in globals().items() if name.startswith("Test")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_read_is_the_one_that_was_written(kind, tmp_path):
    path = kind().good(tmp_path)
    torch.manual_seed(0)
    model, again = kind().model(), BinaryClassifier.load(path)
    assert type(again) is type(model)
    assert again.digest == model.digest
    assert not any(weight.requires_grad for weight in again.parameters())
    assert not any(value.is_meta for value in (*again.parameters(), *again.buffers()))
    x = torch.rand(4, *model.input_shape, dtype=torch.float64)
    assert torch.equal(again.margin(x), model.margin(x))


def test_reading_models_stays_light(tmp_path):
    """Building without values touches a part of torch that imports its compiler, more than a second, if used."""
    for index, kind in enumerate(KINDS):
        (tmp_path / str(index)).mkdir()
        kind().good(tmp_path / str(index))
    code = (
        "import pathlib, sys; from asymcert.models import BinaryClassifier;"
        f"[BinaryClassifier.load(path) for path in pathlib.Path({str(tmp_path)!r}).rglob('*.safetensors')];"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
