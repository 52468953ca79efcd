"""What all tangent planes of one classifier share."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from asymcert._checks import check_inputs, refuse
from asymcert.certify.closed_form import in_float64
from asymcert.certify.coordinates import coordinates_of
from asymcert.certify.drops import Pieces
from asymcert.certify.rounding import Rounding
from asymcert.certify.words import check_edits
from asymcert.features import CoordinatewiseMap, shape_after, split_linear
from asymcert.models.base import CHUNK_VALUES
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

CACHED_VALUES = 2**22  # per chunk on a CPU: fewer, and calls cost most of the time; more, and nothing stays in caches


class Planes:
    """What all cuts of one classifier share: its float64 form, its rounding, the pieces of its feature map.

    Raises
    ------
    InputError
        The feature map is not coordinatewise, nor is it after a low-pass.
    """

    def __init__(self, model: FeatureConvexClassifier, sound: bool):
        self.model = in_float64(model)
        maps, rest = split_linear(self.model.feature_map)
        if not isinstance(rest, CoordinatewiseMap) or not rest.coordinatewise:
            got = f"{type(model.feature_map).__name__}, whose features mix inputs"
            raise refuse("model", "one with a coordinatewise feature map", got, "Use method='closed-form'.")
        self.rounding = Rounding(self.model, model.dtype) if sound else None
        self.mixes = bool(maps)
        self.pieces = Pieces(rest, shape_after(maps, self.model.input_shape))
        self.coordinates = coordinates_of(maps, self.model.input_shape, affine=not len(self.pieces.knots))

    def check(self, threat: ThreatModel) -> None:
        """Refuse an adversary whom no cut of this classifier says anything about, whatever the inputs."""
        if threat.norm == 0 and self.mixes:
            remedy = "Train one without `levels` and `bands`, or measure changes in l1."
            raise refuse("threat", "of a norm from 1 on for a model with a low-pass or bands", "norm 0", remedy)
        if threat.norm == 0:
            threat.columns(self.model.input_shape)
        if threat.edits is not None:
            check_edits(threat.edits)

    def chunks(self, x: Tensor, cuts: int = 1) -> Iterator[Tensor]:
        """Checked float64 inputs in pieces of bounded memory, for so many cuts."""
        shape = self.model.input_shape
        features = max(math.prod(self.model.feature_map.output_shape(shape)), math.prod(shape))
        values = cuts * features + 8 * (len(self.pieces.knots) + 1) * self.pieces.inputs
        budget = CACHED_VALUES if self.model.device.type == "cpu" else CHUNK_VALUES
        size = max(1, budget // max(values, self.model.score.activations))
        for chunk in check_inputs(x, self.model.input_shape).split(size):
            yield chunk.to(self.model.device, torch.float64)
