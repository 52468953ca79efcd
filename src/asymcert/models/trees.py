"""Classifiers made of decision trees: a sum of trees, and a vote of sums that see disjoint columns."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import check_count, check_finite, refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.models.base import BinaryClassifier, described
from asymcert.models.parts import grouped

WHOLE = ("feature", "left", "right", "root", "part")  # arrays of whole numbers


class Trees(nn.Module):
    """Decision trees as plain arrays, added up in P parts: (n, d) -> (n, P).

    The N nodes of all T trees stand one after another. An input below a node's split goes left, any other one right;
    a leaf is its own child.

    Parameters
    ----------
    inputs
        d.
    feature, left, right
        Int64 (N,): the input that a node looks at, and its children, which stand after it.
    split, value
        Float64 (N,); the values of leaves add up.
    root, part
        Int64 (T,): each tree's first node, ascending from 0, and the sum that it belongs to.
    base
        Float64 (P,): what is added to each sum.

    Raises
    ------
    InputError
        The arrays disagree, are not finite, or describe no trees.
    """

    feature: Tensor
    left: Tensor
    right: Tensor
    split: Tensor
    value: Tensor
    root: Tensor
    part: Tensor
    base: Tensor

    def __init__(self, inputs: int, **arrays: Tensor):
        super().__init__()
        check_count("inputs", inputs)
        self.inputs = int(inputs)
        for name in ("feature", "left", "right", "split", "value", "root", "part", "base"):
            array = arrays[name].detach()
            check_finite(name, array)
            self.register_buffer(name, _whole(name, array) if name in WHOLE else array.double())
        _check_nodes(self)

    @classmethod
    def joined(
        cls, inputs: int, trees: Sequence[dict[str, Tensor]], part: Sequence[int], base: Sequence[float]
    ) -> Trees:
        """One ensemble of single trees, each a dictionary of the arrays of its own nodes, with their parts."""
        sizes = torch.tensor([len(tree["feature"]) for tree in trees])
        root = sizes.cumsum(0) - sizes
        arrays = {name: torch.cat([tree[name] for tree in trees]) for name in ("feature", "split", "value")}
        for name in ("left", "right"):
            arrays[name] = torch.cat([tree[name] + start for tree, start in zip(trees, root.tolist(), strict=True)])
        return cls(inputs, **arrays, root=root, part=torch.tensor(part), base=torch.tensor(base, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) -> float64 (n, P); the derivative by `x` is 0."""
        return self.total(self.value.double()[self.leaves(x.detach())]) + 0.0 * x.double().sum(1, keepdim=True)

    def leaves(self, x: Tensor) -> Tensor:
        """The leaf that each sample reaches in each tree: (n, d) -> int64 (n, T)."""
        node = self.root.expand(len(x), -1)
        while True:
            below = x.gather(1, self.feature[node]) < self.split[node]
            after = torch.where(below, self.left[node], self.right[node])
            if torch.equal(after, node):
                return node
            node = after

    def total(self, values: Tensor) -> Tensor:
        """Values of trees (n, T) added up by part: (n, P)."""
        sums = self.base.double().expand(len(values), -1).clone()
        return sums.index_add_(1, self.part, values)

    @property
    def owner(self) -> Tensor:
        """The tree of each node: int64 (N,)."""
        nodes = torch.arange(len(self.feature), device=self.root.device)
        return torch.searchsorted(self.root, nodes, right=True) - 1

    @property
    def leaf(self) -> Tensor:
        """Which nodes are leaves: bool (N,)."""
        return self.left == torch.arange(len(self.left), device=self.left.device)

    @property
    def uses(self) -> Tensor:
        """Which inputs each tree looks at: bool (T, d)."""
        inner, found = ~self.leaf, torch.zeros(len(self.root), self.inputs, dtype=torch.bool, device=self.root.device)
        found[self.owner[inner], self.feature[inner]] = True
        return found

    @property
    def least(self) -> Tensor:
        """The least leaf of each tree: float64 (T,)."""
        return -self._greatest(-self.value.double())

    @property
    def size(self) -> Tensor:
        """The greatest absolute value of each tree: float64 (T,)."""
        return self._greatest(self.value.double().abs())

    def _greatest(self, values: Tensor) -> Tensor:
        """Over the leaves of each tree: (N,) -> (T,)."""
        start = values.new_full((len(self.root),), -math.inf)
        return start.scatter_reduce_(0, self.owner, torch.where(self.leaf, values, -math.inf), "amax")


def _whole(name: str, array: Tensor) -> Tensor:
    """The array as int64, refused where it is not made of whole numbers that are not negative."""
    if not bool(((array == array.round()) & (array >= 0) & (array < 2**31)).all()):
        raise refuse(name, "made of whole numbers from 0 on", "others")
    return array.long()


