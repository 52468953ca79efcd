"""The training loop of l_inf-distance nets, for two classes or many."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_count, check_device, refuse
from asymcert._version import __version__
from asymcert.datasets import Augmentation, BinaryData
from asymcert.datasets.many import Labelled
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier
from asymcert.training.balance import balanced_threshold
from asymcert.training.checkpoint import Checkpoint
from asymcert.training.config import with_overrides
from asymcert.training.distributed import Processes
from asymcert.training.epochs import OnEpoch, epoch_seed, finite_loss
from asymcert.training.linf_config import LinfConfig
from asymcert.training.linf_losses import class_weights, decay_norms
from asymcert.training.linf_objectives import Objective, objective_for, optimizer_for


def train_linf(data: BinaryData, config: LinfConfig | None = None, **options: Any) -> BinaryClassifier:
    """Train a binary l_inf-distance net, or one below a convex score; its threshold is balanced on validation data.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    config
        The recipe, by default `LinfConfig()`.
    options
        ``seed``, ``device``, ``checkpoint``, ``on_epoch`` of `train_classes`, and fields of `LinfConfig` to change.

    Returns
    -------
    BinaryClassifier
        A `DistanceClassifier`, or with ``convex`` a `FeatureConvexClassifier`; on the CPU, in float64.
    """
    train, val = ((split.x, split.y.long()) for split in (data.train, data.val))
    model = _trained(train, val, (data.other, data.sensitive), config, **options)
    model.scaling, model.info = data.scaling, model.info | {"data": data.name, "data_digest": data.digest}
    return model.with_threshold(balanced_threshold(model.margin(data.val.x), data.val.y))


def train_classes(
    train: Labelled,
    val: Labelled,
    classes: tuple[str, ...],
    config: LinfConfig | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    **overrides: Any,
) -> DistanceClassifier:
    """Train an l_inf-distance net.

    Processes in a PyTorch process group (see `asymcert.training.distributed`) share every batch: each is called with
    the same arguments and returns the same model, that of a single process up to rounding. The first one writes
    checkpoints, which all must be able to read.

    Parameters
    ----------
    train, val
        Inputs (n, *input_shape), floating, and labels int64 (n,) in ``range(len(classes))``.
    classes
        Names of the classes.
    config
        The recipe, by default `LinfConfig()`.
    seed
        Fixes initialisation, order and augmentation.
    device
        Where to train.
    checkpoint
        File to write checkpoints to. If it exists, the run it holds is continued; a finished run is returned.
    on_epoch
        Called after each epoch, in the first process, with its record: epoch, p, loss, seconds, and at validations
        ``accuracy`` and ``certified``: shares of the validation samples that the net at p = inf gets right, and gets
        right within the radius trained for by the Lipschitz bound, up to rounding.
    overrides
        Fields of `LinfConfig` to change.

    Raises
    ------
    InputError
        An unknown field, or labels outside the classes.
    RunError
        Training diverged, or the checkpoint belongs to another configuration, seed or data set.
    """
    if (config is not None and config.convex) or overrides.get("convex"):
        raise refuse("convex", "empty where classes are trained alike", "a convex score", "Use train_linf.")
    model = _trained(
        train, val, classes, config, seed=seed, device=device, checkpoint=checkpoint, on_epoch=on_epoch, **overrides
    )
    assert isinstance(model, DistanceClassifier)
    return model


def _trained(
    train: Labelled,
    val: Labelled,
    classes: tuple[str, ...],
    config: LinfConfig | None,
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    **overrides: Any,
) -> BinaryClassifier:
    check_count("seed", seed, 0)
    recipe = with_overrides(config if config is not None else LinfConfig(), overrides)
    for x, labels in (train, val):
        _check_labels(x, labels, len(classes))
    trainer = LinfTrainer(train, val, classes, recipe, seed, check_device(device), checkpoint)
    trainer.fit(on_epoch)
    return trainer.classifier()


class LinfTrainer:
    """State of one training run: net, learned scale, optimiser, records."""

    def __init__(
        self,
        train: Labelled,
        val: Labelled,
        classes: tuple[str, ...],
        config: LinfConfig,
        seed: int,
        device: torch.device,
        checkpoint: str | Path | None,
    ):
        self.config, self.classes, self.seed, self.device = config, classes, seed, device
        self.x, self.labels = train[0].float().to(device), train[1].to(device)
        self.val = val[0].float().to(device), val[1].to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.objective: Objective = objective_for(config, tuple(train[0].shape[1:]), len(classes)).to(device)
        self.net = self.objective.net
        self.optimizer = optimizer_for(self.objective)
        self.augment = Augmentation(config.crop, config.flip)
        self.steps = max(1, len(self.x) // config.batch_size)
        self.data_digest = _digest(train, val)
        self.checkpoint = Checkpoint(checkpoint, {"objective": self.objective}, self.optimizer, self._identity())
        self.log: list[dict[str, Any]] = self.checkpoint.resume().get("log", [])
        self.processes = Processes.current()
        self.processes.check_batch(min(len(self.x), config.batch_size))
        self.processes.check_equal(len(self.log), "the epochs in the checkpoint")
        self.loss = self.processes.shared(self.objective, partly_used=config.loss == "hinge")  # which needs no scale

    def fit(self, on_epoch: OnEpoch | None = None) -> None:
        """Run the epochs that are left."""
        while len(self.log) < self.config.epochs:
            start, epoch = time.perf_counter(), len(self.log)
            record: dict[str, Any] = {"epoch": epoch + 1, "loss": self._epoch(epoch), "p": _finite_or_text(self.net.p)}
            last = epoch + 1 == self.config.epochs
            if last or (epoch + 1) % self.config.validate_every == 0:
                record |= self._validate()
            record["seconds"] = time.perf_counter() - start
            self.log.append(record)
            if not self.processes.first:
                continue
            if on_epoch:
                on_epoch(record)
            self.checkpoint.save({"log": self.log}, last)

    def classifier(self) -> BinaryClassifier:
        """What is deployed, at p = inf: training has reached the end of the schedule."""
        self.net.p = math.inf
        return self.objective.deploy(self.classes, self._identity())

    def _epoch(self, epoch: int) -> float:
        """One pass over the training data; returns the mean loss."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        order = torch.randperm(len(self.x), generator=generator).to(self.device)
        self.objective.train()
        losses = []
        for step, batch in enumerate(order[: self.steps * self.config.batch_size].split(self.config.batch_size)):
            moment = self.config.moment((epoch * self.steps + step) / (self.config.epochs * self.steps))
            self.net.p = moment.p
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * moment.rate
            x, labels = self.augment(self.x[batch], generator), self.labels[batch]
            loss = self._share_of_loss(x, labels, moment.mix)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if self.config.weight_decay:
                decay_norms(self.net, self.config.learning_rate * moment.rate * self.config.weight_decay)
            self.optimizer.step()
            self.objective.project_()
            losses.append(loss.detach())
        return finite_loss(float(self.processes.total(torch.stack(losses).mean())) / self.processes.count, epoch)

    def _share_of_loss(self, x: Tensor, labels: Tensor, mix: float) -> Tensor:
        """Part of a batch's loss that this process has, whose mean over the processes is the loss."""
        weights = class_weights(self.config, labels, len(self.classes))
        share = self.processes.share
        return self.loss(share(x), share(labels), mix) * self.processes.weight(weights)

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        p, self.net.p = self.net.p, math.inf
        self.objective.eval()
        x, labels = (self.processes.share(part) for part in self.val)
        size = self.config.batch_size
        gap = torch.cat([self.objective.gap(*part) for part in zip(x.split(size), labels.split(size), strict=True)])
        needed = 2.0 * self.config.radii(labels, len(self.classes))
        self.net.p = p
        counts = self.processes.total(torch.stack(((gap > 0).double().sum(), (gap > needed).double().sum())))
        accuracy, certified = (counts / len(self.val[0])).tolist()
        return {"accuracy": accuracy} | ({} if self.config.head else {"certified": certified})

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be continued, and what a model file says of its origin."""
        config = json.loads(json.dumps(asdict(self.config)))
        facts = {"config": config, "seed": self.seed, "classes": list(self.classes)}
        return facts | {"training_digest": self.data_digest, "version": __version__}


def _check_labels(x: Tensor, labels: Tensor, classes: int) -> None:
    if labels.dtype != torch.int64 or labels.shape != x.shape[:1]:
        raise refuse("labels", f"int64 of shape ({len(x)},)", f"{labels.dtype} of shape {tuple(labels.shape)}")
    if not len(x) or bool(((labels < 0) | (labels >= classes)).any()):
        raise refuse("labels", f"in [0, {classes}), one at least", "others, or none")


def _finite_or_text(p: float) -> float | str:
    """JSON has no infinity."""
    return p if math.isfinite(p) else "inf"


def _digest(*parts: Labelled) -> str:
    digest = hashlib.sha256()
    for x, labels in parts:
        digest.update(f"{x.dtype} {tuple(x.shape)}".encode())
        digest.update(x.detach().cpu().contiguous().numpy().tobytes())
        digest.update(labels.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
