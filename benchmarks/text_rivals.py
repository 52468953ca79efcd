"""Other detectors of texts with certificates in words, on the same words and pairs as ours, for `text.py`.

Each is trained by a function of the data and a seed, which gives a function that judges and certifies a split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import norm as norm_of
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from torch import Tensor

from asymcert import certify, train
from asymcert.certify.smoothing import lower_bounds
from asymcert.convex import ConvexMLP
from asymcert.datasets import BinaryData, Split
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.models.thresholds import balanced_threshold
from asymcert.texts.encoder import TextEncoder
from asymcert.threats.table import TableThreat

Floats = NDArray[np.float64]
MOST = 32  # words that are told apart
DRAWS, ALPHA, COPIES = 1001, 0.001, 8  # of randomized deletion: for each text, and copies of each training text
NORMS = 8  # linear functions that lie below a margin divided by a norm
ADDED, EDITED = ("add",), ("add", "remove")


@dataclass(frozen=True)
class Found:
    """Of texts: margins (n,), and the words up to which, inclusive, a verdict outlasts additions, and edits."""

    margin: Tensor
    added: Tensor
    edited: Tensor
    sentences: Tensor | None = None  # whether it outlasts any number of added sentences, where that is claimed


Judge = Callable[[Split], Found]


def convex(data: BinaryData, seed: int, **recipe: Any) -> Judge:
    """The library's: a model, trained by a recipe and certified by its defaults."""
    return partial(certified, train(data, "text", seed=seed, **recipe))


def certified(model: TextClassifier, split: Split) -> Found:
    """Radii in words; where sentences are windows, what outlasts any number of them as well."""
    assert model.scaling is not None
    assert model.scaling.windows is not None
    threat, x = TableThreat(model.scaling), split.x
    windows = model.scaling.windows.encoder.windows != "whole"
    added, edited = (certify(model, x, threat.words(kinds)).radius for kinds in (ADDED, EDITED))
    sentences = certify(model, x, threat.words((), sentences=True)).radius.isinf() if windows else None
    return Found(model.margin(x).double(), added, edited, sentences)


def tfidf(data: BinaryData, seed: int, inverse_penalty: float = 10.0) -> Judge:
    """TF-IDF of words and pairs, divided by its norm, and logistic regression; nothing is drawn."""
    rows = presences(data, data.train)
    idf = np.log((1 + len(data.train)) / (1 + np.asarray(rows.sum(0))[0])) + 1.0
    base = LogisticRegression(C=inverse_penalty, max_iter=1000)
    base.fit(normalize(rows.multiply(idf).tocsr()), data.train.y.numpy())
    return partial(divided, data, base, idf)


def divided(data: BinaryData, base: LogisticRegression, idf: Floats, split: Split) -> Found:
    """Certificates of a score that is linear in presences times `idf` (F,), divided by their norm.

    With a these products, w the weights, and c the threshold less the intercept, a text is sensitive where
    ``w a > c ||a||``. As ``||a|| <= (||a||^2 / s + s) / 2`` for every s > 0, and squares of presences are presences,
    ``w a - c ||a||`` lies above a linear function for each s where c >= 0, and above ``w a`` where c < 0. Each text is
    certified by the one whose s is just above its norm.
    """
    val, own = (presences(data, part).multiply(idf).tocsr() for part in (data.val, split))
    scores = [torch.from_numpy(base.decision_function(normalize(rows))) for rows in (val, own)]
    threshold = balanced_threshold(scores[0], data.val.y)
    c, norm = max(0.0, threshold - float(np.ravel(base.intercept_)[0])), np.asarray(norm_of(own, axis=1))
    bounds = np.quantile(norm, np.linspace(0.0, 1.0, NORMS + 1))[1:]
    added, edited = torch.zeros(2, len(split), dtype=torch.float64)
    for number, s in enumerate(bounds):
        rows = torch.from_numpy(np.flatnonzero(np.searchsorted(bounds, norm) == number))
        found = certified(linear(data, base.coef_[0] * idf - c / (2.0 * s) * idf**2, -c * s / 2.0), split.chosen(rows))
        added[rows], edited[rows] = found.added, found.edited
    return Found(scores[1] - threshold, added, edited)


def linear(data: BinaryData, weights: Floats, bias: float) -> TextClassifier:
    """Says sensitive where ``weights @ presences + bias > 0``."""
    score = ConvexMLP((len(weights),), ()).double()
    with torch.no_grad():
        score.first.weight.copy_(torch.from_numpy(weights))
        score.first.bias.fill_(bias)
    return TextClassifier(score, input_shape=data.input_shape, scaling=data.scaling)


