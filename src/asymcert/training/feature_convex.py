"""Training of feature-convex classifiers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from asymcert._checks import check_choice
from asymcert._floats import NORMS, norm_name
from asymcert.certify.closed_form import slope_bound, tangent_plane
from asymcert.convex import ConvexConvNet, ConvexEnsemble, MirroredScore, symmetrise
from asymcert.datasets import BinaryData
from asymcert.features import Ramps
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.thresholds import accuracies, choose_threshold
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat
from asymcert.training.columns import ColumnFalls
from asymcert.training.config import TrainConfig
from asymcert.training.falls import TangentFalls
from asymcert.training.kind import Kind
from asymcert.training.losses import (
    Steepness,
    Weighing,
    certified_loss,
    classification_loss,
    needs_gradient,
    training_loss,
)
from asymcert.training.objective import Objective
from asymcert.training.parts import build_map, build_score, mirrored, standardise
from asymcert.training.presets import PRESETS, for_rows

STANDARDISED = 1000  # training samples that a standardised initialisation measures


class FeatureConvex(Objective):
    """A convex score of features, with the loss that its recipe names."""

    recipe: TrainConfig

    def __init__(self, recipe: TrainConfig, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.feature_map = build_map(recipe, x)
        self.score = build_score(recipe, self.feature_map.output_shape(self.input_shape))
        if recipe.initialisation == "standardised":
            standardise(self.score, self.feature_map(x[torch.randperm(len(x))[:STANDARDISED]]))
        if recipe.mirror and not isinstance(self.score, ConvexConvNet):
            self.score = mirrored(self.score, self.feature_map, self.input_shape)
        self.falls: TangentFalls | None = None
        if recipe.loss == "tangent":
            self.falls = TangentFalls(self.feature_map, self.input_shape, recipe.targets)
        self.steepness = {norm: Steepness.of(self.feature_map, norm) for norm in NORMS}
        self.share = 0.0  # how much of the part that acts on the gradient counts yet
        self.weighing = Weighing(recipe.label_smoothing) if recipe.label_smoothing else None
        self._group(torch.arange(self.input_shape[0]))

    def meet(self, data: BinaryData) -> Self:
        """Which inputs are one column, which of them have a sign, and how rare the classes are.

        Without a scaling every input is a column, called by its number from 0.
        """
        table = None if data.scaling is None else TableThreat(data.scaling)
        if table is not None:
            self._group(table.groups)
        signs = torch.zeros(self.input_shape[0], dtype=torch.int64)
        for field, sign in (("increasing", 1), ("decreasing", -1)):
            names = getattr(self.recipe, field)
            chosen = _numbered(field, names, len(signs)) if table is None else table.mask(field, names, ordered=True)
            signs[chosen] = sign
        if bool(signs.any()):
            assert isinstance(self.feature_map, Ramps)
            assert not isinstance(self.score, ConvexConvNet | MirroredScore)
            self.score.set_signs(signs[self.feature_map.source.long()].tolist())
        if self.recipe.class_weight == "balanced":
            other, sensitive = (len(data.train) / (2.0 * torch.bincount(data.train.y.long(), minlength=2))).tolist()
            self.weighing = Weighing(self.recipe.label_smoothing, (other, sensitive))
        return self

    def _group(self, columns: Tensor) -> None:
        """Take the column of each input, int64 (d,)."""
        if self.recipe.target_columns:
            assert isinstance(self.feature_map, Ramps)
            self.column_falls = ColumnFalls(self.feature_map, columns, self.recipe.target_columns)

    def advance(self, progress: float) -> None:
        """Terms of the gradient grow over the warm-up."""
        self.share = min(1.0, progress / self.recipe.warmup) if self.recipe.warmup > 0 else 1.0

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `training_loss`; the fall by columns is that of the average of all members."""
        sensitive = labels.bool()
        if self.recipe.target_columns:
            return self._columns_loss(x[sensitive], x[~sensitive], draws)
        features = self.feature_map(x)
        if self.recipe.dropout:
            features = features * self._kept(features, draws)
        if not needs_gradient(self.recipe):
            return classification_loss(self._scores(features), sensitive, self.weighing)
        features.requires_grad_(True)
        scores = self._scores(features)
        deployed = _average(scores)
        if self.recipe.batch_norm:  # samples depend on each other in training mode: regularise what is deployed
            self.score.eval()
            deployed = self.score(features)
            self.score.train()
        (gradient,) = torch.autograd.grad(deployed.sum(), features, create_graph=True)
        if self.falls is not None:
            fall = self.share * self.falls.greatest(gradient, x)
            return certified_loss(scores, fall, sensitive, self.recipe.sensitive_only, self.weighing)
        return training_loss(
            self.recipe, scores, deployed, gradient, sensitive, self.steepness, self.share, self.weighing
        )

    def _columns_loss(self, sensitive: Tensor, other: Tensor, draws: torch.Generator) -> Tensor:
        """Cross-entropy after the worst change of a few columns of sensitive samples, as far as it counts yet."""
        features, count = self.feature_map(torch.cat((sensitive, other))), len(sensitive)
        kept = self._kept(features, draws)
        inputs = features * kept
        attacked = inputs[:count].requires_grad_(True)
        scores = self._scores(attacked), self._scores(inputs[count:])
        (slope,) = torch.autograd.grad(_average(scores[0]).sum(), attacked, create_graph=True)
        slope = slope * kept[:count]
        fall = (slope * self.column_falls.directions(slope.detach(), features[:count])).sum(1)
        moved = scores[0] - self.share * self.recipe.columns_weight * fall
        labels = torch.arange(len(features), device=features.device) < count
        return classification_loss(torch.cat((moved, scores[1]), -1), labels, self.weighing)

    def _kept(self, features: Tensor, draws: torch.Generator) -> Tensor:
        """What features are multiplied with: 0 where they are left out, else what makes up for those."""
        rate = 1.0 - self.recipe.dropout
        drawn = torch.rand(features.shape, generator=draws, dtype=features.dtype, device=features.device)
        return (drawn < rate) / rate

    def _scores(self, features: Tensor) -> Tensor:
        """(n,), or those of all members, (members, n)."""
        score = self.score
        return score.members(features) if isinstance(score, ConvexEnsemble | MirroredScore) else score(features)

    def project_(self) -> None:
        """The score's."""
        self.score.project_()

    def validate(self, x: Tensor, labels: Tensor) -> dict[str, Any]:
        """Accuracies and radii of what would be deployed, at the ``threshold`` chosen on the same data.

        ``medians`` of the closed-form radius are over the sensitive class, wrong predictions counting 0, by norm's
        name; ``certified`` is its certified accuracy at the target radii, averaged over norms, or under any change
        of the target number of columns.
        """
        model, sensitive = self.deploy(("other", "sensitive")).float(), labels.bool().cpu()
        threats = [ThreatModel(norm) for norm in NORMS]
        scores, slopes, falls = [], [], []
        for chunk in model.chunks(x.cpu()):
            margin, gradient = tangent_plane(model, chunk)
            scores.append(margin.double() + model.threshold)
            size = gradient.double().abs().flatten(1)
            slopes.append(torch.stack([slope_bound(model, size, threat) for threat in threats]))
            if self.recipe.target_columns:
                falls.append((gradient * self.column_falls.directions(gradient, model.feature_map(chunk))).sum(1))
        score, slope = torch.cat(scores).cpu(), torch.cat(slopes, dim=1).cpu()
        threshold = choose_threshold(self.recipe.false_positive_rate, score, sensitive)
        reached = torch.where(score > threshold, (score - threshold) / slope, 0.0)
        radii = reached[:, sensitive]  # (norms, sensitive samples)
        targets = self.recipe.targets or {2.0: float(radii[1].median())}
        if falls:
            certified = [(score - threshold > torch.cat(falls))[sensitive].double().mean()]
        else:
            certified = [(radii[NORMS.index(norm)] > target).double().mean() for norm, target in targets.items()]
        return {
            "threshold": threshold,
            **accuracies(score, sensitive, threshold),
            "medians": {norm_name(norm): float(row.median()) for norm, row in zip(NORMS, radii, strict=True)},
            "certified": float(torch.stack(certified).mean()),
        }

    def deploy(self, classes: tuple[str, ...]) -> FeatureConvexClassifier:
        """Folded, in float64."""
        feature_map, score = copy.deepcopy(self.feature_map).cpu(), copy.deepcopy(self.score).cpu()
        mirror = self.recipe.mirror and isinstance(score, ConvexConvNet)
        symmetric = symmetrise(score.fold() if isinstance(score, MirroredScore) else score, mirror, self.recipe.shift)
        return FeatureConvexClassifier(feature_map, symmetric, input_shape=self.input_shape, **self.names(classes))


def _numbered(field: str, names: Sequence[str], count: int) -> Tensor:
    """Inputs that are called by their number from 0: bool (count,)."""
    known = [str(index) for index in range(count)]
    for name in names:
        check_choice(field, name, known)
    return torch.tensor([name in names for name in known])


def _average(scores: Tensor) -> Tensor:
    """Scores of the average of all members, which they may be already: (n,) or (members, n) -> (n,)."""
    return scores.mean(0) if scores.ndim > 1 else scores


FEATURE_CONVEX = Kind("feature-convex", TrainConfig, FeatureConvex, PRESETS, for_rows)
