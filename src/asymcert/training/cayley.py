"""Training of orthogonal networks."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_number, option, refuse
from asymcert.datasets import BinaryData
from asymcert.models.cayley import cayley_network, cayley_resnet
from asymcert.models.lipschitz import LipschitzClassifier
from asymcert.training.kind import Kind
from asymcert.training.objective import Scored
from asymcert.training.recipe import Recipe, instead

NETWORKS = ("mlp", "resnet-9")
PERCEPTRON_DATA = ("mnist-3-8",)  # the published perceptron's; other images get the ResNet-9
SMALLEST = 16  # side of an image that the ResNet-9 can halve as often as it does
MARGIN = 0.5 * 2.0**0.5  # logit difference to reach: a radius of 0.5


@dataclass(frozen=True)
class CayleyRecipe(Recipe):
    """How an orthogonal network is trained.

    Source: Trockman and Kolter, ICLR 2021, section 5 (ResNet-9, multi-class margin loss); Pfrommer, Anderson, Piet,
    Sojoudi, NeurIPS 2023, appendix (perceptron 200-50 for MNIST, Adam at 0.001).
    """

    epochs: int = instead("epochs", 200)
    network: str = option("mlp", "cayley: network.", NETWORKS)
    widths: tuple[int, ...] = option((200, 50), "mlp: hidden units of each layer, even for cayley.")
    width: int = option(64, "resnet-9: channels, even.")
    halvings: int = option(0, "resnet-9: how often the image is halved before it.")
    margin: float = option(MARGIN, "cayley: difference of the logits up to which the hinge loss asks for more.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for width in (*self.widths, self.width):
            if width % 2:
                raise refuse("widths", "even, for MaxMin", width)
        check_number("margin", self.margin, 0.0, open_low=True)


class Orthogonal(Scored):
    """The hinge on the difference of two logits of a 1-Lipschitz network."""

    recipe: CayleyRecipe
    network: nn.Sequential

    def __init__(self, recipe: CayleyRecipe, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.network = (
            cayley_network(self.input_shape, recipe.widths)
            if recipe.network == "mlp"
            else cayley_resnet(self.input_shape, recipe.width, halvings=recipe.halvings)
        )

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """The multi-class margin loss."""
        return functional.multi_margin_loss(self.network(x), labels, margin=self.recipe.margin)

    def deploy(self, classes: tuple[str, ...]) -> LipschitzClassifier:
        """In float64."""
        network = copy.deepcopy(self.network).cpu().eval()
        return LipschitzClassifier.fold(network, input_shape=self.input_shape, **self.names(classes))


def _for_data(recipe: CayleyRecipe, preset: str, data: BinaryData) -> CayleyRecipe:
    """Images but MNIST's get the ResNet-9, and on a CPU a third of the epochs."""
    shape = data.input_shape
    image = len(shape) == 3 and shape[1] == shape[2] and shape[1] % 2 == 0 and shape[1] >= SMALLEST
    if not image or data.name in PERCEPTRON_DATA:
        return recipe
    return replace(recipe, network="resnet-9", **({"epochs": 5} if preset == "cpu" else {}))


CAYLEY = Kind(
    "cayley",
    CayleyRecipe,
    Orthogonal,
    {"cpu": CayleyRecipe(width=8, halvings=1, epochs=15), "gpu": CayleyRecipe()},  # gpu: the published network
    _for_data,
)
train_cayley = CAYLEY.train_by_budget
