"""An audit as JUnit XML, which CI systems show: a suite for each adversary and method, a case for each certificate."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

import polars as pl

from asymcert._files import replacing
from asymcert.evaluate.formatting import printable
from asymcert.evaluate.labels import method_labels
from asymcert.runs.rows import SERIES

BROKEN = "broken certificate"


def write_junit(rows: pl.DataFrame, path: str | Path) -> None:
    """Write an audit's rows to `path`, whole or not at all.

    Parameters
    ----------
    rows
        What `audit` returned: attacks on certificates. A certificate that several attacks were tried on is one case; it
        fails if one of them broke it.
    path
        The file; an existing one is replaced.

    Raises
    ------
    InputError
        The path is a folder or a device.
    """
    root = Element("testsuites", name="asymcert audit")
    for suite in rows.partition_by(SERIES, maintain_order=True):
        _add_suite(root, suite)
    _count(root, "testsuite/testcase")
    with replacing(Path(path)) as partial:
        ElementTree(root).write(partial, encoding="utf-8", xml_declaration=True)


def _add_suite(root: Element, rows: pl.DataFrame) -> None:
    first = rows.row(0, named=True)
    method = method_labels([(first["method"], first["options"])])[0]
    name = printable(f"{first['threat']}, {method}")
    suite = SubElement(root, "testsuite", name=name)
    for attacks in rows.partition_by("index", maintain_order=True):
        index, radius = attacks.row(0, named=True)["index"], attacks["radius"][0]
        title = f"{first['split']} sample {index}, radius {radius!r}"
        case = SubElement(suite, "testcase", classname=name, name=printable(title))
        broken = attacks.filter("success")
        if len(broken):
            names = ", ".join(broken["attack"])
            failure = SubElement(case, "failure", type=BROKEN, message=printable(f"broken by {names}"))
            failure.text = "\n".join(_told(row) for row in broken.to_dicts())
    _count(suite, "testcase")


def _told(row: dict[str, object]) -> str:
    """One attack that broke a certificate, in full precision."""
    text = f", text {row['text']!r}" if row.get("text") else ""
    return printable(f"{row['attack']}: a change of size {row['size']!r} leaves the margin {row['margin']!r}{text}")


def _count(element: Element, cases: str) -> None:
    """Say how many cases there are, and how many of them failed."""
    element.set("tests", str(len(element.findall(cases))))
    element.set("failures", str(len(element.findall(f"{cases}/failure"))))
