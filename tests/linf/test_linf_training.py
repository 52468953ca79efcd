"""Training of l_inf-distance nets: schedule, losses, decay, resuming, and that it learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from asymcert import datasets
from asymcert.certify import certify
from asymcert.certify.distance_nets import DistanceLipschitz, certify_classes
from asymcert.errors import InputError, RunError
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.thresholds import threshold_for_rate
from asymcert.threats.model import ThreatModel
from asymcert.training.linf_config import LINF_PRESETS, LinfConfig
from asymcert.training.linf_losses import decay_norms, training_loss, worst_gaps
from asymcert.training.linf_nets import train_classes, train_linf
from asymcert.training.linf_objectives import balanced_mean, objective_for
from asymcert.training.trainer import fit

TINY = LinfConfig(width=16, depth=2, epochs=4, batch_size=32, epsilon=0.1)


def blobs(classes=3, n=120, seed=0):
    """Points around well separated corners."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    centres = torch.eye(6)[:classes] * 0.8 + 0.1
    return centres[labels] + 0.05 * torch.randn(n, 6, generator=generator), labels


def test_the_schedule_is_the_published_one():
    config = LinfConfig(epochs=450)
    assert config.moment(0.0).p == config.moment(25 / 450).p == 8.0
    assert config.moment(212.5 / 450).p == pytest.approx(math.sqrt(8 * 1000))
    assert config.moment(399.999 / 450).p == pytest.approx(1000, rel=1e-3)
    assert config.moment(400 / 450).p == config.moment(1.0).p == math.inf
    assert config.moment(0.0).mix == 0.05
    assert config.moment(212.5 / 450).mix == pytest.approx(math.sqrt(0.05 * 0.0002))
    assert config.moment(1.0).mix == pytest.approx(0.0002)
    assert [config.rate(part, 0) for part in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])


def test_the_loss_is_the_published_one():
    torch.manual_seed(0)
    config = LinfConfig(width=8, depth=2, epsilon=0.2, deviation=0.5)
    net, x, labels = config.net((6,), 3).eval(), torch.rand(7, 6), torch.randint(3, (7,))
    logits, scale, theta = net(x), torch.tensor(1.7), 2 * 0.2 / 0.5
    expected = 0.0
    for row, label in zip(logits, labels.tolist(), strict=True):
        values = row.tolist()
        terms = [min(max((theta - (values[label] - values[j])) / theta, 0), 1) for j in range(3) if j != label]
        expected += max(terms) / len(x)
    entropy = torch.nn.functional.cross_entropy(1.7 * logits, labels)
    loss = training_loss(config, net, x, labels, scale, 0.3)
    assert float(loss.detach()) == pytest.approx(expected + 0.3 * float(entropy.detach()), rel=1e-5)


def test_the_hinge_mixes_worst_and_mean():
    config = LinfConfig(width=8, depth=2, epsilon=0.2, deviation=0.5, loss="hinge")
    net, x, labels = config.net((6,), 3).eval(), torch.rand(7, 6), torch.randint(3, (7,))
    logits = net(x)
    excess = (1 + (logits - logits.gather(1, labels[:, None])) / 0.8).clamp(min=0)
    excess[torch.arange(7), labels] = 0
    expected = 0.75 * excess.amax(1).mean() + 0.25 * excess.mean()
    torch.testing.assert_close(training_loss(config, net, x, labels, torch.ones(()), 0.3), expected)


@pytest.mark.parametrize("head", [0, 5])
def test_no_change_passes_the_worst_gap(head):
    torch.manual_seed(0)
    net = LinfDistanceNet((6,), classes=3, width=8, depth=2, head=head, deviation=0.5).eval()
    x, labels, epsilon = torch.rand(20, 6), torch.randint(3, (20,)), torch.linspace(0.05, 0.2, 20)
    features = net.features(x)
    gaps = worst_gaps(net, features, net(x), labels, epsilon)
    assert (gaps.gather(1, labels[:, None]) == 0).all()
    for _ in range(50):
        logits = net(x + 0.5 * epsilon[:, None] * torch.randn_like(x).sign())
        difference = logits - logits.gather(1, labels[:, None])
        reached = difference if head else difference / (2 * epsilon[:, None])
        assert (reached <= gaps + 1e-4).all()


