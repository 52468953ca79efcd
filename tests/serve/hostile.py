"""Two hundred kinds of bodies that no honest client sends; each must get a status from 400 to 499."""

import gzip
import io
import json
import pickle
import zipfile

import numpy as np

DEEP = (101, 10**3, 10**5, 10**6)
OTHERS = {
    "a number": 7,
    "a fraction": 1.5,
    "a text": "x",
    "null": None,
    "a path": "../../../etc/passwd",
    "an object": {"a": 1},
}
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 400,
    "9" * 10**5,
    "0x10",
    "1_000",
    "01",
    ".5",
    "+1",
    "1.",
)
LITERALS = ("undefined", "True", "None", "'a'", "/* */ 1", "[1,]", '{"a":1,}', "\\u0000", '"\t"', '"\n"', '"\x00"')
TEXTS = ("\\ud800", "\\udfff\\ud800", "\\u12", "\\x41")


def bodies(row, flat):
    """Name and body of each kind; `row` is a good row of a table, `flat` a good array."""
    yield from broken(row)
    yield from typed(row)
    yield from nested(row)
    yield from large(row)
    yield from cells(row)
    yield from foreign()
    yield from arrays(flat)


def broken(row):
    """What is no JSON."""
    good = json.dumps({"rows": [row]}).encode()
    for part in range(16):
        yield f"the first {part} sixteenths", good[: len(good) * part // 16]
    for place, char in enumerate(b'{}[]":,'):
        yield f"another {chr(char)}", good + bytes([char])
        yield f"without {chr(char)}", good.replace(bytes([char]), b"", 1)
        del place
    for number in NUMBERS:
        yield (
            f"the number {number[:12]}",
            json.dumps({"rows": [row | {"size": "here"}]}).replace('"here"', number).encode(),
        )
    for literal in LITERALS:
        yield f"the literal {literal!r}", json.dumps({"rows": ["here"]}).replace('"here"', literal).encode()
    for text in TEXTS:
        yield f"the text {text}", b'{"rows": [{"kind": "%s"}]}' % text.encode()
    for byte in (0x80, 0xC0, 0xED, 0xFF, 0xFE):
        yield f"the byte {byte:x}", good.replace(b"size", b"si" + bytes([byte]) + b"ze")
    yield "half of a character", b'{"rows": ["\xe2\x82"]}'
    yield "UTF-16 of nothing", "\ufeff".encode("utf-16")
    yield "a key twice", b'{"rows": [1], "rows": [2]}'
    yield "a column twice", b'{"rows": [{"size": 1, "size": 2}]}'


def typed(row):
    """JSON of another form."""
    for name, value in OTHERS.items():
        yield f"{name} alone", json.dumps(value).encode()
        for key in ("rows", "texts", "arrays"):
            yield f"{key} is {name}", json.dumps({key: value}).encode()
        for key in ("threats", "reasons", "evasions", "path", "model"):
            yield f"{key} is {name}", json.dumps({"rows": [row], key: value}).encode()
        yield f"a row is {name}", json.dumps({"rows": [value]}).encode()
        yield f"a threat is {name}", json.dumps({"rows": [row], "threats": [value]}).encode()
    for key in ("__proto__", "constructor", "__class__", "", "rows\u0000", "ROWS", "$ref"):
        yield f"the key {key!r}", json.dumps({key: [row]}).encode()
    for kinds in (("rows", "texts"), ("rows", "arrays"), ("texts", "arrays"), ("rows", "texts", "arrays"), ()):
        yield f"the kinds {kinds}", json.dumps({kind: [row] for kind in kinds}).encode()


def nested(row):
    """Lists and objects in each other."""
    for depth in DEEP:
        lists, objects = b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
        for name, deep in (("lists", lists), ("objects", objects)):
            yield f"{depth} {name}", deep[: 4 * 2**20]
            for key in ("rows", "threats", "unknown"):
                yield f"{key} of {depth} {name}", b'{"%s": %s}' % (key.encode(), deep)
    yield "a deep cell", json.dumps({"rows": [row | {"size": "here"}]}).replace('"here"', "[" * 50 + "]" * 50).encode()


def large(row):
    """Much of something."""
    many = 10**5
    yield "many columns", json.dumps({"rows": [dict.fromkeys(map(str, range(many)), 1)]}).encode()
    yield "many rows", json.dumps({"rows": [0] * many}).encode()
    yield "many bad rows", json.dumps({"rows": [{str(place): 1} for place in range(1000)]}).encode()
    yield "many threats", json.dumps({"rows": [row], "threats": list(map(str, range(many)))}).encode()
    yield "many keys", json.dumps(dict.fromkeys(map(str, range(many)), 1)).encode()
    yield "a long column", json.dumps({"rows": [row | {"x" * 10**6: 1}]}).encode()
    yield "a long key", json.dumps({"x" * 10**6: 1}).encode()
    yield "a long threat", json.dumps({"rows": [row], "threats": ["x" * 10**6]}).encode()
    yield "a long number", json.dumps({"rows": [row | {"size": "9" * 10**6}]}).encode()
    yield "a long word for a number", json.dumps({"rows": [row | {"size": "x" * 10**6}]}).encode()
    yield "blanks", b" " * (4 * 2**20)
    yield "more blanks", b" " * (16 * 2**20)
    yield "zeros", bytes(2**20)
    yield "quotes", b'"' * 2**20
    yield "backslashes", b'"' + b"\\" * 2**20


def cells(row):
    """Rows with one cell that cannot be read."""
    for name, value in {
        "a list": [1],
        "an object": {},
        "a word": "many",
        "nothing": None,
        "a date": "2020-01-01",
    }.items():
        yield f"size is {name}", json.dumps({"rows": [row | {"size": value}]}).encode()
    for text in ("1e400", "--1", "1,2,3", "\u0661\u0662x", "NaN", "inf", "=1+1", "1" * 400):
        yield f"size is the text {text[:8]!r}", json.dumps({"rows": [row | {"size": text}]}).encode()
    for name in row:
        yield f"no {name}", json.dumps({"rows": [{key: value for key, value in row.items() if key != name}]}).encode()
        yield (
            f"{name} misspelt",
            json.dumps({"rows": [{f"{key}{' ' * (key == name)}x": value for key, value in row.items()}]}).encode(),
        )


def foreign():
    """Other formats; none of them is ever opened."""
    packed, array = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.json", b" " * 10**7)
    np.save(array, np.zeros(9))
    yield "a pickle", pickle.dumps({"rows": [print]})
    yield "an old pickle", b"cos\nsystem\n(S'true'\ntR."
    yield "a zip", packed.getvalue()
    yield "a bomb", gzip.compress(b" " * 10**8)
    yield "an array of numpy", array.getvalue()
    yield "XML", b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    yield "YAML", b"rows: !!python/object/apply:os.system ['true']"
    yield "TOML", b"rows = [1]"
    yield "CSV", b"size,rate\n1,2\n"
    yield "a form", b"rows=1&rows=2"
    yield "JSON lines", b'{"rows": [1]}\n{"rows": [1]}'
    yield "Parquet", b"PAR1" + bytes(100) + b"PAR1"
    yield "HTML", b"<html><script>1</script></html>"


def arrays(flat):
    """For a model of arrays, though the one that is asked may take rows."""
    for name, value in {
        "short": flat[:-1],
        "long": [*flat, 0.5],
        "ragged": [[1], [1, 2]],
        "of texts": ["a"] * len(flat),
        "of nothing": [None] * len(flat),
        "of truth": [True] * len(flat),
        "empty": [],
        "of great numbers": [10**290] * len(flat),
        "of lists": [[[[[1]]]]] * len(flat),
        "wide": [0.5] * 10**5,
    }.items():
        yield f"an array {name}", json.dumps({"arrays": [value]}).encode()
