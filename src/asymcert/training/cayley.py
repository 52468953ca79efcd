"""Training of orthogonal networks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_choice, check_count, check_number, refuse
from asymcert.datasets import BinaryData
from asymcert.models.cayley import cayley_network, cayley_resnet
from asymcert.models.lipschitz import LipschitzClassifier
from asymcert.training.baseline_loop import balance, fit, origin, seeded
from asymcert.training.epochs import OnEpoch
from asymcert.training.recipe import BUDGETS, Recipe

NETWORKS = ("mlp", "resnet-9")
PERCEPTRON_DATA = ("mnist-3-8",)  # the published perceptron's; other images get the ResNet-9
SMALLEST = 16  # side of an image that the ResNet-9 can halve as often as it does
EPOCHS = {"mlp": 15, "resnet-9": 5}  # on a CPU
MARGIN = 0.5 * 2.0**0.5  # logit difference to reach: a radius of 0.5


FIT = Recipe(epochs=200, optimizer="adam", learning_rate=1e-3, weight_decay=0.0)


@dataclass(frozen=True)
class CayleyRecipe:
    """How an orthogonal network is trained.

    Parameters
    ----------
    network
        ``mlp`` or ``resnet-9``.
    widths
        mlp: hidden units of each layer, even.
    width, halvings
        resnet-9: see `cayley_resnet`.
    margin
        Difference of the two logits up to which the hinge loss asks for more.
    fit
        Optimiser, schedule, augmentation.

    Raises
    ------
    InputError
        A value outside its range.

    Source: Trockman and Kolter, ICLR 2021, section 5 (ResNet-9, multi-class margin loss); Pfrommer, Anderson, Piet,
    Sojoudi, NeurIPS 2023, appendix (perceptron 200-50 for MNIST, Adam at 0.001).
    """

    network: str = "mlp"
    widths: tuple[int, ...] = (200, 50)
    width: int = 64
    halvings: int = 0
    margin: float = MARGIN
    fit: Recipe = FIT

    def __post_init__(self) -> None:
        check_choice("network", self.network, NETWORKS)
        for width in (*self.widths, self.width):
            check_count("widths", width, 2)
            if width % 2:
                raise refuse("widths", "even, for MaxMin", width)
        check_count("halvings", self.halvings, 0)
        check_number("margin", self.margin, 0.0, open_low=True)


def cayley_recipe(data: BinaryData, budget: str = "cpu") -> CayleyRecipe:
    """The recipe of that budget, ``cpu`` or ``gpu`` (the published network), for a data set."""
    check_choice("budget", budget, BUDGETS)
    shape = data.input_shape
    image = len(shape) == 3 and shape[1] == shape[2] and shape[1] % 2 == 0 and shape[1] >= SMALLEST
    network = "resnet-9" if image and data.name not in PERCEPTRON_DATA else "mlp"
    if budget == "gpu":
        return CayleyRecipe(network)
    return CayleyRecipe(network, width=8, halvings=1, fit=replace(FIT, epochs=EPOCHS[network]))


def train_cayley(
    data: BinaryData,
    *,
    budget: str = "cpu",
    recipe: CayleyRecipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> LipschitzClassifier:
    """Train an orthogonal network and balance its threshold on the validation split.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    budget
        ``cpu`` or ``gpu``, which chooses the recipe.
    recipe
        Instead of the budget's.
    seed, device, checkpoint, on_epoch
        As in `asymcert.training.baseline_loop.fit`.

    Returns
    -------
    LipschitzClassifier
        On the CPU, in float64.
    """
    recipe = recipe if recipe is not None else cayley_recipe(data, budget)

    def build() -> nn.Sequential:
        if recipe.network == "mlp":
            return cayley_network(data.input_shape, recipe.widths)
        return cayley_resnet(data.input_shape, recipe.width, halvings=recipe.halvings)

    def loss(network: nn.Module, x: Tensor, y: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        return functional.multi_margin_loss(network(x), y.long(), margin=recipe.margin)

    options: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint, "on_epoch": on_epoch}
    identity = {"method": "cayley", "model": asdict(recipe)}
    network = fit(seeded(build, seed), data, recipe.fit, loss, identity=identity, **options)
    named = origin(data, {"seed": seed, "recipe": asdict(recipe)})
    model = LipschitzClassifier.fold(network, input_shape=data.input_shape, **named)
    return model.with_threshold(balance(model.margin(data.val.x), data.val.y))
