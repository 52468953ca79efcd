"""Object stores: memory, and a server of S3 on the loopback that starts and stops here."""

import random
import sys

import pytest

from asymcert import lake
from asymcert.errors import DependencyError, InputError
from asymcert.lake.addresses import place_at, source_at
from contracts.lake_runs import start_driver, wait_for
from contracts.lakes import THREATS, make_lake, outputs
from contracts.object_servers import ABSENT, SERVER, s3_server

obstore = pytest.importorskip("obstore", reason="the package obstore is not installed")


def copied(folder, address):
    """A place at an address with all files of a folder."""
    place = place_at(address)
    for path in folder.rglob("*.parquet"):
        place.replace(path.relative_to(folder).as_posix(), path.read_bytes())
    return place


def stored(place):
    return {entry.path: place.read(entry.path) for entry in place.entries("rows")}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The address of an empty bucket; this process's environment leads there."""
    if SERVER is None:
        pytest.skip(ABSENT)
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as address:
        yield address


@pytest.mark.parametrize("kind", ["folder", "memory", "s3"])
def test_what_a_place_does(kind, tmp_path, request):
    address = {"folder": tmp_path, "memory": "memory://contract"}.get(kind) or request.getfixturevalue(
        "s3"
    ) + "/contract"
    place = place_at(address)
    assert list(place.entries()) == []
    with pytest.raises(FileNotFoundError):
        place.read("a/b")
    with pytest.raises(FileNotFoundError):
        place.entry("a/b")
    assert place.create("a/b", b"one")
    assert not place.create("a/b", b"two")
    assert place.read("a/b") == b"one"
    first = place.entry("a/b")
    place.replace("a/b", b"three")
    assert place.entry("a/b") != first
    assert place.entry("a/b").size == 5
    place.replace("ab/c", b"")
    assert sorted(entry.path for entry in place.entries()) == ["a/b", "ab/c"]
    assert [entry.path for entry in place.entries("a")] == ["a/b"]
    assert list(place.entries("a")) == [place.entry("a/b")]
    with place.local("a/b") as path:
        assert path.read_bytes() == b"three"
        assert path.name == "b"


def test_memory_gives_what_a_folder_gives(model, source, undisturbed):
    copied(source, "memory://lake/source")
    dest = "memory://lake/dest"
    found = lake.certify(model, "memory://lake/source", dest, THREATS, keep=["id"])
    assert (found.done, found.failed) == (5, 1)
    assert {len(content) for content in stored(place_at(dest)).values()} == {len(c) for c in undisturbed.values()}
    assert sorted(stored(place_at(dest)).values()) == sorted(undisturbed.values())
    assert lake.verify(dest, 1).findings == []
    assert lake.status(dest).done == 5
    part = "memory://lake/source/day=0/*.parquet"
    assert lake.certify(model, part, "memory://lake/part", THREATS, keep=["id"]).units == 3


def test_memory_is_not_for_other_processes(model, source):
    with pytest.raises(InputError, match="`workers` must be 0 for memory://"):
        lake.certify(model, source, "memory://other", THREATS, workers=2)
    with pytest.raises(InputError, match="`workers` must be 0 for memory://"):
        lake.certify(model, source, "memory://another", THREATS, engine="ray")


def test_a_file_address_is_a_folder(model, source, tmp_path, undisturbed):
    dest = (tmp_path / "a place").as_uri()
    lake.certify(model, source.as_uri(), dest, THREATS, keep=["id"], workers=0)
    assert outputs(tmp_path / "a place") == undisturbed


def test_s3_by_processes_that_are_killed(model, tmp_path, source, undisturbed, s3):
    copied(source, f"{s3}/in")
    model.save(tmp_path / "model")
    driver = start_driver(tmp_path / "model", f"{s3}/in", f"{s3}/out", workers=1)
    dest = place_at(f"{s3}/out")
    wait_for(lambda: next(dest.entries("done"), None))
    driver.kill()
    driver.communicate()
    found = lake.certify(model, f"{s3}/in", f"{s3}/out", THREATS, keep=["id"], workers=2)
    assert (found.units, found.done, found.failed) == (6, 5, 1)
    assert sorted(stored(dest).values()) == sorted(undisturbed.values())
    assert lake.verify(f"{s3}/out", 0.5).findings == []
    assert lake.status(f"{s3}/out").state == "finished"
    name = random.Random(0).choice(sorted(stored(dest)))
    dest.replace(name, dest.read(name)[:-1] + b"?")
    assert [finding.path for finding in lake.verify(f"{s3}/out").findings] == [name]


def test_a_bucket_that_is_not_there_is_one_line(model, source, s3):
    with pytest.raises(OSError, match="s3://nowhere/out") as raised:
        lake.certify(model, source, "s3://nowhere/out", THREATS, workers=0)
    assert "\n" not in str(raised.value)


def test_without_obstore_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(DependencyError, match=r"asymcert\[cloud\]"):
        place_at("s3://bucket/x")


def test_globs_of_stores():
    source = source_at("memory://bucket/logs/day=*/[ab]?.parquet")
    assert source.place.address == "memory://bucket/logs"
    fitting = ["day=1/a1.parquet", "day=22/b2.parquet"]
    others = ["day=1/c1.parquet", "day=1/a12.parquet", "day=1/x/a1.parquet", "_day=1/a1.parquet", "day=1/.a.parquet"]
    assert [path for path in fitting + others if source.fits(path)] == fitting
    with pytest.raises(InputError, match="`source` must be a glob below a bucket"):
        source_at("s3://*.parquet")


def test_sets_in_globs_mean_themselves(tmp_path):
    make_lake(tmp_path, (1, 1))
    source = source_at(f"{tmp_path}/day=[!0]/*.parquet")
    assert source.fits("day=1/x.parquet")
    assert not source.fits("day=0/x.parquet")
