"""The audit of texts finds nothing where certificates hold, and a changed text for every one that says too much."""

import math
from dataclasses import replace

import polars as pl
import pytest
import torch

from asymcert.attacks.texts.search import EditSearch, default_text_attacks
from asymcert.certify.texts import Words
from asymcert.datasets.binary import Split
from asymcert.errors import InputError
from asymcert.evaluate.audit import audit
from asymcert.evaluate.text_audit import BEYOND, audit_texts, problem_of, summary_of
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import TEXT_SCHEMA, Origin, make_rows
from asymcert.runs.tables import CERTIFICATES, TEXTS
from asymcert.threats.model import ThreatModel
from asymcert.threats.words import WordEdits
from contracts.messages import HARMLESS, SPAM, additive

ATTACKS = [EditSearch(("fillers",), evaluations=64), EditSearch(("removals",), evaluations=64)]


def adversary(model, kinds, **parts):
    vocabulary = model.scaling.columns[0].encoder.vocabulary
    edits = WordEdits(kinds, torch.from_numpy(vocabulary.families), grams_per_word=vocabulary.grams_per_word, **parts)
    return ThreatModel(0, lower=0, upper=1, edits=edits)


def split_of(model):
    texts = (*SPAM, *HARMLESS)
    x = problem_of(model).inputs(texts)
    return Split(x, torch.tensor([True] * len(SPAM) + [False] * len(HARMLESS)), texts=texts)


def certified(run, model, split, threats, more=0.0):
    """A run folder's certificates, greater than they should be by so much."""
    run.save_model(model)
    for certificate in Words().certify(model, split.x, threats):
        radius = torch.where(certificate.radius > 0, certificate.radius + more, certificate.radius)
        origin = Origin("test", model.digest, run.facts().data_digest, 0)
        rows = make_rows(replace(certificate, radius=radius), torch.arange(len(split)), split.y, origin, 0.0)
        run.append(CERTIFICATES, rows)


@pytest.fixture
def folder(tmp_path, facts):
    def made(model):
        run = RunFolder(tmp_path / "texts")
        run.create(replace(facts, input_shape=(8,), scaling=model.scaling.to_dict()))
        return run

    return made


def test_true_certificates_hold_and_are_attacked_once(folder):
    model = additive("both", counts=("cash",), grams=(" ca", "me "))
    threats = [adversary(model, ["add"]), adversary(model, {"add": 1, "remove": 1.5, "replace": 1})]
    run, split = folder(model), split_of(model).chosen([1, 2, 4, 5])
    certified(run, model, split, threats)
    rows = audit(model, split, run, threats)
    assert rows.schema == TEXT_SCHEMA
    assert len(rows) > 20
    assert not rows["success"].any()
    inside, beyond = rows.filter(pl.col("fraction") == 1), rows.filter(pl.col("attack") == BEYOND)
    assert set(inside["attack"]) == {attack.name for attack in default_text_attacks()}
    assert (inside["size"] <= inside["radius"]).all()
    assert (inside["margin"] > 0).all()
    undone = beyond.filter(pl.col("text") != "")
    assert len(undone) > 0
    assert (undone["size"] > undone["radius"]).all()
    assert (problem_of(model).margins(undone["text"].to_list()) <= 0).all()
    again = audit(model, split, run, threats)
    assert again.sort(rows.columns).equals(rows.sort(rows.columns))
    assert len(run.read(TEXTS)) == len(rows)  # nothing was attacked twice


@pytest.mark.parametrize("kinds", [["add"], ["remove"], ["add", "remove"]])
def test_a_radius_that_is_one_too_great_is_caught(folder, kinds):
    """On a score that adds up, certificates are exact: one word more, and some text within it passes."""
    model = additive(threshold=5.5)
    run, split, threats = folder(model), split_of(model), [adversary(model, kinds)]
    certified(run, model, split, threats, more=1.0)
    rows = audit_texts(model, split, run, threats, run.read(CERTIFICATES).filter(pl.col("radius") > 0), ATTACKS)
    broken = rows.filter("success")
    assert len(rows) > 0
    assert set(broken["index"]) == set(rows["index"])
    assert (problem_of(model).margins(broken["text"].to_list()) <= 0).all()
    assert (broken["edits"].str.contains("added|removed")).all()
    summary = summary_of(rows)
    assert summary["broken"].sum() == len(broken)
    assert summary["texts"].sum() == rows["attempts"].sum() > 0
    assert summary.filter(pl.col("undone") > 0)["median_price"].is_not_null().all()


def test_infinite_radii_are_attacked_without_a_budget(folder):
    model = additive("sentences")
    run, split = folder(model), split_of(model)
    threats = [adversary(model, [], sentences=True, marks_stay=True)]
    certified(run, model, split, threats)
    rows = audit(model, split, run, threats)
    assert rows["radius"].is_infinite().all()
    assert set(rows["attack"]) == {"padding, 120 texts", "disguises"}
    assert not rows["success"].any()
    assert math.isinf(rows["radius"].max())


def test_what_has_no_texts_is_refused(folder):
    model = additive()
    run, split, threats = folder(model), split_of(model), [adversary(model, ["add"])]
    certified(run, model, split, threats)
    with pytest.raises(InputError, match="`split` must be with the texts"):
        audit(model, replace(split, texts=None), run, threats)
