"""A classifier of texts as its user meets it: strings in, margins out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asymcert._checks import refuse
from asymcert.models.base import BinaryClassifier
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.texts.codes import packed
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.words import words_of

BATCH, LETTERS = 512, 2**22  # texts encoded at a time, and letters of so many of the longest
DENSE = 2**22  # inputs at a time of classifiers that see every feature


class TextProblem:
    """What attacks ask of a classifier; every text is encoded anew and goes through the model that is run.

    Parameters
    ----------
    model
        A `TextClassifier`, or a classifier of the features of whole texts, perhaps beside other inputs.
    encoder
        Its own.
    row
        (d,): other inputs, where there are some; those of the text are overwritten.
    first
        The first input of the text.

    Attributes
    ----------
    evaluations
        Texts that were scored.

    Raises
    ------
    InputError
        The encoder has another number of features than the model.
    """

    def __init__(self, model: BinaryClassifier, encoder: TextEncoder, row: Tensor | None = None, first: int = 0):
        self.model, self.encoder, self.first, self.evaluations = model, encoder, first, 0
        self.windowed = model if isinstance(model, TextClassifier) else None
        features = self.windowed.features if self.windowed else model.input_shape[0]
        if len(encoder.vocabulary) > features or (row is None and len(encoder.vocabulary) != features):
            raise refuse("encoder", f"of the model's {features} features", f"of {len(encoder.vocabulary)}")
        self.row = torch.zeros(features) if row is None else row

    def margins(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Margins (n,) of texts as they stand."""
        self.evaluations += len(texts)
        parts = [self.model.margin_at_most(self.inputs(batch)).numpy() for batch in self._batches(texts)]
        return np.concatenate([np.empty(0), *parts])

    def inputs(self, texts: Sequence[str]) -> Tensor:
        """What the model is given for texts: (n, *input_shape), rows of windows as long as they need."""
        if self.windowed:
            return torch.from_numpy(packed(self.encoder.encode(texts), len(texts)))
        rows = self.row.repeat(len(texts), 1)
        rows[:, self.first : self.first + len(self.encoder.vocabulary)] = torch.from_numpy(self.encoder.rows(texts))
        return rows

    def sentences(self, text: str) -> list[list[str]]:
        """Words of the sentences of a text's canonical form."""
        return [words_of(part) for part in self.encoder.form.form(text).split("\n")]

    def slope(self, text: str) -> NDArray[np.float64]:
        """By how much the margin grows with each feature of the text, (F,): of its window that scores highest."""
        x = self.inputs([text]).to(self.model.device, self.model.dtype)
        model = self.windowed.inner if self.windowed else self.model
        with self.model.undisturbed():
            point = (self._greatest(x) if self.windowed else x).requires_grad_(True)
            (gradient,) = torch.autograd.grad(model(point).sum(), point)
        chosen = slice(self.first, self.first + len(self.encoder.vocabulary))
        return gradient[0, chosen].double().cpu().numpy()

    def gains(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each word of the vocabulary would lower a margin of this slope (F,), alone and added: (words,)."""
        ends, features = self._alone
        falls = np.concatenate(([0.0], -slope[features].cumsum()))
        return falls[ends[1:]] - falls[ends[:-1]]

    @cached_property
    def _alone(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Features of each word of the vocabulary where it stands alone."""
        return self.encoder.vocabulary.encode([(word,) for word in self.encoder.vocabulary.words])

    def _greatest(self, x: Tensor) -> Tensor:
        """Features (1, F) of the window of one text that scores highest."""
        assert self.windowed is not None
        windows = WindowCodes.of(x)
        best = int(self.windowed.score.of_sets(windows.feature, windows.starts).argmax())
        return windows.dense(self.windowed.features, self.model.dtype, slice(best, best + 1))

    def _batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        """Texts in order, so many at a time as memory has room for."""
        most = BATCH if self.windowed else max(1, min(BATCH, DENSE // len(self.row)))
        start = longest = 0
        for place, text in enumerate(texts):
            longest = max(longest, len(text))
            if place > start and (place - start == most or (place - start + 1) * longest > LETTERS):
                yield texts[start:place]
                start, longest = place, len(text)
        yield texts[start:]
