"""The checker confirms every honest proof and refuses whatever was changed in it."""

import copy
import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from asymcert.attacks import ProjectedGradient
from asymcert.features import Ramps
from asymcert.proofs.checker import Model
from contracts.models import random_mlp, seeded
from contracts.proofs import honest_proofs, prove, read_model

TOO_FAR = "the radius does not follow from the cuts"


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    found = list(honest_proofs(tmp_path_factory.mktemp("proofs")))
    assert len(found) == 60
    return found


@pytest.fixture(scope="module")
def bounded(proofs):
    return [proof for proof in proofs if proof.radius < math.inf]


def refused(proofs, reason, change):
    """The reasons why proofs are refused after `change`, all of which must name `reason`."""
    for proof in proofs:
        parts = change(proof)
        got = proof.refusal(**parts)
        assert got is not None, f"confirmed: {proof.threat.describe()}, changed {list(parts)}"
        assert reason in got


# Honest proofs


def test_every_honest_proof_is_confirmed(proofs):
    for proof in proofs:
        assert proof.refusal() is None, proof.threat.describe()
    assert len({proof.threat.norm for proof in proofs}) == 5


def test_no_attack_succeeds_inside(proofs):
    attack = ProjectedGradient(steps=6, restarts=1)
    for proof in proofs:
        size = torch.tensor([min(proof.radius, 1e6) * (1 - 1e-6)]).double()
        result = attack.run(proof.classifier, proof.x[None], proof.threat, size, seeded(0))
        assert not bool(result.success.any()), proof.threat.describe()


def test_smaller_radii_follow_too(bounded):
    for proof in bounded:
        for share in (1e-300, 1.0 - 1e-9):
            assert proof.refusal({"radius": (proof.radius * share).hex()}) is None


# The radius


@pytest.mark.parametrize("grow", [lambda r: math.nextafter(r, math.inf), lambda r: r * (1 + 1e-9), lambda r: 1.01 * r])
def test_a_larger_radius_is_refused(bounded, grow):
    assert len(bounded) > 40
    refused(bounded, TOO_FAR, lambda proof: {"metadata": {"radius": grow(proof.radius).hex()}})


@pytest.mark.parametrize("factor", [1.5, 2.0, 10.0, 1e6, 1e300])
def test_a_much_larger_radius_is_refused(bounded, factor):
    refused(bounded, "", lambda proof: {"metadata": {"radius": (factor * proof.radius).hex()}})


def test_an_infinite_radius_is_refused(bounded):
    refused(bounded, "", lambda proof: {"metadata": {"radius": "inf"}})


@pytest.mark.parametrize("radius", ["nan", "-inf", "-0x1.0000000000000p-3", "0x0.0p+0"])
def test_a_radius_that_is_none_is_refused(proofs, radius):
    refused(proofs, "the radius is not positive", lambda proof: {"metadata": {"radius": radius}})


# Model, class, type


def test_another_model_is_refused(proofs):
    for left, right in zip(proofs, [*proofs[5:], *proofs[:5]], strict=True):
        assert replace(left, model=right.model).refusal() == "the proof is for another model"


def test_a_changed_weight_is_refused_even_if_the_model_gets_a_new_digest(proofs, tmp_path):
    """Every weight of the small network in turn, by one unit in the last place."""
    proof, count = proofs[0], 0
    path = tmp_path / "changed"
    state = proof.classifier.state_dict()
    for name, value in state.items():
        for index in range(0, value.numel(), 7):
            changed = value.flatten().clone()
            changed[index] = math.nextafter(changed[index], math.inf)
            proof.classifier.load_state_dict({**state, name: changed.view_as(value)})
            proof.classifier.save(path)
            assert replace(proof, model=Model(path)).refusal() == "the proof is for another model"
            count += 1
    proof.classifier.load_state_dict(state)
    assert count > 40


def test_a_model_that_is_not_convex_is_refused(tmp_path):
    model, _ = random_mlp(0)
    model.score.hidden[0].weight[2, 3] = -1e-300  # pyright: ignore
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="must be nonnegative is negative"):
        Model(tmp_path / "model")


