"""Edits of words said of a table's columns, in files and on the command line."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from asymcert.cli.options import parse_edits
from asymcert.cli.steps import threats_for
from asymcert.convex import ConvexMLP
from asymcert.datasets.columns import NumericColumn
from asymcert.datasets.text_columns import TextColumn
from asymcert.errors import InputError
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.runs.rows import threat_key
from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.vocabulary import Vocabulary
from asymcert.threats.file import parse_threat, read_threat
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat

VOCABULARY = Vocabulary(("free", "now", "prize"), (("now", 2),), (("free", "now"),), (" fr", "fre"), longest=9)


def column(name, vocabulary=VOCABULARY):
    return TextColumn(name, None, TextEncoder(CanonicalForm(), vocabulary))


def table(*columns):
    """The scaling of a table with these columns, and a classifier of its inputs."""
    scaling = SimpleNamespace(columns=columns, dtype=np.float32, plan=None, windows=None)
    inputs = sum(own.inputs for own in columns)
    model = FeatureConvexClassifier(Identity(), ConvexMLP((inputs,), (4,)), input_shape=(inputs,))
    model.scaling = scaling
    return model


TEXT = table(column("subject"), NumericColumn("size", None, 0, 9), column("body"))
NUMBERS = table(NumericColumn("size", None, 0, 9))


def test_columns_of_texts_say_what_edits_change():
    edits = TableThreat(TEXT.scaling).words(["add"], ["now"]).edits
    own = [0, 0, 0, 0, 1, 2, 2]
    assert edits.family.tolist() == [*own, -1, *own]
    assert edits.grams_per_word == 9
    words = [[0, 0], [1, 1], [2, 2], [1, 1], [0, 1], [-1, -1], [-1, -1]]
    later = [[place + 8 if place >= 0 else -1 for place in ends] for ends in words]
    assert edits.ends.tolist() == [*words, [-1, -1], *later]
    assert edits.protected.nonzero().flatten().tolist() == [1, 3, 9, 11]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "words add+remove+replace"),
        ({"edits": ["remove", "add"]}, "words add+remove"),
        ({"edits": {"add": 1, "remove": 2.5}}, "words add+remove price"),
        ({"edits": ["add"], "protected": ["now"], "marks_stay": True}, "words add protected marks"),
        ({"edits": [], "sentences": True}, "words sentences"),
        ({"edits": ["add"], "name": "spammer"}, "words spammer"),
    ],
)
def test_a_file_says_what_he_edits(values, told):
    threat = parse_threat({"norm": "words", **values}, TEXT)
    assert threat.describe() == told
    again = parse_threat(threat.to_dict(), TEXT)
    assert again.to_dict() == threat.to_dict()
    assert threat_key(again) == threat_key(threat)


def test_toml_and_rows_tell_adversaries_apart(tmp_path):
    keys = set()
    for text in ('edits = ["add"]', "edits = {add = 2}", "edits = {add = 3}", 'edits = ["add"]\nprotected = ["now"]'):
        path = tmp_path / "threat.toml"
        path.write_text(f'norm = "words"\n{text}\n')
        keys.add(threat_key(read_threat(path, TEXT)))
    assert len(keys) == 4
    assert "words add" in keys


@pytest.mark.parametrize(
    ("values", "model", "message"),
    [
        ({"norm": "words"}, NUMBERS, "about a model of texts"),
        ({"norm": "words", "lower": 0}, TEXT, "with edits, protected, sentences, marks_stay only, got lower"),
        ({"norm": 0, "edits": ["add"]}, TEXT, "`edits` must be left out for norms other than 'words'"),
        ({"norm": "words", "edits": ["swap"]}, TEXT, "`edits` must be made of add, remove, replace"),
        ({"norm": "words", "edits": "add"}, TEXT, None),
        ({"norm": "words", "edits": 3}, TEXT, "`edits` must be made of"),
        ({"norm": "words", "edits": {"add": "1"}}, TEXT, "`price of 'add'` must be a number"),
        ({"norm": "words", "protected": "now"}, TEXT, "`protected` must be a list of words"),
        ({"norm": "words", "protected": ["noww"]}, TEXT, "Did you mean now"),
        ({"norm": "words", "protected": ["xylophone"]}, TEXT, "need no protection"),
        ({"norm": "words", "sentences": 1}, TEXT, "`sentences` must be true or false"),
        ({"norm": "words", "edits": []}, TEXT, "`edits` must be some of"),
    ],
)
def test_refuses(values, model, message):
    if message is None:
        assert parse_threat(values, model).describe() == "words add"
        return
    with pytest.raises(InputError, match=message):
        parse_threat(values, model)


def test_the_command_line_names_kinds_and_prices():
    assert parse_edits(None) == ({"add": 1.0, "remove": 1.0, "replace": 1.0}, False)
    assert parse_edits("add,remove=2.5,sentences") == ({"add": 1.0, "remove": 2.5}, True)
    with pytest.raises(InputError, match="kinds of edits with prices"):
        parse_edits("add=cheap")
    assert [threat.norm for threat in threats_for(TEXT, ["words", "1"], edits="add")] == [0, 1]
    assert threats_for(TEXT, ["words"], edits="add")[0].describe() == "words add"
    with pytest.raises(InputError, match="given with --norm words"):
        threats_for(TEXT, ["1"], edits="add")
    with pytest.raises(InputError, match="about a model of texts"):
        threats_for(NUMBERS, ["words"])
    model = FeatureConvexClassifier(Identity(), ConvexMLP((3,), (4,)), input_shape=(3,))
    with pytest.raises(InputError, match="for a model of texts"):
        threats_for(model, ["words"])
    assert isinstance(threats_for(TEXT, ["columns"])[0], ThreatModel)
    assert torch.equal(
        threats_for(TEXT, ["words"])[0].interval(torch.zeros(1, 15))[1][0, 7:9], torch.tensor([0.0, 1.0])
    )
