"""The checker before files of strangers: its exit codes, one line for each file, little time and memory."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from asymcert.convex import ConvexConvNet, ConvexMLP, SymmetricAverage
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute, Chain, Ramps, SoftThreshold, Standardise
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.files import KEY, digest_of
from asymcert.proofs import checker
from asymcert.proofs.writer import write_proof
from asymcert.threats.model import ThreatModel
from contracts.hostile import DEEP, deep, swapped
from contracts.models import balanced, randomise, seeded
from contracts.readers import ReaderContract


def mlp():
    x = torch.rand(9, 4, generator=seeded(1), dtype=torch.float64)
    feature_map = Chain(Standardise(0.5), CentreAbsolute(torch.full((4,), 0.5)), SoftThreshold(torch.zeros(8), 0.1))
    return balanced(feature_map, randomise(ConvexMLP((8,), (5, 3)), seeded(0)), x), x


def conv():
    x = torch.rand(9, 1, 5, 6, generator=seeded(1), dtype=torch.float64)
    score = randomise(ConvexConvNet((2, 5, 6), 2, 3, 3, passthrough=True, pool_size=2), seeded(0))
    return balanced(CentreAbsolute(torch.full((1, 5, 6), 0.5)), SymmetricAverage(score, shift=1), x), x


def table():
    x = torch.rand(9, 4, generator=seeded(1), dtype=torch.float64)
    feature_map = Ramps.fit(x, 3)
    return balanced(feature_map, randomise(ConvexMLP(feature_map.output_shape((4,)), (5, 3)), seeded(0)), x), x


def prove(folder, build):
    """A model's file and an honest proof of one of its samples."""
    model, x = build()
    model.save(folder / "model")
    best = x[model.margin(x).argmax()]
    write_proof(folder / "proof", model, best, ThreatModel(2, lower=-1.0, upper=2.0), best[None], torch.ones(1))
    return folder / "model", folder / "proof"


def checked(capsys, *paths):
    """Exit code and lines; nothing else is printed."""
    code = checker.main([str(path) for path in paths])
    out, err = capsys.readouterr()
    assert not err
    return code, out.splitlines()


class CheckerContract(ReaderContract):
    """Refused (1) and unreadable or too large (2) count as errors; a line says which."""

    build = staticmethod(mlp)
    most_seconds = 3.0

    @pytest.fixture(autouse=True)
    def _capture(self, capsys):
        self.capsys = capsys

    def read(self, path):
        code, lines = checked(self.capsys, *self.files(path))
        assert len(lines) == 1
        word = {0: "CONFIRMED", 1: ": REFUSED: ", 2: ": UNREADABLE: "}[code]
        assert word in lines[0]
        if code:
            raise InputError(lines[0])
        return lines[0]

    def files(self, path):
        """Model and proof, of which `path` is one."""
        return path.parent / "model", path


class TestProof(CheckerContract):
    def good(self, folder):
        return prove(folder, self.build)[1]

    def hostile(self, folder):
        proof = self.good(folder)
        tensors, metadata = load_file(proof), metadata_of(proof, "asymcert-proof")
        cases = {what: (tensors, changed) for what, changed in swapped(metadata)}
        cases["huge norm"] = tensors, metadata | {"norm": "0x1.0000000000000p+1023"}
        cases["a norm beyond floats"] = tensors, metadata | {"norm": "0x1p+99999"}
        cases["two lines"] = tensors, metadata | {"radius": "1\n2\n"}
        cases["no text"] = tensors, metadata | {"sensitive": "\ud800"}
        for name in tensors:
            cases[f"{name} empty"] = tensors | {name: np.zeros((0, 10**8))}, metadata
            cases[f"{name} of another shape"] = tensors | {name: np.zeros((3, 1, 2))}, metadata
        cases["many anchors of one number"] = (
            tensors | {"anchors": np.array(0.5), "weights": np.full(100_000, 1e-5)},
            metadata,
        )
        paths = {what: folder / f"{index}.proof" for index, what in enumerate(cases)}
        for what, path in paths.items():
            save_file(cases[what][0], path, {"asymcert-proof": json.dumps(cases[what][1])})
        paths["deep"] = folder / "deep.proof"
        save_file(tensors, paths["deep"], {"asymcert-proof": deep(metadata, "norm")})
        paths["deep header"] = folder / "deep header.proof"
        header = b"[" * DEEP
        paths["deep header"].write_bytes(len(header).to_bytes(8, "little") + header)
        return paths


class TestProofOfImages(TestProof):
    build = staticmethod(conv)


class ModelContract(CheckerContract):
    sealed = True

    def good(self, folder):
        return prove(folder, self.build)[0]

    def files(self, path):
        return path, path.parent / "proof"

    def declared(self, metadata):
        return {}

    def hostile(self, folder):
        tensors, metadata = self.build()[0].contents()
        self.good(folder)
        cases = dict(swapped(metadata)) | self.declared(metadata)
        paths = {what: folder / f"{index}.model" for index, what in enumerate(cases)}
        for what, path in paths.items():
            seal(tensors, cases[what], path)
        paths["deep"] = folder / "deep.model"
        save_file(
            {name: value.numpy() for name, value in tensors.items()}, paths["deep"], {KEY: deep(metadata, "info")}
        )
        return paths


