"""Adversarial training of the ReLU networks that bound propagation certifies."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_number, option
from asymcert.models.relu import ReluClassifier, relu_network
from asymcert.training.kind import Kind
from asymcert.training.objective import Scored
from asymcert.training.recipe import Recipe

EPSILONS = {"mnist-3-8": 0.3, "fashion-shirts": 0.1, "cifar10-cats-dogs": 2.0 / 255.0}
EPSILON = 0.1  # for other data
STEP = 2.5  # of an attack, as a multiple of the budget by the number of steps (Madry et al., 2018)


@dataclass(frozen=True)
class ReluRecipe(Recipe):
    """How a ReLU network is trained against projected gradients in l_inf.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix: one hidden layer of 200 units, attacks of 50
    steps, the radius ramped over 20 epochs to 0.3 (MNIST), 0.1 (Fashion-MNIST), 2/255 (CIFAR-10).
    """

    widths: tuple[int, ...] = option((200,), "relu: hidden units of each layer.")
    epsilon: float = option(EPSILON, "relu: greatest change of an input in [0, 1] by attacks in training.")
    ramp: float = option(20 / 60, "relu: part of training over which epsilon rises linearly from 0.")
    attack_steps: int = option(50, "relu: gradient steps of each attack.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("ramp", self.ramp, 0.0, 1.0, open_low=True)


class Attacked(Scored):
    """The cross-entropy of a ReLU network on attacked inputs."""

    recipe: ReluRecipe
    network: nn.Sequential

    def __init__(self, recipe: ReluRecipe, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.network, self.epsilon = relu_network(self.input_shape, recipe.widths), 0.0

    def advance(self, progress: float) -> None:
        """The radius of attacks rises."""
        self.epsilon = self.recipe.epsilon * min(1.0, progress / self.recipe.ramp)

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `attack`."""
        attacked = attack(self.network, x, labels, self.epsilon, self.recipe.attack_steps, draws)
        return functional.cross_entropy(self.network(attacked), labels)

    def score(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Difference of the logits at inputs attacked by the full radius."""
        epsilon, steps = self.recipe.epsilon, self.recipe.attack_steps
        return super().score(attack(self.network, x, labels, epsilon, steps, draws), labels, draws)

    def deploy(self, classes: tuple[str, ...]) -> ReluClassifier:
        """In float64."""
        network = copy.deepcopy(self.network).cpu().eval()
        return ReluClassifier.fold(network, input_shape=self.input_shape, **self.names(classes))


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


RELU = Kind(
    "relu",
    ReluRecipe,
    Attacked,
    {"cpu": ReluRecipe(ramp=0.5, attack_steps=7, epochs=40), "gpu": ReluRecipe()},  # gpu: the published recipe
    lambda recipe, preset, data: replace(recipe, epsilon=EPSILONS.get(data.name, EPSILON)),
)
train_relu = RELU.train_by_budget
