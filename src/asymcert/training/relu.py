"""Adversarial training of the ReLU networks that bound propagation certifies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_choice, check_count, check_number
from asymcert.datasets import BinaryData
from asymcert.models.relu import ReluClassifier, relu_network
from asymcert.training.baseline_loop import balance, fit, origin, seeded
from asymcert.training.epochs import OnEpoch
from asymcert.training.recipe import Recipe

EPSILONS = {"mnist-3-8": 0.3, "fashion-shirts": 0.1, "cifar10-cats-dogs": 2.0 / 255.0}
EPSILON = 0.1  # for other data
FIT = Recipe(epochs=60, batch_size=128, optimizer="adam", learning_rate=1e-3, weight_decay=0.0)
STEP = 2.5  # of an attack, as a multiple of the budget by the number of steps (Madry et al., 2018)


@dataclass(frozen=True)
class ReluRecipe:
    """How a ReLU network is trained against projected gradients in l_inf.

    Parameters
    ----------
    widths
        Hidden units of each layer.
    epsilon
        Greatest change of an input in training, for inputs in [0, 1]; it rises linearly from 0.
    ramp
        Part of training, in (0, 1], at the end of which `epsilon` is reached.
    attack_steps
        Gradient steps of each attack.
    fit
        Optimiser, schedule, augmentation.

    Raises
    ------
    InputError
        A value outside its range.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix: one hidden layer of 200 units, attacks of 50
    steps, the radius ramped over 20 epochs to 0.3 (MNIST), 0.1 (Fashion-MNIST), 2/255 (CIFAR-10).
    """

    widths: tuple[int, ...] = (200,)
    epsilon: float = EPSILON
    ramp: float = 20 / 60
    attack_steps: int = 50
    fit: Recipe = FIT

    def __post_init__(self) -> None:
        for width in self.widths:
            check_count("widths", width)
        check_count("attack_steps", self.attack_steps)
        check_number("epsilon", self.epsilon, 0.0)
        check_number("ramp", self.ramp, 0.0, 1.0, open_low=True)


RELU_BUDGETS = {
    "cpu": ReluRecipe(ramp=0.5, attack_steps=7, fit=replace(FIT, epochs=40)),
    "gpu": ReluRecipe(),
}


def relu_recipe(data: BinaryData, budget: str = "cpu") -> ReluRecipe:
    """The recipe of that budget, ``cpu`` or ``gpu`` (the published one), for a data set."""
    check_choice("budget", budget, tuple(RELU_BUDGETS))
    return replace(RELU_BUDGETS[budget], epsilon=EPSILONS.get(data.name, EPSILON))


def train_relu(
    data: BinaryData,
    *,
    budget: str = "cpu",
    recipe: ReluRecipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> ReluClassifier:
    """Train a ReLU network adversarially and balance its threshold on the validation split.

    Parameters
    ----------
    data, budget, recipe, seed, device, checkpoint, on_epoch
        As in `asymcert.training.cayley.train_cayley`.

    Returns
    -------
    ReluClassifier
        On the CPU, in float64.
    """
    recipe = recipe if recipe is not None else relu_recipe(data, budget)
    network = seeded(lambda: relu_network(data.input_shape, recipe.widths), seed)

    def loss(network: nn.Module, x: Tensor, y: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        epsilon = recipe.epsilon * min(1.0, progress / recipe.ramp)
        attacked = attack(network, x, y.long(), epsilon, recipe.attack_steps, generator)
        return functional.cross_entropy(network(attacked), y.long())

    options: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint, "on_epoch": on_epoch}
    identity = {"method": "relu", "model": asdict(recipe)}
    network = fit(network, data, recipe.fit, loss, identity=identity, **options)
    named = origin(data, {"seed": seed, "recipe": asdict(recipe)})
    model = ReluClassifier.fold(network, input_shape=data.input_shape, **named)
    return model.with_threshold(balance(model.margin(data.val.x), data.val.y))


def attack(
    network: nn.Module, x: Tensor, labels: Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> Tensor:
    """Inputs in [0, 1] within `epsilon` of `x` in l_inf, of great loss: projected sign gradients, a random start.

    Source: Madry, Makelov, Schmidt, Tsipras, Vladu, ICLR 2018.
    """
    low, high = (x - epsilon).clamp(min=0.0), (x + epsilon).clamp(max=1.0)
    moved = low + (high - low) * torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    for _ in range(steps):
        moved.requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(functional.cross_entropy(network(moved), labels, reduction="sum"), moved)
        step = STEP * epsilon / steps
        moved = torch.minimum(torch.maximum(moved.detach() + step * gradient.sign(), low), high)
    return moved.detach()