class TestModel(ModelContract):
    def declared(self, metadata):
        first, second, third = metadata["feature_map"]["maps"]
        grown = {"kind": "Chain", "maps": [first, second, third, *[second] * 60]}
        return {
            "grown": metadata | {"feature_map": grown},
            "many layers": metadata | {"score": metadata["score"] | {"hidden": [1] * 100_000}},
            "two lines": metadata | {"score": metadata["score"] | {"kind": "a\nb"}},
            "a wide image": metadata | {"input_shape": [10**6, 10**6]},
        }


class TestModelOfImages(ModelContract):
    build = staticmethod(conv)

    def declared(self, metadata):
        score, base = metadata["score"], metadata["score"]["base"]
        numbers = [("depth", 3 * 10**8), ("stride", 10**6), ("pool_size", 10**6), ("pool_size", -2)]
        cases = {f"{name} {value}": score | {"base": base | {name: value}} for name, value in numbers}
        cases["far"] = score | {"shift": 10**6}
        return {what: metadata | {"score": case} for what, case in cases.items()}


class TestModelOfTables(ModelContract):
    build = staticmethod(table)

    def declared(self, metadata):
        ramps = metadata["feature_map"]
        return {
            "many inputs": metadata | {"input_shape": [10**9], "feature_map": ramps | {"inputs": 10**9}},
            "other inputs": metadata | {"feature_map": ramps | {"inputs": 5}},
            "ramps of ramps": metadata | {"feature_map": {"kind": "Chain", "maps": [ramps, ramps]}},
            "many hinges": metadata | {"feature_map": {"kind": "Hinges", "count": 10**12}},
        }

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("source", 4.0),
            ("source", 0.5),
            ("source", -1.0),
            ("source", math.nan),
            ("width", 0.0),
            ("width", -1.0),
            ("width", math.nan),
            ("width", 1e-310),
            ("width", 1e308),
            ("low", math.inf),
            ("low", 1e-20),
            ("low", -1e300),
        ],
    )
    def test_ramps_that_are_none(self, tmp_path, name, value):
        self.good(tmp_path)
        tensors, metadata = self.build()[0].contents()
        tensors[f"feature_map.{name}"][1] = value
        seal(tensors, metadata, tmp_path / "model")
        with pytest.raises(InputError, match=r"UNREADABLE|REFUSED"):
            self.read(tmp_path / "model")

    def test_a_header_that_declares_more_ramps_than_it_holds(self, tmp_path):
        path = self.good(tmp_path)
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        for name in ("source", "low", "width"):
            header[f"feature_map.{name}"]["shape"] = [10**9]
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
        with pytest.raises(InputError, match="UNREADABLE"):
            self.read(path)


def metadata_of(path, key):
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"][key])


def seal(tensors, metadata, path):
    """A model file of any content whose digest fits, as somebody who means it would."""
    metadata = {"format": 2, **metadata}
    metadata["digest"] = digest_of(tensors, metadata)
    save_file({name: value.numpy() for name, value in tensors.items()}, path, {KEY: json.dumps(metadata)})


@pytest.fixture
def files(tmp_path):
    return prove(tmp_path, mlp)


def test_of_several_proofs_the_worst_decides(files, tmp_path, capsys):
    model, good = files
    tensors, metadata = load_file(good), metadata_of(good, "asymcert-proof")
    false = tmp_path / "false"
    save_file(tensors, false, {"asymcert-proof": json.dumps(metadata | {"radius": (1e3).hex()})})
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk")
    for paths, worst in (((good, good), 0), ((good, false), 1), ((junk, false, good), 2), ((false, good, junk), 2)):
        code, lines = checked(capsys, model, *paths)
        assert (code, len(lines)) == (worst, len(paths))


def test_what_is_no_file(files, tmp_path, capsys):
    model, good = files
    for odd in (tmp_path, tmp_path / "nowhere", "/dev/null", "a\0b", "x" * 5000, "two\nlines"):
        assert checked(capsys, model, odd)[0] == 2
        code, lines = checked(capsys, odd, good)
        assert (code, len(lines)) == (2, 1)


def test_without_arguments_it_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as stopped:
        checker.main([])
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_what_takes_far_more_memory_than_was_sent_is_unreadable(tmp_path, capsys):
    """A large image through a chain of maps whose knots grow threefold with each."""
    size = 2**8
    maps = [CentreAbsolute(torch.zeros(1, dtype=torch.float64)) for _ in range(8)]
    score = ConvexMLP((size * 2**8,), (1,), passthrough=False)
    model = FeatureConvexClassifier(Chain(*maps), score, -100.0, input_shape=(size,))
    model.save(tmp_path / "model")
    metadata = {"format": 1, "model": model.digest, "threshold": model.threshold.hex(), "dtype": "float64"}
    x = np.zeros(size)
    metadata |= {"norm": "inf", "radius": (1.0).hex(), "sensitive": "sensitive", "input": hashlib.sha256(x).hexdigest()}
    save_file(
        {"x": x, "anchors": x[None], "weights": np.ones(1)},
        tmp_path / "proof",
        {"asymcert-proof": json.dumps(metadata)},
    )
    code, lines = checked(capsys, tmp_path / "model", tmp_path / "proof")
    assert code == 2
    assert "too large for what was sent" in lines[0]


def test_memory_that_runs_out_is_unreadable(files, monkeypatch, capsys):
    def run_out(*_):
        raise MemoryError

    monkeypatch.setattr(checker.Claim, "check", run_out)
    code, (line,) = checked(capsys, *files)
    assert code == 2
    assert ": UNREADABLE: MemoryError" in line
