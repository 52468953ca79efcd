"""Answers are those of `score_table`, whoever else asks at the same time, and a bad row stops no other."""

import asyncio
import math

import numpy as np
import polars as pl
import pytest
import torch

from asymcert.certify import certify
from asymcert.datasets.tables import load_table
from asymcert.evaluate.evasion import explain_columns
from asymcert.evaluate.scoring import score_table
from asymcert.serve.questions import Question
from asymcert.serve.rows import RowReader
from contracts.messages import HARMLESS, SPAM
from serve.runs import table_frame

ROWS = table_frame().drop("class").to_dicts()
PLAIN = [{**row, "rate": float(row["rate"].removesuffix("%"))} for row in ROWS]


def answers(client, **question):
    response = client.post("/v1/certify", json=question)
    assert response.status_code == 200, response.text
    return response.json()["answers"]


def scored(client, rows, threats, **options):
    served = client.service.model
    chosen = served.offers.chosen(threats)
    return score_table(served.model, pl.DataFrame(rows), list(chosen.values()), served.certifier, **options)


def radius(value):
    return math.inf if value == "inf" else value


@pytest.mark.parametrize("rows", [ROWS, PLAIN], ids=["written", "plain"])
def test_answers_are_those_of_score_table(table, rows):
    names = list(table.service.model.offers.threats)
    assert names == ["columns", "l1", "l2", "linf"]
    known = scored(table, rows, names)
    found = answers(table, rows=rows, threats=names)
    assert len(found) == len(rows)
    assert [answer["verdict"] for answer in found] == known["verdict"].to_list()
    assert set(known["verdict"]) == {"bad", "good"}
    assert [answer["margin"] for answer in found] == known["margin"].to_list()
    for name, column in zip(names, known.columns[3:7], strict=True):
        assert [radius(answer["radii"][name]) for answer in found] == known[column].to_list(), name
    assert [answer["problem"] for answer in found] == known["problem"].to_list() == [None] * len(rows)


def test_evasions_are_those_of_score_table_and_undo_the_verdict(table):
    known = scored(table, PLAIN, ["columns"], evasions=True)
    found = answers(table, rows=PLAIN, evasions=True)
    said = [", ".join(f"{name} = {str(v).removesuffix('.0')}" for name, v in a["evasion"].items()) for a in found]
    assert said == known["evasion of columns"].to_list()
    undone = [row | answer["evasion"] for row, answer in zip(PLAIN, found, strict=True) if answer["evasion"]]
    assert undone
    assert {answer["verdict"] for answer in answers(table, rows=undone)} == {"good"}


def test_reasons_are_those_of_explain_columns(table):
    served = table.service.model
    threat = served.offers.threats["columns"]
    found = answers(table, rows=PLAIN[:30], reasons=True)
    x = served.model.scaling.transform(pl.DataFrame(PLAIN[:30]))
    alerts = [place for place, answer in enumerate(found) if answer["verdict"] == "bad"]
    assert alerts
    for place, answer in enumerate(found):
        if place not in alerts:
            assert answer["reasons"] == []
            continue
        _, parts = explain_columns(served.model, x[place], threat, served.certifier)
        known = {part.column: (part.value, part.share) for part in parts if part.share > 0}
        assert {reason["column"] for reason in answer["reasons"]} == set(known)
        for reason in answer["reasons"]:
            value, share = known[reason["column"]]
            assert reason["value"] == value
            assert reason["share"] == pytest.approx(share, rel=1e-9)  # batches add up in another order


def test_rows_that_cannot_be_read_stop_no_other(table):
    bad = [
        PLAIN[0] | {"size": "many"},
        PLAIN[0] | {"size": None},
        {name: value for name, value in PLAIN[0].items() if name != "kind"},
        PLAIN[0] | {"sise": 1},
        PLAIN[0] | {"size": [1]},
        "no row",
    ]
    found = answers(table, rows=[PLAIN[0], *bad, PLAIN[1]])
    assert [found[0], found[-1]] == answers(table, rows=PLAIN[:2])
    lines = [answer["problem"] for answer in found[1:-1]]
    assert lines == [
        "size: 'many' is no number",
        "size: no value",
        "lacks the columns: 'kind'",
        "unknown columns: 'sise'. Did you mean size?",
        "'size' must be a number or a text",
        "must be an object with a value for each column",
    ]
    assert all(answer["verdict"] is answer["margin"] is None and answer["radii"] == {} for answer in found[1:-1])


