"""JUnit files of audits: every certificate is a case, every broken one a failure."""

from xml.etree import ElementTree

import polars as pl
import pytest

from asymcert.cli.junit import write_junit
from asymcert.errors import InputError
from asymcert.runs.rows import AUDIT_SCHEMA, TEXT_SCHEMA

ROW = {
    "model_digest": "m",
    "data_digest": "d",
    "split": "test",
    "method": "tangent",
    "options": "sound=True",
    "threat": "l2 <box> & \x1b[31m",
    "index": 7,
    "norm": 2.0,
    "attack": "gradient",
    "fraction": 0.999,
    "radius": 0.2496,
    "size": 0.1,
    "margin": -0.5,
    "success": False,
    "seed": 0,
    "version": "1",
}


def written(path, *changes, schema=AUDIT_SCHEMA):
    write_junit(pl.DataFrame([ROW | change for change in changes], schema=schema), path)
    return ElementTree.parse(path).getroot()


def test_a_suite_for_each_threat_and_method_a_case_for_each_certificate(tmp_path):
    root = written(
        tmp_path / "a.xml",
        {},
        {"attack": "search", "success": True},
        {"index": 8},
        {"method": "exact"},
        {"threat": "l1", "index": 8, "success": True},
    )
    told = [(s.get("name"), s.get("tests"), s.get("failures")) for s in root]
    assert told == [(r"l2 <box> & \x1b[31m, tangent", "2", "1"), (r"l2 <box> & \x1b[31m, exact", "1", "0"),
                    ("l1, tangent", "1", "1")]  # fmt: skip
    assert (root.get("tests"), root.get("failures")) == ("4", "2")
    broken = root[0][0]
    assert broken.get("name") == "test sample 7, radius 0.2496"
    assert broken[0].get("message") == "broken by search"
    assert broken[0].text == "search: a change of size 0.1 leaves the margin -0.5"
    assert len(root[0][1]) == 0


def test_texts_that_no_xml_may_hold(tmp_path):
    texts = {"attempts": 1, "text": "a\x00]]>\ud7ff", "edits": ""}
    root = written(tmp_path / "a.xml", texts | {"success": True}, schema=TEXT_SCHEMA)
    assert "]]>" in root[0][0][0].text
    assert "\x00" not in root[0][0][0].text


def test_an_audit_of_nothing(tmp_path):
    assert written(tmp_path / "a.xml").get("tests") == "0"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.xml"
    path.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr(ElementTree.ElementTree, "write", full)
        with pytest.raises(OSError, match="full"):
            written(path, {})
    assert path.read_text() == "before"
    with pytest.raises(InputError, match="plain file"):
        written(tmp_path, {})
    assert [each.name for each in tmp_path.iterdir()] == ["a.xml"]


def full(self, path, **options):
    path.write_text("half")
    raise OSError("the disk is full")
