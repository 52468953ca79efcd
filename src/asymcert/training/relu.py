"""Training of the ReLU networks that bound propagation certifies: on attacked inputs, or by bounds."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_number, option
from asymcert.datasets import BinaryData
from asymcert.models.relu import ReluClassifier, relu_network, score_layers
from asymcert.training.kind import Kind
from asymcert.training.losses import classification_loss
from asymcert.training.objective import Scored
from asymcert.training.recipe import Recipe
from asymcert.training.relu_bounds import lower_bound
from asymcert.training.smoothing import setting_for

LOSSES = ("attacked", "crown-ibp")
EPSILONS = {"mnist-3-8": 0.3, "fashion-shirts": 0.1, "cifar10-cats-dogs": 2.0 / 255.0}
EPSILON = 0.1  # for other data
EXPONENTS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}
# Of bounds, by norm: accuracy falls fast beyond. l2 and linf by validation data; l1 by the radii that l2 brings in l1.
BOUNDED = {
    "l1": {"mnist-3-8": 3.0, "fashion-shirts": 2.5, "cifar10-cats-dogs": 2.0},
    "l2": {"mnist-3-8": 0.5, "fashion-shirts": 0.3, "cifar10-cats-dogs": 0.12},
    "linf": {"mnist-3-8": 0.05, "fashion-shirts": 0.05, "cifar10-cats-dogs": 0.004},
}
STEP = 2.5  # of an attack, as a multiple of the budget by the number of steps (Madry et al., 2018)


@dataclass(frozen=True)
class ReluRecipe(Recipe):
    """How a ReLU network is trained, against projected gradients in l_inf or for bounds in any norm.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix: one hidden layer of 200 units, attacks of 50
    steps, the radius ramped over 20 epochs to 0.3 (MNIST), 0.1 (Fashion-MNIST), 2/255 (CIFAR-10). Zhang et al., ICLR
    2020, for bounds.
    """

    widths: tuple[int, ...] = option((200,), "relu: hidden units of each layer.")
    loss: str = option("attacked", "relu: cross-entropy on attacked inputs, or by CROWN-IBP's bounds.", LOSSES)
    epsilon: float = option(EPSILON, "relu: greatest change of an input in [0, 1] in training.")
    norm: str = option("linf", "crown-ibp: norm of such changes; attacks are in linf.", tuple(EXPONENTS))
    ramp: float = option(20 / 60, "relu: part of training over which epsilon rises linearly from 0.")
    attack_steps: int = option(50, "relu: gradient steps of each attack.")
    kappa: float = option(0.0, "crown-ibp: share of the clean loss, reached from 1 as epsilon rises.")
    beta: float = option(1.0, "crown-ibp: share of linear bounds beside intervals, reached from 1 as epsilon rises.")
    sensitive_only: bool = option(False, "crown-ibp: bound the scores of sensitive samples only.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("ramp", self.ramp, 0.0, 1.0, open_low=True)
        for name in ("kappa", "beta"):
            check_number(name, getattr(self, name), 0.0, 1.0)


class Robust(Scored):
    """A ReLU network whose inputs may change by an epsilon that rises in training."""

    recipe: ReluRecipe
    network: nn.Sequential

    def __init__(self, recipe: ReluRecipe, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.network, self.share = relu_network(self.input_shape, recipe.widths), 0.0

    def advance(self, progress: float) -> None:
        """Epsilon rises."""
        self.share = min(1.0, progress / self.recipe.ramp)

    def deploy(self, classes: tuple[str, ...]) -> ReluClassifier:
        """In float64."""
        network = copy.deepcopy(self.network).cpu().eval()
        return ReluClassifier.fold(network, input_shape=self.input_shape, **self.names(classes))


class Attacked(Robust):
    """The cross-entropy of a ReLU network on attacked inputs."""

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `attack`."""
        epsilon, steps = self.recipe.epsilon * self.share, self.recipe.attack_steps
        attacked = attack(self.network, x, labels, epsilon, steps, draws)
        return functional.cross_entropy(self.network(attacked), labels)

    def score(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Difference of the logits at inputs attacked by the full radius."""
        epsilon, steps = self.recipe.epsilon, self.recipe.attack_steps
        return super().score(attack(self.network, x, labels, epsilon, steps, draws), labels, draws)


class Bounded(Robust):
    """The cross-entropy of what bounds leave of a ReLU network's scores, mixed with that of the scores themselves.

    Source: Zhang et al., ICLR 2020, CROWN-IBP; `beta` and `kappa` are the paper's.
    """

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `Bounded`."""
        clean, kappa = super().score(x, labels, draws), risen(self.recipe.kappa, self.share)
        worst = self.worst(clean, x, labels, self.share)
        return kappa * classification_loss(clean, labels == 1) + (1.0 - kappa) * classification_loss(worst, labels == 1)

    def score(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """What is left of the scores at the full epsilon."""
        return self.worst(super().score(x, labels, draws), x, labels, 1.0)

    def worst(self, scores: Tensor, x: Tensor, labels: Tensor, share: float) -> Tensor:
        """What the bounds leave of scores (n,), or of the sensitive samples' alone, at a share of epsilon."""
        layers, signs = score_layers(self.network), 2.0 * labels - 1.0
        epsilon, norm = share * self.recipe.epsilon, EXPONENTS[self.recipe.norm]
        bound = signs * lower_bound(layers, x.flatten(1), epsilon, norm, signs, risen(self.recipe.beta, share))
        return torch.where(labels == 0, scores, bound) if self.recipe.sensitive_only else bound


def risen(end: float, share: float) -> float:
    """What goes from 1 to `end` as epsilon rises to the whole."""
    return 1.0 + share * (end - 1.0)


def objective(recipe: ReluRecipe, *arguments: Any) -> Robust:
    """The one that the recipe's loss names; see `Objective`."""
    return (Attacked if recipe.loss == "attacked" else Bounded)(recipe, *arguments)


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


def _for_data(recipe: ReluRecipe, preset: str, data: BinaryData) -> ReluRecipe:
    """The data set's epsilon; for bounds also its augmentation."""
    if recipe.loss == "attacked":
        return replace(recipe, epsilon=EPSILONS.get(data.name, EPSILON))
    setting, epsilon = setting_for(data), BOUNDED[recipe.norm].get(data.name, recipe.epsilon)
    return replace(recipe, epsilon=epsilon, crop=setting.crop, flip=setting.flip)


PRESETS = {"cpu": ReluRecipe(ramp=0.5, attack_steps=7, epochs=40), "gpu": ReluRecipe()}  # gpu: the published recipe
PRESETS |= {f"crown-ibp-{norm}": ReluRecipe(loss="crown-ibp", norm=norm, ramp=0.5, epochs=20) for norm in EXPONENTS}
RELU = Kind("relu", ReluRecipe, objective, PRESETS, _for_data)
train_relu = RELU.train_by_budget
