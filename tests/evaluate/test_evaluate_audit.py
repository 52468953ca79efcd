"""The audit finds nothing where certificates hold, and finds every certificate that does not."""

import math
from dataclasses import replace

import polars as pl
import pytest
import torch

from asymcert.attacks import Attack, ColumnPairs, ColumnSearch, ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.certify import Certificate, certify_each
from asymcert.certify.exact import Exact
from asymcert.datasets.binary import Split
from asymcert.errors import InputError, RunError
from asymcert.evaluate import evaluate
from asymcert.evaluate.audit import attack_rows, audit, default_attacks
from asymcert.evaluate.beyond import Beyond
from asymcert.features import CentreAbsolute
from asymcert.runs.rows import AUDIT_SCHEMA, Origin, make_rows, threat_key
from asymcert.runs.tables import AUDIT, CERTIFICATES
from asymcert.threats.model import ThreatModel
from contracts.certifier import COST
from contracts.counted import ADVERSARIES, classifier
from contracts.counted import rows as counted_rows
from contracts.models import cancelling_model, dyadic, linear_model, random_mlp, seeded

QUICK = [ProjectedGradient(steps=8, restarts=2)]
THREATS = [*(ThreatModel(p, 0.0, 1.0) for p in (1, 2, math.inf)), ThreatModel(2, cost=COST)]


def rows_of(model, certificates):
    origin = Origin("test", model.digest, "data", 0)
    n = len(certificates[0])
    return pl.concat(
        [make_rows(c, torch.arange(n), torch.ones(n, dtype=torch.bool), origin, 0.0) for c in certificates]
    )


@pytest.fixture(scope="module")
def certified():
    model, x = random_mlp(1, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    return model, x, rows_of(model, certify_each(model, x, THREATS))


def test_true_certificates_hold(certified):
    model, x, rows = certified
    result = attack_rows(model, x, rows, THREATS, QUICK)
    assert result.schema == AUDIT_SCHEMA
    assert not result["success"].any()
    assert len(result) == len(rows.filter(pl.col("radius") > 0)) > 40
    assert set(result["threat"]) == {threat_key(threat) for threat in THREATS}
    assert (result["size"] <= 0.999 * result["radius"]).all()
    assert (result["margin"] > 0).all()
    assert result["attack"].unique().to_list() == ["projected gradient, 8 steps, 2 starts"]


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, math.inf])
def test_certificates_five_percent_too_large_are_all_broken(norm):
    """On a linear score the radius is exact, so a larger one is broken: each sample, in every norm."""
    generator = seeded(2)
    model, x = linear_model(dyadic((6,), generator), 0.5), dyadic((32, 6), generator)
    (true,) = certify_each(model, x, [ThreatModel(norm)])
    false = Certificate(true.radius * 1.05, true.margin, true.slope, true.threat, "five percent more")
    result = attack_rows(model, x, rows_of(model, [true, false]), [ThreatModel(norm)], QUICK)
    broken = result.group_by("method").agg(pl.col("success").all(), tried=pl.len()).sort("method")
    sensitive = int(true.sensitive.sum())
    assert broken.rows() == [("closed-form", False, sensitive), ("five percent more", True, sensitive)]


def test_every_attack_s_rows_carry_its_name_and_budget(certified):
    model, x, rows = certified
    attacks = [ProjectedGradient(steps=3, restarts=1), RandomSearch(steps=5), RoundingAttack(5, 5, 5), Beyond()]
    assert [type(attack) for attack in [*attacks, ColumnSearch(), ColumnPairs()]] == list(map(type, default_attacks()))
    result = attack_rows(model, x, rows, THREATS, attacks)
    counts = result.group_by("attack", "fraction").agg(pl.len(), pl.col("success").any()).sort("fraction", "attack")
    n = len(rows.filter(pl.col("radius") > 0))
    expected = [(attacks[0].name, 0.999), (attacks[1].name, 0.999), (attacks[2].name, 1.0)]
    assert counts.rows() == [(*pair, n, False) for pair in expected]
    assert (result["size"] < result["radius"]).all()


def test_rounding_is_attacked_at_the_very_radius():
    """Certificates that ignore rounding hold at 0.999 of the radius, and not at all of it."""
    model, x = cancelling_model(0, torch.float32)
    (certificate,) = certify_each(model, x, [ThreatModel()], sound=False)
    (sound,) = certify_each(model, x, [ThreatModel()])
    result = attack_rows(model, x, rows_of(model, [certificate]), [ThreatModel()])
    broken = result.filter("success")
    assert broken["attack"].unique().to_list() == [RoundingAttack().name]
    assert len(broken) > 10
    assert (broken["size"] <= broken["radius"]).all()
    assert not attack_rows(model, x, rows_of(model, [sound]), [ThreatModel()])["success"].any()


