"""Model files: what is written comes back; what was changed is refused; nothing in a file is run."""

import json
import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from asymcert.convex import ConvexConvNet, ConvexMLP
from asymcert.errors import ModelFileError
from asymcert.features import CentreAbsolute, Chain, Identity, Standardise
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.files import KEY, digest_of
from contracts.models import feature_maps, random_conv, random_mlp, randomise, seeded

MAPS = feature_maps(6, seeded(0))


@pytest.fixture
def saved(tmp_path):
    model, _ = random_mlp(1, feature_map=MAPS["nested"])
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def read(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()[KEY])  # noqa: SIM118


def write(path, tensors, metadata, seal=False):
    """Write changed contents; `seal` also writes the digest that fits them, as somebody who means it would."""
    if seal:
        metadata = {name: value for name, value in metadata.items() if name != "digest"}
        metadata["digest"] = digest_of(tensors, metadata)
    save_file(tensors, path, {KEY: json.dumps(metadata)})


def check_round_trip(model, x, path):
    model.save(path)
    loaded = FeatureConvexClassifier.load(path)
    assert torch.equal(loaded.margin(x), model.margin(x))
    assert loaded.digest == model.digest
    assert loaded.threshold == model.threshold
    assert (loaded.input_shape, loaded.sensitive, loaded.other) == (model.input_shape, model.sensitive, model.other)
    assert loaded.info == model.info
    assert not loaded.score.training
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", MAPS)
def test_round_trip_of_every_map(name, tmp_path):
    check_round_trip(*random_mlp(2, feature_map=MAPS[name]), tmp_path / "m.safetensors")


@pytest.mark.parametrize("pool", ["max", "average"])
def test_round_trip_of_convolutional_networks(pool, tmp_path):
    check_round_trip(*random_conv(3, pool), tmp_path / "m.safetensors")


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("passthrough", [False, True])
def test_round_trip_of_folded_networks(batch_norm, passthrough, tmp_path):
    score = randomise(ConvexMLP((12,), (5, 4, 3), passthrough, batch_norm), seeded(4))
    score.train()(torch.randn(16, 12))
    info = {"preset": "toy", "seed": 3}
    feature_map = Chain(Standardise(0.3), CentreAbsolute(torch.rand(6)))
    model = FeatureConvexClassifier(
        feature_map, score, 0.1, input_shape=(6,), sensitive="spam é", other="ham", info=info
    )
    check_round_trip(model, torch.rand(9, 6).double(), tmp_path / "m.safetensors")


def test_round_trip_of_strided_convolutions(tmp_path):
    score = randomise(ConvexConvNet((1, 8, 8), 2, 3, 5, 5, stride=2, batch_norm=True, pool_size=2), seeded(5))
    model = FeatureConvexClassifier(Identity(), score, input_shape=(1, 8, 8))
    check_round_trip(model, torch.rand(4, 1, 8, 8).double(), tmp_path / "m.safetensors")


def test_saving_replaces_the_file(saved):
    model, x = random_mlp(9)
    check_round_trip(model, x, saved)


def test_the_digest_tells_models_apart():
    model, _ = random_mlp(1)
    other, _ = random_mlp(2)
    nudged = model.with_threshold(math.nextafter(model.threshold, math.inf))
    assert len({model.digest, other.digest, nudged.digest, nudged.with_threshold(model.threshold).digest}) == 3


def test_every_flipped_byte_is_refused_or_changes_nothing(saved):
    """A byte of the tensors, the metadata or the header: 200 places spread over the file."""
    content, digest = saved.read_bytes(), FeatureConvexClassifier.load(saved).digest
    refused = 0
    for place in range(0, len(content), max(1, len(content) // 200)):
        saved.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert FeatureConvexClassifier.load(saved).digest == digest
        except ModelFileError:
            refused += 1
    assert refused > 190


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_a_file_that_is_cut_off_is_refused(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(ModelFileError, match="not a model of this package, or damaged"):
        FeatureConvexClassifier.load(saved)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", (-1.0).hex()),
        ("classes", ["sensitive", "other"]),
        ("info", {"seed": 1}),
        ("digest", "0" * 64),
        ("digest", None),
        ("input_shape", [3, 2]),
    ],
)
def test_changed_metadata_is_refused(saved, key, value):
    tensors, metadata = read(saved)
    write(saved, tensors, {**metadata, key: value})
    with pytest.raises(ModelFileError, match="digest does not match"):
        FeatureConvexClassifier.load(saved)


def damage(tensors, name, value):
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] = value
    return tensors


