"""From what requests hold to a model's inputs; a sample that cannot be read gets a problem and stops no other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asymcert.serve.questions import ARRAYS
from asymcert.serve.refusals import RequestError


class Readable(ABC):
    """Samples of one or several requests, after reading.

    Parameters
    ----------
    problems
        Why samples cannot be read, by their place among all.
    places
        Int64: those that can be, increasing.
    """

    def __init__(self, problems: dict[int, str], places: np.ndarray):
        self.problems, self.places = problems, places

    @property
    @abstractmethod
    def lengths(self) -> list[int]:
        """Characters of the longest text of each readable sample."""

    @abstractmethod
    def encode(self, chosen: slice) -> Tensor:
        """Inputs (n, *input_shape) of some of the readable samples."""


class Reader(ABC):
    """Reads what requests hold for one model.

    `kinds` are those of samples that it takes, `asks` says of each column of a row what it may hold.
    """

    kinds: tuple[str, ...]
    asks: list[dict[str, str]]

    @abstractmethod
    def read(self, kind: str, parts: Sequence[Sequence[Any]]) -> Readable:
        """Read samples, each request's own in one part; what one sample becomes depends on no other request."""

    def check(self, kind: str) -> None:
        """Refuse, with status 422, samples of a kind that the model does not take."""
        if kind not in self.kinds:
            remedy = f"Send {' or '.join(f'`{name}`' for name in self.kinds)}: see GET /v1/model."
            raise RequestError(422, f"`{kind}` must be left out for this model, got some. {remedy}")


class Inputs(Readable):
    """Samples that are inputs already.

    Parameters
    ----------
    problems, places
        As of `Readable`.
    x
        Inputs (n, *input_shape) of the readable ones.
    """

    def __init__(self, problems: dict[int, str], places: np.ndarray, x: Tensor):
        super().__init__(problems, places)
        self.x = x

    @property
    def lengths(self) -> list[int]:
        """No texts."""
        return [0] * len(self.x)

    def encode(self, chosen: slice) -> Tensor:
        """Those inputs."""
        return self.x[chosen]


class ArrayReader(Reader):
    """Arrays of a model's own inputs, as nested lists or flat ones.

    Parameters
    ----------
    shape
        Of one input.
    """

    kinds = (ARRAYS,)

    def __init__(self, shape: tuple[int, ...]):
        self.shape, self.size = shape, int(np.prod(shape))
        self.asks = []

    def read(self, kind: str, parts: Sequence[Sequence[Any]]) -> Readable:
        """Float64 inputs."""
        del kind
        problems, found = {}, []
        for place, sample in enumerate(sample for part in parts for sample in part):
            values = self._values(sample)
            if isinstance(values, str):
                problems[place] = values
            else:
                found.append((place, values))
        places = np.array([place for place, _ in found], dtype=np.int64)
        x = np.array([values for _, values in found], dtype=np.float64).reshape(-1, *self.shape)
        return Inputs(problems, places, torch.from_numpy(x))

    def _values(self, sample: Any) -> np.ndarray | str:
        """Numbers of one input, or why there are none."""
        try:
            values = np.array(sample)
        except ValueError:  # lists of different lengths
            return f"must be {self.size} numbers, got lists of different lengths"
        if _has_truth(sample):
            return f"must be {self.size} numbers, got true or false"
        if values.dtype.kind not in "iuf":
            return f"must be {self.size} numbers, got something else"
        if values.shape not in (self.shape, (self.size,)):
            return f"must have the shape {list(self.shape)} or be {self.size} numbers, got {list(values.shape)}"
        return values.astype(np.float64).reshape(self.shape)


def _has_truth(sample: Any) -> bool:
    """Whether there is true or false among what nested lists hold, which an array would take for 1 or 0."""
    if not isinstance(sample, list):
        return isinstance(sample, bool)
    kinds = set(map(type, sample))
    return bool in kinds or (list in kinds and any(_has_truth(each) for each in sample if isinstance(each, list)))
