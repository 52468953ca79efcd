"""Training of classifiers that are smoothed by noise, and of those by splitting noise."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_number, option, refuse
from asymcert.datasets import BinaryData
from asymcert.models.networks import BaseNetwork, base_network
from asymcert.models.noise import NOISES, draw
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.models.splitting import SplitClassifier, splits_for
from asymcert.training.kind import Kind
from asymcert.training.objective import Scored
from asymcert.training.recipe import Recipe

LOSSES = ("cross-entropy", "macer")
MOST_GAMMA = 20.0  # a normal variable exceeds half of it with a probability that float32 holds
BASES = ("mlp", "convnet", "resnet-18", "wide-resnet-40-2")


@dataclass(frozen=True)
class Setting:
    """For one data set: published standard deviations of noise and of splitting noise, network, and augmentation."""

    sigma: float
    split_sigma: float
    network: str
    crop: int = 0
    flip: bool = False


# Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix; inputs in [0, 1]. Augmentation as in our own presets.
SETTINGS = {
    "mnist": Setting(0.75, 3.0, "resnet-18", crop=1),
    "fashion": Setting(0.75, 0.75, "resnet-18", crop=1),
    "cifar10": Setting(1.5, 1.5, "wide-resnet-40-2", crop=3, flip=True),
    "malimg": Setting(14.0, 100.0, "resnet-18"),
}
OTHERWISE = Setting(0.25, 0.75, "mlp")
PUBLISHED: dict[str, Any] = {"optimizer": "sgd", "nesterov": True, "learning_rate": 0.1, "weight_decay": 1e-4}


@dataclass(frozen=True)
class BaseRecipe(Recipe):
    """How the base network of a classifier smoothed by any noise is trained."""

    sigma: float = option(0.25, "smoothing, splitting: standard deviation of the noise.")
    network: str = option("mlp", "smoothing, splitting: base network.", BASES)
    width: int = option(256, "mlp, convnet: units of the first layer, or channels.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("sigma", self.sigma, 0.0, open_low=True)


@dataclass(frozen=True)
class SmoothingRecipe(BaseRecipe):
    """How the base network of a smoothed classifier is trained.

    Source: Cohen, Rosenfeld, Kolter, ICML 2019, section 3.3, for training on noise; Li, Chen, Wang, Carin, NeurIPS
    2019, and Carmon, Raghunathan, Schmidt, Duchi, Liang, NeurIPS 2019, for stability; Zhai et al., ICLR 2020, for
    macer: `sharpness` is its beta, `radius_weight` its lambda.
    """

    noise: str = option("gaussian", "smoothing: distribution of the noise.", tuple(NOISES))
    stability: float = option(0.0, "smoothing: weight of answering on noise as without, in place of training on noise.")
    loss: str = option("cross-entropy", "smoothing: training loss; macer adds a hinge on the radius.", LOSSES)
    copies: int = option(16, "macer: noisy copies of each sample.")
    sharpness: float = option(16.0, "macer: factor of the log-odds whose probabilities make the radius.")
    gamma: float = option(8.0, "macer: quantiles between the classes up to which the hinge asks for more radius.")
    radius_weight: float = option(4.0, "macer: weight of the hinge.")
    sensitive_only: bool = option(False, "macer: ask for the radii of sensitive samples only.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("gamma", self.gamma, 0.0, MOST_GAMMA)
        if self.loss == "macer" and (self.noise != "gaussian" or self.stability):
            got = f"{self.noise} noise with stability {self.stability:g}"
            raise refuse("loss", "cross-entropy but for gaussian noise without stability", got)


@dataclass(frozen=True)
class SplittingRecipe(BaseRecipe):
    """How the base network of a split classifier is trained.

    Source: Levine and Feizi, ICML 2021.
    """

    sigma: float = option(0.75, "smoothing, splitting: standard deviation of the noise.")
    width: int = option(512, "mlp, convnet: units of the first layer, or channels.")


class Noisy(Scored):
    """The loss of a base network on noisy inputs."""

    recipe: SmoothingRecipe
    network: BaseNetwork

    def __init__(self, recipe: SmoothingRecipe, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        scale = 1.0 / max(1.0, recipe.sigma)
        self.network = base_network(recipe.network, self.input_shape, width=recipe.width, scale=scale)

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `macer_loss` and `noisy_loss`."""
        loss = macer_loss if self.recipe.loss == "macer" else noisy_loss
        return loss(self.recipe, self.network, x, labels, draws)

    def score(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Log-odds of one noisy copy of each sample."""
        return self.network(x + draw(self.recipe.noise, self.recipe.sigma, tuple(x.shape), draws))

    def deploy(self, classes: tuple[str, ...]) -> SmoothedClassifier:
        """In float32."""
        network, noise, sigma = copy.deepcopy(self.network).cpu(), self.recipe.noise, self.recipe.sigma
        return SmoothedClassifier(network, noise, sigma, **self.names(classes))


class Split(Scored):
    """The cross-entropy of a base network on inputs that are split at a random shift each."""

    recipe: SplittingRecipe

    def __init__(self, recipe: SplittingRecipe, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        # Centred, so that what no cut has narrowed down is seen as 0.
        base = base_network(recipe.network, self.input_shape, width=recipe.width, centre=0.5, scale=2.0)
        self.model = SplitClassifier(base, splits_for(recipe.sigma), seed=seed)
        self.model.base.requires_grad_(True)

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `split_odds`."""
        self.model.base.train()  # which the classifier keeps in eval mode
        return cross_entropy(self.score(x, labels, draws), labels)

    def score(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Log-odds of one split of each sample."""
        return split_odds(self.model, self.model.base, x, draws)

    def deploy(self, classes: tuple[str, ...]) -> SplitClassifier:
        """In float32."""
        base, offsets = copy.deepcopy(self.model.base).cpu(), self.model.offsets.cpu()
        return SplitClassifier(base, self.model.splits, offsets, **self.names(classes))


def noisy_loss(
    recipe: SmoothingRecipe, network: nn.Module, x: Tensor, labels: Tensor, draws: torch.Generator
) -> Tensor:
    """Cross-entropy on noisy inputs; with `stability`, on clean ones, plus that times ``KL(clean || noisy)``."""
    noisy = network(x + draw(recipe.noise, recipe.sigma, tuple(x.shape), draws))
    if not recipe.stability:
        return cross_entropy(noisy, labels)
    clean = network(x)
    return cross_entropy(clean, labels) + recipe.stability * divergence(clean, noisy)


def macer_loss(
    recipe: SmoothingRecipe, network: nn.Module, x: Tensor, labels: Tensor, draws: torch.Generator
) -> Tensor:
    """Cross-entropy of mean probabilities over noisy copies, plus a hinge on the radius where that is right.

    By mean probabilities ``p > 1/2`` and ``1 - p`` of the sharpened odds the radius is half of
    ``sigma (Phi^-1(p) - Phi^-1(1 - p))``, here ``-sigma Phi^-1(1 - p)``. The hinge asks that the difference of the
    quantiles reach `gamma`; where it does, the probability is cut off, for ``Phi^-1`` has no slope to offer at 0.

    Source: Zhai, Dan, He, Zhang, Gong, Ravikumar, Hsieh, Wang, ICLR 2020, Algorithm 1.
    """
    many = x.repeat_interleave(recipe.copies, 0)
    odds = network(many + draw(recipe.noise, recipe.sigma, tuple(many.shape), draws)).view(len(x), recipe.copies)
    odds = odds * (2.0 * labels - 1.0)[:, None]  # of the right class
    classification = math.log(recipe.copies) - functional.logsigmoid(odds).logsumexp(1)
    wrong = torch.sigmoid(-recipe.sharpness * odds).mean(1)
    least = torch.special.ndtr(wrong.new_tensor(-recipe.gamma / 2.0))
    short = recipe.gamma + 2.0 * torch.special.ndtri(wrong.clamp(min=least, max=0.5))
    counted = (wrong < 0.5) & (labels == 1 if recipe.sensitive_only else True)
    return (classification + recipe.radius_weight * recipe.sigma / 2.0 * torch.where(counted, short, 0.0)).mean()


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of the two-class predictions with log-odds (n,): from `first` to `second`."""
    shared = torch.sigmoid(first)
    sensitive = functional.logsigmoid(first) - functional.logsigmoid(second)
    other = functional.logsigmoid(-first) - functional.logsigmoid(-second)
    return (shared * sensitive + (1.0 - shared) * other).mean()


def cross_entropy(odds: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy of log-odds (n,) against labels int64 (n,)."""
    return functional.binary_cross_entropy_with_logits(odds, labels.to(odds.dtype))


def split_odds(model: SplitClassifier, network: nn.Module, x: Tensor, draws: torch.Generator) -> Tensor:
    """Log-odds (n,) by `network` of samples as `model` splits them, at a random shift each."""
    shifts = torch.randint(model.splits, (len(x),), generator=draws, device=x.device)
    return network(model.split(model.levels(x), shifts))


def setting_for(data: BinaryData) -> Setting:
    """The published constants for a data set, by the first word of its name."""
    return SETTINGS.get(data.name.split("-")[0], OTHERWISE)


def _for_data(recipe: BaseRecipe, preset: str, data: BinaryData) -> BaseRecipe:
    """The data set's noise and augmentation, and the published network for it."""
    setting = setting_for(data)
    sigma = setting.sigma if isinstance(recipe, SmoothingRecipe) else setting.split_sigma
    network = setting.network if preset == "gpu" else recipe.network
    return replace(recipe, sigma=sigma, network=network, crop=setting.crop, flip=setting.flip)


# cpu: widths and epochs by accuracy on validation data of MNIST 3-8, within a minute of training on one core.
# macer: the published copies, sharpness and weight cost a small network time, and radius of Fashion shirts.
BUDGETS = {"cpu": SmoothingRecipe(epochs=40), "gpu": SmoothingRecipe(**PUBLISHED)}
BUDGETS |= {"macer": SmoothingRecipe(epochs=20, loss="macer", copies=4, sharpness=2.0, radius_weight=1.0)}
SMOOTHING = Kind("smoothing", SmoothingRecipe, Noisy, BUDGETS, _for_data)
SPLIT_BUDGETS = {"cpu": SplittingRecipe(epochs=60, weight_decay=1e-4), "gpu": SplittingRecipe(**PUBLISHED)}
SPLITTING = Kind("splitting", SplittingRecipe, Split, SPLIT_BUDGETS, _for_data)


def train_smoothed(data: BinaryData, noise: str = "gaussian", sigma: float | None = None, **options: Any) -> Any:
    """`asymcert.train` of a smoothing; see `Kind.train_by_budget`."""
    return SMOOTHING.train_by_budget(data, noise=noise, **({} if sigma is None else {"sigma": sigma}), **options)


def train_split(data: BinaryData, sigma: float | None = None, **options: Any) -> Any:
    """`asymcert.train` of a splitting; see `Kind.train_by_budget`."""
    return SPLITTING.train_by_budget(data, **({} if sigma is None else {"sigma": sigma}), **options)
