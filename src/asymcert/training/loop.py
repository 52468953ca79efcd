"""The training loop."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_count, check_device, refuse
from asymcert._floats import NORMS
from asymcert._version import __version__
from asymcert.convex import symmetrise
from asymcert.datasets import Augmentation, BinaryData
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training.build import build_map, build_score, standardise
from asymcert.training.checkpoint import Checkpoint
from asymcert.training.config import TrainConfig, with_overrides
from asymcert.training.epochs import OnEpoch, epoch_seed, finite_loss
from asymcert.training.losses import classification_loss, needs_gradient, training_loss
from asymcert.training.presets import preset_for
from asymcert.training.validation import Validation, choose_threshold, validate

STANDARDISED = 1000  # training samples that a standardised initialisation measures


def train(
    data: BinaryData,
    preset: str | None = None,
    *,
    config: TrainConfig | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    **overrides: Any,
) -> FeatureConvexClassifier:
    """Train a feature-convex classifier.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    preset
        Name of a preset, by default the one for the data's name. Not together with `config`.
    config
        A whole recipe of your own.
    seed
        Fixes initialisation, order and augmentation.
    device
        Where to train; the classifier comes back on the CPU.
    checkpoint
        File to write checkpoints to. If it exists, the run it holds is continued; a finished run is returned.
    on_epoch
        Called after each epoch with its record: epoch, loss, seconds, and at validations the accuracies
        (``accuracy_sensitive``, ``accuracy_other``) and ``medians`` of the radius per norm.
    overrides
        Fields of `TrainConfig` to change.

    Returns
    -------
    FeatureConvexClassifier
        Folded, in float64, with the threshold chosen on the validation split.

    Raises
    ------
    InputError
        An unknown preset or field, a value outside its range, or data that is none.
    RunError
        The checkpoint belongs to another configuration, seed or data set.
    """
    if preset is not None and config is not None:
        raise refuse("config", "given without a preset", "both")
    if not isinstance(data, BinaryData):
        raise refuse("data", "BinaryData", type(data).__name__, "Arrays go into asymcert.estimator.")
    check_count("seed", seed, 0)
    recipe = with_overrides(config if config is not None else preset_for(data, preset), overrides)
    trainer = Trainer(data, recipe, seed, check_device(device), checkpoint)
    trainer.fit(on_epoch)
    return trainer.classifier()


class Trainer:
    """State of one training run: networks, optimiser, schedule, records."""

    def __init__(
        self, data: BinaryData, config: TrainConfig, seed: int, device: torch.device, checkpoint: str | Path | None
    ):
        self.data, self.config, self.seed, self.device = data, config, seed, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.feature_map = build_map(config, data)
            self.score = build_score(config, self.feature_map.output_shape(data.input_shape))
            if config.initialisation == "standardised":
                seen = torch.randperm(len(data.train))[:STANDARDISED]
                standardise(self.score, self.feature_map(data.train.x[seen]))
        self.feature_map.to(device)
        self.score.to(device)
        self.average = copy.deepcopy(self.score) if config.averaging else self.score
        self.best = copy.deepcopy(self.score)
        self.optimizer = _optimizer(config, self.score)
        self.augment = Augmentation(config.crop, config.flip)
        self.lipschitz = {norm: self.feature_map.lipschitz(norm) for norm in NORMS}
        self.x, self.sensitive = data.train.x.to(device), data.train.y.to(device)
        self.steps_per_epoch = max(1, len(self.x) // config.batch_size)
        self.log: list[dict[str, Any]] = []
        self.best_certified, self.validations_since_best, self.stopped = -1.0, 0, False
        modules: dict[str, torch.nn.Module] = {"score": self.score, "average": self.average, "best": self.best}
        self.checkpoint = Checkpoint(checkpoint, modules, self.optimizer, self._identity())
        for name, value in self.checkpoint.resume().items():
            setattr(self, name, value)

    def fit(self, on_epoch: OnEpoch | None = None) -> None:
        """Run the epochs that are left."""
        while len(self.log) < self.config.epochs and not self.stopped:
            start, epoch = time.perf_counter(), len(self.log)
            record: dict[str, Any] = {"epoch": epoch + 1, "loss": self._epoch(epoch)}
            last = epoch + 1 == self.config.epochs
            if last or (epoch + 1) % self.config.validate_every == 0:
                record |= self._validate()
            record["seconds"] = time.perf_counter() - start
            self.log.append(record)
            if on_epoch:
                on_epoch(record)
            facts = ("log", "best_certified", "validations_since_best", "stopped")
            self.checkpoint.save({name: getattr(self, name) for name in facts}, last or self.stopped)

    def classifier(self) -> FeatureConvexClassifier:
        """The deployed classifier, its threshold chosen on validation data."""
        model = self._deploy(self.best if self.config.keep == "best" else self.average)
        scores = model.margin(self.data.val.x) + model.threshold
        return model.with_threshold(choose_threshold(self.config, scores, self.data.val.y))

    def _epoch(self, epoch: int) -> float:
        """One pass over the training data; returns the mean loss."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        self.score.train()
        losses = []
        for step, batch in enumerate(self._batches(generator)):
            progress = (epoch * self.steps_per_epoch + step) / (self.config.epochs * self.steps_per_epoch)
            set_learning_rate(self.optimizer, self.config, progress, epoch)
            loss = self._loss(batch, self._warmup(progress), generator)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.score.project_()
            self._update_average(epoch * self.steps_per_epoch + step)
            losses.append(loss.detach())
        return finite_loss(float(torch.stack(losses).mean()), epoch)

    def _batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        order = torch.randperm(len(self.x), generator=generator).to(self.device)
        yield from order[: self.steps_per_epoch * self.config.batch_size].split(self.config.batch_size)

    def _loss(self, batch: Tensor, warmup: float, generator: torch.Generator) -> Tensor:
        """Loss of one batch of sample indices."""
        features = self.feature_map(self.augment(self.x[batch], generator))
        sensitive = self.sensitive[batch]
        if not needs_gradient(self.config):
            return classification_loss(self.score(features), sensitive)
        features.requires_grad_(True)
        scores = self.score(features)
        deployed = scores
        if self.config.batch_norm:  # samples depend on each other in training mode: regularise what is deployed
            self.score.eval()
            deployed = self.score(features)
            self.score.train()
        (gradient,) = torch.autograd.grad(deployed.sum(), features, create_graph=True)
        return training_loss(self.config, scores, deployed, gradient, sensitive, self.lipschitz, warmup)

    def _warmup(self, progress: float) -> float:
        return min(1.0, progress / self.config.warmup) if self.config.warmup > 0 else 1.0

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Move the deployed average towards the weights; averages of nonnegative weights are nonnegative."""
        if self.average is self.score:
            return
        rate = 1.0 - min(self.config.averaging, (step + 1) / (step + 10))
        for mean, value in zip(self.average.state_dict().values(), self.score.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, rate)
            else:
                mean.copy_(value)

    def _validate(self) -> dict[str, Any]:
        figures: Validation = validate(
            self._deploy(self.average).float(), self.data.val.x, self.data.val.y, self.config
        )
        if figures.certified > self.best_certified:
            self.best_certified, self.validations_since_best = figures.certified, 0
            self.best.load_state_dict(self.average.state_dict())
        else:
            self.validations_since_best += 1
        self.stopped = 0 < self.config.patience <= self.validations_since_best
        return asdict(figures)

    def _deploy(self, score: torch.nn.Module) -> FeatureConvexClassifier:
        return FeatureConvexClassifier(
            copy.deepcopy(self.feature_map).cpu(),
            symmetrise(copy.deepcopy(score).cpu(), self.config.mirror, self.config.shift),  # pyright: ignore
            input_shape=self.data.input_shape,
            sensitive=self.data.sensitive,
            other=self.data.other,
            scaling=self.data.scaling,
            info=self._identity(),
        )

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be continued, and what a model file says of its origin."""
        config = json.loads(json.dumps(asdict(self.config)))
        return {
            "data": self.data.name,
            "data_digest": self.data.digest,
            "config": config,
            "seed": self.seed,
            "version": __version__,
        }


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, progress: float, epoch: int) -> None:
    """Set the rate for a moment of training, a pure function so that a resumed run needs no scheduler state."""
    rate = config.learning_rate * schedule(config, progress, epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate


def schedule(config: TrainConfig, progress: float, epoch: int) -> float:
    """Learning rate as a share of its peak, at `progress` in [0, 1).

    one-cycle: cosine from 1/25 up to 1 over the first quarter, then cosine down to 0 (Smith and Topin, 2018).
    """
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "exponential":
        return config.decay**epoch
    rise = 0.25
    if progress < rise:
        return 1.0 - (1.0 - 1.0 / 25.0) * 0.5 * (1.0 + math.cos(math.pi * progress / rise))
    return 0.5 * (1.0 + math.cos(math.pi * (progress - rise) / (1.0 - rise)))


def _optimizer(config: TrainConfig, score: torch.nn.Module) -> torch.optim.Optimizer:
    if config.optimizer == "adam":
        return torch.optim.Adam(score.parameters(), lr=config.learning_rate, foreach=True)
    return torch.optim.SGD(score.parameters(), lr=config.learning_rate, momentum=config.momentum)
