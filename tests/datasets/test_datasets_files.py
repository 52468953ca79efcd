import dataclasses
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
from functools import partial

import numpy as np
import pooch
import pytest
from PIL import Image

from asymcert.datasets import files, images, load
from asymcert.datasets.files import Publication, locate
from asymcert.datasets.readers import list_families, read_cifar, read_idx, read_png
from asymcert.errors import DataError, InputError

RANDOM = np.random.default_rng(0)


def idx_bytes(array):
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def cifar_bytes(labels):
    return b"".join(bytes([label]) + RANDOM.bytes(3072) for label in labels)


def write_mnist(folder, monkeypatch, n=40):
    """A small set in MNIST's form, with its checksums in place of the published ones."""
    folder.mkdir(parents=True)
    sums = []
    for name in images._IDX_NAMES:
        shape = (n, 28, 28) if "images" in name else (n,)
        array = RANDOM.integers(0, 256, shape, dtype=np.uint8) if len(shape) == 3 else np.arange(n, dtype=np.uint8) % 10
        content = idx_bytes(array)
        (folder / name).write_bytes(gzip.compress(content))
        sums.append(hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(images.CONTENT, "mnist", tuple(sums))


@pytest.fixture(autouse=True)
def no_data_around(tmp_path, monkeypatch):
    """Keep the machine's own data and cache out of these tests."""
    monkeypatch.delenv(files.ENVIRONMENT, raising=False)
    monkeypatch.setattr(files, "cache_root", lambda: tmp_path / "cache")
    monkeypatch.setattr(images, "cache_root", lambda: tmp_path / "cache")


@pytest.fixture
def offline(monkeypatch):
    def refuse(self, url, output_file, pooch, check_only=False):
        raise OSError("network is unreachable")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", refuse)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on the loopback address; gives its folder and its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_idx_gives_back_what_was_written(tmp_path):
    array = RANDOM.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx_bytes(array)))
    assert np.array_equal(read_idx(path, 3), array)


def test_damaged_idx_is_refused_by_name(tmp_path):
    content = idx_bytes(RANDOM.integers(0, 256, (3, 4, 5), dtype=np.uint8))
    packed = gzip.compress(content)
    changed = content[:-1] + bytes([content[-1] ^ 1])
    cases = [
        *((broken, "not a whole gzip file") for broken in (packed[:-20], packed[:20], b"plain")),
        (packed[:30] + b"\0\0\0" + packed[33:], "not a whole gzip file"),
        (b"", "magic number must be 2051"),  # an empty file is an empty gzip stream
        (gzip.compress(b"\0\0\x08\x01" + content[4:]), "magic number must be 2051"),
        (gzip.compress(b"\0\0\x08\x03"), "magic number must be 2051"),
        (gzip.compress(content[:-1]), "needs 60 bytes, got 59"),
        (gzip.compress(content + b"\0"), "needs 60 bytes, got more"),
        (gzip.compress(changed), "does not have the publisher's SHA-256"),
    ]
    path = tmp_path / "broken.gz"
    for broken, message in cases:
        path.write_bytes(broken)
        with pytest.raises(DataError, match=rf"broken\.gz: .*{message}.*get it again"):
            read_idx(path, 3, hashlib.sha256(content).hexdigest())