def test_another_threshold_is_refused(proofs):
    for step in (-1e-9, 1e-9, -1.0, 1.0):
        refused(
            proofs,
            "another threshold",
            lambda proof, step=step: {"metadata": {"threshold": (proof.model.threshold + step).hex()}},
        )


def test_a_model_with_another_threshold_is_refused(proofs, tmp_path):
    for proof in proofs[:20]:
        other = read_model(proof.classifier.with_threshold(proof.classifier.threshold - 1.0), tmp_path)
        assert replace(proof, model=other).refusal() == "the proof is for another model"


def test_a_claim_for_the_other_class_is_refused(proofs):
    refused(proofs, "the other class", lambda proof: {"metadata": {"sensitive": "other"}})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "", None])
def test_another_type_is_refused(proofs, dtype):
    refused(proofs, "neither float32 nor float64", lambda proof: {"metadata": {"dtype": dtype}})


def test_a_float64_model_has_no_float32_proof(proofs, tmp_path):
    classifier = copy.deepcopy(proofs[0].classifier)
    classifier.score.first.bias[0] += 2.0**-40  # pyright: ignore
    proof = prove(classifier, read_model(classifier, tmp_path), proofs[0].x, proofs[0].threat, tmp_path)
    assert proof.refusal() is None
    assert proof.refusal({"dtype": "float32"}) == "the model's weights are not float32 numbers"


# The input


def test_another_input_is_refused(proofs):
    refused(proofs, "the digest of x", lambda proof: {"x": np.nextafter(proof.tensors["x"], 2.0)})
    refused(proofs, "the digest of x", lambda proof: {"metadata": {"input": hashlib.sha256(b"").hexdigest()}})


def test_an_input_that_is_not_sensitive_is_refused_at_any_radius(proofs):
    for proof in proofs[::2]:
        generator = seeded(0)
        other = torch.rand(64, *proof.x.shape, generator=generator).double()
        other = other[proof.classifier.margin(other) <= 0]
        for x in other[:2].numpy():
            metadata = {**proof.with_input(x)["metadata"], "radius": math.ulp(0.0).hex()}
            anchors = np.concatenate((x[None], proof.tensors["anchors"][1:]))
            weights = np.eye(1, len(anchors))[0]
            for tensors in ({}, {"anchors": anchors}, {"anchors": anchors, "weights": weights}):
                assert proof.refusal(metadata, x=x, **tensors) in (TOO_FAR, "x is outside its box")


def test_an_input_outside_its_box_is_refused(proofs):
    boxed = [proof for proof in proofs if "lower" in proof.tensors]
    refused(boxed, "outside its box", lambda proof: proof.with_input(proof.tensors["x"] + 2.0))


