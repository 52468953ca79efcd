"""What every classifier of the package is: a margin, a threshold, two names, and contents that make a file."""

from __future__ import annotations

import copy
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import check_count, check_inputs, refuse
from asymcert._floats import full_precision, undisturbed
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import ModelFileError
from asymcert.models.files import MODEL, digest_of, read_contents, write_contents
from asymcert.models.zoo.places import resolve

CHUNK_VALUES = 2**23  # values that one chunk of a batch may keep: 64 MB in float64


class BinaryClassifier(nn.Module, ABC):
    """Says *sensitive* when ``margin(x) > 0``; a tie is not sensitive.

    Certificates are about the classifier as it is called: ``model(x)``, `margin` and `predict` run in the precision of
    its weights, whatever autocast, TF32 or bfloat16 products are allowed outside. They say nothing about parts called
    by themselves, nor about a copy that another program makes of it; export by `asymcert.export`.

    Parameters
    ----------
    input_shape
        Shape of one sample.
    threshold
        Finite; what the score is compared with, already subtracted from the margin.
    sensitive, other
        Names of the two classes.
    scaling
        How a table's columns became inputs, so that radii can be given in the user's units.
    info
        JSON-able facts about the model's origin (preset, seed, data digest).

    Raises
    ------
    InputError
        The threshold is not finite, a side of `input_shape` is no positive integer, a name is no text, or the scaling
        makes another number of inputs.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        threshold: float = 0.0,
        *,
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__()
        for side in input_shape:
            check_count("input_shape", side)
        if not isinstance(sensitive, str) or not isinstance(other, str):
            raise refuse("sensitive, other", "text", f"{sensitive!r}, {other!r}")
        self.input_shape = tuple(input_shape)
        self.threshold = _finite(threshold)
        self.sensitive, self.other = sensitive, other
        if scaling is not None and (sum(column.inputs for column in scaling.columns),) != self.input_shape:
            raise refuse("scaling", f"of as many inputs as the shape {self.input_shape} has", "another number")
        self.scaling, self.info = scaling, dict(info or {})

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""

    @property
    @abstractmethod
    def activations(self) -> int:
        """Values that one sample's forward and backward pass keeps."""

    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """What determines this kind of classifier besides weights and `description`, JSON-able."""

    @classmethod
    @abstractmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """The classifier that `contents` described.

        Raises
        ------
        InputError
            They are no valid classifier's.
        """

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type the classifier runs in; float64 where it has no weights."""
        return next((weight.dtype for weight in self.parameters()), torch.float64)

    @property
    def device(self) -> torch.device:
        """Device the classifier runs on; the CPU where it has no weights."""
        return next((weight.device for weight in self.parameters()), torch.device("cpu"))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """`forward`, in the precision of the weights also under autocast and where TF32 is allowed."""
        with full_precision(self.device):
            return super().__call__(*arguments, **named)

    def checked(self, x: Tensor) -> Tensor:
        """Inputs as a finite tensor of real numbers; an `InputError` for those that do not fit the classifier."""
        return check_inputs(x, self.input_shape)

    def chunks(self, x: Tensor) -> Iterator[Tensor]:
        """Checked inputs in the model's type and on its device, in pieces of bounded memory; an empty batch is one.

        Raises
        ------
        InputError
            `x` is not a finite tensor of shape (n, *input_shape).
        """
        x = self.checked(x)
        for chunk in x.split(max(1, CHUNK_VALUES // self.activations)):
            yield chunk.to(self.device, self.dtype)

    @torch.no_grad()
    def over_chunks(self, values: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What `values` makes of a batch of any size, in full precision: (n, *input_shape) -> (n, ...)."""
        with full_precision(self.device):
            return torch.cat([values(chunk) for chunk in self.chunks(x)])

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """A block that no mode set outside reaches, in which gradients pass through the classifier.

        Raises
        ------
        InputError
            The classifier was built in inference mode.
        """
        if any(weight.is_inference() for weight in (*self.parameters(), *self.buffers())):
            raise refuse("model", "built outside torch.inference_mode", "one from inside", "Build or load it before.")
        with undisturbed(self.device):
            yield

    def margin(self, x: Tensor) -> Tensor:
        """Score minus threshold for a batch of any size: (n, *input_shape) -> (n,) on the model's device."""
        return self.over_chunks(self, x)

    def scores(self, x: Tensor) -> Tensor:
        """What the threshold is compared with, whatever it is: (n, *input_shape) -> float64 (n,) on the CPU.

        Of a verdict over noise, a quantile over fixed draws.
        """
        return self.with_threshold(0.0).margin(x).double().cpu()

    def margin_at_most(self, x: Tensor) -> Tensor:
        """What the margin that certificates are about does not exceed: (n, *input_shape) -> float64 (n,) on the CPU.

        `margin` itself, unless the verdict is one over noise. An attack has succeeded where this is not positive.
        """
        return self.margin(x).double().cpu()

    def bends(self) -> Tensor:
        """Values of each input at which margins may bend, as far as is known: float64 (k, *input_shape), k may be 0."""
        return torch.empty(0, *self.input_shape, dtype=torch.float64)

    def predict(self, x: Tensor) -> Tensor:
        """Whether each sample is sensitive: (n, *input_shape) -> bool (n,)."""
        return self.margin(x) > 0

    def with_threshold(self, threshold: float) -> Self:
        """The same classifier with another threshold; weights are shared."""
        other = copy.copy(self)
        other.threshold = _finite(threshold)
        return other

    def placed_at(self, threshold: float) -> Self:
        """`with_threshold`, chosen for use: no lower than `least_threshold`."""
        return self.with_threshold(max(threshold, self.least_threshold))

    @property
    def least_threshold(self) -> float:
        """What a threshold for use may not be below, as far as the kind of model says."""
        return -math.inf

    def contents(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that determines the classifier: float64 tensors, and metadata as it comes back from JSON."""
        return self.weights(), json.loads(json.dumps(self.description() | self.parts()))

    def description(self) -> dict[str, Any]:
        """The part of the metadata that all kinds of classifier have."""
        return {
            "kind": type(self).__name__,
            "threshold": self.threshold.hex(),
            "input_shape": list(self.input_shape),
            "classes": [self.other, self.sensitive],
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
            "info": self.info,
        }

    def weights(self) -> dict[str, Tensor]:
        """Copies of parameters and buffers on the CPU in float64, which holds every float32 exactly.

        Files take no tensors that share memory, as those of a union of a model with itself do.
        """
        state = self.state_dict().items()
        return {name: value.detach().to("cpu", torch.float64, copy=True).contiguous() for name, value in state}

    @property
    def digest(self) -> str:
        """SHA-256 of architecture, weights, threshold and class names; what result rows refer to."""
        return digest_of(*self.contents())

    def save(self, path: str | Path) -> None:
        """Write the model as safetensors with JSON metadata, replacing the file in one step."""
        write_contents(path, *self.contents())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that `save` wrote, a run folder's, or ``zoo:NAME``; `BinaryClassifier.load` reads any kind.

        Raises
        ------
        ModelFileError
            The file is damaged, was tampered with, comes from an unknown version, breaks what its kind promises, or
            holds a model of another kind.
        """
        with torch.inference_mode(False):  # a service may load a model inside it
            return cls.read(path)[0]

    @classmethod
    def read(cls, path: str | Path) -> tuple[Self, str]:
        """What `load` returns, and its digest, which reading has computed already."""
        path = _model_file(path)
        tensors, metadata, digest = read_contents(path)
        name = str(metadata.get("kind"))
        kinds = {kind.__name__: kind for kind in _kinds(BinaryClassifier)}
        try:
            model = kinds[name].from_contents(tensors, metadata)
            _check_told(model, tensors, metadata)
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError) as error:
            reason = " ".join(str(error).split())  # PyTorch's go over several lines
            raise ModelFileError(f"{path}: not a valid model: {reason}") from error
        if not isinstance(model, cls):
            raise ModelFileError(f"{path}: holds a {name}, not a {cls.__name__}. Load it as that.")
        return model, digest


