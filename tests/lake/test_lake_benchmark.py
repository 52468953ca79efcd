"""The benchmark of lakes in a small form: random kills with both engines, and changes that `verify` must find."""

import importlib
import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        return importlib.import_module("lake")


@pytest.fixture(scope="module")
def place(benchmark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    assert benchmark.make(folder, 10, 5000) > 1000
    assert "CPU seconds a row" in benchmark.cost(folder)
    return folder


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_kills(benchmark, place, engine, monkeypatch):
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("the package ray is not installed")
    monkeypatch.setattr("lake_faults.LONGEST_PAUSE", 0.05)  # so small a lake is done within a second
    assert "outputs equal to the byte" in benchmark.kills(place, engine, 2)


def test_changes(benchmark, place):
    assert benchmark.changes(place, 18).startswith("changes: 18 of 18 found")


def test_listing(benchmark, tmp_path):
    assert benchmark.listing(tmp_path / "listed", 300).startswith("listing, folder: 300 records")
