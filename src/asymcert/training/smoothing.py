"""Training of classifiers that are smoothed by noise, and of those by splitting noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_choice, check_number
from asymcert.datasets import BinaryData
from asymcert.models.networks import BaseNetwork, base_network
from asymcert.models.noise import NOISES, draw
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.models.splitting import SplitClassifier, splits_for
from asymcert.training.baseline_loop import Loss, balance, fit, origin, seeded
from asymcert.training.epochs import OnEpoch
from asymcert.training.recipe import BUDGETS, Recipe


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
# Widths and epochs by accuracy on validation data of MNIST 3-8, within a minute of training on one core.
CPU = Recipe(epochs=40, batch_size=128, optimizer="adam", learning_rate=0.001, weight_decay=0.0)
CPU_WIDTH = 256
SPLIT_CPU = replace(CPU, epochs=60, weight_decay=1e-4)
SPLIT_CPU_WIDTH = 512
GPU = Recipe()


def train_smoothed(
    data: BinaryData,
    noise: str = "gaussian",
    sigma: float | None = None,
    *,
    budget: str = "cpu",
    stability: float = 0.0,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> SmoothedClassifier:
    """Train a base network on noisy inputs and balance the smoothed verdicts on the validation split.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    noise, sigma
        Of `SmoothedClassifier`; sigma is by default the published one for the data set, 0.25 for others.
    budget
        ``cpu``, a small multilayer perceptron, or ``gpu``, the published network and recipe.
    stability
        Weight of the stability term, 0 for none. With it the network is trained on clean inputs by cross-entropy, and
        to answer on noisy ones as on clean ones.
    recipe
        Another recipe than the budget's.
    seed, device, checkpoint, on_epoch
        As in `fit`.

    Returns
    -------
    SmoothedClassifier
        On the CPU.

    Raises
    ------
    InputError
        An unknown noise or budget, or a number out of range.
    RunError
        As in `fit`.

    Source: Cohen, Rosenfeld, Kolter, ICML 2019, section 3.3, for training on noise; Li, Chen, Wang, Carin, NeurIPS
    2019, and Carmon, Raghunathan, Schmidt, Duchi, Liang, NeurIPS 2019, for stability.
    """
    check_choice("noise", noise, tuple(NOISES))
    check_choice("budget", budget, BUDGETS)
    check_number("stability", stability, 0.0)
    sigma = setting_for(data).sigma if sigma is None else sigma
    check_number("sigma", sigma, 0.0, open_low=True)
    facts = {"method": "smoothing", "noise": noise, "sigma": sigma, "stability": stability}
    recipe = recipe or _recipe(data, budget, CPU)
    network = _network(data, budget, seed, width=CPU_WIDTH, scale=1.0 / max(1.0, sigma))
    loss = noisy_loss(noise, sigma, stability)
    options: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint, "on_epoch": on_epoch}
    fit(network, data, recipe, loss, identity=facts | network.options(), **options)
    model = SmoothedClassifier(network, noise, sigma, **origin(data, facts | {"budget": budget, "seed": seed}))
    medians = model.to(device).noisy_medians(data.val.x, seed=seed)
    return model.cpu().with_threshold(balance(medians, data.val.y))


def train_split(
    data: BinaryData,
    sigma: float | None = None,
    *,
    budget: str = "cpu",
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> SplitClassifier:
    """Train a base network on split inputs and balance the verdicts on the validation split.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    sigma
        Standard deviation that `splits_for` turns into a number of splits; by default the published one for the data
        set, 0.75 for others.
    budget, recipe, seed, device, checkpoint, on_epoch
        As in `train_smoothed`; `seed` also fixes the offsets.

    Returns
    -------
    SplitClassifier
        On the CPU.

    Raises
    ------
    InputError
        An unknown budget, or a sigma out of range.
    RunError
        As in `fit`.

    Source: Levine and Feizi, ICML 2021.
    """
    check_choice("budget", budget, BUDGETS)
    splits = splits_for(setting_for(data).split_sigma if sigma is None else sigma)
    recipe = recipe or _recipe(data, budget, SPLIT_CPU)
    # Centred, so that what no cut has narrowed down is seen as 0.
    network = _network(data, budget, seed, width=SPLIT_CPU_WIDTH, centre=0.5, scale=2.0)
    facts = {"method": "splitting", "splits": splits}
    described = origin(data, facts | {"budget": budget, "seed": seed})
    model = SplitClassifier(network, splits, seed=seed, **described)
    network.requires_grad_(True)
    options: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint, "on_epoch": on_epoch}
    fit(network, data, recipe, split_loss(model.to(device)), identity=facts | network.options(), **options)
    model = SplitClassifier(network, splits, model.offsets.cpu(), **described)
    medians = model.to(device).split_medians(data.val.x)
    return model.cpu().with_threshold(balance(medians, data.val.y))


def setting_for(data: BinaryData) -> Setting:
    """The published constants for a data set, by the first word of its name."""
    return SETTINGS.get(data.name.split("-")[0], OTHERWISE)


def noisy_loss(noise: str, sigma: float, stability: float = 0.0) -> Loss:
    """Cross-entropy on noisy inputs; with `stability`, on clean ones, plus that times ``KL(clean || noisy)``."""

    def loss(network: nn.Module, x: Tensor, y: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        noisy = network(x + draw(noise, sigma, tuple(x.shape), generator))
        if not stability:
            return _cross_entropy(noisy, y)
        clean = network(x)
        return _cross_entropy(clean, y) + stability * divergence(clean, noisy)

    return loss


def split_loss(model: SplitClassifier) -> Loss:
    """Cross-entropy on inputs that are split at a random shift each."""

    def loss(network: nn.Module, x: Tensor, y: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        shifts = torch.randint(model.splits, (len(x),), generator=generator, device=x.device)
        return _cross_entropy(network(model.split(model.levels(x), shifts)), y)

    return loss


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of the two-class predictions with log-odds (n,): from `first` to `second`."""
    shared = torch.sigmoid(first)
    sensitive = functional.logsigmoid(first) - functional.logsigmoid(second)
    other = functional.logsigmoid(-first) - functional.logsigmoid(-second)
    return (shared * sensitive + (1.0 - shared) * other).mean()


def _cross_entropy(odds: Tensor, y: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(odds, y.to(odds.dtype))


def _network(data: BinaryData, budget: str, seed: int, **options: Any) -> BaseNetwork:
    """The budget's network, drawn from `seed`."""
    name = "mlp" if budget == "cpu" else setting_for(data).network
    return seeded(lambda: base_network(name, data.input_shape, **options), seed)


def _recipe(data: BinaryData, budget: str, cpu: Recipe) -> Recipe:
    """The budget's recipe, with the data set's augmentation."""
    setting = setting_for(data)
    return replace(cpu if budget == "cpu" else GPU, crop=setting.crop, flip=setting.flip)
