"""The training loop, one for every kind of model."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from asymcert._checks import check_count, check_device, refuse
from asymcert._version import __version__
from asymcert.datasets import Augmentation
from asymcert.datasets.many import Labelled
from asymcert.errors import RunError
from asymcert.training.checkpoint import Checkpoint
from asymcert.training.distributed import Processes
from asymcert.training.objective import Objective
from asymcert.training.recipe import Recipe

OnEpoch = Callable[[dict[str, Any]], None]  # takes the record of an epoch that has ended
Built = TypeVar("Built")
Build = Callable[[Any, Tensor, int, int], Objective]  # recipe, training inputs, number of classes, seed


class Trainer:
    """State of one training run: objective, optimiser, moving average, records.

    Processes in a PyTorch process group (see `asymcert.training.distributed`) share every batch of an objective that
    allows it: each has the same arguments and ends with the same weights, those of a single process up to rounding. The
    first one writes checkpoints, which all must be able to read.

    Parameters
    ----------
    objective
        Freshly initialised; trained in place, in float32.
    train, val
        Inputs (n, *input_shape) and int64 labels (n,).
    seed
        Fixes order, augmentation and the objective's draws.
    device
        Where to train.
    checkpoint
        File to write checkpoints to, every 15 seconds and at the end. If it exists, the run it holds is continued, to
        the same result bit for bit; a finished run is left as it is.
    origin
        JSON-able facts about data and kind of model, which a checkpoint must agree with as well as seed and recipe.
    weights
        How often each training sample is drawn, relative to the others, (n,); by default each once a pass.

    Raises
    ------
    InputError
        A seed or device that is none, or several processes for an objective that cannot be shared.
    RunError
        The checkpoint is damaged, or of a run with another origin, seed or recipe.
    """

    def __init__(
        self,
        objective: Objective,
        train: Labelled,
        val: Labelled,
        origin: dict[str, Any],
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        checkpoint: str | Path | None = None,
        weights: Tensor | None = None,
    ):
        self.seed, self.device, self.recipe = seed, check_device(device), objective.recipe
        self.x, self.labels = train[0].float().to(self.device), train[1].to(self.device)
        self.val = val[0].float().to(self.device), val[1].to(self.device)
        self.shares = None if weights is None else weights.double().cumsum(0)
        self.objective = objective.float().to(self.device)
        self.optimizer = objective.optimizer()
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.average = copy.deepcopy(objective) if self.recipe.averaging else objective
        self.best = self.average if self.recipe.keep == "last" else copy.deepcopy(self.average)
        self.augment = Augmentation(self.recipe.crop, self.recipe.flip)
        self.steps = max(1, len(self.x) // self.recipe.batch_size)  # an incomplete last batch is left out
        modules: dict[str, nn.Module] = {"objective": objective}
        if self.average is not objective:
            modules["average"] = self.average
        if self.best is not self.average:
            modules["best"] = self.best
        facts, config = {**origin, "seed": seed, "version": __version__}, asdict(self.recipe)
        self.best.info = {**facts, "config": json.loads(json.dumps(config))}
        self.checkpoint = Checkpoint(checkpoint, modules, self.optimizer, facts | config)
        self.log: list[dict[str, Any]] = self.checkpoint.resume().get("log", [])
        self.processes = Processes.current()
        if self.processes.count > 1 and not objective.parallel:
            raise refuse("WORLD_SIZE", "1 for this kind of model", self.processes.count)
        self.processes.check_batch(min(len(self.x), self.recipe.batch_size))
        self.processes.check_equal(len(self.log), "the epochs in the checkpoint")
        self.loss = self.processes.shared(objective, objective.partly_used)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or too many validations in a row were no better."""
        values = self._validated()
        since_best = len(values) - 1 - values.index(max(values)) if values else 0
        return len(self.log) >= self.recipe.passes or 0 < self.recipe.patience <= since_best

    def fit(self, on_epoch: OnEpoch | None = None) -> Objective:
        """Run the epochs that are left.

        Parameters
        ----------
        on_epoch
            Called after each epoch, in the first process, with its record: ``epoch``, ``loss``, ``seconds`` and what
            the objective adds, at validations its figures.

        Returns
        -------
        Objective
            With the weights to deploy, in eval mode.

        Raises
        ------
        RunError
            Training diverged.
        """
        while not self.finished:
            start, epoch = time.perf_counter(), len(self.log)
            record: dict[str, Any] = {"epoch": epoch + 1, "loss": self._epoch(epoch), **self.objective.facts()}
            ends = (self.recipe.epochs, self.recipe.passes)  # of a first stage, and of training
            if epoch + 1 in ends or (epoch + 1) % self.recipe.validate_every == 0:
                record |= self._validate()
            record["seconds"] = time.perf_counter() - start
            self.log.append(record)
            if self.processes.first:
                if on_epoch:
                    on_epoch(record)
                self.checkpoint.save({"log": self.log}, self.finished)
        return self.best.eval()

    def _epoch(self, epoch: int) -> float:
        """One pass over the training data; returns the mean loss."""
        order_draws = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        loss_draws = torch.Generator(self.device).manual_seed(epoch_seed(self.seed, epoch))
        order = self._order(order_draws).to(self.device)
        losses = []
        for step, batch in enumerate(order[: self.steps * self.recipe.batch_size].split(self.recipe.batch_size)):
            done = epoch * self.steps + step
            progress = done / (self.recipe.passes * self.steps)
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                group["lr"] = peak * self.recipe.rate(progress, epoch)
            self.objective.train()
            self.objective.advance(progress)
            loss = self._share_of_loss(self.augment(self.x[batch], order_draws), self.labels[batch], loss_draws)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.objective.project_()
            self._update_average(done)
            losses.append(loss.detach())
        mean = float(self.processes.total(torch.stack(losses).mean())) / self.processes.count
        if not math.isfinite(mean):
            raise RunError(f"training diverged in epoch {epoch + 1} (loss {mean}). Lower `learning_rate`.")
        return mean

    def _order(self, draws: torch.Generator) -> Tensor:
        """Samples of one pass: each once, or as many drawn by their weights."""
        if self.shares is None:
            return torch.randperm(len(self.x), generator=draws)
        drawn = torch.rand(len(self.x), generator=draws, dtype=torch.float64) * self.shares[-1]
        return torch.searchsorted(self.shares, drawn, right=True).clamp(max=len(self.x) - 1)

    def _share_of_loss(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Part of a batch's loss that this process has, whose mean over the processes is the loss."""
        share = self.processes.share
        return self.loss(share(x), share(labels), draws) * self.processes.weight(self.objective.weights(labels))

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Move the deployed average towards the weights; averages of nonnegative weights are nonnegative."""
        if self.average is self.objective:
            return
        rate = 1.0 - min(self.recipe.averaging, (step + 1) / (step + 10))
        for mean, value in zip(self.average.state_dict().values(), self.objective.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, rate)
            else:
                mean.copy_(value)

    def _validate(self) -> dict[str, Any]:
        figures = self.average.eval().validate(*self.val)
        if self.best is not self.average and self._value(figures) > max(self._validated(), default=-math.inf):
            self.best.load_state_dict(self.average.state_dict())
        return figures

    def _validated(self) -> list[float]:
        """What the best epoch is chosen by, of each validation."""
        return [self._value(record) for record in self.log if not {"certified", "accuracy"}.isdisjoint(record)]

    def _value(self, figures: dict[str, Any]) -> float:
        if "certified" in figures and self.recipe.keep != "accurate":
            return figures["certified"]
        if "accuracy" in figures:
            return figures["accuracy"]
        return (figures["accuracy_sensitive"] + figures["accuracy_other"]) / 2


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed of one epoch's generators, so that any epoch can be repeated without those before it."""
    return (seed * 1_000_003 + epoch) % 2**63


def seeded(build: Callable[[], Built], seed: int) -> Built:
    """What `build` returns when it draws from `seed`; torch's global generator is left as it was."""
    check_count("seed", seed, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def fit(
    build: Build,
    recipe: Any,
    train: Labelled,
    val: Labelled,
    classes: int,
    origin: dict[str, Any],
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    weights: Tensor | None = None,
    owner: str = "this model",
    **overrides: Any,
) -> Objective:
    """The objective that `build`, with the arguments of `Objective`, draws from `seed`, trained; see `Trainer`.

    Overrides are fields of the recipe to change; `owner` says whose they are in an error.
    """
    recipe = recipe.changed(owner, overrides)
    objective = seeded(lambda: build(recipe, train[0], classes, seed), seed)
    where: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint}
    return Trainer(objective, train, val, origin, weights=weights, **where).fit(on_epoch)


def train_classes_by(
    build: Build, recipe: Recipe, train: Labelled, val: Labelled, classes: tuple[str, ...], **options: Any
) -> Any:
    """What the objective that `build` returns deploys after training on samples of any number of classes.

    Parameters
    ----------
    build, recipe
        The objective and what it is trained by.
    train, val
        Inputs (n, *input_shape), floating, and labels int64 (n,) in ``range(len(classes))``.
    classes
        Names of the classes.
    options
        ``seed``, ``device``, ``checkpoint``, ``on_epoch``, and fields of the recipe to change.

    Raises
    ------
    InputError
        An unknown field, or labels outside the classes.
    RunError
        Training diverged, or the checkpoint belongs to another configuration, seed or data set.
    """
    for x, labels in (train, val):
        _check_labels(x, labels, len(classes))
    origin = {"classes": list(classes), "training_digest": _digest(train, val)}
    return fit(build, recipe, train, val, len(classes), origin, **options).deploy(classes)


def _check_labels(x: Tensor, labels: Tensor, classes: int) -> None:
    if labels.dtype != torch.int64 or labels.shape != x.shape[:1]:
        raise refuse("labels", f"int64 of shape ({len(x)},)", f"{labels.dtype} of shape {tuple(labels.shape)}")
    if not len(x) or bool(((labels < 0) | (labels >= classes)).any()):
        raise refuse("labels", f"in [0, {classes}), one at least", "others, or none")


def _digest(*parts: Labelled) -> str:
    digest = hashlib.sha256()
    for x, labels in parts:
        digest.update(f"{x.dtype} {tuple(x.shape)}".encode())
        digest.update(x.detach().cpu().contiguous().numpy().tobytes())
        digest.update(labels.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