def test_the_sensitive_class_is_the_last_one():
    config = LinfConfig(epsilon=0.4, epsilon_other=0.1, deviation=0.5)
    assert config.radii(torch.tensor([0, 1, 2]), 3).tolist() == pytest.approx([0.2, 0.2, 0.8])
    assert LinfConfig(epsilon=0.4, deviation=0.5).radii(torch.tensor([0, 2]), 3).tolist() == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("loss", ["mixed", "hinge"])
def test_weights_are_those_of_repeated_samples(loss):
    torch.manual_seed(0)
    config = LinfConfig(width=8, depth=2, epsilon=0.2, loss=loss)
    net, x, labels = config.net((6,), 2).eval(), torch.rand(6, 6), torch.tensor([0, 1, 0, 1, 1, 0])
    twice = torch.cat((x, x[labels == 1])), torch.cat((labels, labels[labels == 1]))
    ours = training_loss(replace(config, sensitive_weight=2.0), net, x, labels, torch.ones(()), 0.3)
    torch.testing.assert_close(ours, training_loss(config, net, *twice, torch.ones(()), 0.3))


def test_decay_follows_the_gradient_of_the_squared_norm():
    for p in (3.0, 8.0, math.inf):
        net = LinfDistanceNet((5,), width=4, depth=2).double()
        net.p = p
        torch.nn.init.normal_(net.layers[1].bias)
        before = {name: value.detach().clone() for name, value in net.named_parameters()}
        weight = before["layers.0.weight"].requires_grad_()
        (torch.linalg.vector_norm(weight, ord=p, dim=1) ** 2 / 2).sum().backward()
        decay_norms(net, 0.01)
        torch.testing.assert_close(net.layers[0].weight.detach(), (weight - 0.01 * weight.grad).detach())
        torch.testing.assert_close(net.layers[1].bias.detach(), before["layers.1.bias"] * 0.99)


@pytest.mark.parametrize("loss", ["mixed", "hinge"])
def test_learns_certifiable_classes(loss):
    config = replace(TINY, loss=loss, epochs=40, weight_decay=0.005 if loss == "hinge" else 0.0)
    records = []
    model = train_classes(blobs(), blobs(seed=1), ("a", "b", "c"), config, on_epoch=records.append)
    assert (records[0]["p"], records[-1]["p"]) == (8.0, "inf")
    assert records[-1]["certified"] > 0.9
    x, labels = blobs(seed=2)
    done = certify_classes(model, x, ThreatModel(norm=math.inf))
    right = (done.prediction == labels) & (done.certificate.radius > 0.1)
    assert right.double().mean() > 0.9


def test_sorted_units_learn_too():
    config = replace(TINY, width=64, depth=3, rho=0.1, epochs=40)
    model = train_classes(blobs(n=240), blobs(seed=1), ("a", "b", "c"), config)
    assert [layer.rho for layer in model.net.layers] == [0.0, 0.1, 0.1]
    x, labels = blobs(seed=2)
    done = certify_classes(model, x, ThreatModel(norm=math.inf))
    assert ((done.prediction == labels) & (done.certificate.radius > 0.05)).double().mean() > 0.8


def test_a_head_learns_too():
    model = train_classes(blobs(), blobs(seed=1), ("a", "b", "c"), replace(TINY, head=8, epochs=30))
    x, labels = blobs(seed=2)
    assert (model.predict_class(x) == labels).double().mean() > 0.9


def test_binary_with_a_balanced_threshold():
    data = datasets.load("digits-3-8")
    model = train_linf(data, replace(TINY, width=32, epochs=25, deviation=0.37, epsilon=0.15))
    assert (model.sensitive, model.other) == (data.sensitive, data.other)
    assert model.info["data_digest"] == data.digest
    verdict = model.predict(data.test.x)
    balanced = (verdict[data.test.y].double().mean() + (~verdict[~data.test.y]).double().mean()) / 2
    certificate = DistanceLipschitz().certify(model, data.test.x, [ThreatModel(norm=math.inf)])[0]
    assert balanced > 0.85
    assert certificate.radius[data.test.y].median() > 0.03


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="`device` must be one that torch can use here, got 'tpu9'"):
        train_classes(blobs(), blobs(seed=1), ("a", "b", "c"), TINY, device="tpu9")


