"""The feature-convex classifier: a Lipschitz map, a convex score, a threshold."""

from __future__ import annotations

import copy
from typing import Any, Self

from torch import Tensor

from asymcert._checks import refuse
from asymcert.convex import ConvexScore
from asymcert.datasets.scaling import TableScaling
from asymcert.features import CoordinatewiseMap, FeatureMap
from asymcert.models.base import BinaryClassifier, described
from asymcert.models.parts import build_map, describe_map, describe_score, grouped, restored_score


class FeatureConvexClassifier(BinaryClassifier):
    """Says *sensitive* when ``margin(x) = g(phi(x)) - threshold > 0``; a tie is not sensitive.

    The score is folded, frozen and held in float64: what is saved is what runs and what is certified. Call
    ``.float()`` to run it in single precision.

    Parameters
    ----------
    feature_map
        The map phi.
    score
        The convex network g, on features of shape ``feature_map.output_shape(input_shape)``.
    threshold
        Finite; balanced on validation data by training.
    input_shape, sensitive, other, scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        A weight that convexity needs nonnegative is negative, a weight is not finite, or shapes do not fit.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, Definition 2.1.
    """

    def __init__(
        self,
        feature_map: FeatureMap,
        score: ConvexScore,
        threshold: float = 0.0,
        *,
        input_shape: tuple[int, ...],
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__(input_shape, threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        features = feature_map.output_shape(self.input_shape)
        expected = tuple(score.input_shape)
        if features != expected:
            remedy = "Build the score with input_shape=feature_map.output_shape(input_shape)."
            raise refuse("score", f"a network on features of shape {features}", f"one on {expected}", remedy)
        score.check_convex()
        self.feature_map = copy.deepcopy(feature_map.fold()).double().eval().requires_grad_(False)
        self.score = score.fold()

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        return self.score(self.feature_map(x)) - self.threshold

    @property
    def activations(self) -> int:
        """Values that one sample's forward and backward pass keeps."""
        return self.score.activations + self.feature_map.activations

    def bends(self) -> Tensor:
        """Knots of a coordinatewise map."""
        mapped = self.feature_map
        if not isinstance(mapped, CoordinatewiseMap) or not mapped.coordinatewise:
            return super().bends()
        return mapped.knots(self.input_shape)

    def parts(self) -> dict[str, Any]:
        """The feature map and the score."""
        return {"feature_map": describe_map(self.feature_map), "score": describe_score(self.score)}

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        parts = grouped(tensors)
        feature_map = build_map(metadata["feature_map"], parts["feature_map"])
        score = restored_score(metadata["score"], parts["score"])
        return cls(feature_map, score, input_shape=tuple(metadata["input_shape"]), **described(metadata))
