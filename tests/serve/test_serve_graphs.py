"""With graphs the answers are the same but for a little of the radii, and never more than the model's own."""

import pytest

from asymcert.errors import InputError
from asymcert.serve.answers import Asked
from asymcert.serve.served import Source
from serve.conftest import asked
from serve.runs import table_frame

ROWS = table_frame().drop("class").to_dicts()


def answers(client, **question):
    return client.post("/v1/certify", json=question).json()["answers"]


def test_columns_are_counted_by_graphs_as_by_the_model(table, table_run):
    with asked(table_run, engine="onnx") as quick:
        served = quick.service.model
        assert served.certifier_for(Asked(served.offers.chosen(["columns"]))).method == "onnx"
        assert served.certifier_for(Asked(served.offers.chosen(["columns", "l1"]))).method == "tangent"
        own, found = answers(table, rows=ROWS), answers(quick, rows=ROWS)
        assert answers(quick, rows=ROWS[:5], evasions=True) == answers(table, rows=ROWS[:5], evasions=True)
    for one, other in zip(own, found, strict=True):
        assert one["verdict"] == other["verdict"]
        assert one["margin"] == pytest.approx(other["margin"], rel=1e-9)
        assert one["radii"] == other["radii"]
    assert any(one["radii"]["columns"] > 0 for one in own)


def test_radii_of_graphs_are_not_greater(images, image_run):
    arrays = [[((7 * place + step) % 10) / 10 for place in range(9)] for step in range(20)]
    with asked(image_run, engine="onnx") as quick:
        own = answers(images, arrays=arrays, threats=["l1", "l2", "linf"])
        found = answers(quick, arrays=arrays, threats=["l1", "l2", "linf"])
    for one, other in zip(own, found, strict=True):
        assert one["verdict"] == other["verdict"]
        for name, radius in one["radii"].items():
            assert radius * (1 - 1e-6) <= other["radii"][name] <= radius
    assert sum(one["radii"]["l2"] > 0 for one in own) > 3


def test_texts_are_certified_by_the_model(texts, text_run):
    with asked(text_run, engine="onnx") as quick:
        written = ["cash prize claim now", "lunch at home"]
        assert answers(quick, texts=written) == answers(texts, texts=written)


def test_another_engine_is_refused(table_run):
    with pytest.raises(InputError, match="`engine` must be one of"):
        Source(table_run.path, list, lambda *_: None, "tensorflow")
