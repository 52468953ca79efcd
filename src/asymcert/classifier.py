"""The feature-convex classifier: a Lipschitz map, a convex score, a threshold."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import check_inputs, refuse
from asymcert.convex import ConvexScore
from asymcert.datasets.scaling import TableScaling
from asymcert.features import FeatureMap

CHUNK_VALUES = 2**23  # values that one chunk of a batch may keep: 64 MB in float64


class FeatureConvexClassifier(nn.Module):
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
    input_shape
        Shape of one sample.
    sensitive, other
        Names of the two classes.
    scaling
        How a table's columns became inputs, so that radii can be given in the user's units.
    info
        JSON-able facts about the model's origin (preset, seed, data digest).

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
        super().__init__()
        if not math.isfinite(threshold):
            raise refuse("threshold", "finite", threshold)
        self.input_shape = tuple(input_shape)
        features = feature_map.output_shape(self.input_shape)
        expected = tuple(score.options()["input_shape"])
        if features != expected:
            remedy = "Build the score with input_shape=feature_map.output_shape(input_shape)."
            raise refuse("score", f"a network on features of shape {features}", f"one on {expected}", remedy)
        score.check_convex()
        self.feature_map = copy.deepcopy(feature_map).double().eval().requires_grad_(False)
        self.score = score.fold()
        self.threshold = float(threshold)
        self.sensitive, self.other = sensitive, other
        self.scaling, self.info = scaling, dict(info or {})

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type the classifier runs in."""
        return next(self.score.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Device the classifier runs on."""
        return next(self.score.parameters()).device

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        return self.score(self.feature_map(x)) - self.threshold

    def chunks(self, x: Tensor) -> Iterator[Tensor]:
        """Checked inputs in the model's type and on its device, in pieces of bounded memory.

        Raises
        ------
        InputError
            `x` is not a finite tensor of shape (n, *input_shape).
        """
        x = check_inputs(x, self.input_shape)
        for chunk in x.split(max(1, CHUNK_VALUES // self.score.activations)):
            yield chunk.to(self.device, self.dtype)

    @torch.no_grad()
    def margin(self, x: Tensor) -> Tensor:
        """``g(phi(x)) - threshold`` for a batch of any size: (n, *input_shape) -> (n,) on the model's device."""
        parts = [self(chunk) for chunk in self.chunks(x)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=self.dtype, device=self.device)

    def predict(self, x: Tensor) -> Tensor:
        """Whether each sample is sensitive: (n, *input_shape) -> bool (n,)."""
        return self.margin(x) > 0

    def with_threshold(self, threshold: float) -> FeatureConvexClassifier:
        """The same classifier with another threshold; map and score are shared."""
        if not math.isfinite(threshold):
            raise refuse("threshold", "finite", threshold)
        other = copy.copy(self)
        other.threshold = float(threshold)
        return other

    @property
    def digest(self) -> str:
        """SHA-256 of architecture, weights, threshold and class names; what result rows refer to."""
        from asymcert.model_file import model_digest

        return model_digest(self)

    def save(self, path: str | Path) -> None:
        """Write the model as safetensors with JSON metadata, replacing the file in one step."""
        from asymcert.model_file import save_model

        save_model(self, path)

    @staticmethod
    def load(path: str | Path) -> FeatureConvexClassifier:
        """Read a model that `save` wrote.

        Raises
        ------
        ModelFileError
            The file is damaged, was tampered with, comes from an unknown version, or breaks convexity.
        """
        from asymcert.model_file import load_model

        return load_model(path)
