"""A classifier of texts: the greatest convex score of their windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from asymcert._checks import check_inputs, refuse
from asymcert.convex import ConvexMLP, ConvexScore
from asymcert.features import Identity
from asymcert.models.base import BinaryClassifier, described
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.parts import describe_score, grouped, restored_score
from asymcert.texts.codes import KINDS, UNIT
from asymcert.texts.encoder import SENTENCE, WHOLE

CODES_PER_WINDOW = 16  # of usual texts, for estimates of memory


@dataclass(frozen=True)
class WindowCodes:
    """Windows of a batch of texts.

    Parameters
    ----------
    owner, kind
        Int64 (w,): the text of each window, ascending; `WHOLE`, `SENTENCE` or `DECODED` of `asymcert.texts.encoder`.
    window, feature
        Int64 (m,): every feature that a window has, windows ascending.
    """

    owner: Tensor
    kind: Tensor
    window: Tensor
    feature: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Read rows (n, L) of codes; see `asymcert.texts.codes.packed`.

        Raises
        ------
        InputError
            A row that begins with no window, or codes that are none.
        """
        codes = x.double() * UNIT
        numbers = codes.round().long()
        if not bool((numbers == codes).all() and ((numbers >= 0) & (numbers <= UNIT)).all()):
            raise refuse("x", f"made of whole multiples of 1/{UNIT} in [0, 1]", "other numbers", "Encode the texts.")
        begins = numbers > UNIT - KINDS
        if x.shape[1] == 0 or not bool(begins[:, 0].all()):
            raise refuse("x", "texts that begin with a window", "others", "Encode the texts.")
        window = begins.flatten().cumsum(0) - 1
        filled = ((numbers > 0) & ~begins).flatten()
        owner = begins.nonzero()[:, 0]
        return cls(owner, UNIT - numbers[begins], window[filled], numbers.flatten()[filled] - 1)

    @property
    def whole(self) -> Tensor:
        """Bool (w,): windows that are all of a text."""
        return self.kind == WHOLE

    @property
    def sentences(self) -> Tensor:
        """Bool (w,): windows that are sentences of a text itself."""
        return self.kind == SENTENCE

    @property
    def starts(self) -> Tensor:
        """Int64 (w,): where the features of each window begin."""
        return torch.searchsorted(self.window, torch.arange(len(self.owner), device=self.window.device))

    def dense(self, features: int, dtype: torch.dtype, chosen: slice = slice(None)) -> Tensor:
        """Features of the chosen windows, 0 or 1: (w, features)."""
        first, last, _ = chosen.indices(len(self.owner))
        ends = torch.searchsorted(self.window, torch.tensor([first, last], device=self.window.device))
        window, feature = self.window[ends[0] : ends[1]], self.feature[ends[0] : ends[1]]
        rows = torch.zeros(last - first, features, dtype=dtype, device=self.window.device)
        rows[window - first, feature] = 1.0
        return rows

    def only(self, chosen: Tensor) -> WindowCodes:
        """The windows of these ascending numbers, int64 (k,)."""
        place = torch.full_like(self.owner, -1).index_copy(0, chosen, torch.arange(len(chosen), device=chosen.device))
        window = place[self.window]
        inside = window >= 0
        return WindowCodes(self.owner[chosen], self.kind[chosen], window[inside], self.feature[inside])

    def thinned(self, kept: Tensor) -> WindowCodes:
        """The windows with some of their features, those of bool (m,)."""
        return WindowCodes(self.owner, self.kind, self.window[kept], self.feature[kept])

    def best(self, values: Tensor) -> Tensor:
        """The first window of each text at which the values (w,) are greatest: int64 (n,)."""
        attains = values == self.greatest(values, int(self.owner[-1]) + 1)[self.owner]
        window = attains.nonzero()[:, 0]
        owner = self.owner[window]
        return window[torch.searchsorted(owner, owner.unique())]

    def greatest(self, values: Tensor, texts: int) -> Tensor:
        """Greatest of the values (w,) of each text's windows: (n,)."""
        start = torch.full((texts,), -math.inf, dtype=values.dtype, device=values.device)
        return start.scatter_reduce(0, self.owner, values, "amax")


class TextClassifier(BinaryClassifier):
    """Says *sensitive* when the greatest score of a text's windows is above the threshold.

    Inputs (n, L) list the features of windows, see `asymcert.texts.codes.packed`; rows of any length L are taken. A
    maximum of convex functions is convex: what certifies one window certifies the text.

    Parameters
    ----------
    score
        The convex network on binary features (F,).
    threshold, input_shape, sensitive, other, scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        As `BinaryClassifier`, or a score that is not convex or not on a list of features.
    """

    def __init__(self, score: ConvexScore, threshold: float = 0.0, *, input_shape: tuple[int, ...], **named: Any):
        super().__init__(input_shape, threshold, **named)
        score.check_convex()
        folded = score.fold()
        if not isinstance(folded, ConvexMLP) or len(folded.input_shape) != 1:
            raise refuse("score", "a ConvexMLP on features (F,)", type(score).__name__)
        self.score = folded

    @property
    def features(self) -> int:
        """Number F of features."""
        return self.score.input_shape[0]

    def checked(self, x: Tensor) -> Tensor:
        """As `BinaryClassifier.checked`, with rows of any length."""
        shape = tuple(x.shape[1:]) if isinstance(x, Tensor) and x.ndim == 2 else self.input_shape
        return check_inputs(x, shape)

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch: (n, L) -> (n,)."""
        windows = WindowCodes.of(x)
        if bool((windows.feature >= self.features).any()):
            raise refuse(
                "x", f"of the {self.features} features of the model", "greater numbers", "Encode by its column."
            )
        return windows.greatest(self.score.of_sets(windows.feature, windows.starts), len(x)) - self.threshold

    @property
    def least_threshold(self) -> float:
        """The score of the empty text, so that it is never sensitive."""
        none = torch.zeros(1, dtype=torch.int64, device=self.device)
        return float(self.score.of_sets(none[:0], none))

    @property
    def inner(self) -> FeatureConvexClassifier:
        """The same score and threshold on one window's features, 0 or 1: (n, F)."""
        return FeatureConvexClassifier(
            Identity(),
            self.score,
            self.threshold,
            input_shape=(self.features,),
            sensitive=self.sensitive,
            other=self.other,
        ).to(self.dtype)

    @property
    def activations(self) -> int:
        """Codes, and two values a hidden unit for as many windows as usual texts have."""
        width = self.input_shape[0]
        return width + 2 * sum(self.score.hidden_widths) * max(1, width // CODES_PER_WINDOW)

    def parts(self) -> dict[str, Any]:
        """The score."""
        return {"score": describe_score(self.score)}

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        score = restored_score(metadata["score"], grouped(tensors)["score"])
        return cls(score, input_shape=tuple(metadata["input_shape"]), **described(metadata))
