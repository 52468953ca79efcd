"""Every reader of data keeps the contract of readers: bombs, damage and lies cost little and are said in one line."""

import gzip
import struct
import tarfile
import zlib

import numpy as np
import polars as pl
from PIL import Image

from asymcert.datasets import load_table
from asymcert.datasets.files import MOST_BYTES, Publication, _unpack
from asymcert.datasets.readers import CIFAR_RECORD, read_cifar, read_idx, read_png
from asymcert.errors import DataError
from contracts.readers import ReaderContract

ROWS = 60
TEXT = b"zTXt", b"a\0\0" + zlib.compress(bytes(2**24))  # a comment in a PNG file


def frame():
    draw = np.random.default_rng(0)
    words = ["spam", "ham"] * (ROWS // 2)
    return pl.DataFrame({"a": draw.random(ROWS), "b": draw.integers(0, 9, ROWS), "k": ["x", "y", "z"] * 20, "y": words})


def saved(path, content):
    path.write_bytes(content)
    return path


def gzip_bomb(path, header, unit, size):
    """A gzip of `header` and repetitions of `unit`, of `size` bytes and more: the same member again and again."""
    block = unit * (2**24 // len(unit))
    return saved(path, gzip.compress(header) + gzip.compress(block) * (size // len(block) + 1))


class TableContract(ReaderContract):
    def read(self, path):
        return load_table(path, "y", "spam", impute="zero")


class TestCsv(TableContract):
    def good(self, folder):
        frame().write_csv(folder / "good.csv")
        return folder / "good.csv"

    def hostile(self, folder):
        contents = {
            "two columns without a name": b",,y\n1,2,spam\n",
            "quoted decimal commas": b"a,y\n" + b'"1,5",spam\n"2,5",ham\n' * 20,
            "NUL among the values": b"a,y\n1,spam\n\0,ham\n",
            "UTF-16": "a,y\n1,spam\n".encode("utf-16"),
            "UTF-16 without its mark": "a,y\n1,spam\n".encode("utf-16-le"),
            "no line at all": b"",
            "one quote": b'"',
            "open quote": b'a,y\n"1,spam\n' * 9,
            "only commas": b"," * 10**6,
            "a million names": ",".join(map(str, range(10**6))).encode(),
            "a long name": b"a" * 10**6,
            "short lines below many names": ",".join(map(str, range(10**4))).encode() + b"\n1" * 10**5,
            "only line feeds": b"\n" * 10**6,
            "only carriage returns": b"\r" * 10**6,
            "a number of many digits": b"a,y\n" + b"9" * 10**6 + b",spam\n1,ham\n",
            "rows too long": b"a,y\n" + b"1," * 10**5 + b"\n",
        }
        return {what: saved(folder / f"{i}.csv", content) for i, (what, content) in enumerate(contents.items())}


class TestPackedCsv(TableContract):
    def good(self, folder):
        return saved(folder / "good.csv.gz", gzip.compress(frame().write_csv().encode()))

    def hostile(self, folder):
        packed = gzip.compress(b"a,y\n1,spam\n")
        return {
            "a table of equal rows": gzip_bomb(folder / "rows.csv.gz", b"a,y\n", b"0,spam\n0,ham \n", 2**33),
            "a name without end": gzip_bomb(folder / "name.csv.gz", b"", b"a", 2**30),
            "commas within the limit": gzip_bomb(folder / "commas.csv.gz", b"", b",", 2**26),
            "line feeds within the limit": gzip_bomb(folder / "lines.csv.gz", b"a,y\n", b"\n", 2**26),
            "no gzip": saved(folder / "plain.csv.gz", b"a,y\n1,spam\n"),
            "rubbish after it": saved(folder / "after.csv.gz", packed + b"rubbish"),
        }


class TestParquet(TableContract):
    def good(self, folder):
        frame().write_parquet(folder / "good.parquet")
        return folder / "good.parquet"

    def hostile(self, folder):
        pl.select(y=pl.repeat(0, MOST_BYTES // 8 + 1, dtype=pl.Int8)).write_parquet(folder / "rows.parquet")
        long = pl.DataFrame({"a": ["x" * 2**20] * 300, "y": ["spam", "ham"] * 150})
        long.write_parquet(folder / "texts.parquet")
        pl.DataFrame({"a": [[1, 2]], "y": ["spam"]}).write_parquet(folder / "lists.parquet")
        return {
            "equal rows": folder / "rows.parquet",
            "one long text in many rows": folder / "texts.parquet",
            "lists": folder / "lists.parquet",
            "an empty file": saved(folder / "empty.parquet", b""),
            "marks only": saved(folder / "marks.parquet", b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1"),
            "text": saved(folder / "text.parquet", b"a,y\n1,spam\n"),
        }


def idx_header(*shape):
    return struct.pack(">4I", 0x0803, *shape)


class TestIdx(ReaderContract):
    def good(self, folder):
        return saved(folder / "good.gz", gzip.compress(idx_header(3, 4, 5) + bytes(range(60))))

    def read(self, path):
        return read_idx(path, 3)

    def hostile(self, folder):
        largest = 2**32 - 1
        headers = {
            "all that can be promised": (largest, largest, largest),
            "no pixel": (largest, 0, 28),
            "6 GB": (60000, 316, 316),
            "one too many": (3, 4, 6),
        }
        files = {
            what: saved(folder / f"{what}.gz", gzip.compress(idx_header(*shape) + bytes(60)))
            for what, shape in headers.items()
        }
        files["more than promised"] = gzip_bomb(folder / "more.gz", idx_header(60000, 28, 28), b"\0", 2**33)
        files["a promise kept"] = gzip_bomb(folder / "kept.gz", idx_header(2**23, 2**5, 2**5), b"\0", 2**33)
        files["no header"] = gzip_bomb(folder / "none.gz", b"", b"\0", 2**33)
        return files


class TestCifar(ReaderContract):
    def good(self, folder):
        return saved(folder / "good.bin", b"".join(bytes([label]) + bytes(3072) for label in (3, 5, 3)))

    def read(self, path):
        return read_cifar(path, (3, 5))

    def hostile(self, folder):
        return {
            "labels above 9": saved(folder / "labels.bin", b"\xff" * CIFAR_RECORD),
            "nothing": saved(folder / "nothing.bin", b""),
            "a record and a byte": saved(folder / "more.bin", bytes(CIFAR_RECORD + 1)),
        }


class TestCifarArchive(ReaderContract):
    publication = Publication("things", ("a.bin",), "", {"all.tar.gz": ""})

    def good(self, folder):
        return archive(folder / "good.tar.gz", bytes(5000))

    def read(self, path):
        try:
            _unpack(path, self.publication, path.parent / "unpacked")
        except (OSError, ValueError, EOFError, KeyError, zlib.error, tarfile.TarError) as error:
            raise DataError("as `locate` says it") from error
        return True

    def hostile(self, folder):
        return {
            "a size without its bytes": archive(folder / "size.tar.gz", bytes(512), size=2**40),
            "more than the archive may hold": archive(folder / "much.tar.gz", bytes(512), size=2**29),
            "a folder by the file's name": archive(folder / "folder.tar.gz", b"", kind=tarfile.DIRTYPE),
            "a link to elsewhere": archive(folder / "link.tar.gz", b"", kind=tarfile.SYMTYPE, linkname="/etc/passwd"),
        }


def archive(path, content, size=None, **facts):
    member = tarfile.TarInfo("things/a.bin")
    member.size = len(content) if size is None else size
    member.type = facts.get("kind", tarfile.REGTYPE)
    member.linkname = facts.get("linkname", "")
    path.write_bytes(gzip.compress(member.tobuf() + content + bytes(1024)))
    return path


class TestPng(ReaderContract):
    def good(self, folder):
        Image.fromarray(np.arange(1600, dtype=np.uint8).reshape(40, 40)).save(folder / "good.png")
        return folder / "good.png"

    def read(self, path):
        return read_png(path, 64)

    def hostile(self, folder):
        frames = [Image.fromarray(np.full((9, 9), value, np.uint8)) for value in (1, 2)]
        frames[0].save(folder / "moving.png", save_all=True, append_images=frames[1:])
        frames[0].save(folder / "apart.png", save_all=True, append_images=frames[1:], default_image=True)
        frames[0].save(folder / "moving.gif.png", "GIF", save_all=True, append_images=frames[1:])
        return {
            "an animation": folder / "moving.png",
            "an animation behind an image": folder / "apart.png",
            "a GIF by this name": folder / "moving.gif.png",
            "all pixels that can be promised": png(folder / "all.png", 2**31 - 1, 2**31 - 1),
            "10^8 pixels": png(folder / "warned.png", 10**4, 10**4),
            "one long row": png(folder / "row.png", 2**31 - 1, 1),
            "a comment that unpacks to much": png(folder / "text.png", 9, 9, TEXT),
            "rows that are not there": png(folder / "rows.png", 9000, 9000),
        }


def png(path, width, height, *more):
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b"")]
    packed = [struct.pack(">I", len(body)) + kind + body for kind, body in chunks]
    sums = [struct.pack(">I", zlib.crc32(part[4:])) for part in packed]
    return saved(path, b"\x89PNG\r\n\x1a\n" + b"".join(a + b for a, b in zip(packed, sums, strict=True)))
