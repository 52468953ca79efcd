"""What a model file promises of every kind of classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from asymcert.models.base import BinaryClassifier

Kind = TypeVar("Kind", bound=BinaryClassifier)


def reloaded(model: Kind, x: Tensor, folder: Path) -> Kind:
    """The classifier as it comes back from a file: the same one, without a draw from the global generator."""
    model.save(folder / "model.safetensors")
    state = torch.random.get_rng_state()
    again = BinaryClassifier.load(folder / "model.safetensors")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert type(again) is type(model)
    assert again.digest == model.digest
    assert torch.equal(again.margin(x), model.margin(x))
    return again
