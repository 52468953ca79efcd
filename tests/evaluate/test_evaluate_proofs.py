"""Proofs of an evaluation: one for each positive radius, made up for where they are missing, kept apart by curve."""

import numpy as np
import polars as pl

from asymcert.certify import ClosedForm, Tangent
from asymcert.evaluate.run import evaluate
from asymcert.proofs.checker import Claim, Model, read_container
from asymcert.threats.model import ThreatModel

SETTINGS = {"data_digest": "data", "seed": 3}
BOX = ThreatModel(1, lower=0, upper=1)


class Counting(Tangent):
    """Counts the samples it certifies."""

    samples = 0

    def _certificates(self, model, x, threats):
        Counting.samples += len(x) * len(threats)
        return super()._certificates(model, x, threats)


def proofs_in(root):
    return {folder.name: sorted(int(path.stem) for path in folder.iterdir()) for folder in root.iterdir()}


def test_every_positive_radius_is_proved(model, split, run, tmp_path):
    rows = evaluate(model, split, run, [BOX], Tangent(), proofs=tmp_path / "proofs", chunk=7, **SETTINGS)
    (found,) = proofs_in(tmp_path / "proofs").values()
    assert found == sorted(rows.filter(pl.col("radius") > 0)["index"])
    model.save(tmp_path / "model.safetensors")
    checked = Model(tmp_path / "model.safetensors")
    (folder,) = (tmp_path / "proofs").iterdir()
    for index in found[:5]:
        claim = Claim(checked, *read_container(folder / f"{index:06d}.proof", "asymcert-proof"))
        claim.check()
        radius = rows.filter(pl.col("index") == index)["radius"][0]
        assert claim.radius >= radius * (1 - 1e-6)  # the checker has bounds of its own, some of them better
        assert np.array_equal(claim.x, split.x[index].double().numpy())


def test_samples_with_a_row_but_no_proof_are_certified_again(model, split, run, tmp_path):
    root = tmp_path / "proofs"
    first = evaluate(model, split, run, [BOX], Counting(), **SETTINGS)
    Counting.samples = 0
    assert evaluate(model, split, run, [BOX], Counting(), proofs=root, **SETTINGS).equals(first)
    positive = sorted(first.filter(pl.col("radius") > 0)["index"])
    assert list(proofs_in(root).values()) == [positive]
    assert Counting.samples == len(positive)
    assert len(run.read("certificates")) == len(first)  # no row twice
    (folder,) = root.iterdir()
    (folder / f"{positive[3]:06d}.proof").unlink()
    Counting.samples = 0
    evaluate(model, split, run, [BOX], Counting(), proofs=root, **SETTINGS)
    assert Counting.samples == 1
    assert list(proofs_in(root).values()) == [positive]


def test_proofs_of_different_curves_are_kept_apart(model, split, run, tmp_path):
    root = tmp_path / "proofs"
    named = ThreatModel(1, lower=0, upper=1, name="A thief / 2")
    evaluate(model, split, run, [BOX, named], Tangent(), proofs=root, **SETTINGS)
    evaluate(model, split, run, [BOX], ClosedForm(), proofs=root, **SETTINGS)
    evaluate(model, split, run, [BOX], Tangent(sound=False), proofs=root, **SETTINGS)
    evaluate(model, split, run, [BOX], Tangent(), proofs=root, split_name="val", **SETTINGS)
    names = sorted(name.rpartition("-")[0] for name in proofs_in(root))
    assert names == [
        "l1-a-thief-2-tangent",
        "l1-box-0-1-closed-form",
        "l1-box-0-1-tangent",
        "l1-box-0-1-tangent",
        "l1-box-0-1-tangent",
    ]
