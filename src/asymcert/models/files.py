"""Model files: safetensors with JSON metadata and a digest; loading one never runs code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from asymcert._files import parse_json, replacing
from asymcert.errors import ModelFileError

FORMAT = 2
KEY = "asymcert"
MODEL = "model.safetensors"  # its name in a run folder


def write_contents(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write what determines a model to `path`; an existing file is replaced in one step."""
    stored = {"format": FORMAT, **metadata}
    stored["digest"] = digest_of(tensors, metadata)
    text = json.dumps(stored, sort_keys=True, ensure_ascii=False)
    with replacing(Path(path)) as partial:  # half a surrogate pair has no UTF-8, but an escape in JSON
        save_file(tensors, partial, {KEY: text.encode("utf-8", "backslashreplace").decode()})


def read_contents(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Tensors, metadata and digest of a file that `write_contents` wrote.

    Raises
    ------
    ModelFileError
        The file is missing, damaged, changed, or of an unknown format.
    """
    path = Path(path)
    tensors, metadata = _read(path)
    found = metadata.pop("format", None)
    if found != FORMAT:
        raise ModelFileError(
            f"{path}: model format {found!r} is unknown, this version reads {FORMAT}. "
            "Use the asymcert version that wrote it, or train again."
        )
    stated, digest = metadata.pop("digest", None), digest_of(tensors, metadata)
    if stated != digest:
        raise ModelFileError(f"{path}: the digest does not match the contents. The file was changed; get it again.")
    return tensors, metadata, digest


def stated_digest(path: Path) -> str:
    """The digest that a model file states of itself, which `read_contents` would check; see there for what is refused.

    Enough to pick the rows that name the model.
    """
    return str(_read(path, weights=False)[1].get("digest"))


def stated_kind(path: Path) -> str:
    """The kind of classifier that a model file says it holds, as `stated_digest` reads the digest."""
    return str(_read(path, weights=False)[1].get("kind"))


def digest_of(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> str:
    """SHA-256, in hexadecimal, of everything that determines a model."""
    digest = hashlib.sha256(json.dumps({"format": FORMAT, **metadata}, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path, weights: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(parse_json((file.metadata() or {})[KEY]))
            tensors = {name: file.get_tensor(name) for name in file.keys() if weights}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file. Train a model with `asymcert train`.") from None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ModelFileError(f"{path}: not a model of this package, or damaged ({error}).") from error
    if not all(value.numel() and value.dtype == torch.float64 for value in tensors.values()):
        raise ModelFileError(f"{path}: not a model of this package: an empty tensor, or one that is not float64.")
    return tensors, metadata
