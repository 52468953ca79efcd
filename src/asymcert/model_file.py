"""Model files: safetensors with JSON metadata. Loading never runs code from the file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from asymcert.classifier import FeatureConvexClassifier
from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore, SymmetricAverage
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import ModelFileError
from asymcert.features import Centre, CentreAbsolute, Chain, FeatureMap, Identity, SoftThreshold, Standardise

FORMAT = 1
SCORES: dict[str, type[ConvexScore]] = {c.__name__: c for c in (ConvexMLP, ConvexConvNet)}
MAPS: dict[str, type[FeatureMap]] = {
    c.__name__: c for c in (Identity, Centre, CentreAbsolute, SoftThreshold, Standardise, Chain)
}
KEY = "asymcert"


def save_model(model: FeatureConvexClassifier, path: str | Path) -> None:
    """Write `model` to `path`; an existing file is replaced in one step."""
    path = Path(path)
    tensors, metadata = _contents(model)
    metadata["digest"] = _digest(tensors, metadata)
    partial = path.with_name(f"{path.name}.part")
    save_file(tensors, partial, {KEY: json.dumps(metadata, sort_keys=True)})
    os.replace(partial, path)


def load_model(path: str | Path) -> FeatureConvexClassifier:
    """Read a model; see `FeatureConvexClassifier.load` for what is refused."""
    tensors, metadata = _read(Path(path))
    if metadata.get("format") != FORMAT:
        raise ModelFileError(
            f"{path}: model format {metadata.get('format')!r} is unknown, this version reads {FORMAT}. "
            "Use the asymcert version that wrote it, or train again."
        )
    if metadata.pop("digest", None) != _digest(tensors, metadata):
        raise ModelFileError(f"{path}: the digest does not match the contents. The file was changed; get it again.")
    try:
        return _build(tensors, metadata)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelFileError(f"{path}: not a valid model: {error}") from error


def model_digest(model: FeatureConvexClassifier) -> str:
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


def _contents(model: FeatureConvexClassifier) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Float64 tensors and metadata without the digest."""
    tensors = {name: value.detach().cpu().double().contiguous() for name, value in model.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "feature_map": _describe_map(model.feature_map),
        "score": _describe_score(model.score),
        "threshold": model.threshold.hex(),
        "input_shape": list(model.input_shape),
        "classes": [model.other, model.sensitive],
        "scaling": None if model.scaling is None else model.scaling.to_dict(),
        "info": model.info,
    }
    return tensors, json.loads(json.dumps(metadata))


def _digest(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _build(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> FeatureConvexClassifier:
    feature_map = _build_map(metadata["feature_map"], tensors, "feature_map.")
    score = _build_score(metadata["score"]).double()
    prefix = "score."
    score.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    other, sensitive = metadata["classes"]
    scaling = metadata["scaling"]
    return FeatureConvexClassifier(
        feature_map,
        score,
        float.fromhex(metadata["threshold"]),
        input_shape=tuple(metadata["input_shape"]),
        sensitive=sensitive,
        other=other,
        scaling=None if scaling is None else TableScaling.from_dict(scaling),
        info=metadata["info"],
    )


def _describe_score(score: ConvexScore) -> dict[str, Any]:
    described = {"kind": type(score).__name__, **score.options()}
    if isinstance(score, SymmetricAverage):
        described["base"] = _describe_score(score.base)
    return described


def _build_score(described: dict[str, Any]) -> ConvexScore:
    options = dict(described)
    kind = options.pop("kind")
    if kind == SymmetricAverage.__name__:
        return SymmetricAverage(_build_score(options["base"]), options["mirror"], options["shift"])
    return SCORES[kind].blank(options)


def _describe_map(feature_map: FeatureMap) -> dict[str, Any]:
    described = {"kind": type(feature_map).__name__, **feature_map.options()}
    if isinstance(feature_map, Chain):
        described["maps"] = [_describe_map(member) for member in feature_map.maps]  # pyright: ignore
    return described


def _build_map(described: dict[str, Any], tensors: dict[str, Tensor], prefix: str) -> FeatureMap:
    options = dict(described)
    kind = MAPS[options.pop("kind")]
    if kind is Chain:
        members = enumerate(options["maps"])
        return Chain(*(_build_map(member, tensors, f"{prefix}maps.{index}.") for index, member in members))
    buffers = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return kind(**buffers, **options)
