"""The loop that trains every baseline: it learns, repeats itself bit for bit, and resumes to the same result."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from asymcert.datasets import BinaryData, Split
from asymcert.errors import InputError, RunError
from asymcert.training.baseline_loop import balance, fit, seeded
from asymcert.training.recipe import Recipe

QUICK = Recipe(epochs=4, batch_size=16, learning_rate=0.05)


def blobs(seed=0, shape=(6,)):
    """Two classes that noise of 0.1 separates, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)

    def split(n):
        y = torch.arange(n) % 2 == 0
        x = 0.5 + 0.1 * torch.randn(n, *shape, generator=generator)
        return Split((x + 0.2 * (y.float() - 0.5).reshape(-1, *(1 for _ in shape))).clamp(0, 1), y)

    return BinaryData("blobs", split(100), split(40), split(40), "sensitive", "other")


def network(seed=0, shape=(6,)):
    size = torch.Size(shape).numel()
    return seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(size, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)), seed)


def noisy_loss(net, x, y, progress, generator):
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return functional.cross_entropy(net(x + 0.05 * noise), y.long())


def weights(net):
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


def trained(recipe=QUICK, seed=0, **options):
    return weights(fit(network(), blobs(), recipe, noisy_loss, seed=seed, **options))


def test_learns():
    data = blobs()
    net = fit(network(), data, replace(QUICK, epochs=20), noisy_loss)
    assert not net.training
    assert (net(data.test.x).argmax(1).bool() == data.test.y).float().mean() > 0.9


@pytest.mark.parametrize("recipe", [QUICK, replace(QUICK, optimizer="adam", learning_rate=0.01)])
def test_repeats_itself_and_resumes_bit_for_bit(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("asymcert.training.checkpoint.CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "run.safetensors"
    whole = trained(recipe)
    assert torch.equal(trained(recipe), whole)

    def stop(record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(recipe, checkpoint=path, on_epoch=stop)
    epochs = []
    assert torch.equal(trained(recipe, checkpoint=path, on_epoch=lambda record: epochs.append(record["epoch"])), whole)
    assert epochs == [3, 4]  # the third ran, but was stopped before its checkpoint
    assert torch.equal(trained(recipe, checkpoint=path), whole)  # a finished run is not run again


@pytest.mark.parametrize("field", [{"epochs": 5}, {"batch_size": 20}, {"learning_rate": 0.01}, {"momentum": 0.0}])
def test_every_field_of_a_table_recipe_matters(field):
    assert not torch.equal(trained(replace(QUICK, **field)), trained())


def test_so_do_the_rest_of_the_fields():
    changed = {"weight_decay": 0.1, "schedule": "constant", "optimizer": "adam"}
    for name, value in changed.items():
        assert not torch.equal(trained(replace(QUICK, **{name: value})), trained()), name
    assert not torch.equal(trained(seed=1), trained())


@pytest.mark.parametrize("field", [{"crop": 1}, {"flip": True}])
def test_images_are_augmented(field):
    def run(recipe):
        return weights(fit(network(shape=(1, 3, 4)), blobs(shape=(1, 3, 4)), recipe, noisy_loss))

    assert not torch.equal(run(replace(QUICK, **field)), run(QUICK))


def test_the_rate_falls_along_a_cosine():
    recipe = Recipe(learning_rate=0.2)
    assert [recipe.rate(part) for part in (0.0, 0.5, 1.0)] == pytest.approx([0.2, 0.1, 0.0])
    assert Recipe(learning_rate=0.2, schedule="constant").rate(0.9) == 0.2


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    same = {"checkpoint": path, "identity": {"sigma": 0.5}}
    trained(**same)
    others = {"seed": {"seed": 1}, "recipe": {"recipe": replace(QUICK, epochs=9)}, "sigma": {"identity": {}}}
    for name, changed in others.items():
        with pytest.raises(RunError, match=f"made with another {name}"):
            trained(**(same | changed))


def test_divergence_is_an_error():
    with pytest.raises(RunError, match="diverged in epoch 1"):
        fit(network(), blobs(), QUICK, lambda net, x, y, progress, generator: net(x).sum() * torch.inf)


@pytest.mark.parametrize(
    "field",
    [{"epochs": 0}, {"optimizer": "lbfgs"}, {"schedule": "step"}, {"learning_rate": 0.0}, {"crop": -1}, {"flip": 1}],
)
def test_refuses_values_outside_their_range(field):
    with pytest.raises(InputError, match=f"`{next(iter(field))}` must be"):
        Recipe(**field)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="`device` must be one that torch can use here, got 'tpu9'"):
        trained(device="tpu9")


def test_seeded_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, second, other = network(3), network(3), network(4)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_balance_lies_between_the_classes():
    threshold = balance(torch.tensor([-1.0, 0.0, 2.0, 3.0]), torch.tensor([False, False, True, True]))
    assert threshold == 1.0
