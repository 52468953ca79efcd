"""Threat files of strangers: one line in little time and memory; many columns take time in proportion."""

import json
import time

import pytest

from asymcert.convex import ConvexMLP
from asymcert.datasets.columns import NumericColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.file import parse_threat, read_threat
from asymcert.threats.model import ThreatModel
from contracts.hostile import DEEP, NUMBERS
from contracts.readers import ReaderContract
from contracts.tables import SCALING

D = len(SCALING.feature_names)
HUGE = "1" * 400
NESTED = "[" * DEEP + "]" * DEEP


def classifier(scaling):
    shape = (2, 3, 3) if scaling is None else (sum(column.inputs for column in scaling.columns),)
    return FeatureConvexClassifier(Identity(), ConvexMLP(shape, (2,)), input_shape=shape, scaling=scaling)


TABLE, IMAGE = classifier(SCALING), classifier(None)


class JSONContract(ReaderContract):
    model = IMAGE
    content = '{"norm": 2, "lower": 0, "upper": [[[1, 2, 3]]], "cost": 3, "direction": [[[1, 0, -1]]], "name": "a b"}'
    most_seconds = 2.0

    def good(self, folder):
        path = folder / "threat.json"
        path.write_text(self.content)
        return path

    def read(self, path):
        return read_threat(path, self.model)

    def texts(self):
        """Hostile texts by what is wrong with them."""
        for key in ("norm", "lower", "cost", "direction", "mutable", "name", "immutable"):
            yield f"deep {key}", f'{{"{key}": {NESTED}}}'
            yield f"huge {key}", f'{{"{key}": {HUGE}}}'
            yield f"longer {key}", f'{{"{key}": {"1" * 5000}}}'
            yield f"listed {key}", json.dumps({key: [10**19, "a"]})
            yield f"mapped {key}", json.dumps({key: {"a": {"b": 1}}})
        for value in NUMBERS[:4] + NUMBERS[6:7] + NUMBERS[8:]:
            if value not in (0, 10**8, 10**18):
                yield f"norm {str(value)[:9]}", json.dumps({"norm": value})
        yield "not a mapping", "[]"
        yield "deep", NESTED
        yield "deep mappings", '{"a": ' * DEEP + "1" + "}" * DEEP
        yield "many keys", json.dumps({f"k{index}": 1 for index in range(50_000)})
        yield "many numbers", json.dumps({"lower": [0] * 100_000})
        yield "repeated", '{"norm": 1, "norm": 2}'
        yield "half a character", '{"name": "\\ud800"}'

    def hostile(self, folder):
        paths = {}
        for index, (what, text) in enumerate(self.texts()):
            paths[what] = folder / f"{index}{self.good(folder).suffix}"
            paths[what].write_text(text, encoding="utf-8")
        return paths


class TestJSON(JSONContract):
    pass


class TestJSONOfTable(JSONContract):
    model = TABLE
    content = '{"norm": 1, "upper": {"size": 9, "body": 1}, "cost": {"*": 2, "rate": 3}, "increase_only": ["size"]}'

    def texts(self):
        yield from super().texts()
        yield "many patterns", json.dumps({"cost": {f"*{index}": 1 for index in range(50_000)}})
        yield "many listed patterns", json.dumps({"immutable": [f"{index}*" for index in range(50_000)]})
        yield "a pattern that tries again and again", json.dumps({"cost": {"*z" * 10_000: 1}})
        yield "a long name", json.dumps({"immutable": ["a" * 10**6]})
        for value in (10**18, HUGE, None, "7", [1]):
            yield f"bound {str(value)[:9]}", json.dumps({"upper": {"kind": value}})
            yield f"cost {str(value)[:9]}", json.dumps({"cost": {"size": value if value != 10**18 else -1}})


class TOMLContract(ReaderContract):
    model = IMAGE
    content = 'norm = 2\nlower = 0\nupper = [[[1, 2, 3]]]\nname = "someone"\n'
    most_seconds = 2.0

    def good(self, folder):
        path = folder / "threat.toml"
        path.write_text(self.content)
        return path

    def read(self, path):
        return read_threat(path, self.model)

    def hostile(self, folder):
        texts = {
            "deep": f"norm = {NESTED}",
            "deep tables": "norm = " + "{a = " * DEEP + "1" + "}" * DEEP,
            "dotted": ".".join("a" * DEEP) + " = 1",
            "quoted and dotted": ' . "b" . '.join(["'a'"] * DEEP) + " = 1",
            "dotted in a table": "cost = {" + ".".join("a" * DEEP) + " = 1}",
            "dotted header": f"[{'.'.join('a' * DEEP)}]",
            "deep lists of tables": "\n".join(f"[[{'.'.join('a' * level)}]]" for level in range(1, 150)),
            "huge": f"norm = {HUGE}",
            "longer": f"norm = {'1' * 5000}",
            "a date": "norm = 2020-01-01",
            "no number": "norm = nan",
            "huge costs": f"cost = [{HUGE}]",
            "an infinite bound": "lower = inf",
            "repeated": "norm = 1\nnorm = 2",
        }
        paths = {what: folder / f"{index}.toml" for index, what in enumerate(texts)}
        for what, path in paths.items():
            path.write_text(texts[what])
        return paths


class TestTOML(TOMLContract):
    pass


class TestTOMLOfTable(TOMLContract):
    model = TABLE
    content = 'norm = 1\nimmutable = ["rate"]\nincrease_only = ["size"]\n[cost]\n"*" = 2\nsize = 3\n'


def many(columns):
    scaling = TableScaling(tuple(NumericColumn(f"c{index}", None, 0.0, 2.0) for index in range(columns)))
    return classifier(scaling), [column.name for column in scaling.columns]


def seconds(columns):
    model, names = many(columns)
    named = dict.fromkeys(names, 0.5)
    start = time.process_time()
    threat = parse_threat({"upper": named, "cost": named, "increase_only": names, "lower": {"c*": 0}}, model)
    assert threat.upper is not None
    assert threat.upper.unique().tolist() == [0.25]
    return time.process_time() - start


def test_many_columns_take_time_in_proportion():
    few, many = min(seconds(2_000) for _ in range(2)), seconds(40_000)
    assert many < 80 * few  # 20 in proportion, 400 if quadratic


def test_a_pattern_is_not_tried_again_and_again():
    name = "a" * 2000
    scaling = TableScaling((NumericColumn(name, None, 0.0, 1.0), NumericColumn("b", None, 0.0, 1.0)))
    start = time.process_time()
    with pytest.raises(InputError, match="about columns"):
        parse_threat({"immutable": ["*a" * 200 + "b"]}, classifier(scaling))
    assert time.process_time() - start < 1.0
    assert parse_threat({"immutable": ["*a" * 200]}, classifier(scaling)).mutable is not None


@pytest.mark.parametrize("key", ["norm", "lower", "cost", "direction"])
@pytest.mark.parametrize("value", [10**400, [[10**400]]], ids=["huge", "listed"])
def test_numbers_beyond_all_floats_are_refused_in_code_too(key, value):
    with pytest.raises(InputError):
        ThreatModel.from_dict({key: value})


def test_lists_that_are_nested_deeply_are_refused_in_code_too():
    value = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(InputError, match="nested lists"):
        ThreatModel.from_dict({"lower": value})
