"""One training loop for the networks of all baselines; each brings its own loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from asymcert._checks import check_device
from asymcert._version import __version__
from asymcert.datasets import Augmentation, BinaryData
from asymcert.training.balance import balanced_threshold
from asymcert.training.checkpoint import Checkpoint
from asymcert.training.epochs import OnEpoch, epoch_seed, finite_loss
from asymcert.training.recipe import Recipe

Network = TypeVar("Network", bound=nn.Module)
Loss = Callable[[nn.Module, Tensor, Tensor, float, torch.Generator], Tensor]


def fit(
    network: Network,
    data: BinaryData,
    recipe: Recipe,
    loss: Loss,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    identity: dict[str, Any] | None = None,
) -> Network:
    """Train `network` in place, in float32, on the training split.

    Parameters
    ----------
    network
        Freshly initialised; see `seeded` for how to draw it from a seed.
    data
        Only the training split is used.
    recipe
        Optimiser, schedule, augmentation.
    loss
        ``loss(network, x, y, progress, generator)`` of one batch: inputs float32 (m, *input_shape), labels bool (m,),
        the part of training in [0, 1) that is done, and the source of all draws, on the device of `x`; returns a
        scalar. The network is in train mode when it is called and put there again before the next batch.
    seed
        Fixes order, augmentation and the loss's draws.
    device
        Where to train.
    checkpoint
        File to write checkpoints to, every 15 seconds and at the end. If it exists, the run it holds is continued, to
        the same result bit for bit; a finished run is returned.
    on_epoch
        Called after each epoch with its record: epoch, loss, seconds.
    identity
        JSON-able facts about network and loss, which the loop cannot see, that a checkpoint must agree with.

    Returns
    -------
    Network
        `network`, on the CPU, in eval mode.

    Raises
    ------
    RunError
        Training diverged, or the checkpoint belongs to another recipe, seed, data set or identity.
    """
    facts = {"data_digest": data.digest, "recipe": asdict(recipe), "seed": seed, **(identity or {})}
    run = _Run(network, data, recipe, loss, seed, check_device(device))
    saved = Checkpoint(checkpoint, {"network": network}, run.optimizer, facts)
    run.log = saved.resume().get("log", [])
    run.fit(saved, on_epoch)
    return network.cpu().eval()


def seeded(build: Callable[[], Network], seed: int) -> Network:
    """What `build` returns when it draws weights from `seed`; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def balance(margins: Tensor, sensitive: Tensor) -> float:
    """Threshold at which both classes' accuracies match: validation scores (n,), labels bool (n,)."""
    return balanced_threshold(margins.double().cpu(), sensitive.cpu())


def origin(data: BinaryData, facts: dict[str, Any]) -> dict[str, Any]:
    """Class names, scaling and origin of a classifier of these data, as arguments of `BinaryClassifier`."""
    info = {"data": data.name, "data_digest": data.digest, "version": __version__, **facts}
    return {"sensitive": data.sensitive, "other": data.other, "scaling": data.scaling, "info": info}


class _Run:
    """State of one training run: network, optimiser, records."""

    def __init__(
        self, network: nn.Module, data: BinaryData, recipe: Recipe, loss: Loss, seed: int, device: torch.device
    ):
        self.network, self.recipe, self.loss, self.seed = network.float().to(device), recipe, loss, seed
        self.device, self.x, self.y = device, data.train.x.float().to(device), data.train.y.to(device)
        self.optimizer = recipe.optimizer_for(network.parameters())
        self.augment = Augmentation(recipe.crop, recipe.flip)
        self.batch_size = min(recipe.batch_size, len(self.x))
        self.steps = len(self.x) // self.batch_size  # an incomplete last batch is left out, as its noise is larger
        self.log: list[dict[str, Any]] = []

    def fit(self, saved: Checkpoint, on_epoch: OnEpoch | None) -> None:
        """Run the epochs that are left."""
        while len(self.log) < self.recipe.epochs:
            start, epoch = time.perf_counter(), len(self.log)
            record = {"epoch": epoch + 1, "loss": self._epoch(epoch), "seconds": time.perf_counter() - start}
            self.log.append(record)
            if on_epoch:
                on_epoch(record)
            saved.save({"log": self.log}, last=len(self.log) == self.recipe.epochs)

    def _epoch(self, epoch: int) -> float:
        """One pass over the training data; returns the mean loss."""
        draws = epoch_seed(self.seed, epoch)
        order_draws = torch.Generator().manual_seed(draws)
        loss_draws = torch.Generator(self.device).manual_seed(draws)
        order = torch.randperm(len(self.x), generator=order_draws).to(self.device)
        losses = []
        for step, batch in enumerate(order[: self.steps * self.batch_size].split(self.batch_size)):
            progress = (epoch * self.steps + step) / (self.recipe.epochs * self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.rate(progress)
            self.network.train()
            value = self.loss(
                self.network, self.augment(self.x[batch], order_draws), self.y[batch], progress, loss_draws
            )
            self.optimizer.zero_grad(set_to_none=True)
            value.backward()
            self.optimizer.step()
            losses.append(value.detach())
        return finite_loss(float(torch.stack(losses).mean()), epoch)
