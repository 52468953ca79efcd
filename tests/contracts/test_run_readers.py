"""Every file of a run folder is read as a stranger's: what it holds, or one line that says which file is wrong."""

import hashlib
import io
import json
import math

import polars as pl
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from asymcert.certify import certify_each
from asymcert.datasets.load import load_source
from asymcert.datasets.source import DataSource
from asymcert.errors import InputError, RunError
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.proofs.folder import Proofs
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import AUDIT_SCHEMA, GALLERY_SCHEMA, MOST_ROWS, Origin, make_rows, threat_key
from asymcert.studies.records import read_row, write_row
from asymcert.threats.model import ThreatModel
from asymcert.training.checkpoint import KEY, Checkpoint
from contracts.models import linear_score
from contracts.readers import ReaderContract

DEEP = "[" * 100_000 + "]" * 100_000
ORIGIN = Origin("test", "model", "data", 0)
SOURCE = {"name": "digits-3-8", "sensitive": None, "seed": 0, "options": {}}
FACTS = RunFacts("toy", SOURCE, "data", "bad", "good", (3,), {"epochs": 2}, 0)


def begun(folder, facts=FACTS):
    run = RunFolder(folder)
    run.create(facts)
    return run


def variants(folder, good, texts):
    """A copy of the file `good` for each text, in a folder of its own beside the first one."""
    paths = {}
    for position, text in enumerate(texts):
        paths[f"{position} {text[:60]}"] = path = folder / f"variant-{position}" / good.name
        path.parent.mkdir()
        path.write_bytes(text.encode())
    return paths


def swapped(good, wrong):
    """Texts of the JSON object in the file `good` with one value replaced: by each of the wrong ones, and by depth."""
    return swapped_text(good.read_text(), wrong)


def swapped_text(text, wrong):
    content = json.loads(text)
    for name, values in wrong.items():
        assert name in content
        yield from (json.dumps({**content, name: value}) for value in values)
        yield json.dumps({**content, name: "HERE"}).replace('"HERE"', DEEP)


NO_OBJECT = ["", "[]", "7", "null", DEEP, '{"a": 1, "a": 2}', "\x00", '"\\ud800"']


WRONG_FACTS = {
    "format": [2, None, "1", [1], {}],
    "name": [None, 5, ["x"]],
    "source": ["x", 5, [1]],
    "data_digest": [None, 5],
    "sensitive": [1, [1]],
    "other": [None, {}],
    "input_shape": ["abc", None, 3, [1.5], ["x"], [[1]], [2**63], {}],
    "config": [None, "x", [1]],
    "seed": ["x", None, True, 1.5, math.nan, math.inf, 2**63, -(10**400), [1]],
    "scaling": ["x", 5, [1]],
    "versions": [None, {"torch": 2}, ["x"]],
    "created": [5, None, {}],
}


class TestFacts(ReaderContract):
    def good(self, folder):
        return begun(folder / "run").path / "run.json"

    def read(self, path):
        return RunFolder(path.parent).facts()

    def hostile(self, folder):
        good = self.good(folder)
        more = json.dumps({**json.loads(good.read_text()), "more": 1})
        return variants(folder, good, [*swapped(good, WRONG_FACTS), more, *NO_OBJECT])


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("input_shape", "abc", "`input_shape` must be of type tuple[int, ...], got 'abc'."),
        ("seed", "x", "`seed` must be of type int, got 'x'."),
        ("seed", 2**63, "`seed` must be of type int, got 9223372036854775808."),
        ("config", [1], "`config` must be of type dict[str, typing.Any], got [1]."),
        ("scaling", 5, "`scaling` must be of type dict[str, typing.Any] | None, got 5."),
        ("versions", {"torch": 2}, "`versions` must be of type dict[str, str], got {'torch': 2}."),
    ],
)
def test_facts_of_a_wrong_type_are_named(tmp_path, field, value, said):
    path = begun(tmp_path / "run").path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(RunError) as caught:
        RunFolder(path.parent).facts()
    assert str(caught.value).startswith(f"{path}: damaged ({said})")