def _check_nodes(trees: Trees) -> None:
    """Refuse arrays that are no trees: walks could leave them, or never end."""
    nodes, root, count = len(trees.feature), trees.root, len(trees.root)
    shapes = [(nodes,)] * 5 + [(count,)] * 2
    arrays = (trees.feature, trees.left, trees.right, trees.split, trees.value, root, trees.part)
    if not nodes or not count or trees.base.ndim != 1 or not len(trees.base):
        raise refuse("trees", "at least one, of at least one node", "none")
    if [tuple(array.shape) for array in arrays] != shapes:
        raise refuse("trees", f"arrays of {nodes} nodes or {count} trees", "others")
    if root[0] != 0 or bool((root.diff() <= 0).any()) or bool((root >= nodes).any()):
        raise refuse("root", "ascending from 0", "others")
    if bool((trees.feature >= trees.inputs).any()) or bool((trees.part >= len(trees.base)).any()):
        raise refuse("trees", f"about {trees.inputs} inputs and {len(trees.base)} parts", "others")
    place, end = torch.arange(nodes, device=root.device), torch.cat((root[1:], root.new_tensor([nodes])))[trees.owner]
    inner = (trees.left > place) & (trees.right > place) & (trees.left < end) & (trees.right < end)
    if not bool((inner | ((trees.left == place) & (trees.right == place))).all()):
        raise refuse("left, right", "later nodes of the same tree, or a leaf itself", "others")


class TreeClassifier(BinaryClassifier):
    """A classifier by decision trees. Inputs are compared in float64, so that none is rounded before.

    Parameters
    ----------
    trees
        The trees.
    threshold, sensitive, other, scaling, info
        As in `BinaryClassifier`.
    """

    def __init__(
        self,
        trees: Trees,
        threshold: float = 0.0,
        *,
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__((trees.inputs,), threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        self.trees = trees

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs and margins."""
        return torch.float64

    @property
    def device(self) -> torch.device:
        """Where the arrays are."""
        return self.trees.root.device

    @property
    def activations(self) -> int:
        """A few values for each tree."""
        return 8 * len(self.trees.root) + self.trees.inputs

    def bends(self) -> Tensor:
        """Splits of each input, which lie on their upper side, and what is just below; 0 where others have more."""
        trees = self.trees
        inner, per_input = ~trees.leaf, []
        for place in range(trees.inputs):
            split = trees.split[inner & (trees.feature == place)].double().unique()
            per_input.append(torch.cat((split, torch.nextafter(split, torch.full_like(split, -math.inf)))))
        return nn.utils.rnn.pad_sequence(per_input)

    def parts(self) -> dict[str, Any]:
        """The number of inputs."""
        return {"inputs": self.trees.inputs}

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        return cls(**cls.arguments(tensors, metadata), **described(metadata))

    @classmethod
    def arguments(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> dict[str, Any]:
        """Those of this kind besides the ones of every classifier."""
        return {"trees": Trees(metadata["inputs"], **grouped(tensors)["trees"])}


class TreeUnits(TreeClassifier):
    """Trees whose margin is made of units that look at some inputs each."""

    @abstractmethod
    def falls(self, x: Tensor) -> Tensor:
        """By how much each unit can lower the margin, whatever its inputs become: (n, d) -> float64 (n, U)."""

    @property
    @abstractmethod
    def units(self) -> Tensor:
        """Which inputs each unit depends on: bool (U, d)."""


class TreeSum(TreeUnits):
    """Says *sensitive* when the values of all trees add up to more than the threshold; a unit is a tree."""

    def __init__(self, trees: Trees, threshold: float = 0.0, **named: Any):
        super().__init__(one_part(trees), threshold, **named)

    def forward(self, x: Tensor) -> Tensor:
        """Margins: (n, d) -> (n,)."""
        return self.trees(x)[:, 0] - self.threshold

    def falls(self, x: Tensor) -> Tensor:
        """From the leaf that a tree reaches to its least one."""
        return self.trees.value.double()[self.trees.leaves(x)] - self.trees.least

    @property
    def units(self) -> Tensor:
        """The inputs that each tree looks at."""
        return self.trees.uses


def one_part(trees: Trees) -> Trees:
    """The trees, refused where they make several sums."""
    if len(trees.base) != 1:
        raise refuse("trees", "of one part", len(trees.base), "Use TreeVote for a vote of parts.")
    return trees


class TreeVote(TreeUnits):
    """Says *sensitive* when more parts than the threshold do, each by a positive sum of its trees; a unit is a part.

    Where parts look at disjoint columns, a change of k columns moves k votes at most: feature partition aggregation.

    Source: Hammoudeh and Lowd, Feature Partition Aggregation, 2023, Theorem 1 (for two classes, here from one side).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Votes less the threshold: (n, d) -> (n,)."""
        sums = self.trees(x)
        return (sums > 0).double().sum(1) - self.threshold + 0.0 * sums.sum(1)

    def falls(self, x: Tensor) -> Tensor:
        """1 where a part votes for *sensitive*."""
        return (self.trees(x) > 0).double()

    @property
    def units(self) -> Tensor:
        """The inputs that any tree of each part looks at."""
        used = self.trees.uses.double()
        found = used.new_zeros(len(self.trees.base), self.trees.inputs)
        return found.index_add_(0, self.trees.part, used) > 0