def test_the_same_seed_gives_the_same_model_and_another_another():
    first, again, other = (
        train_classes(blobs(), blobs(seed=1), ("a", "b", "c"), TINY, seed=seed).contents()[0] for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path):
    config, path = replace(TINY, loss="hinge", weight_decay=0.01), tmp_path / "run.checkpoint"
    arguments = (blobs(), blobs(seed=1), ("a", "b", "c"), config)
    whole = train_classes(*arguments).contents()[0]

    def stop(record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asymcert.training.checkpoint.CHECKPOINT_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            train_classes(*arguments, checkpoint=path, on_epoch=stop)
    seen = []
    resumed = train_classes(*arguments, checkpoint=path, on_epoch=seen.append).contents()[0]
    assert [record["epoch"] for record in seen] == [2, 3, 4]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with pytest.raises(RunError, match="seed"):
        train_classes(*arguments, checkpoint=path, seed=1)
    with pytest.raises(RunError, match="training_digest"):
        train_classes(blobs(seed=5), *arguments[1:], checkpoint=path)


def test_validations_as_often_as_asked():
    records = []
    train_classes(blobs(), blobs(), ("a", "b", "c"), TINY, validate_every=3, on_epoch=records.append)
    assert ["certified" in record for record in records] == [False, False, True, True]


def test_presets_are_the_published_recipes():
    published = LINF_PRESETS["cifar10-8"]
    assert (published.width, published.depth, published.epochs, published.batch_size) == (5120, 6, 1300, 512)
    assert (published.mix_start, published.mix_end, published.epsilon) == (0.1, 0.0005, 0.09411)
    assert published.moment(100 / 1300).p == 8.0
    assert LINF_PRESETS["mnist-0.3"].epsilon == 0.45
    assert LINF_PRESETS["mnist-0.3-hinge"].weight_decay == 0.005


def test_refusals():
    with pytest.raises(InputError, match="`seed` must be an integer of at least 0, got -1"):
        train_classes(blobs(), blobs(seed=1), ("a", "b", "c"), TINY, seed=-1)
    with pytest.raises(InputError, match=r"`widht` must be left out for this model, got 3. Did you mean width"):
        train_classes(blobs(), blobs(), ("a", "b", "c"), widht=3)
    with pytest.raises(InputError, match="labels"):
        train_classes(blobs(), blobs(), ("a", "b"))
    for wrong in ({"loss": "other"}, {"p_start": 2000.0}, {"rise_from": 0.95}, {"epochs": 0}, {"epsilon": 0.0}):
        with pytest.raises(InputError):
            LinfConfig(**wrong)


def test_divergence_is_told():
    x, labels = blobs()
    with pytest.raises(RunError, match="diverged"):
        train_classes((x * 1e38, labels), (x, labels), ("a", "b", "c"), TINY)


def test_a_convex_score_above_the_net_trains_with_it_and_is_deployed_as_it_was_trained():
    data = datasets.load("digits-3-8")
    config = LinfConfig(width=24, depth=2, features=4, convex=(8,), epsilon=0.1, mix_start=1.0, epochs=30)
    log = []
    model = train_linf(data, config, on_epoch=log.append, batch_size=32, validate_every=15)
    assert isinstance(model, FeatureConvexClassifier)
    correct = (model.predict(data.val.x) == data.val.y).double().mean()
    assert float(correct) > 0.9
    assert log[-1]["certified"] > 0.7
    radius = certify(model, data.val.x, ThreatModel(math.inf)).radius[data.val.y]
    assert float(radius.median()) > 0.05


def test_a_convex_score_begins_as_the_net_s_own_margin_and_is_never_worse_on_validation_data():
    data = datasets.load("digits-3-8")
    config = replace(TINY, width=24, epochs=12, mix_start=1.0, deviation=0.37, keep="best")
    by_itself, log = [], []
    net = train_linf(data, replace(config, keep="last"), on_epoch=by_itself.append)
    model = train_linf(data, config, on_epoch=log.append, features=6, convex=(8,), above=5)
    assert [record["epoch"] for record in log] == list(range(1, 18))
    assert [record["loss"] for record in log[:12]] == [
        record["loss"] for record in by_itself
    ]  # the same net, to the bit
    sensitive, start = data.val.y, log[11]
    assert float((net.predict(data.val.x) == sensitive).double()[sensitive].mean()) == start["accuracy_sensitive"]

    threat = ThreatModel(math.inf, lower=0.0, upper=1.0)

    def certified(model, method):
        """Mean over thresholds and sizes of the shares that hold, and of the other class's accuracy."""
        alarms, found = float(model.predict(data.val.x)[~sensitive].double().mean()), []
        scores = model.scores(data.val.x)
        for times in (1.0, 1.33, 1.75):
            at = model if times == 1 else model.placed_at(threshold_for_rate(scores, sensitive, times * alarms))
            radius = certify(at, data.val.x[sensitive], threat, method, sound=False).radius
            other = (~at.predict(data.val.x))[~sensitive].double().mean()
            found += [((radius > size * config.epsilon).double().mean() + other) / 2 for size in (0.5, 1, 2, 4)]
        return float(sum(found) / len(found))

    assert certified(net, "lipschitz") <= start["certified"] <= certified(net, "interval")
    best = max(record["certified"] for record in log)
    assert best <= certified(model, "enclosure") + 1e-9 <= best + 0.02  # less the standard error of a gain


def test_the_net_by_itself_is_remembered_to_the_bit_and_goes_on_to_be_trained():
    data = datasets.load("digits-3-8")
    parts = [(split.x, split.y.long()) for split in (data.train, data.val)]
    config = replace(TINY, features=6, convex=(8,), above=2, drawn=1.0)
    joint = fit(objective_for, config, *parts, 2, {})
    alone = fit(objective_for, replace(config, convex=(), drawn=0.0), *parts, 2, {})
    assert joint.joined
    remembered, trained = joint.start[0].state_dict(), alone.net.state_dict()
    assert all(torch.equal(remembered[name], trained[name]) for name in trained)
    assert not all(torch.equal(joint.net.state_dict()[name], trained[name]) for name in trained)


def test_a_gain_that_could_be_chance_does_not_replace_the_net(monkeypatch):
    objective = objective_for(replace(TINY, features=4, convex=(4,)), torch.rand(8, 5))
    x, labels = torch.rand(40, 5), torch.arange(40) % 2
    sensitive = labels.bool()
    before, gain = torch.full((40,), 0.5, dtype=torch.float64), torch.zeros(40, dtype=torch.float64)
    gain[:4] = 0.25  # of two samples of each class
    now = iter([(before + gain, {}), (before, {})])
    monkeypatch.setattr(type(objective), "_withstood", lambda *_: next(now))
    objective.advance(1.0)
    spread = np.std([0.25] * 2 + [0.0] * 18)
    expected = 0.5 + 0.025 - np.sqrt(2 * spread**2 / 20) / 2
    assert objective.validate(x, labels)["certified"] == pytest.approx(expected)
    assert balanced_mean(gain, sensitive)[0] == pytest.approx(0.025)


def test_the_schedule_begins_anew_when_the_convex_score_joins():
    config = LinfConfig(epochs=6, above=2, convex=(4,))
    assert config.passes == 8
    assert config.rate(0.375, 3) == pytest.approx(LinfConfig(epochs=6).rate(0.5, 3))
    assert config.moment(0.375) == LinfConfig(epochs=6).moment(0.5)
    assert config.moment(0.75).p == math.inf
    assert [config.rate(progress, 6) for progress in (0.75, 0.875, 1.0)] == pytest.approx([0.03, 0.015, 0.0])
    assert LinfConfig(epochs=6).passes == 6


def test_the_deployed_radius_is_the_trained_one():
    torch.manual_seed(0)
    config = LinfConfig(width=8, depth=2, features=4, convex=(6,), centre=0.3, deviation=0.25)
    x = torch.rand(40, 5)
    objective = objective_for(config, x)
    for _ in range(50):
        objective(x, torch.ones(40, dtype=torch.int64), torch.Generator())  # lets the running means settle
    objective.advance(1.0)
    torch.nn.init.uniform_(objective.score.hidden[-1].weight)
    ours = objective.radius(x).double() * 0.25
    certificate = certify(objective.deploy(("other", "sensitive")), x, ThreatModel(math.inf), "closed-form")
    torch.testing.assert_close(certificate.radius, ours.clamp(min=0).detach(), rtol=1e-3, atol=1e-5)
    assert int(certificate.sensitive.sum()) > 0


def test_many_classes_have_no_convex_score():
    with pytest.raises(InputError, match=r"`convex`.*Use train_linf"):
        train_classes(blobs(), blobs(), ("a", "b", "c"), TINY, convex=(4,))
    with pytest.raises(InputError, match="`head` must be 0 below a convex network"):
        LinfConfig(head=4, convex=(4,))
    with pytest.raises(InputError, match="`features` must be at least 3"):
        LinfConfig(features=2, convex=(4,))
