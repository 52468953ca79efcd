"""A classifier of texts as its user meets it: strings in, margins out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asymcert._checks import refuse
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.texts.codes import packed, portions
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.words import sentences_of, words_of


class TextProblem:
    """What attacks ask of a classifier; every text is encoded anew and goes through the model that is run.

    Parameters
    ----------
    model
        A classifier of texts.
    encoder
        Its own.

    Attributes
    ----------
    evaluations
        Texts that were scored.

    Raises
    ------
    InputError
        The encoder has another number of features than the model.
    """

    def __init__(self, model: TextClassifier, encoder: TextEncoder):
        if len(encoder.vocabulary) != model.features:
            raise refuse("encoder", f"of the model's {model.features} features", f"of {len(encoder.vocabulary)}")
        self.model, self.encoder, self.evaluations = model, encoder, 0

    def margins(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Margins (n,) of texts as they stand."""
        self.evaluations += len(texts)
        batches = (texts[part] for part in portions([len(text) for text in texts]))
        parts = [self.model.margin_at_most(self.inputs(batch)).numpy() for batch in batches]
        return np.concatenate([np.empty(0), *parts])

    def inputs(self, texts: Sequence[str]) -> Tensor:
        """What the model is given for texts: float32 (n, L), as wide as they need."""
        return torch.from_numpy(packed(self.encoder.encode(texts), len(texts)))

    def words(self, text: str) -> list[str]:
        """Words of a text's canonical form."""
        return words_of(self.encoder.form.form(text))

    def sentences(self, text: str) -> list[list[str]]:
        """The same by sentences."""
        return sentences_of(self.encoder.form.form(text))

    def highest(self, text: str) -> int:
        """Number of the text's window, in the order of its encoder, that scores highest."""
        windows = self._windows(text)
        return int(self.model.score.of_sets(windows.feature, windows.starts).argmax())

    def slope(self, text: str) -> NDArray[np.float64]:
        """By how much the margin grows with each feature of the text, (F,): of its window that scores highest."""
        windows, best = self._windows(text), self.highest(text)
        with self.model.undisturbed():
            row = windows.dense(self.model.features, self.model.dtype, slice(best, best + 1)).requires_grad_(True)
            (gradient,) = torch.autograd.grad(self._inner(row).sum(), row)
        return gradient[0].double().cpu().numpy()

    def gains(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each word of the vocabulary would lower a margin of this slope (F,), added alone: (words,)."""
        ends, features = self._alone
        falls = np.concatenate(([0.0], -slope[features].cumsum()))
        return falls[ends[1:]] - falls[ends[:-1]]

    def _windows(self, text: str) -> WindowCodes:
        return WindowCodes.of(self.inputs([text]).to(self.model.device, self.model.dtype))

    @cached_property
    def _inner(self) -> FeatureConvexClassifier:
        """The model on one window's features."""
        return self.model.inner

    @cached_property
    def _alone(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Features of each word of the vocabulary where it stands alone."""
        return self.encoder.vocabulary.encode([(word,) for word in self.encoder.vocabulary.words])
