"""Every kind of classifier, by every method: in every mode of PyTorch, on no samples, on what is no batch."""

import functools
import threading

import pytest
import torch

from asymcert import ThreatModel
from asymcert.attacks import ProjectedGradient, RandomSearch, RoundingAttack, score
from asymcert.certify.distance_nets import certify_classes
from asymcert.errors import InputError
from contracts.certifier import check_empty
from contracts.kinds import KINDS, certifiers_of, of_kind, shared
from contracts.models import seeded
from contracts.modes import MODES

THREAT = ThreatModel(2)
ATTACKS = (ProjectedGradient(steps=4, restarts=1), RandomSearch(steps=4), RoundingAttack(2, 2, 2))
# Other modes are tried on one kind, in test_modes.py.
TELLING = ("autocast", "bfloat16 products", "inference mode", "another default device", "default bfloat16")
CLASSES = ("distance net with a head", "convex-concave")


def answers(kind, model, x):
    """All that a classifier says of its inputs, by what says it."""
    found = {"call": model(x.to(model.dtype)), "margin": model.margin(x), "at most": model.margin_at_most(x)}
    for certifier in certifiers_of(kind):
        (certificate,) = certifier.certify(model, x, [THREAT])
        found |= {f"{certifier.method} radius": certificate.radius, f"{certifier.method} margin": certificate.margin}
    if kind in CLASSES:
        found["logits"] = model.logits(x)
    if kind == "distance net with a head":
        certificate = certify_classes(model, x)
        found |= {"class": certificate.prediction, "class's radius": certificate.certificate.radius}
    if kind == "splitting":
        found |= {"votes": model.votes(x.double()), "medians": model.split_medians(x)}
    return found


@functools.cache
def plain_answers(kind):
    return answers(kind, *shared(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_no_mode_changes_what_is_said_and_certified(kind):
    plain, (model, x) = plain_answers(kind), shared(kind)
    assert float(plain["margin"].max()) > 0 >= float(plain["margin"].min())
    for mode in TELLING:
        with MODES[mode]():
            found = answers(kind, model, x)
        assert found.keys() == plain.keys()
        for name, value in found.items():
            assert torch.equal(value, plain[name]), f"{name}, {mode}"


@pytest.mark.parametrize("kind", KINDS)
def test_in_every_mode_attacks_fail_inside_and_succeed_beyond(kind):
    model, x = shared(kind)
    radius = plain_answers(kind)[f"{certifiers_of(kind)[0].method} radius"].clamp(max=10.0)
    undoable = plain_answers(kind)["at most"] > 0
    for mode in ("plain", *TELLING):
        with MODES[mode]():
            near = [attack.run(model, x, THREAT, 0.999 * radius, seeded(0)) for attack in ATTACKS]
            far = [attack.run(model, x, THREAT, 10.0 * radius + 5.0, seeded(0)) for attack in ATTACKS]
        assert not any(bool(result.success.any()) for result in near), mode
        assert any(bool(result.success.any()) for result in far), mode
        for result in far:
            assert torch.equal(result.success, undoable & (model.margin_at_most(result.adversarial) <= 0)), mode


def test_the_block_is_needed_around_parts_that_are_called_by_themselves():
    model, x = shared("distance net with a head")
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(model.logits(x), plain_answers("distance net with a head")["logits"])
        assert not torch.equal(model.net(x).float(), model.logits(x))


def test_threads_in_different_modes_do_not_disturb_each_other():
    model, x = shared("feature-convex")
    plain, (certifier, *_) = model.margin(x), certifiers_of("feature-convex")
    radius, agreed = certifier.certify(model, x, [THREAT])[0].radius, []

    def work(mode):
        for _ in range(20):
            with mode():
                same = torch.equal(certifier.certify(model, x.clone(), [THREAT])[0].radius, radius)
                agreed.append(same and torch.equal(model.margin(x), plain) and torch.equal(model(x), plain))

    modes = [MODES[name] for name in ("plain", "autocast", "autocast float16", "inference mode", "no gradients")]
    threads = [threading.Thread(target=work, args=(mode,)) for mode in modes]
    with MODES["bfloat16 products"]():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert agreed == [True] * 100


# Shapes


@pytest.mark.parametrize("kind", KINDS)
def test_no_samples_get_empty_answers(kind):
    model, x = shared(kind)
    for certifier in certifiers_of(kind):
        check_empty(certifier, model, x, [THREAT, ThreatModel(1, 0, 1), ThreatModel(float("inf"), cost=2.0)])
    if kind in CLASSES:
        assert model.logits(x[:0]).shape == (0, 3)
    if kind == "distance net with a head":
        assert len(certify_classes(model, x[:0]).certificate) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_batch_is_refused(kind):
    model, x = shared(kind)
    calls = [model.margin, model.predict, lambda sample: score(model, sample, sample, THREAT, torch.ones(1))]
    calls += [lambda sample, each=each: each.certify(model, sample, [THREAT]) for each in certifiers_of(kind)]
    calls += [lambda sample, each=each: each.run(model, sample, THREAT, torch.ones(1), seeded(0)) for each in ATTACKS]
    if kind in CLASSES:
        calls.append(model.logits)
    if kind == "distance net with a head":
        calls.append(lambda sample: certify_classes(model, sample))
    for call in calls:
        for sample in (torch.tensor(1.0), x[0]):
            with pytest.raises(InputError, match="A single sample needs a batch dimension"):
                call(sample)


# What is not certified


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
@pytest.mark.filterwarnings("ignore:Complex modules")
def test_models_of_other_numbers_are_refused(kind, dtype):
    model, x = of_kind(kind)
    model.to(dtype)
    for certifier in certifiers_of(kind):
        with pytest.raises(InputError, match=f"`model` must be deployed in float32 or float64, got {dtype}"):
            certifier.certify(model, x, [THREAT])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor")
def test_a_quantised_model_is_refused():
    model, x = of_kind("feature-convex")
    packed = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    for certifier in certifiers_of("feature-convex"):
        with pytest.raises(InputError, match="float32 or float64, got packed values"):
            certifier.certify(packed, x, [THREAT])


def test_a_model_from_inference_mode_is_not_attacked():
    with torch.inference_mode():
        model, x = of_kind("feature-convex")
    for attack in ATTACKS:
        with pytest.raises(InputError, match="built outside torch"):
            attack.run(model, x, THREAT, torch.ones(4), seeded(0))