def _model_file(path: str | Path) -> Path:
    """The file itself; of a run folder, or of a model of the zoo, the one in it."""
    path = resolve(path)
    return path / MODEL if path.is_dir() else path


def _check_told(model: BinaryClassifier, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Refuse a file that says anything else than the model made of it: an option unused, a number as text."""
    told = json.dumps(model.description() | model.parts(), sort_keys=True)
    if told != json.dumps(metadata, sort_keys=True):
        raise refuse("metadata", "what the model itself says", "other options")
    if {name: value.shape for name, value in model.state_dict().items()} != {k: v.shape for k, v in tensors.items()}:
        raise refuse("tensors", "the model's own", "others, or of other shapes")


def _kinds(base: type[BinaryClassifier]) -> Iterator[type[BinaryClassifier]]:
    """Kinds of classifier that a file may name: `asymcert.models` imports the package's own."""
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def described(metadata: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `BinaryClassifier` from what `BinaryClassifier.description` gave, but the input's shape."""
    other, sensitive = metadata["classes"]
    scaling = metadata["scaling"]
    return {
        "threshold": float.fromhex(metadata["threshold"]),
        "sensitive": sensitive,
        "other": other,
        "scaling": None if scaling is None else TableScaling.from_dict(scaling),
        "info": metadata["info"],
    }


def _finite(threshold: float) -> float:
    if not math.isfinite(threshold):
        raise refuse("threshold", "finite", threshold)
    return float(threshold)