# Anchors, weights, prices


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["x", "anchors", "weights", "price", "lower", "upper", "cost"])
def test_values_that_are_not_finite_are_refused(proofs, name, value):
    def change(proof):
        part = proof.tensors[name].copy()
        part.flat[part.size // 2] = value
        return {name: part}

    refused([proof for proof in proofs if name in proof.tensors], f"{name} is NaN or infinite", change)


def test_weights_off_the_simplex_are_refused(proofs):
    for factor in (1 + 1e-14, 1 - 1e-14, 1.5, 0.5, 0.0, 2.0):
        refused(proofs, "sum to 1", lambda proof, factor=factor: {"weights": factor * proof.tensors["weights"]})
    more = np.array([-0.25, 1.25, 0.0])
    refused(proofs, "a weight is negative", lambda proof: {"weights": more})
    refused(proofs, "wrong shape", lambda proof: {"weights": np.full(2, 0.5)})
    refused(proofs, "wrong shape", lambda proof: {"weights": np.zeros(0)})


def test_the_planes_of_other_anchors_do_not_reach_as_far(bounded):
    """The far anchor's plane lies below: a proof with it is confirmed for a smaller radius only.

    Ramps know nothing that is far.
    """
    for proof in bounded:
        if isinstance(proof.classifier.feature_map, Ramps):
            continue
        far = proof.tensors["anchors"].copy()
        far[0] += 10.0 * (1.0 + np.arange(far[0].size).reshape(far[0].shape) % 3)
        assert proof.refusal(anchors=far) in (TOO_FAR, "overflow encountered in multiply")


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_other_prices_do_not_reach_as_far(bounded, factor):
    priced = [proof for proof in bounded if "price" in proof.tensors]
    refused(priced, TOO_FAR, lambda proof: {"price": factor * proof.tensors["price"]})


def test_prices_that_are_none_are_refused(proofs):
    priced = [proof for proof in proofs if "price" in proof.tensors]
    refused(priced, "a price is negative", lambda proof: {"price": -1e-300 - proof.tensors["price"]})
    refused(priced, "a price is missing", lambda proof: {"without": "price"})
    free = [proof for proof in proofs if "price" not in proof.tensors]
    assert free
    refused(free, "one too many", lambda proof: {"price": np.zeros(proof.x.shape)})


# The threat model


def test_a_norm_of_more_changes_is_refused(bounded):
    for norm in (1.0 + 1e-9, 1.5, 2.0, 2.0 + 1e-9, 100.0):
        smaller = [proof for proof in bounded if proof.threat.norm < norm]
        refused(smaller, TOO_FAR, lambda proof, norm=norm: {"metadata": {"norm": float(norm).hex()}})
    priced = [proof for proof in bounded if proof.threat.norm < math.inf]
    refused(priced, TOO_FAR, lambda proof: {"metadata": {"norm": "inf"}, "without": "price"})
    refused(bounded, "the norm is below 1", lambda proof: {"metadata": {"norm": (0.5).hex()}})
    refused(bounded, "the norm is below 1", lambda proof: {"metadata": {"norm": "nan"}})


@pytest.mark.parametrize("share", [1 - 1e-9, 0.9, 0.5, 0.01])
def test_a_lower_cost_is_refused(bounded, share):
    refused(bounded, TOO_FAR, lambda proof: {"cost": share * proof.tensors.get("cost", np.ones(()))})


def test_a_cost_of_zero_or_less_is_refused(proofs):
    for cost in (0.0, -1.0):
        refused(proofs, "a cost is not positive", lambda proof, cost=cost: {"cost": np.full((), cost)})


def test_a_wider_threat_is_refused_where_it_matters(bounded, tmp_path):
    """Without the box, the mask or the directions: wherever an honest proof would then state less."""
    refusals = 0
    for proof in bounded[::3]:
        for name in ("lower", "upper", "mutable", "direction"):
            if name in proof.tensors:
                wide = replace(proof.threat, **{name: None})
                honest = prove(proof.classifier, proof.model, proof.x, wide, tmp_path)
                if honest.radius < 0.999 * proof.radius:
                    assert proof.refusal(without=name) == TOO_FAR
                    refusals += 1
    assert refusals > 8


# Form


def test_parts_that_are_missing_or_too_many_are_refused(proofs):
    for name in ("x", "anchors", "weights"):
        refused(proofs, "lacks a part", lambda proof, name=name: {"without": name})
    refused(proofs, "one too many", lambda proof: {"note": np.zeros(1)})
    refused(proofs, "format is unknown", lambda proof: {"metadata": {"note": ""}})
    refused(proofs, "format is unknown", lambda proof: {"metadata": {"format": 2}})


def test_parts_of_another_shape_or_type_are_refused(proofs):
    for name in ("x", "anchors", "price", "lower", "cost", "direction", "mutable"):
        having = [proof for proof in proofs if name in proof.tensors]
        refused(having, "wrong shape", lambda proof, name=name: {name: np.stack([proof.tensors[name]] * 2)[..., None]})
        refused(having, "wrong type", lambda proof, name=name: {name: proof.tensors[name].astype(">f4")})


def test_numbers_have_one_spelling(proofs):
    def change(proof, name):
        return {"metadata": {name: proof.metadata[name].replace("0x", "0X").replace("inf", "Infinity")}}

    for name in ("radius", "norm", "threshold"):
        refused(proofs, "hexadecimal", lambda proof, name=name: change(proof, name))