def test_cifar_reader(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    content = cifar_bytes([3, 5, 1, 3])
    path.write_bytes(content)
    pixels, labels = read_cifar(path, (3, 5))
    assert labels.tolist() == [3, 5, 3]
    assert pixels.shape == (3, 3, 32, 32)
    assert pixels[1].tobytes() == content[3073 + 1 : 2 * 3073]
    for broken, message in [(content[:-1], "multiple of 3073"), (b"", "above 0, got 0"), (b"\x0a" + content[1:], "10")]:
        path.write_bytes(broken)
        with pytest.raises(DataError, match=message):
            read_cifar(path, (3, 5))


def test_cifar_without_a_class_says_so(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in images.PUBLICATIONS["cifar10"].files:
        (folder / name).write_bytes(cifar_bytes([3, 5] * 5))
    data = load("cifar10-cat-dog", tmp_path)
    assert (len(data.train), len(data.val), len(data.test)) == (40, 10, 10)
    with pytest.raises(DataError, match=r"the train files have no record of class 0 \(airplane\)"):
        load("cifar10-airplane-dog", tmp_path)


@pytest.mark.parametrize("shape", [(600, 700), (100, 90), (513, 1), (512, 512), (3, 777)])
def test_png_is_cropped_or_padded_around_its_centre(tmp_path, shape):
    pixels = RANDOM.integers(1, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    result = read_png(tmp_path / "a.png", 512)
    padding = [(max(0, (512 - s) // 2), max(0, 512 - s - (512 - s) // 2)) for s in shape]
    top, left = (max(0, (s - 512) // 2) for s in shape)
    assert np.array_equal(result, np.pad(pixels, padding)[top : top + 512, left : left + 512])


def test_png_refusals(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    with pytest.raises(DataError, match="must be 8-bit greyscale"):
        read_png(path, 16)
    Image.fromarray(RANDOM.integers(0, 256, (40, 40), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match="not a readable PNG"):
        read_png(path, 16)
    path.write_bytes(b"text")
    with pytest.raises(DataError, match="not a readable PNG"):
        read_png(path, 16)


def malimg_tree(root, benign=15, others=(9, 11)):
    for family, count in [("Allaple.A", benign), *((f"Other.{i}", n) for i, n in enumerate(others))]:
        (root / "malimg" / family).mkdir(parents=True)
        for i in range(count):
            value = 255 if family == "Allaple.A" else 51 + i
            Image.fromarray(np.full((20 + i, 16), value, np.uint8)).save(root / "malimg" / family / f"{i:02d}.png")
        (root / "malimg" / family / "notes.txt").write_text("not an image")


def test_malimg(tmp_path):
    malimg_tree(tmp_path)
    data = load("malimg", tmp_path)
    assert data.input_shape == (1, 512, 512)
    assert (data.sensitive, data.other) == ("other families", "Allaple.A")
    counts = [(len(s), int(s.y.sum())) for s in (data.train, data.val, data.test)]
    assert counts == [(20, 10), (4, 2), (6, 3)]
    assert all(bool((s.x.amax((1, 2, 3)) == 1).eq(~s.y).all()) for s in (data.train, data.val, data.test))
    assert load("malimg", tmp_path).digest == data.digest
    swapped = load("malimg", tmp_path, sensitive="Allaple.A")
    assert (swapped.sensitive, swapped.other) == ("Allaple.A", "other families")
    assert bool((swapped.test.x.amax((1, 2, 3)) == 1).eq(swapped.test.y).all())


def test_malimg_refusals(tmp_path):
    with pytest.raises(DataError, match="no folder 'malimg' found"):
        load("malimg", tmp_path)
    malimg_tree(tmp_path, others=(3,))
    with pytest.raises(DataError, match="got 15 and 3"):
        load("malimg", tmp_path)
    assert sorted(list_families(tmp_path / "malimg")) == ["Allaple.A", "Other.0"]


def test_data_dir_then_environment_then_cache(tmp_path, monkeypatch, offline):
    write_mnist(tmp_path / "given" / "mnist", monkeypatch)
    by_argument = load("mnist-3-8", tmp_path / "given").digest
    monkeypatch.setenv(files.ENVIRONMENT, str(tmp_path / "given"))
    assert load("mnist-3-8").digest == by_argument
    (tmp_path / "empty").mkdir()
    assert load("mnist-3-8", tmp_path / "empty").digest == by_argument
    monkeypatch.delenv(files.ENVIRONMENT)
    (tmp_path / "given").rename(tmp_path / "cache")
    assert load("mnist-3-8").digest == by_argument
    with pytest.raises(DataError, match="`data_dir` must be a folder"):
        load("mnist-3-8", tmp_path / "nowhere")


def test_one_changed_pixel_of_a_published_file_is_refused(tmp_path, monkeypatch):
    write_mnist(tmp_path / "mnist", monkeypatch)
    path = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[5000] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: the unpacked content"):
        load("mnist-3-8", tmp_path)


@pytest.mark.parametrize("name", ["mnist-3-8", "fashion-shirts", "cifar10-cats-dogs"])
def test_without_a_network_the_error_says_what_to_put_where(name, offline):
    publication = images.PUBLICATIONS[name.split("-")[0]]
    with pytest.raises(DataError) as caught:
        load(name)
    for part in (*publication.files, publication.folder, "cache", "data_dir", "ASYMCERT_DATA", "unreachable"):
        assert part in str(caught.value)


def test_download_of_single_files(tmp_path, monkeypatch, server, capsys):
    folder, url = server
    write_mnist(folder / "mnist", monkeypatch)
    published = images.PUBLICATIONS["mnist"]
    sums = {name: md5(folder / "mnist" / name) for name in published.files}
    monkeypatch.setitem(images.PUBLICATIONS, "mnist", dataclasses.replace(published, url=f"{url}mnist/", md5=sums))
    digest = load("mnist-3-8").digest
    assert sorted(p.name for p in (tmp_path / "cache" / "mnist").iterdir()) == sorted(published.files)
    assert digest == load("mnist-3-8", folder).digest
    assert "train-images" in capsys.readouterr().err


def test_download_with_a_wrong_checksum_leaves_nothing(tmp_path, server, monkeypatch):
    folder, url = server
    (folder / "a.bin").write_bytes(b"changed on the way")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(DataError, match=r"things: files not found, and downloading them .* failed"):
        locate(Publication("things", ("a.bin",), url, {"a.bin": "0" * 32}), None)
    assert not (tmp_path / "cache" / "things" / "a.bin").exists()


def test_download_of_an_archive_unpacks_the_named_files_only(tmp_path, server):
    folder, url = server
    with tarfile.open(folder / "all.tar.gz", "w:gz") as tar:
        for name, content in [("things/a.bin", b"a"), ("things/readme", b"r"), ("../evil", b"e")]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    publication = Publication("things", ("a.bin",), url, {"all.tar.gz": md5(folder / "all.tar.gz")})
    assert (locate(publication, None) / "a.bin").read_bytes() == b"a"
    assert sorted(str(p.relative_to(tmp_path / "cache")) for p in (tmp_path / "cache").rglob("*")) == [
        "things",
        "things/a.bin",
    ]
    with pytest.raises(DataError, match="KeyError"):
        locate(dataclasses.replace(publication, files=("b.bin",)), None)


def test_unknown_names_are_refused_before_any_file():
    with pytest.raises(InputError, match="Did you mean"):
        load("mnist-3")
