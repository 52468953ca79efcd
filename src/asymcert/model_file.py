"""Model files: safetensors with JSON metadata. Loading never runs code from the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from asymcert._files import replacing
from asymcert.baselines.lipschitz import LipschitzClassifier
from asymcert.baselines.relu import ReluClassifier
from asymcert.baselines.smoothed import SmoothedClassifier
from asymcert.baselines.splitting import SplitClassifier
from asymcert.binary import BinaryClassifier
from asymcert.classifier import FeatureConvexClassifier
from asymcert.convex_concave import ConvexConcaveClassifier
from asymcert.errors import ModelFileError
from asymcert.linf.classifier import DistanceClassifier

FORMAT = 2
KINDS: dict[str, type[BinaryClassifier]] = {
    kind.__name__: kind
    for kind in (
        FeatureConvexClassifier,
        DistanceClassifier,
        SmoothedClassifier,
        SplitClassifier,
        LipschitzClassifier,
        ReluClassifier,
        ConvexConcaveClassifier,
    )
}
KEY = "asymcert"
Kind = TypeVar("Kind", bound=BinaryClassifier)


def save_model(model: BinaryClassifier, path: str | Path) -> None:
    """Write `model` to `path`; an existing file is replaced in one step."""
    path = Path(path)
    tensors, metadata = _contents(model)
    metadata["digest"] = _digest(tensors, metadata)
    with replacing(path) as partial:
        save_file(tensors, partial, {KEY: json.dumps(metadata, sort_keys=True)})


def load_model(path: str | Path, kind: type[Kind]) -> Kind:
    """Read a model of `kind`; see `BinaryClassifier.load` for what is refused."""
    tensors, metadata = _read(Path(path))
    if metadata.get("format") != FORMAT:
        raise ModelFileError(
            f"{path}: model format {metadata.get('format')!r} is unknown, this version reads {FORMAT}. "
            "Use the asymcert version that wrote it, or train again."
        )
    if metadata.pop("digest", None) != _digest(tensors, metadata):
        raise ModelFileError(f"{path}: the digest does not match the contents. The file was changed; get it again.")
    try:
        model = KINDS[metadata["kind"]].from_contents(tensors, metadata)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelFileError(f"{path}: not a valid model: {error}") from error
    if not isinstance(model, kind):
        raise ModelFileError(f"{path}: holds a {type(model).__name__}, not a {kind.__name__}. Load it as that.")
    return model


def model_digest(model: BinaryClassifier) -> str:
    """SHA-256, in hexadecimal, of everything that determines the classifier."""
    return _digest(*_contents(model))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(json.loads((file.metadata() or {})[KEY]))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file. Train a model with `asymcert train`.") from None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ModelFileError(f"{path}: not a model of this package, or damaged ({error}).") from error


def _contents(model: BinaryClassifier) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, and metadata without the digest."""
    tensors, metadata = model.contents()
    return tensors, {"format": FORMAT, **metadata}


def _digest(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
