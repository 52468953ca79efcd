"""Folders with one folder of images a class: any size, grey or in colour."""

import numpy as np
import pytest
import torch
from PIL import Image

from asymcert.datasets import DataSource, load_image_folder, load_source
from asymcert.errors import DataError, InputError
from contracts.readers import ReaderContract
from datasets.test_datasets_contract import png

SHAPE = {"grey": (), "colour": (3,)}


def write(folder, classes=("good", "bad"), sides=((9, 12),), each=20, kind="grey", ending="png"):
    draw = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            height, width = sides[number % len(sides)]
            values = draw.integers(0, 256, (height, width, *SHAPE[kind]), dtype=np.uint8)
            Image.fromarray(values).save(folder / name / f"{number:02d}.{ending}")
    return folder


def splits(data):
    return data.train, data.val, data.test


@pytest.mark.parametrize(("kind", "channels"), [("grey", 1), ("colour", 3)])
@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_every_size_and_colour_becomes_one_shape(tmp_path, kind, channels, ending):
    write(tmp_path / "set", sides=((9, 12), (30, 8)), kind=kind, ending=ending)
    data = load_image_folder(tmp_path / "set", "bad", image_size=8)
    assert data.input_shape == (channels, 8, 8)
    assert (data.sensitive, data.other, sum(map(len, splits(data)))) == ("bad", "good", 40)
    assert "resized to 8 x 8 pixels: 40 images (--image-size sets it)" in data.notes


def test_images_of_the_right_size_are_taken_as_they_are(tmp_path):
    write(tmp_path / "set", sides=((8, 8),))
    data = load_image_folder(tmp_path / "set", "bad")
    read = {tuple(np.asarray(Image.open(path)).ravel()) for path in (tmp_path / "set").rglob("*.png")}
    assert {tuple((row * 255).round().int().flatten().tolist()) for s in splits(data) for row in s.x} == read
    assert not any("resized" in note for note in data.notes)


def test_one_coloured_image_makes_all_rgb_and_sides_are_at_most_64(tmp_path):
    write(tmp_path / "set", sides=((100, 90),), each=10)
    write(tmp_path / "more", classes=("good",), sides=((100, 90),), each=1, kind="colour")
    (tmp_path / "more" / "good" / "00.png").rename(tmp_path / "set" / "good" / "colour.png")
    assert load_image_folder(tmp_path / "set", "bad").input_shape == (3, 64, 64)


def test_several_classes_on_either_side(tmp_path):
    write(tmp_path / "set", classes=("good", "worm", "trojan"))
    both = load_image_folder(tmp_path / "set", ["worm", "trojan"])
    rest = load_image_folder(tmp_path / "set", harmless=["good"])
    assert (both.sensitive, both.other, rest.sensitive) == ("worm or trojan", "good", "not good")
    assert torch.equal(both.train.x, rest.train.x)
    assert torch.equal(both.train.y, rest.train.y)


def test_the_source_loads_the_same_images_where_they_are_now(tmp_path):
    data = load_image_folder(write(tmp_path / "set"), harmless=["good"], seed=3)
    (tmp_path / "new").mkdir()
    (tmp_path / "set").rename(tmp_path / "new" / "set")
    source = DataSource.from_dict(data.source.to_dict())
    assert load_source(source, tmp_path / "new").digest == data.digest


def test_mistakes(tmp_path):
    write(tmp_path / "set", each=4)
    with pytest.raises(InputError, match=r"`sensitive` must be one of the folders bad, good, got none"):
        load_image_folder(tmp_path / "set")
    with pytest.raises(InputError, match=r"`sensitive` must be a value of column 'folder' \(bad, good\), got 'worse'"):
        load_image_folder(tmp_path / "set", "worse")
    with pytest.raises(InputError, match="`image_size` must be"):
        load_image_folder(tmp_path / "set", "bad", image_size=0)
    with pytest.raises(DataError, match="no folder with a folder of images"):
        load_image_folder(tmp_path, "bad")


class TestImages(ReaderContract):
    def good(self, folder):
        return write(folder / "set", each=4)

    def target(self, path):
        return path / "bad" / "00.png"

    def read(self, path):
        return load_image_folder(path, "bad")

    def hostile(self, folder):
        files = {"all pixels that can be promised": (2**31 - 1, 2**31 - 1), "10^8 pixels": (10**4, 10**4)}
        found = {}
        for number, (what, sides) in enumerate(files.items()):
            found[what] = write(folder / str(number), each=4)
            png(found[what] / "bad" / "00.png", *sides)
        return found