@pytest.mark.parametrize("options", [{"label": 5}, {"drop": 5}, {"drop": [5]}, {"test": 5}, {"words": "x"}])
def test_a_source_of_wrong_types_is_refused(options):
    complete = {"label": "y", "test": None, "drop": [], **options}
    source = DataSource.from_dict({"name": "t.csv", "sensitive": "a", "seed": 0, "options": complete})
    with pytest.raises(InputError, match=rf"`{next(iter(options))}` must be of type"):
        load_source(source)


WRONG_THREATS = {
    "key": [None, 5, [1], {}, "l2"],
    "norm": [0.5, 0, "x", None, True, [1], {}, math.nan, 10**400],
    "lower": ["x", [[1], [1, 2]], {"x": 1}, math.nan, True, None, [2.0] * 3],
    "upper": [-1, "x", math.inf, {}],
    "cost": [-1, 0, "x", [], 1e300],
    "mutable": [5, ["x"], {}, None],
    "direction": [[2], "x", 1.5, True, {}],
    "name": [5, "", "a#b", [1], "x" * 61],
}


class TestThreats(ReaderContract):
    threat = ThreatModel(1, lower=torch.zeros(3), upper=1, mutable=torch.tensor([True, False, True]), name="spammer")

    def good(self, folder):
        run = begun(folder / "run")
        run.save_threat(self.threat)
        return next((run.path / "threats").iterdir())

    def read(self, path):
        return RunFolder(path.parent.parent).threats()

    def hostile(self, folder):
        good = self.good(folder)
        cases = {}
        for position, text in enumerate([*swapped(good, WRONG_THREATS), *NO_OBJECT]):
            cases[f"{position} {text[:60]}"] = path = begun(folder / str(position)).path / "threats" / good.name
            path.parent.mkdir()
            path.write_text(text)
        return cases


class TestLog(ReaderContract):
    def good(self, folder):
        run = begun(folder / "run")
        for epoch in range(3):
            run.append_log({"epoch": epoch, "loss": 0.5, "medians": {"l1": 0.25}})
        return run.path / "train_log.jsonl"

    def read(self, path):
        return RunFolder(path.parent).read_log()

    def hostile(self, folder):
        lines = [
            "[1]",
            "7",
            "null",
            '"x"',
            DEEP,
            '{"epoch": [1]}',
            '{"epoch": "x"}',
            '{"medians": [1]}',
            "{}{}",
            "\x00",
        ]
        return variants(folder, self.good(folder), [f"{line}\n{{}}\n" for line in lines])


def some_rows(n=20):
    x = torch.rand(n, 3, generator=torch.Generator().manual_seed(0))
    model = FeatureConvexClassifier(Identity(), linear_score(torch.ones(3)), 1.0, input_shape=(3,))
    certificate = certify_each(model, x, [ThreatModel(2)])[0]
    return make_rows(certificate, torch.arange(n), torch.ones(n, dtype=torch.bool), ORIGIN, 0.0)


def part_of(content, table="certificates"):
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{table}/part-00000-01234567-{digest}.parquet"


def parquet(frame):
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


class TestParts(ReaderContract):
    sealed = True

    def good(self, folder):
        return begun(folder / "run").append("certificates", some_rows())

    def read(self, path):
        return RunFolder(path.parent.parent).read(path.parent.name)

    def hostile(self, folder):
        rows = some_rows()
        nowhere = pl.DataFrame({"split": ["test"], "index": [0], "upper": [1.0]})  # of another command
        empty = dict.fromkeys(rows.columns)
        picture = {name: [row[name]] for row in [rows.row(0, named=True)] for name in GALLERY_SCHEMA if name in row}
        pictures = {
            f"{shape}": pl.DataFrame(
                {**picture, "samples": 1, "group": "least", "rank": 0, "shape": [shape], "pixels": [[0.5] * 4]},
                GALLERY_SCHEMA,
            )
            for shape in ([1, 4, 4], [2, 2], [-1, -2, 2], [], [2**32, 2**32, 4], [0, 4, 1])
        }
        contents = {
            "junk": (b"junk", "certificates"),
            "nothing": (b"", "certificates"),
            "a header and a footer": (b"PAR1" + b"x" * 100 + b"PAR1", "certificates"),
            "other columns": (parquet(nowhere), "certificates"),
            "nulls": (parquet(pl.DataFrame(empty, rows.schema)), "certificates"),
            "a negative radius": (parquet(rows.with_columns(radius=-1.0)), "certificates"),
            "an audit without verdicts": (parquet(pl.DataFrame([dict.fromkeys(AUDIT_SCHEMA)], AUDIT_SCHEMA)), "audit"),
            "a million equal rows": (repeated(rows, 2 * MOST_ROWS), "certificates"),
            **{f"a picture of {shape}": (parquet(frame), "gallery") for shape, frame in pictures.items()},
        }
        cases = {}
        for position, (what, (content, table)) in enumerate(contents.items()):
            cases[what] = path = begun(folder / str(position)).path / part_of(content, table)
            path.parent.mkdir()
            path.write_bytes(content)
        return cases