@pytest.fixture(scope="module")
def known_radii():
    """A linear classifier, inputs, and their true radii in l2 up to rounding."""
    generator = seeded(2)
    model, x = linear_model(dyadic((6,), generator), 0.5), dyadic((32, 6), generator)
    return model, x, certify_each(model, x, [ThreatModel()])[0]


@pytest.mark.parametrize(("stated", "wrong"), [(1.0, False), (1.5, False), (0.95, True), (math.inf, None)])
def test_an_exact_certificate_s_upper_bound_must_be_attained(known_radii, stated, wrong):
    model, x, true = known_radii
    upper = torch.where(true.sensitive, true.radius * stated * (1 + 1e-9), 0.0)
    exact = replace(true, radius=true.radius * 0.9, method="exact", upper=upper)
    result = attack_rows(model, x, rows_of(model, [exact]), [ThreatModel()], [Beyond(steps=20)])
    if wrong is None:
        assert result.is_empty()  # nothing is stated
    else:
        assert len(result) == int(true.sensitive.sum())
        assert result["success"].unique().to_list() == [wrong]
        assert result["fraction"].unique().to_list() == [1.001]
        assert (result["size"] <= 1.001 * upper[true.sensitive].numpy()).all()
    other = replace(exact, method="refined")
    assert attack_rows(model, x, rows_of(model, [other]), [ThreatModel()], [Beyond()]).is_empty()


def test_what_descent_does_not_find_the_certifier_names(known_radii, monkeypatch):
    model, x, true = known_radii
    certificate = Exact().certify(model, x, [ThreatModel()])[0]
    assert certificate.upper is not None
    monkeypatch.setattr(ProjectedGradient, "search", lambda self, model, x, *_: torch.zeros_like(x))
    result = attack_rows(model, x, rows_of(model, [certificate]), [ThreatModel()], [Beyond()])
    assert len(result) == int(true.sensitive.sum())
    assert not result["success"].any()


def test_beyond_checks_and_names_its_steps():
    assert Beyond().name == "a flip at 1.001 of upper"
    assert Beyond(steps=5).name == "a flip at 1.001 of upper, 5 steps"
    with pytest.raises(InputError, match="`steps` must be"):
        Beyond(steps=0)


def test_an_infinite_radius_is_attacked_in_the_whole_box():
    model, x = linear_model(torch.ones(3).double(), 0.5), torch.full((2, 3), 0.75)
    margin = model.margin(x)
    for box, broken in (((0.5, 1.0), False), ((0.0, 1.0), True), ((None, None), True)):
        threat = ThreatModel(2, *box)
        everything = Certificate(torch.full_like(margin, math.inf), margin, torch.ones_like(margin), threat, "all")
        result = attack_rows(model, x, rows_of(model, [everything]), [threat], QUICK)
        assert result["success"].to_list() == [broken, broken]


def test_a_row_about_a_sample_that_the_model_denies_is_broken(certified):
    model, x, rows = certified
    shuffled = attack_rows(model, x.flip(0), rows, THREATS, QUICK)
    assert shuffled["success"].any()


def test_results_depend_on_the_seed_alone(certified):
    model, x, rows = certified
    first = attack_rows(model, x, rows, THREATS, QUICK, seed=1)
    assert first.equals(attack_rows(model, x, rows, THREATS[::-1], QUICK, seed=1))
    assert not first["margin"].equals(attack_rows(model, x, rows, THREATS, QUICK, seed=2)["margin"])


def test_progress_counts_every_attack(certified):
    model, x, rows = certified
    seen = []
    two = [*QUICK, ProjectedGradient(steps=2, restarts=1)]
    result = attack_rows(model, x, rows, THREATS, two, chunk=10, progress=lambda *p: seen.append(p))
    assert seen[-1] == (len(result), len(result))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert result.group_by("attack").len()["len"].n_unique() == 1


def test_rows_without_a_claim_need_no_attack(certified):
    model, x, rows = certified
    nothing = attack_rows(model, x, rows.filter(~pl.col("prediction")), THREATS)
    assert nothing.schema == AUDIT_SCHEMA
    assert nothing.is_empty()


