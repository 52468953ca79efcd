"""Classifiers that see a few columns of each sample, drawn at random."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from asymcert._checks import check_count, refuse
from asymcert.models.noisy import NoisyClassifier
from asymcert.models.trees import TreeClassifier, Trees, one_part

ABLATED = -1.0  # what stands for a value that is not shown: trees can tell it from all inputs, which are in [0, 1]


class AblatedClassifier(NoisyClassifier, TreeClassifier):
    """Says *sensitive* when most draws of `kept` columns do: ``P(base(x on these columns) > threshold) > 1/2``.

    Or more than another share of them, see `with_share`. The base is a sum of trees, trained on samples of which all
    other columns are ablated. The probability is estimated from draws, see `NoisyClassifier`; `Ablation` decides and
    certifies, or abstains.

    Parameters
    ----------
    trees
        The base.
    groups
        Int64 (d,): the column of each input, 0 to G - 1.
    kept
        Columns that a draw shows, fewer than G.
    threshold, sensitive, other, scaling, info
        As in `BinaryClassifier`; the threshold is of the base's log-odds.

    Raises
    ------
    InputError
        The groups are of another length or leave a number out, or `kept` is out of range.

    Source: Levine and Feizi, Robustness Certificates for Sparse Adversarial Attacks by Randomized Ablation, AAAI 2020.
    """

    groups: Tensor

    def __init__(self, trees: Trees, groups: Tensor, kept: int, threshold: float = 0.0, **named: Any):
        super().__init__(one_part(trees), threshold, **named)
        check_count("kept", kept)
        found = groups.unique()
        if tuple(groups.shape) != self.input_shape or not torch.equal(found, torch.arange(len(found)).to(found)):
            raise refuse("groups", f"{self.input_shape} whole numbers from 0 on, none left out", "others")
        if kept >= len(found):
            raise refuse("kept", f"fewer than the {len(found)} columns", kept)
        self.columns, self.kept = len(found), int(kept)
        self.register_buffer("groups", groups.long())

    def forward(self, x: Tensor) -> Tensor:
        """Margins of the base, of samples as they are: (n, d) -> (n,)."""
        return self.trees(x)[:, 0] - self.threshold

    def noisy(self, sample: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Copies of which all but `kept` columns, drawn anew for each, are ablated."""
        shown = shown_columns(count, self.columns, self.kept, generator)[:, self.groups]
        return torch.where(shown, sample, ABLATED)

    def parts(self) -> dict[str, Any]:
        """The number of inputs and of columns kept, and the share."""
        return super().parts() | {"kept": self.kept} | self._share_part()

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        return super().from_contents(tensors, metadata)._shared_as(metadata)

    @classmethod
    def arguments(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> dict[str, Any]:
        """As in `TreeClassifier`."""
        return super().arguments(tensors, metadata) | {"groups": tensors["groups"], "kept": metadata["kept"]}


def shown_columns(count: int, columns: int, kept: int, generator: torch.Generator) -> Tensor:
    """Sets of `kept` of the columns, drawn independently, all equally likely: bool (count, columns)."""
    order = torch.rand(count, columns, generator=generator, device=generator.device).argsort(1)
    return torch.zeros_like(order, dtype=torch.bool).scatter_(1, order[:, :kept], True)
