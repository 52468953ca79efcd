"""Graphs of classifiers of texts: of one window's features, with the edits of words that it outlasts."""

import json
import math

import numpy as np
import pytest
import torch

from asymcert.attacks.texts.problem import TextProblem
from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.export.certified_graph import to_certified_onnx
from asymcert.export.onnx_graph import save_encoder, to_onnx
from asymcert.texts.encoder import TextEncoder
from asymcert.threats.table import TableThreat
from contracts.edited import ADVERSARIES, LANGUAGES, convex, least_price, reachable
from contracts.messages import HARMLESS, SPAM, additive
from contracts.models import seeded
from export.exported import run


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_the_radius_is_the_package_s_where_there_are_no_pairs(adversary):
    language, (kinds, protected) = LANGUAGES["words"], ADVERSARIES[adversary]
    threat, model = language.threat(kinds, protected), convex(language, 2)
    random = (torch.rand(200, language.inputs, generator=seeded(1)) < 0.4).double()
    x = torch.cat((random, language.rows(language.texts(50, (2, 6), 3))))
    found, known = run(to_certified_onnx(model, threat), x), certify(model, x, threat)
    assert (found["sensitive"] == known.sensitive.numpy()).all()
    assert (found["radius"] == known.radius.numpy()).all()
    assert len(known.radius.unique()) > 1


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("name", ["pairs", "grams"])
def test_no_text_within_the_radius_undoes_the_verdict(name, adversary):
    language, (kinds, protected) = LANGUAGES[name], ADVERSARIES[adversary]
    threat, texts, met = language.threat(kinds, protected), language.texts(6, (3, 4), 7), 0
    made = [reachable(language, text, kinds, protected, 2 if name == "grams" else 1) for text in texts]
    for seed in (3, 7):
        model = convex(language, seed)
        found = run(to_certified_onnx(model, threat), language.rows(texts))["radius"]
        least = [least_price(model, *own) for own in made]
        assert all(radius < price for radius, price in zip(found, least, strict=True) if math.isfinite(price))
        met += (found > 0).sum()
    assert met > 0


def test_inputs_that_are_no_features_of_a_text_have_no_radius():
    language = LANGUAGES["words"]
    model, x = convex(language, 3), language.rows(language.texts(20, (2, 6), 3))
    threat = language.threat(["add"])
    before = run(to_certified_onnx(model, threat), x)
    assert before["radius"].max() > 0
    assert run(to_certified_onnx(model, threat), x + 1e-9)["radius"].max() == 0


@pytest.mark.parametrize("windows", ["whole", "both"])
def test_the_greatest_margin_of_its_windows_is_the_text_s(windows, tmp_path):
    model, texts = additive(windows, counts=("cash",)), [*SPAM, *HARMLESS, "", "cash cash home"]
    script, encoder = save_encoder(model, tmp_path)[::-1]
    assert "export function encoder(" in script.read_text(encoding="utf-8")
    rows, found = TextEncoder.from_dict(json.loads(encoder.read_text(encoding="utf-8"))).rows_of_windows(texts)
    threat = TableThreat(model.scaling).words(["add", "remove"])
    graph = run(to_certified_onnx(model, threat), rows.astype(np.float64))
    margins = np.maximum.reduceat(graph["margin"], np.flatnonzero(np.diff(found.owner, prepend=-1)))
    x = TextProblem(model, model.scaling.columns[0].encoder).inputs(texts)
    np.testing.assert_allclose(margins, model.margin(x).numpy(), rtol=0, atol=1e-13)
    assert (graph["radius"][found.kind == 0] == certify(model, x, threat).radius.numpy()).all()
    single = run(to_onnx(model.float()), rows)
    np.testing.assert_allclose(single["margin"], graph["margin"], rtol=0, atol=1e-5)


def test_a_file_says_what_it_was_made_from(tmp_path):
    model = additive()
    said = {item.key: item.value for item in to_onnx(model).metadata_props}
    assert (said["digest"], said["kind"], said["sensitive"]) == (model.digest, "TextClassifier", "spam")
    assert save_encoder(convex(LANGUAGES["words"], 0), tmp_path) == []


def test_added_sentences_alone_need_no_graph():
    model = additive("both")
    with pytest.raises(InputError, match="where one of a sentence is sensitive"):
        to_certified_onnx(model, TableThreat(model.scaling).words([], sentences=True))
