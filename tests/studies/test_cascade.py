"""The cascade answers as its stages do, and its certificate holds for its answer."""

import pytest
import torch

from asymcert import train
from asymcert.attacks import ProjectedGradient
from asymcert.certify import certify
from asymcert.datasets.many import load_many
from asymcert.errors import InputError
from asymcert.models.networks import BaseNetwork
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.studies.cascade import Cascade, evaluate_cascade, first_samples, one_against_rest, train_second
from asymcert.threats.model import ThreatModel

CLASS = 3


@pytest.fixture(scope="module")
def data():
    return load_many("digits")


@pytest.fixture(scope="module")
def cascade(data):
    few = one_against_rest(first_samples(data, 60), CLASS)
    first = train(few, hidden=(16,), epochs=12, false_positive_rate=0.02)
    return Cascade(first, train_second(data, width=32, epochs=30), data.classes, CLASS)


def test_answers_as_the_stages_do(cascade, data):
    x, _ = data.test
    answer, sensitive = cascade.predict(x), cascade.first.predict(x)
    assert torch.equal(answer == CLASS, sensitive)
    logits = cascade.second(x.double())
    logits[:, CLASS] = -torch.inf
    assert torch.equal(answer[~sensitive], logits.argmax(1)[~sensitive])


def test_the_second_stage_sees_only_what_the_first_lets_through(cascade, data):
    x, _ = data.test
    seen = []

    def watching(chunk):
        seen.append(chunk)
        return cascade.second(chunk)

    Cascade(cascade.first, watching, cascade.classes, CLASS).predict(x)
    assert not bool(cascade.first.predict(torch.cat(seen)).any())
    assert len(torch.cat(seen)) == int((~cascade.first.predict(x)).sum())


@pytest.mark.parametrize("norm", [1.0, 2.0, torch.inf])
def test_no_attack_inside_the_radius_changes_the_answer(cascade, data, norm):
    x, labels = data.test
    x, threat = x[labels == CLASS].double(), ThreatModel(norm, 0, 1)
    certificate = cascade.certify(x, threat)
    assert torch.equal(certificate.radius, certify(cascade.first, x, threat).radius)
    assert bool((certificate.radius > 0).any())
    budget = certificate.radius * (1 - 1e-9)
    attacked = ProjectedGradient(steps=12, restarts=1).run(cascade.first, x, threat, budget, torch.Generator())
    answered = cascade.predict(x) == CLASS
    assert bool((cascade.predict(attacked.adversarial)[answered] == CLASS).all())


def test_outcome(cascade, data):
    outcome = evaluate_cascade(cascade, data.test)
    x, labels = data.test
    assert outcome.accuracy == pytest.approx(float((cascade.predict(x) == labels).double().mean()))
    assert outcome.accuracy > 0.85
    assert outcome.certified_accuracy(0.0) == outcome.accuracy_by_class["3"] > 0.8
    middle = float(outcome.certificate.radius.median())
    assert outcome.certified_accuracy(middle) <= 0.5
    assert outcome.certified_accuracy(1e9) == 0.0


def test_one_against_rest_and_first_samples(data):
    few = first_samples(data, 4)
    assert [int((few.test[1] == index).sum()) for index in range(10)] == [4] * 10
    assert first_samples(data, None) is data
    binary = one_against_rest(few, CLASS)
    assert (binary.sensitive, binary.other, int(binary.train.y.sum()), len(binary.train)) == ("3", "rest", 4, 40)


def test_a_smoothed_first_stage_is_refused(data):
    """Its certificate is about a vote over noisy copies, but the cascade would ask its base, without noise."""
    base = BaseNetwork("mlp", (1, 8, 8), width=8)
    for parameter in base.parameters():
        parameter.data.zero_()
    first = SmoothedClassifier(base, "gaussian", 1.0, threshold=-1.0)
    assert float(certify(first, data.test[0][:1], ThreatModel(2)).radius) > 1
    with pytest.raises(InputError, match="`first` must be a classifier that answers what is certified"):
        Cascade(first, lambda x: x.flatten(1)[:, :10], data.classes, CLASS)


def test_refusals(cascade, data):
    with pytest.raises(InputError, match="`sensitive_class` must be from 0 to 9"):
        Cascade(cascade.first, cascade.second, data.classes, 10)
    with pytest.raises(InputError, match="`classes` must be at least two"):
        Cascade(cascade.first, cascade.second, ("3",), 0)
    with pytest.raises(InputError, match="`sensitive_class`"):
        one_against_rest(data, -1)
    with pytest.raises(InputError, match=r"`second` must be a map to \(n, 3\)"):
        Cascade(cascade.first, cascade.second, ("a", "b", "c"), 0).predict(data.test[0])
    with pytest.raises(InputError, match="`samples` must be"):
        evaluate_cascade(cascade, (data.test[0], data.test[1] + 5))
    with pytest.raises(InputError, match="`x` must be"):
        cascade.predict(data.test[0][:, :, :4])