@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers(table, value):
    """Unless a column may have held them in training: they were 1 and 0 there."""
    bad = [PLAIN[0] | {"size": value}, ROWS[0] | {"size": value}, PLAIN[0] | {"size": value, "gaps": value}]
    found = answers(table, rows=[PLAIN[0], *bad])
    assert found[0]["problem"] is None
    told = "must be a number or a text, got true or false"
    assert [answer["problem"] for answer in found[1:]] == [f"'size' {told}", f"'size' {told}", f"'size', 'gaps' {told}"]
    category = answers(table, rows=[PLAIN[0] | {"kind": value}, PLAIN[0] | {"kind": str(value).lower()}])
    assert same_but_rounding(category[:1]) == same_but_rounding(category[1:])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_true_and_false_stay_what_a_column_of_them_had(tmp_path, suffix):
    draw = np.random.default_rng(0)
    size, flag = draw.random(200), draw.random(200) > 0.5
    frame = pl.DataFrame({"size": size, "flag": flag, "class": np.where(size + flag / 2 > 0.7, "bad", "good")})
    path = tmp_path / f"flags.{suffix}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[suffix](path)
    scaling = load_table(path, "class", "bad").scaling
    rows = [{"size": 0.5, "flag": True}, {"size": 0.5, "flag": False}, {"size": True, "flag": 1}]
    found = RowReader(scaling).read("rows", [rows])
    assert found.encode(slice(None))[:, 1].tolist() == [1.0, 0.0]
    assert found.problems == {2: "'size' must be a number or a text, got true or false"}


def test_where_no_row_can_be_read_there_is_a_line_for_each(table):
    response = table.post("/v1/certify", json={"rows": [{"a": 1}, 7]})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [(item["row"], item["problem"]) for item in response.json()["problems"]] == [
        (0, "unknown columns: 'a'"),
        (1, "must be an object with a value for each column"),
    ]


def test_texts(texts):
    served = texts.service.model
    written = [*SPAM, *HARMLESS]
    names = list(served.offers.threats)
    known = scored(texts, {"body": written}, names)
    found = answers(texts, texts=written, threats=names)
    assert [answer["margin"] for answer in found] == known["margin"].to_list()
    for name, column in zip(names, known.columns[3 : 3 + len(names)], strict=True):
        assert [radius(answer["radii"][name]) for answer in found] == known[column].to_list(), name
    assert found == answers(texts, rows=[{"body": text} for text in written], threats=names)


def test_words_and_edits_of_texts(texts):
    threat = "words add+remove marks"
    found = answers(texts, texts=[SPAM[0], HARMLESS[0]], reasons=True, evasions=True, threats=[threat])
    assert found[0]["reasons"][0]["word"] == "cash"
    assert found[1]["reasons"] == []
    assert found[1]["evasion"] is None
    changed = found[0]["evasion"]
    assert changed["price"] >= found[0]["radii"][threat]
    assert answers(texts, texts=[changed["text"]])[0]["verdict"] == "harmless"


def test_arrays(images):
    model = images.service.model.model
    x = torch.rand(9, 1, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    known = {norm: certify(model, x, images.service.model.offers.threats[norm]) for norm in ("l1", "l2", "linf")}
    found = answers(images, arrays=x.tolist(), threats=["l1", "l2", "linf"])
    assert found == answers(images, arrays=x.flatten(1).tolist(), threats=["l1", "l2", "linf"])
    assert [answer["margin"] for answer in found] == known["l2"].margin.tolist()
    for name, certificate in known.items():
        assert [answer["radii"][name] for answer in found] == certificate.radius.tolist()
    assert any(answer["radii"]["l2"] > 0 for answer in found)


def test_arrays_that_are_none(images):
    good = [0.5] * 9
    truth = [[True] * 9, [True, *good[1:]], [[[0.5, 0.5, False], [1, 1, 1], [0, 0, 0]]], True]
    found = answers(images, arrays=[good, [0.5] * 8, [[1], [1, 2]], "x", None, [["a"] * 3] * 3, [2.0] * 9, *truth])
    assert found[0]["problem"] is None
    assert [answer["problem"] for answer in found[1:]] == [
        "must have the shape [1, 3, 3] or be 9 numbers, got [8]",
        "must be 9 numbers, got lists of different lengths",
        "must be 9 numbers, got something else",
        "must be 9 numbers, got something else",
        "must be 9 numbers, got something else",
        "outside the box of l1 box[0,1]",
        *["must be 9 numbers, got true or false"] * 4,
    ]


def test_an_answer_depends_on_no_other_request(table):
    """Requests that are answered in one batch, some of them with a decimal comma, get what they get alone."""
    service = table.service
    comma = [{n: str(row[n]).replace(".", ",") if n in ("size", "rate") else row[n] for n in row} for row in ROWS[:5]]
    questions = [Question("rows", rows) for rows in (PLAIN[:3], comma, ROWS[3:9], [{"a": 1}], PLAIN[5:6])]

    async def together():
        return await asyncio.gather(*(service.batches.answer(service.model, question) for question in questions))

    before = batches_so_far(service)
    found = table.call(together)
    assert batches_so_far(service) - before < len(questions)
    alone = [table.call(service.batches.answer, service.model, question) for question in questions]
    assert [same_but_rounding(each) for each in found] == [same_but_rounding(each) for each in alone]
    written = answers(table, rows=ROWS[:5])
    assert same_but_rounding(found[1]) == same_but_rounding(written)


def same_but_rounding(answers):
    """Answers without the last digits of margins: sums of a batch are taken in another order."""
    return [answer | {"margin": answer["margin"] and float(f"{answer['margin']:.9g}")} for answer in answers]


def batches_so_far(service):
    return service.metrics.registry.get_sample_value("asymcert_batch_rows_count")
