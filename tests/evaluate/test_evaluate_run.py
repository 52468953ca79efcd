import polars as pl
import pytest
import torch

from asymcert.certify import ClosedForm, certify
from asymcert.datasets.binary import Split
from asymcert.errors import InputError, RunError
from asymcert.evaluate.run import GALLERY_SIZE, evaluate
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import SERIES, threat_key
from asymcert.threats.model import ThreatModel

SETTINGS = {"data_digest": "data", "seed": 3}


class Interrupted(ClosedForm):
    """Fails at its second call, as a killed process would."""

    calls = 0

    def _certificates(self, model, x, threats):
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt
        return super()._certificates(model, x, threats)


class Counting(ClosedForm):
    """Counts the samples it certifies."""

    samples = 0

    def _certificates(self, model, x, threats):
        self.samples += len(x) * len(threats)
        return super()._certificates(model, x, threats)


def without_times(rows):
    return rows.drop("seconds")


def test_rows_are_those_of_certify(model, split, run, threats):
    steps = []
    progress = lambda done, total: steps.append((done, total))  # noqa: E731
    rows = evaluate(model, split, run, threats, chunk=25, progress=progress, **SETTINGS)
    assert len(rows) == 180
    assert steps == [(75, 180), (150, 180), (180, 180)]
    for threat in threats:
        own = rows.filter(pl.col("threat") == threat.describe()).sort("index")
        certificate = certify(model, split.x, threat)
        assert own["index"].to_list() == list(range(60))
        for name in ("radius", "margin", "slope"):  # sums over another batch may differ in the last place
            torch.testing.assert_close(own[name].to_torch(), getattr(certificate, name), rtol=1e-12, atol=1e-14)
        assert torch.equal(own["label"].to_torch(), split.y)
        assert torch.equal(own["prediction"].to_torch(), model.predict(split.x))
    assert rows["model_digest"].unique().to_list() == [model.digest]
    assert (rows["seconds"] > 0).all()


def test_an_interrupted_evaluation_resumes_to_the_same_result(model, split, run, threats, tmp_path, facts):
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, split, run, threats, Interrupted(), chunk=20, **SETTINGS)
    assert len(run.read("certificates")) == 60
    counting = Counting()
    resumed = evaluate(model, split, run, threats, counting, chunk=20, **SETTINGS)
    assert counting.samples == 120
    fresh = RunFolder(tmp_path / "fresh")
    fresh.create(facts)
    whole = evaluate(model, split, fresh, threats, chunk=20, **SETTINGS)
    assert without_times(resumed).equals(without_times(whole))
    assert len(run.read("certificates")) == 180
    assert run.read("gallery").equals(fresh.read("gallery"))


def test_a_finished_evaluation_computes_and_stores_nothing(model, split, run, threats):
    first = evaluate(model, split, run, threats, **SETTINGS)
    files = sorted(run.path.rglob("*"))
    counting = Counting()
    assert evaluate(model, split, run, threats, counting, **SETTINGS).equals(first)
    assert counting.samples == 0
    assert sorted(run.path.rglob("*")) == files


@pytest.mark.parametrize(
    "change", [{"data_digest": "other"}, {"split_name": "val"}, {"threats": [ThreatModel(2, lower=0, upper=2)]}]
)
def test_rows_of_another_evaluation_are_not_taken_for_ones_own(model, split, run, change):
    settings = {**SETTINGS, "threats": [ThreatModel(2)]}
    evaluate(model, split, run, **settings)
    counting = Counting()
    rows = evaluate(model, split, run, method=counting, **{**settings, **change})
    assert counting.samples == len(rows) == 60
    moved = model.with_threshold(model.threshold + 0.1)
    assert evaluate(moved, split, run, **settings)["model_digest"].unique().to_list() == [moved.digest]
    assert len(run.read("certificates")) == 180


def test_a_new_threat_model_is_certified_alone(model, split, run):
    evaluate(model, split, run, [ThreatModel(2)], **SETTINGS)
    counting = Counting()
    rows = evaluate(model, split, run, [ThreatModel(1), ThreatModel(2)], counting, **SETTINGS)
    assert counting.samples == 60
    assert len(rows) == 120


def test_options_are_part_of_what_identifies_a_row(model, split, run):
    threats = [ThreatModel(2)]
    sound = evaluate(model, split, run, threats, ClosedForm(), **SETTINGS)
    other = evaluate(model, split, run, threats, ClosedForm(sound=False), **SETTINGS)
    assert len(run.read("certificates")) == 120
    assert other["options"].unique().to_list() == ["sound=False"]
    assert (other["radius"] >= sound["radius"]).all()
    assert evaluate(model, split, run, threats, "closed-form", **SETTINGS).equals(sound)


def test_the_threat_models_are_stored_with_the_rows(model, split, run):
    threats = [ThreatModel(1, 0, 1), ThreatModel(2, cost=torch.full((1, 4, 4), 0.1), name="spammer")]
    rows = evaluate(model, split, run, threats, **SETTINGS)
    assert set(run.threats()) == set(rows["threat"])
    for threat in threats:
        assert run.threats()[threat_key(threat)].to_dict() == threat.to_dict()


def test_rows_of_two_racing_processes_count_once(model, split, run, threats):
    rows = evaluate(model, split, run, threats, **SETTINGS)
    run.append("certificates", rows)
    assert evaluate(model, split, run, threats, **SETTINGS).equals(rows)


def test_gallery_holds_the_extreme_recognised_sensitive_samples(model, split, run, threats):
    rows = evaluate(model, split, run, threats, **SETTINGS)
    gallery = run.read("gallery")
    for series in gallery.partition_by(SERIES):
        threat = series["threat"][0]
        own = rows.filter(pl.col("threat") == threat, "label", "prediction").sort("radius")
        least = series.filter(pl.col("group") == "least").sort("rank")
        most = series.filter(pl.col("group") == "most").sort("rank")
        assert least["radius"].to_list() == own["radius"].head(GALLERY_SIZE).to_list()
        assert most["radius"].to_list() == own["radius"].reverse().head(GALLERY_SIZE).to_list()
        for line in series.iter_rows(named=True):
            assert torch.equal(torch.tensor(line["pixels"]).reshape(line["shape"]), split.x[line["index"]])
    assert gallery["threat"].n_unique() == 3


def test_gallery_is_chosen_anew_when_there_are_more_samples(model, split, run):
    evaluate(model, Split(split.x[:30], split.y[:30]), run, [ThreatModel(2)], **SETTINGS)
    evaluate(model, split, run, [ThreatModel(2)], **SETTINGS)
    assert run.read("gallery")["samples"].unique().sort().to_list() == [30, 60]


def test_bad_arguments_are_refused(model, split, run, tmp_path):
    with pytest.raises(InputError, match="all different"):
        evaluate(model, split, run, [ThreatModel(2), ThreatModel(2)], **SETTINGS)
    with pytest.raises(InputError, match="at least one"):
        evaluate(model, split, run, [], **SETTINGS)
    with pytest.raises(InputError, match="ThreatModel"):
        evaluate(model, split, run, [2], **SETTINGS)
    with pytest.raises(InputError, match="`method`"):
        evaluate(model, split, run, [ThreatModel(2)], "guess", **SETTINGS)
    with pytest.raises(InputError, match="`chunk`"):
        evaluate(model, split, run, [ThreatModel(2)], chunk=0, **SETTINGS)
    with pytest.raises(RunError, match="not a run folder"):
        evaluate(model, split, RunFolder(tmp_path / "none"), [ThreatModel(2)], **SETTINGS)