def test_refuses_what_does_not_fit(certified):
    model, x, rows = certified
    other, _ = random_mlp(2)
    for call, message in (
        (lambda: attack_rows(other, x, rows, THREATS), "`rows` must be certificates of model"),
        (lambda: attack_rows(model, x, rows, THREATS[:2]), "`threats` must be those of the rows"),
        (lambda: attack_rows(model, x[:5], rows, THREATS), "`rows` must be about samples 0 to 4"),
        (lambda: attack_rows(model, x, rows.drop("radius"), THREATS), "`rows` must be a frame"),
        (lambda: attack_rows(model, x, rows, THREATS, []), "`attacks` must be at least one"),
        (lambda: attack_rows(model, x, rows, THREATS, QUICK * 2), "`attacks` must be at least one, with different"),
        (lambda: attack_rows(model, x, rows, THREATS, fraction=1.0), "`fraction` must be below 1"),
        (lambda: attack_rows(model, x, rows, THREATS, fraction=0.0), "`fraction` must be a number"),
        (lambda: attack_rows(model, x, rows, THREATS, chunk=0), "`chunk` must be an integer"),
        (lambda: attack_rows(model, x, rows, THREATS, seed=-1), "`seed` must be an integer"),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.fixture
def evaluated(run, model, split, threats):
    evaluate(model, split, run, threats, data_digest="data", seed=0)
    return run


def test_audits_a_run_folder_once(evaluated, model, split: Split, threats):
    first = audit(model, split, evaluated, threats, QUICK)
    assert not first["success"].any()
    assert evaluated.read(AUDIT).sort(first.columns).equals(first.sort(first.columns))
    assert len(first) == len(evaluated.read(CERTIFICATES).filter(pl.col("radius") > 0))
    assert audit(model, split, evaluated, threats, QUICK).equals(first)
    assert len(evaluated.read(AUDIT)) == len(first)
    part = audit(model, split, evaluated, threats[:1], QUICK)
    assert part.equals(first.filter(pl.col("threat") == threat_key(threats[0])))
    assert len(audit(model, split, evaluated, threats, QUICK, seed=1)) == len(first)
    assert len(evaluated.read(AUDIT)) == 2 * len(first)


def test_an_interrupted_audit_resumes(evaluated, model, split: Split, threats):
    class Interrupted(Exception):
        pass

    def stop(done, total):
        if done > 20:
            raise Interrupted

    with pytest.raises(Interrupted):
        audit(model, split, evaluated, threats, QUICK, chunk=10, progress=stop)
    stored = len(evaluated.read(AUDIT))
    assert stored > 20
    result = audit(model, split, evaluated, threats, QUICK)
    assert len(evaluated.read(AUDIT)) == len(result) > stored


def test_a_run_without_certificates_cannot_be_audited(run, model, split: Split, threats):
    with pytest.raises(RunError, match="no certificates of this model"):
        audit(model, split, run, threats)


def test_a_success_is_a_row(evaluated, model, split: Split, threats, monkeypatch):
    class Cheat(Attack):
        name = "cheat"

        def search(self, model, x, threat, size, generator):
            return torch.full_like(x, -1.0)

    rows = evaluated.read(CERTIFICATES)
    monkeypatch.setattr(
        type(evaluated),
        "read",
        lambda self, table: (
            rows.with_columns(radius=pl.when("prediction").then(math.inf).otherwise(0.0))
            if table == CERTIFICATES
            else pl.DataFrame()
        ),
    )
    result = audit(model, split, evaluated, [ThreatModel(1)], [Cheat()])
    assert result["success"].any()


def test_numbers_of_columns_hold_and_one_more_is_broken():
    """Attacks of each norm take the rows of their own; the budget is the whole radius."""
    model, x, threat = classifier(0), counted_rows(48, 5), ADVERSARIES["category"]
    (true,) = certify_each(model, x, [threat])
    (length,) = certify_each(model, x, [ThreatModel(2)], "tangent")
    attacks, open_to = [*QUICK, ColumnSearch(), ColumnPairs()], true.radius > 0
    result = attack_rows(model, x, rows_of(model, [true, length]), [threat, ThreatModel(2)], attacks)
    assert not result["success"].any()
    counted = result.filter(norm=0.0)
    assert set(counted["attack"]) == {ColumnSearch().name, ColumnPairs().name}
    assert counted["fraction"].unique().to_list() == [1.0]
    assert counted["size"].is_in(counted["radius"]).any()
    assert set(result.filter(norm=2.0)["attack"]) == {QUICK[0].name}
    more = replace(true, radius=torch.where(open_to, true.upper, 0.0))
    broken = attack_rows(model, x, rows_of(model, [more]), [threat], [ColumnSearch()])
    finite = broken.filter(pl.col("radius").is_finite())
    assert len(finite) > 3
    assert finite["success"].mean() > 0.8
