"""Checkpoints of a training run: safetensors with JSON metadata, written in one step, never pickled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from asymcert.errors import RunError

KEY = "asymcert-checkpoint"


def save_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    """Write weights, optimiser state and JSON-able `facts`; an existing checkpoint is replaced in one step."""
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    partial = path.with_name(f"{path.name}.part")
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file(contiguous, partial, {KEY: json.dumps(facts)})
    os.replace(partial, path)


def read_facts(path: Path) -> dict[str, Any]:
    """The `facts` of a checkpoint.

    Raises
    ------
    RunError
        The file is damaged or no checkpoint.
    """
    with _opened(path) as file:
        return json.loads(file.metadata()[KEY])


def restore(path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Load weights and optimiser state into freshly built objects of the same configuration."""
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, module in modules.items():
        prefix = f"{name}."
        module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class _opened:  # noqa: N801
    """`safe_open` with this package's error."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Any:
        try:
            self.file = safe_open(self.path, framework="pt")
            opened = self.file.__enter__()
            if KEY not in (opened.metadata() or {}):
                raise SafetensorError("no checkpoint metadata")
            return opened
        except (SafetensorError, OSError) as error:
            raise RunError(f"{self.path}: not a readable checkpoint ({error}). Delete it to start again.") from error

    def __exit__(self, *details: object) -> None:
        self.file.__exit__(*details)
