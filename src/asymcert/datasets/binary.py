"""The one form that data takes here: three splits of arrays and the names of the two classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from asymcert._checks import check_finite, refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.source import DataSource
from asymcert.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and which of them are sensitive.

    Parameters
    ----------
    x
        Float32, shape ``(n, *input_shape)``, finite, every value in [0, 1].
    y
        Bool, shape ``(n,)``; True is the sensitive class.
    weight
        Positive, shape ``(n,)``: how often training draws each sample, relative to the others. None: each as often.
    texts
        The n texts that `x` was made of, where a text is all that a sample is.
    rows
        Tables only, int64 of shape ``(n,)``: the row of its file that each sample is, from 0.

    Raises
    ------
    InputError
        Wrong type, dtype or shape, no rows, or values that are not finite or outside [0, 1].
    """

    x: Tensor
    y: Tensor
    weight: Tensor | None = None
    texts: tuple[str, ...] | None = None
    rows: Tensor | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("x", torch.float32), ("y", torch.bool)):
            value = getattr(self, name)
            if not isinstance(value, Tensor) or value.dtype != dtype:
                got = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
                raise refuse(name, f"a tensor of {dtype}", got)
        if self.x.ndim < 2 or len(self.x) == 0:
            raise refuse("x", "of shape (n, *input_shape) with n of at least 1", f"shape {tuple(self.x.shape)}")
        if self.y.shape != self.x.shape[:1]:
            raise refuse("y", f"of shape ({len(self.x)},), one label for each sample", f"shape {tuple(self.y.shape)}")
        if self.weight is not None and not (self.weight.shape == self.y.shape and bool((self.weight > 0).all())):
            raise refuse("weight", f"positive, of shape ({len(self.x)},)", "others")
        if self.texts is not None and len(self.texts) != len(self.x):
            raise refuse("texts", f"{len(self.x)}, one for each sample", f"{len(self.texts)}")
        check_finite("x", self.x, "Impute or drop missing values first.")
        low, high = (float(v) for v in torch.aminmax(self.x))
        if low < 0 or high > 1:
            raise refuse("x", "in [0, 1]", f"values from {low:g} to {high:g}", "Scale the data first.")

    def __len__(self) -> int:
        return len(self.x)

    def chosen(self, rows: Sequence[int] | Tensor) -> Split:
        """The samples of some rows, in the order given."""
        rows = torch.as_tensor(rows)
        texts = None if self.texts is None else tuple(self.texts[row] for row in rows.tolist())
        weight, numbers = (None if part is None else part[rows] for part in (self.weight, self.rows))
        return Split(self.x[rows], self.y[rows], weight, texts, numbers)


@dataclass(frozen=True, eq=False)
class BinaryData:
    """Training, validation and test samples of a sensitive class and its counterpart.

    Parameters
    ----------
    name
        Name of the data set; for a table, the file's name without its extension.
    train, val, test
        The splits. Each has both classes, and all have one input shape.
    sensitive, other
        Display names of the classes with ``y`` True and False.
    scaling
        Tables only: how columns became inputs.
    source
        What to load the same data again from.
    dropped
        Tables only: rows left out of ``test`` or ``val`` because the same features also occur in an earlier split.
    notes
        What was made of files, in words: encodings, columns left out, values filled, spellings of labels.

    Raises
    ------
    InputError
        The splits have different input shapes.
    DataError
        A split lacks one of the classes.
    """

    name: str
    train: Split
    val: Split
    test: Split
    sensitive: str
    other: str
    scaling: TableScaling | None = None
    source: DataSource | None = None
    dropped: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, split in self._splits:
            if split.x.shape[1:] != self.train.x.shape[1:]:
                raise refuse(name, f"of input shape {self.input_shape}, as `train`", str(tuple(split.x.shape[1:])))
            present = int(split.y.sum())
            if present in (0, len(split)):
                missing = self.other if present else self.sensitive
                raise DataError(f"{self.name}: split '{name}' has no sample of class '{missing}'. Provide more data.")

    @property
    def _splits(self) -> tuple[tuple[str, Split], ...]:
        return ("train", self.train), ("val", self.val), ("test", self.test)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) for images, (d,) for tables."""
        return tuple(self.train.x.shape[1:])

    @cached_property
    def channel_mean(self) -> Tensor:
        """Mean of the training inputs, float32: shape (C, 1, 1) for images, (d,) for tables."""
        return channel_mean(self.train.x)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the class names and the arrays, and weights, of all splits.

        The data set's own name is not part of it, so that a renamed file or an alias keeps its digest.
        """
        state = hashlib.sha256(repr((self.sensitive, self.other)).encode())
        for name, split in self._splits:
            state.update(repr((name, tuple(split.x.shape))).encode())
            state.update(split.x.detach().cpu().contiguous().numpy().astype("<f4", copy=False).data)
            state.update(split.y.cpu().contiguous().numpy().data)
            if split.weight is not None:
                state.update(split.weight.double().cpu().contiguous().numpy().astype("<f8", copy=False).data)
        return state.hexdigest()


def channel_mean(x: Tensor) -> Tensor:
    """Mean of each channel (n, C, H, W) -> (C, 1, 1), or column (n, d) -> (d,), in float32."""
    return x.mean((0, *range(2, x.ndim)), keepdim=True, dtype=torch.float64)[0].float()
