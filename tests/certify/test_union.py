"""Unions: sensitive if any member is, certified as far as the best member, in the arithmetic that runs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asymcert import ThreatModel, certify
from asymcert.attacks import ProjectedGradient, RandomSearch
from asymcert.certify import certifier_for
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.export.certified_graph import to_certified_onnx
from asymcert.export.onnx_graph import to_onnx
from asymcert.features import Centre, CentreAbsolute
from asymcert.models import BinaryClassifier, DistanceClassifier, FeatureConvexClassifier, UnionClassifier
from contracts.kinds import net, on_learned, score, shared
from contracts.models import seeded

ROW = (6,)
THREATS = [ThreatModel(norm, lower=0.0, upper=1.0) for norm in (1, 2, math.inf)]


def convex(seed, **options):
    centre = CentreAbsolute(torch.full(ROW, 0.5))
    return FeatureConvexClassifier(centre, score(12, seed), input_shape=ROW, **options)


def inputs(count=40):
    return torch.rand(count, *ROW, generator=seeded(1))


def placed(members, x):
    """A union whose members are sensitive on a third of the inputs each."""
    return UnionClassifier([m.with_threshold(float(m.scores(x).quantile(2 / 3))) for m in members])


@pytest.mark.parametrize("shift", [0.0, 0.037, -0.021])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_verdict_and_radius_are_those_of_the_best_member(shift, dtype):
    x = inputs()
    union = placed([convex(1).to(dtype), convex(2).to(dtype), DistanceClassifier(net(ROW)).to(dtype)], x)
    union = union.with_threshold(shift)
    margins = torch.stack([member.margin(x) for member in union.members]).double()
    assert torch.equal(union.predict(x), (margins > torch.tensor(shift, dtype=dtype).double()).any(0))
    for threat in THREATS:
        radius = certify(union, x, threat).radius
        methods = ("tangent", "tangent", "interval")
        own = [
            certifier_for(m).certify(d, x, [threat])[0].radius for m, d in zip(methods, union.deciding(), strict=True)
        ]
        assert torch.equal(radius, torch.stack(own).amax(0))
        assert (radius[union.predict(x)] > 0).float().mean() > 0.9


@pytest.mark.parametrize("threat", THREATS, ids=["l1", "l2", "linf"])
def test_attacks_fail_inside_and_succeed_beyond(threat):
    x = inputs(60)
    union = placed([convex(1), convex(2), DistanceClassifier(net(ROW)).double()], x)
    radius = certify(union, x, threat).radius
    for attack in (ProjectedGradient(steps=20), RandomSearch(steps=20)):
        assert not attack.run(union, x, threat, 0.999 * radius, seeded(2)).success.any()
    assert ProjectedGradient(steps=20).run(union, x, threat, 6 * radius + 0.2, seeded(2)).success.any()


def test_radii_of_members_together_would_be_broken():
    """What the attacks above would find if radii were added up."""
    x, threat = inputs(60), THREATS[1]
    union = placed([convex(1), convex(2)], x)
    total = sum(certify(member, x, threat).radius for member in union.members)
    assert ProjectedGradient(steps=40).run(union, x, threat, 3 * total, seeded(2)).success.any()


@given(
    st.floats(-3, 3, width=32),
    st.one_of(st.floats(-3, 3), st.floats(-1e-6, 1e-6), st.just(0.0), st.just("opposite")),
    st.integers(0, 3),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_an_alert_of_a_deciding_member_is_one_of_the_union_to_the_last_bit(threshold, shift, steps, dtype):
    """Scores at and just above a raised threshold, of a member that gives back its input.

    Thresholds that cancel leave scores so small that subtracting rounds them away.
    """
    shift = -threshold if shift == "opposite" else shift
    member = line().to(dtype).with_threshold(threshold)
    union = UnionClassifier([member, line().to(dtype).with_threshold(100.0)], shift)
    raised = union.deciding()[0]
    x = torch.tensor([[raised.threshold]], dtype=dtype)
    for _ in range(steps):
        x = x.nextafter(torch.tensor(math.inf, dtype=dtype))
    if raised.predict(x):
        assert union.predict(x)
    if x.double().item() - threshold > shift + 1e-5 * (abs(shift) + abs(threshold)) + 1e-12:
        assert raised.predict(x + 1e-4)  # thresholds are raised by little


def line():
    """score(x) = x, exactly."""
    network = ConvexMLP((1,), (1,), passthrough=True)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        for name, weight in network.named_parameters():
            if weight.shape == (1, 1) and name.endswith("weight"):
                last = weight
        last.fill_(1.0)
    model = FeatureConvexClassifier(Centre(torch.zeros(1)), network, input_shape=(1,))
    x = torch.tensor([[0.25], [-2.0]], dtype=torch.float64)
    assert torch.equal(model.margin(x), x[:, 0]), "not the identity"
    return model


def test_columns_are_counted_by_the_members_that_can():
    x, threat = inputs(), ThreatModel(0, lower=0.0, upper=1.0)
    union = placed([convex(1), DistanceClassifier(net(ROW)).double()], x)
    alone = certifier_for("tangent").certify(union.deciding()[0], x, [threat])[0]
    assert torch.equal(certify(union, x, threat).radius, alone.radius)
    nobody = UnionClassifier([DistanceClassifier(net(ROW)), DistanceClassifier(net(ROW))])
    with pytest.raises(InputError, match=r"that some member is certified against, .*'interval', got norm 0"):
        certify(nobody, x, threat)


def test_members_whose_features_are_learned_take_the_method_that_suits_them():
    x = inputs()
    union = placed([on_learned(), convex(1)], x)
    assert certify(union, x, THREATS[1]).radius.max() > 0


def test_a_union_is_stored_and_read(tmp_path):
    union, x = shared("union")
    union.save(tmp_path / "union.safetensors")
    again = BinaryClassifier.load(tmp_path / "union.safetensors").float()
    assert again.digest == union.digest
    assert torch.equal(again.margin(x), union.margin(x))


def test_a_union_of_a_model_with_itself_is_stored(tmp_path):
    one = convex(1).double()
    UnionClassifier([one, one.with_threshold(0.5)]).save(tmp_path / "union.safetensors")
    again = BinaryClassifier.load(tmp_path / "union.safetensors")
    assert torch.equal(again.margin(inputs()), one.margin(inputs()).maximum(one.with_threshold(0.5).margin(inputs())))


@pytest.mark.parametrize("members", [None, convex(1), (convex(seed) for seed in (1, 2))])
def test_members_that_are_no_list_are_refused(members):
    with pytest.raises(InputError, match="`members` must be a list of at least two classifiers, got "):
        UnionClassifier(members)


def test_graphs_of_unions_are_refused_with_what_can_be_exported():
    union = UnionClassifier([convex(1), convex(2)])
    for export in (to_onnx, lambda model: to_certified_onnx(model, THREATS[1])):
        with pytest.raises(InputError, match="Export each member by itself"):
            export(union)


def test_what_makes_no_union_is_refused():
    with pytest.raises(InputError, match="at least two"):
        UnionClassifier([convex(1)])
    with pytest.raises(InputError, match="of the kinds"):
        UnionClassifier([convex(1), shared("smoothed")[0]])
    with pytest.raises(InputError, match="same input shape"):
        UnionClassifier([convex(1), convex(2, sensitive="spam")])
    with pytest.raises(InputError, match="floating-point type"):
        UnionClassifier([convex(1), convex(2).float()])