def repeated(rows, count):
    """A small file of many rows that are the same."""
    first = rows.row(0, named=True)
    columns = [
        pl.repeat(first[name], count, dtype=dtype, eager=True).alias(name) for name, dtype in rows.schema.items()
    ]
    return parquet(pl.DataFrame(columns))


class TestProofFolder(ReaderContract):
    """Of a proof folder only the names are read: what a file proves is for the checker to say."""

    def good(self, folder):
        proofs = self.proofs(folder)
        (path,) = proofs.folders.values()
        path.mkdir(parents=True)
        for name in ("000001.proof", "000002.proof"):
            (path / name).write_bytes(b"a proof")
        return path / "000001.proof"

    def proofs(self, folder):
        threat = ThreatModel(2)
        return Proofs(folder, ORIGIN, "closed-form", {threat_key(threat): threat})

    def read(self, path):
        return self.proofs(path.parent.parent).finished(some_rows())

    def hostile(self, folder):
        return {}

    def test_hostile_files(self, tmp_path):
        """Files that are not proofs by their names are left alone."""
        path = self.good(tmp_path)
        expected = self.read(path)
        for name in ("notes", "-1", "1", "1.5", "\u0661" * 6, "9" * 200, "000003 (copy)", "0x0003"):
            (path.with_name(f"{name}.proof")).write_bytes(b"")
        assert self.read(path).equals(expected)
        assert {1, 2} <= set(expected["index"]) < set(range(20))


class TestCheckpoint(ReaderContract):
    def parts(self):
        network = torch.nn.Linear(3, 1)
        return network, torch.optim.Adam(network.parameters())

    def checkpoint(self, path):
        network, optimizer = self.parts()
        return Checkpoint(path, {"network": network}, optimizer, {"seed": 0})

    def good(self, folder):
        network, optimizer = self.parts()
        network(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        path = folder / "checkpoint.safetensors"
        Checkpoint(path, {"network": network}, optimizer, {"seed": 0}).save({"log": [{"epoch": 1}]}, last=True)
        return path

    def read(self, path):
        return self.checkpoint(path).resume()

    def hostile(self, folder):
        good = self.good(folder)
        with safe_open(good, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = file.metadata()[KEY]
        texts = [*NO_OBJECT, *swapped_text(text, {"identity": [None, 5, [1], {}], "log": [5, None, [5], {}]})]
        cases = {}
        for position, damaged in enumerate(texts):
            cases[f"{position} {damaged[:60]}"] = path = folder / f"{position}.safetensors"
            save_file(tensors, path, {KEY: damaged})
        for what, changed in {"another shape": torch.ones(2, 3), "no weights": None}.items():
            rest = {name: value for name, value in tensors.items() if name != "network.weight"}
            cases[what] = path = folder / f"{what}.safetensors"
            save_file(rest if changed is None else {**rest, "network.weight": changed}, path, {KEY: text})
        return cases


class TestStudyRow(ReaderContract):
    def good(self, folder):
        write_row(folder / "row.json", {"seed": 0}, {"accuracy": 0.5})
        return folder / "row.json"

    def read(self, path):
        return read_row(path, {"seed": 0})

    def hostile(self, folder):
        good = self.good(folder)
        return variants(folder, good, [*swapped(good, {"key": [None, 5, []], "row": [5, "x", None]}), *NO_OBJECT])
