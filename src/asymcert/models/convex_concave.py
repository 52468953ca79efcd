"""The many-class form: one convex logit against concave ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import refuse
from asymcert.convex import ConvexScore
from asymcert.convex.base import freeze
from asymcert.datasets.scaling import TableScaling
from asymcert.features import FeatureMap
from asymcert.models.base import BinaryClassifier, described
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.parts import build_map, describe_map, describe_score, grouped, restored_score


class SumScore(ConvexScore):
    """``g(v) = first(v) + second(v)``: convex, as both are.

    Parameters
    ----------
    first, second
        Convex networks of one input shape.
    """

    def __init__(self, first: ConvexScore, second: ConvexScore):
        super().__init__()
        self.first, self.second, self.input_shape = first, second, first.input_shape

    def forward(self, features: Tensor) -> Tensor:
        """(n, *input_shape) -> (n,)."""
        return self.first(features) + self.second(features)

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Those of both."""
        for name, score in (("first", self.first), ("second", self.second)):
            yield from ((f"{name}.{inner}", weight) for inner, weight in score.nonnegative())

    @property
    def activations(self) -> int:
        """Those of both."""
        return self.first.activations + self.second.activations

    @property
    def operations(self) -> int:
        """Those of the longer one, and the sum's."""
        return max(self.first.operations, self.second.operations) + 1

    @property
    def backward_operations(self) -> int:
        """Those of the longer one, and the sum's."""
        return max(self.first.backward_operations, self.second.backward_operations) + 1

    def options(self) -> dict[str, Any]:
        """The input's shape; the networks are described by whoever saves them."""
        return {"input_shape": self.first.options()["input_shape"]}

    def fold(self) -> Self:
        """The sum of the folded networks."""
        folded = type(self)(self.first.fold(), self.second.fold())
        freeze(folded)
        return folded


class ConvexConcaveClassifier(BinaryClassifier):
    """Says *sensitive* when the convex logit beats every concave one by more than the threshold.

    Logits are ``f_0 = g_0(phi(x))`` of the sensitive class and ``f_k = -g_k(phi(x))`` of the others, all g convex. The
    margin ``f_0 - max_k f_k - threshold = min_k (g_0 + g_k)(phi(x)) - threshold`` is no convex function, but each of
    those sums is: `pairs` gives them as feature-convex classifiers, and sensitive means that all of them say so.

    Parameters
    ----------
    feature_map
        The map phi that all logits share.
    convex
        The network g_0.
    concave
        The networks g_k whose negatives are the other logits.
    threshold
        Finite.
    classes
        Names: the sensitive class, then one for each concave logit.
    input_shape, scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        No concave logit, names that do not fit, networks that do not fit the features, or weights that convexity
        needs nonnegative and are not.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix A.
    """

    def __init__(
        self,
        feature_map: FeatureMap,
        convex: ConvexScore,
        concave: Sequence[ConvexScore],
        threshold: float = 0.0,
        *,
        input_shape: tuple[int, ...],
        classes: Sequence[str],
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        if not concave or len(classes) != len(concave) + 1:
            must_be = "a name for the sensitive class and one for each of at least one concave logit"
            raise refuse("classes", must_be, f"{len(classes)} names for {len(concave)} concave logits")
        other = "/".join(classes[1:])
        super().__init__(input_shape, threshold, sensitive=classes[0], other=other, scaling=scaling, info=info)
        self.feature_map = copy.deepcopy(feature_map).double().eval().requires_grad_(False)
        features = self.feature_map.output_shape(self.input_shape)
        for score in (convex, *concave):
            _check_score(score, features)
        self.classes = tuple(classes)
        self.convex = convex.fold()
        self.concave = nn.ModuleList(score.fold() for score in concave)

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        logits = self._logits(x)
        return logits[:, 0] - logits[:, 1:].amax(1) - self.threshold

    def logits(self, x: Tensor) -> Tensor:
        """Logits of a batch of any size: (n, *input_shape) -> (n, classes), the sensitive class first."""
        return self.over_chunks(self._logits, x)

    def pairs(self) -> list[FeatureConvexClassifier]:
        """One feature-convex classifier for each concave logit, in the type that this one runs in.

        Rounding bounds of such a sum, made for any order of additions, cover what this classifier computes: rounding is
        monotone, so it commutes with the maximum.
        """
        shape, names = self.input_shape, self.classes
        return [
            FeatureConvexClassifier(
                self.feature_map,
                SumScore(self.convex, score),  # pyright: ignore[reportArgumentType]
                self.threshold,
                input_shape=shape,
                sensitive=names[0],
                other=name,
            ).to(self.device, self.dtype)
            for name, score in zip(names[1:], self.concave, strict=True)
        ]

    @property
    def activations(self) -> int:
        """Values that one sample's forward and backward pass keeps."""
        scores = (self.convex, *self.concave)
        return self.feature_map.activations + sum(score.activations for score in scores)  # pyright: ignore

    def parts(self) -> dict[str, Any]:
        """The feature map, the networks and the classes' names."""
        return {
            "feature_map": describe_map(self.feature_map),
            "convex": describe_score(self.convex),
            "concave": [describe_score(score) for score in self.concave],  # pyright: ignore[reportArgumentType]
            "names": self.classes,
        }

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        parts = grouped(tensors)
        feature_map = build_map(metadata["feature_map"], parts["feature_map"])
        convex, others = restored_score(metadata["convex"], parts["convex"]), grouped(parts["concave"])
        concave = [restored_score(part, others[str(index)]) for index, part in enumerate(metadata["concave"])]
        common = {name: described(metadata)[name] for name in ("threshold", "scaling", "info")}
        shape, names = tuple(metadata["input_shape"]), tuple(metadata["names"])
        return cls(feature_map, convex, concave, input_shape=shape, classes=names, **common)

    def _logits(self, x: Tensor) -> Tensor:
        features = self.feature_map(x)
        return torch.stack((self.convex(features), *(-score(features) for score in self.concave)), dim=1)


def _check_score(score: ConvexScore, features: tuple[int, ...]) -> None:
    if not isinstance(score, ConvexScore) or tuple(score.input_shape) != features:
        raise refuse("convex, concave", f"convex networks on features of shape {features}", type(score).__name__)
    score.check_convex()