def deletion(data: BinaryData, seed: int, kept: float) -> Judge:
    """Logistic regression on words, of which each is kept with probability `kept`."""
    generator, size = np.random.default_rng(seed), len(encoder_of(data).vocabulary.words)
    copies = [text[generator.random(len(text)) < kept] for text in known_words(data, data.train) for _ in range(COPIES)]
    base = LogisticRegression(C=1.0, solver="liblinear").fit(counts(copies, size), data.train.y.numpy().repeat(COPIES))
    return partial(voted, data, base.coef_[0], float(np.ravel(base.intercept_)[0]), kept, generator)


def voted(
    data: BinaryData, weights: Floats, bias: float, kept: float, generator: np.random.Generator, split: Split
) -> Found:
    """Certificates of a verdict that is *sensitive* where most draws are, of which each keeps each word by chance.

    Let a draw be sensitive with probability p. Of r words that are removed a draw kept none with probability
    ``q = (1 - kept)^r``, so without them it is p' with ``p <= q p' + 1 - q``; of k added words it keeps none with
    ``(1 - kept)^k``, whatever they are. p is bounded by Clopper and Pearson, for each text with confidence 1 - ALPHA.

    Source: Huang et al., RS-Del, NeurIPS 2023, where both classes are certified.
    """
    scores = [
        torch.from_numpy(
            np.stack([(generator.random((DRAWS, len(text))) < kept) @ weights[text] + bias for text in texts])
        )
        for texts in (known_words(data, part) for part in (data.val, split))
    ]
    threshold = balanced_threshold(scores[0].median(1).values, data.val.y)
    p = lower_bounds(DRAWS, ALPHA)[(scores[1] > threshold).sum(1)][:, None]
    margin = scores[1].median(1).values - threshold
    margin = torch.where(p[:, 0] > 0.5, margin, margin.clamp(max=0.0))  # abstains otherwise
    missed = (1.0 - kept) ** torch.arange(MOST, dtype=torch.float64)
    without = 1.0 - (1.0 - p) / missed  # so many words
    edited = torch.stack([(without[:, : k + 1] * missed[: k + 1].flip(0)).amin(1) for k in range(MOST)], 1)
    return Found(margin, lasting(p * missed > 0.5), lasting(edited > 0.5))


def lasting(held: Tensor) -> Tensor:
    """Of bool (n, numbers of edits from none on): the greatest number up to which all hold, 0 at least."""
    return (held.long().cumprod(1).sum(1) - 1).clamp(min=0).double()


def parts(data: BinaryData, seed: int, count: int) -> Judge:
    """An odd number of logistic regressions, each on the words of one part of the vocabulary."""
    size = len(encoder_of(data).vocabulary.words)
    part = np.random.default_rng(seed).integers(count, size=size)
    rows, bases = presences(data, data.train), []
    for own in range(count):
        words = np.flatnonzero(part == own)
        base = LogisticRegression(C=1.0, solver="liblinear", class_weight="balanced")
        bases.append((words, base.fit(rows[:, words], data.train.y.numpy())))
    return partial(counted, data, bases)


def counted(data: BinaryData, bases: Sequence[tuple[NDArray[np.int64], LogisticRegression]], split: Split) -> Found:
    """Certificates where most parts must be sensitive: a word is of one part, and changes one vote."""
    scores = [
        torch.stack([torch.from_numpy(base.decision_function(rows[:, words])) for words, base in bases], 1)
        for rows in (presences(data, part) for part in (data.val, split))
    ]
    margins = scores[1] - balanced_threshold(scores[0].median(1).values, data.val.y)
    radius = ((margins > 0).sum(1) - (len(bases) + 1) // 2).clamp(min=0).double()
    return Found(margins.median(1).values, radius, radius)


def encoder_of(data: BinaryData) -> TextEncoder:
    assert data.scaling is not None
    assert data.scaling.windows is not None
    return data.scaling.windows.encoder


def presences(data: BinaryData, split: Split) -> sp.csr_matrix:
    """Features of whole texts, 0 or 1: (n, F)."""
    windows = WindowCodes.of(split.x)
    ends = np.append(windows.starts.numpy(), len(windows.feature))
    return sp.csr_matrix(
        (np.ones(ends[-1]), windows.feature.numpy(), ends), (len(split), len(encoder_of(data).vocabulary))
    )


def known_words(data: BinaryData, split: Split) -> list[NDArray[np.int64]]:
    """Numbers of the known words of each text, each as often as it is there."""
    encoder = encoder_of(data)
    number = {word: place for place, word in enumerate(encoder.vocabulary.words)}
    documents = [encoder.windows_of(text)[0][1] for text in split.texts or ()]
    return [np.array([number[word] for word in document if word in number], np.int64) for document in documents]


def counts(texts: list[NDArray[np.int64]], size: int) -> sp.csr_matrix:
    """How often each word is in each text: (n, size)."""
    ends = np.cumsum([0, *map(len, texts)])
    return sp.csr_matrix((np.ones(ends[-1]), np.concatenate(texts), ends), (len(texts), size))
