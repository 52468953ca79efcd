"""Checkpoints of a training run: safetensors with JSON metadata, written in one step, never pickled."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from asymcert._files import replacing
from asymcert.errors import RunError

KEY = "asymcert-checkpoint"
CHECKPOINT_SECONDS = 15.0  # between two savings


class Checkpoint:
    """The file that a training run is continued from after an interruption.

    Parameters
    ----------
    path
        Where it is, or is to be; None for a run that writes none.
    modules, optimizer
        Freshly built; what is saved, and restored in place.
    identity
        JSON-able facts that the file must agree with, the package's version excepted.
    """

    def __init__(
        self,
        path: str | Path | None,
        modules: dict[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        identity: dict[str, Any],
    ):
        self.path, self.modules, self.optimizer = Path(path) if path else None, modules, optimizer
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self.saved_at = time.monotonic()

    def resume(self) -> dict[str, Any]:
        """Restore what the file holds and return the facts saved with it; none without a file.

        Raises
        ------
        RunError
            The file is damaged, or of a run with another identity.
        """
        if self.path is None or not self.path.exists():
            return {}
        facts = read_facts(self.path)
        theirs, ours = facts.pop("identity"), self.identity
        differing = sorted(name for name in {*ours, *theirs} - {"version"} if ours.get(name) != theirs.get(name))
        if differing:
            raise RunError(
                f"{self.path}: the checkpoint was made with another {', '.join(differing)}. "
                "Continue with the same arguments, or delete it to start again."
            )
        _restore(self.path, self.modules, self.optimizer)
        return facts

    def save(self, facts: dict[str, Any], last: bool) -> None:
        """Write the file with JSON-able `facts`, if this is the `last` time or the previous one is long ago."""
        if self.path is None or not (last or time.monotonic() - self.saved_at > CHECKPOINT_SECONDS):
            return
        _write(self.path, self.modules, self.optimizer, {"identity": self.identity, **facts})
        self.saved_at = time.monotonic()


def _write(path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    """Write weights, optimiser state and JSON-able `facts`; an existing checkpoint is replaced in one step."""
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with replacing(path) as partial:
        save_file(contiguous, partial, {KEY: json.dumps(facts)})


def read_facts(path: Path) -> dict[str, Any]:
    """The `facts` of a checkpoint.

    Raises
    ------
    RunError
        The file is damaged or no checkpoint.
    """
    with _opened(path) as file:
        return json.loads(file.metadata()[KEY])


def _restore(path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
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
