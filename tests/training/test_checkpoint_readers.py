"""Checkpoints of strangers: one line, whatever is wrong with them."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from asymcert.errors import RunError
from asymcert.training.checkpoint import KEY, Checkpoint
from contracts.hostile import deep
from contracts.readers import ReaderContract

FACTS = {"log": [{"epoch": 1}]}


def checkpoint(path):
    """A run that has taken two steps."""
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    for _ in range(2):
        module(torch.rand(4, 3)).sum().backward()
        optimizer.step()
    return Checkpoint(path, {"net": module}, optimizer, {"seed": 3})


class TestCheckpoint(ReaderContract):
    most_seconds = 2.0

    def good(self, folder):
        path = folder / "checkpoint"
        checkpoint(path).save(FACTS, last=True)
        return path

    def read(self, path):
        facts = checkpoint(path).resume()
        assert isinstance(facts["log"], list)
        return facts

    def hostile(self, folder):
        tensors = load_file(self.good(folder))
        metadata = {**FACTS, "identity": {"seed": 3}}
        cases = {f"{name} {str(value)[:9]}": (tensors, {**metadata, name: value}) for name in metadata for value in ODD}
        cases["a fact that sets anything"] = tensors, {**metadata, "fit": 1}
        cases["no identity"] = tensors, FACTS
        cases["another seed"] = tensors, {**metadata, "identity": {"seed": 10**18}}
        cases["a list"] = tensors, [1]
        cases["a wide weight"] = {**tensors, "net.weight": torch.ones(2, 300)}, metadata
        cases["no weight"] = {name: value for name, value in tensors.items() if name != "net.bias"}, metadata
        cases["state of another shape"] = {**tensors, "optimizer.0.exp_avg": torch.ones(5)}, metadata
        cases["state of no weight"] = {**tensors, "optimizer.100000000.exp_avg": torch.ones(5)}, metadata
        cases["state without a number"] = {**tensors, "optimizer.a": torch.ones(5)}, metadata
        paths = {what: folder / str(index) for index, what in enumerate(cases)}
        for what, path in paths.items():
            save_file(cases[what][0], path, {KEY: json.dumps(cases[what][1])})
        for key in metadata:
            paths[f"deep {key}"] = folder / f"deep {key}"
            save_file(tensors, paths[f"deep {key}"], {KEY: deep(metadata, key)})
        return paths


ODD = (10**400, None, "7", [[1]], {"a": 1})


def test_what_was_saved_comes_back(tmp_path):
    saved = checkpoint(tmp_path / "checkpoint")
    saved.save(FACTS, last=True)
    fresh = checkpoint(tmp_path / "checkpoint")
    with torch.no_grad():
        fresh.modules["net"].weight.zero_()
    assert fresh.resume() == FACTS
    assert torch.equal(fresh.modules["net"].weight, saved.modules["net"].weight)
    assert fresh.optimizer.state_dict()["state"][0]["step"] == 2


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(RunError, match="not a readable checkpoint"):
        checkpoint(tmp_path).resume()