SEALED = {
    "negative weight": (
        lambda t, m: (damage(t, "score.hidden.0.weight", -1e-9), m),
        "`hidden.0.weight` must be nonneg",
    ),
    "nan weight": (lambda t, m: (damage(t, "score.first.weight", math.nan), m), "`first.weight` must be finite"),
    "infinite bias": (lambda t, m: (damage(t, "score.first.bias", math.inf), m), "`first.bias` must be finite"),
    "nan mean": (lambda t, m: (damage(t, "feature_map.maps.0.maps.1.mean", math.nan), m), "`mean` must be finite"),
    "nan threshold": (lambda t, m: (t, {**m, "threshold": "nan"}), "`threshold` must be finite"),
    "word as threshold": (lambda t, m: (t, {**m, "threshold": "high"}), "not a valid model"),
    "unknown score": (lambda t, m: (t, {**m, "score": {"kind": "Linear"}}), "not a valid model"),
    "unknown map": (lambda t, m: (t, {**m, "feature_map": {"kind": "Pickle"}}), "not a valid model"),
    "unknown option": (lambda t, m: (t, {**m, "score": {**m["score"], "depth": 3}}), "not a valid model"),
    "no score": (lambda t, m: (t, {k: v for k, v in m.items() if k != "score"}), "not a valid model"),
    "score that is no object": (lambda t, m: (t, {**m, "score": [1]}), "not a valid model"),
    "one class": (lambda t, m: (t, {**m, "classes": ["a"]}), "not a valid model"),
    "missing tensor": (lambda t, m: ({k: v for k, v in t.items() if "direct" not in k}, m), "not a valid model"),
    "other widths": (lambda t, m: (t, {**m, "score": {**m["score"], "hidden": [3, 3]}}), "not a valid model"),
    "other inputs": (lambda t, m: (t, {**m, "input_shape": [5]}), "not a valid model"),
    "later version": (lambda t, m: (t, {**m, "format": 9}), "model format 9 is unknown"),
    "no version": (lambda t, m: (t, {k: v for k, v in m.items() if k != "format"}), "model format None is unknown"),
}


@pytest.mark.parametrize("case", SEALED)
def test_a_file_that_is_no_valid_model_is_refused_though_its_digest_fits(case, saved):
    change, message = SEALED[case]
    write(saved, *change(*read(saved)), seal=True)
    with pytest.raises(ModelFileError, match=message):
        FeatureConvexClassifier.load(saved)


@pytest.mark.parametrize("metadata", [None, {"other": "x"}, {KEY: "no json"}, {KEY: "[]"}, {KEY: "3"}])
def test_tensors_without_this_package_s_metadata_are_refused(metadata, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "m.safetensors", metadata)
    with pytest.raises(ModelFileError):
        FeatureConvexClassifier.load(tmp_path / "m.safetensors")


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"\x80\x04\x95cposix\nsystem\n")  # a pickle is never opened
    with pytest.raises(ModelFileError, match="not a model of this package"):
        FeatureConvexClassifier.load(path)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match="not a model of this package"):
        FeatureConvexClassifier.load(path)
    with pytest.raises(ModelFileError, match=r"model\.safetensors: no such file"):
        FeatureConvexClassifier.load(tmp_path)  # of a folder, the run's model


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"nowhere\.safetensors: no such file"):
        FeatureConvexClassifier.load(tmp_path / "nowhere.safetensors")
