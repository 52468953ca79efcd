"""Training of classifiers of texts."""

from __future__ import annotations

import copy
import math
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from asymcert.convex import ConvexMLP
from asymcert.datasets import BinaryData
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.models.thresholds import accuracies, choose_threshold
from asymcert.threats.table_words import word_edits
from asymcert.training.kind import Kind
from asymcert.training.losses import Weighing, classification_loss
from asymcert.training.objective import Objective
from asymcert.training.text_config import PRESETS, TextConfig, for_texts
from asymcert.training.words import WordFalls

START = 0.02  # standard deviation of the weights of features at the start
VALIDATED = 256  # texts at a time


class TextScore(Objective):
    """The greatest convex score of a text's windows, and how far it falls by the worst edits of words."""

    recipe: TextConfig
    score: ConvexMLP
    falls: WordFalls | None = None
    share = 0.0  # how much of the fall counts yet

    def meet(self, data: BinaryData) -> Self:
        """Learn the features, and how rare the classes are."""
        assert data.scaling is not None
        column = data.scaling.windows
        assert column is not None
        vocabulary = column.encoder.vocabulary
        falling = {"none": True, "parts": vocabulary.plain, "all": False}[self.recipe.rising]
        rises = ~(falling & np.ones(len(vocabulary), bool))
        self.score = started(ConvexMLP((len(vocabulary),), self.recipe.hidden, signs=rises.astype(int).tolist()))
        if self.recipe.adversaries:
            known = [(word_edits([column], kinds), count) for kinds, count, _ in self.recipe.adversaries]
            self.falls = WordFalls(known, torch.from_numpy(rises))
        others = float((~data.train.y).sum() / data.train.y.sum())  # to one sensitive text
        self.weighing = Weighing(self.recipe.label_smoothing, (1.0, self.recipe.sensitive_weight * others))
        return self

    def advance(self, progress: float) -> None:
        """The fall grows over the warm-up."""
        self.share = min(1.0, progress / self.recipe.warmup) if self.recipe.warmup > 0 else 1.0

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Cross-entropy after the worst edits of sensitive texts, as far as they count yet."""
        windows, sensitive = WindowCodes.of(x), labels.bool()
        kept = torch.rand(len(windows.feature), generator=draws, device=x.device) >= self.recipe.dropout
        scores, falls = self.planes(windows.thinned(kept), sensitive)
        loss = classification_loss(scores, sensitive, self.weighing)
        if not falls:
            return loss
        rows = sensitive.nonzero()[:, 0]
        moved = [scores.index_add(0, rows, -self.share * fall) for fall in falls]
        edited = torch.stack([classification_loss(each, sensitive, self.weighing) for each in moved])
        weights = edited.new_tensor([weight for _, _, weight in self.recipe.adversaries])
        return torch.lerp(loss, edited @ weights, self.recipe.words_weight)

    def planes(self, windows: WindowCodes, chosen: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores (n,) of texts, and how far those of `chosen` ones, bool (n,), fall by each adversary's worst edits."""
        table = self.score.table
        every = nn.functional.embedding_bag(windows.feature, table, windows.starts, mode="sum")
        best = windows.best(self.score.of_sums(every.detach()))
        sums = every[best]
        scores = self.score.of_sums(sums)
        if self.falls is None:
            return scores, []
        (slope,) = torch.autograd.grad(scores.sum(), sums, create_graph=True)
        return scores, self.falls(slope[chosen], table, windows.only(best[chosen]))

    def optimizer(self) -> torch.optim.Optimizer:
        """Of the weights, those of features alone decay."""
        features = [weight for _, weight in self.score.from_input()]
        others = [weight for weight in self.parameters() if not any(weight is own for own in features)]
        return self.recipe.optimizer_for([{"params": features}, {"params": others, "weight_decay": 0.0}])

    def project_(self) -> None:
        """The score's."""
        self.score.project_()

    def validate(self, x: Tensor, labels: Tensor) -> dict[str, Any]:
        """Accuracies at the ``threshold`` chosen on the same data.

        ``certified`` is the share of sensitive texts that stay flagged under all edits of an adversary of training, by
        their tangent planes, averaged over these.
        """
        sensitive = labels.bool()
        scores, outlasted = [], []
        for codes, chosen in zip(x.split(VALIDATED), sensitive.split(VALIDATED), strict=True):
            score, falls = self.planes(WindowCodes.of(codes), chosen)
            scores.append(score.detach())
            outlasted.append(torch.stack([score[chosen] - fall for fall in falls or [0.0]]).detach())
        score, edited = torch.cat(scores).double().cpu(), torch.cat(outlasted, 1).double().cpu()
        sensitive = sensitive.cpu()
        threshold = choose_threshold(self.recipe.false_positive_rate, score, sensitive)
        certified = float((edited > threshold).double().mean())
        return {"threshold": threshold, **accuracies(score, sensitive, threshold), "certified": certified}

    def deploy(self, classes: tuple[str, ...]) -> TextClassifier:
        """Folded, in float64."""
        return TextClassifier(copy.deepcopy(self.score).cpu(), input_shape=self.input_shape, **self.names(classes))


@torch.no_grad()
def started(score: ConvexMLP) -> ConvexMLP:
    """The score with weights that suit binary features, of which a text has a few: drawn by torch's generator."""
    raises = torch.tensor(score.signs, dtype=torch.bool)
    for name, weight in score.from_input():
        nn.init.normal_(weight, std=START if name == "first" else 0.0)
        weight[:, raises] = weight[:, raises].abs() / 2
    nn.init.zeros_(score.first.bias)
    for layer in score.layers[1:]:
        nn.init.constant_(layer.weight, 1.0 / math.sqrt(layer.in_features))
        nn.init.zeros_(layer.bias)
    return score


TEXT = Kind("text", TextConfig, TextScore, PRESETS, for_texts, texts=True)
