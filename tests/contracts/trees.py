"""Small random trees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asymcert.models.trees import Trees
from contracts.models import seeded


def random_tree(inputs: Sequence[int], depth: int, generator: torch.Generator) -> dict[str, Tensor]:
    """A complete tree on some inputs, splits in [0, 1], normal leaves; children of node i are 2 i + 1 and 2 i + 2."""
    nodes, inner = 2 ** (depth + 1) - 1, 2**depth - 1
    place = torch.arange(nodes)
    leaf = place >= inner
    chosen = torch.tensor(list(inputs))[torch.randint(len(inputs), (nodes,), generator=generator)]
    return {
        "feature": chosen,
        "split": torch.rand(nodes, generator=generator, dtype=torch.float64),
        "value": torch.where(leaf, torch.randn(nodes, generator=generator, dtype=torch.float64), 0.0),
        "left": torch.where(leaf, place, 2 * place + 1),
        "right": torch.where(leaf, place, 2 * place + 2),
    }


def random_trees(
    seed: int, inputs: int = 6, parts: int = 1, each: int = 4, depth: int = 2, together: bool = False
) -> Trees:
    """Trees of which those of part p look at inputs p, p + parts, ... only; `together` adds all of them up."""
    generator = seeded(seed)
    trees = [random_tree(range(part, inputs, parts), depth, generator) for part in range(parts) for _ in range(each)]
    owner = [part for part in range(parts) for _ in range(each)]
    base = (torch.randn(parts, generator=generator, dtype=torch.float64) / 4).tolist()
    return (
        Trees.joined(inputs, trees, [0] * len(owner), base[:1])
        if together
        else Trees.joined(inputs, trees, owner, base)
    )


def signs(inputs: int) -> Trees:
    """A tree for each input: nothing where it is ablated, -1 below 1/2 and 1 above."""
    tree = {
        "split": torch.tensor([0.0, 0.0, 0.5, 0.0, 0.0], dtype=torch.float64),
        "value": torch.tensor([0.0, 0.0, 0.0, -1.0, 1.0], dtype=torch.float64),
        "left": torch.tensor([1, 1, 3, 3, 4]),
        "right": torch.tensor([2, 1, 4, 3, 4]),
    }
    trees = [{**tree, "feature": torch.full((5,), place)} for place in range(inputs)]
    return Trees.joined(inputs, trees, [0] * inputs, [0.0])
