"""The convexity contract: which weights must be nonnegative, and how a trained network is deployed."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from asymcert._checks import check_choice, refuse

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
Nonnegativity = Literal["projection", "softplus"]
Initialisation = Literal["uniform", "principled", "standardised"]


@dataclass(frozen=True)
class WeightOptions:
    """How nonnegative weights start and stay nonnegative.

    Parameters
    ----------
    nonnegativity
        ``projection`` clamps at zero after each step, as published; ``softplus`` trains ``W = softplus(V)``.
    initialisation
        ``uniform`` starts in [0, 0.003] (linear) or [0, 0.005] (convolution), as published; ``principled``
        follows Hoedt and Klambauer (2023); ``standardised`` gives every unit mean 0 and variance 1 on the first batch
        seen in training mode, by constants that folding removes.
    """

    nonnegativity: Nonnegativity = "projection"
    initialisation: Initialisation = "uniform"

    def __post_init__(self) -> None:
        check_choice("nonnegativity", self.nonnegativity, ("projection", "softplus"))
        check_choice("initialisation", self.initialisation, ("uniform", "principled", "standardised"))


class ConvexScore(nn.Module, ABC):
    """A network ``g`` that is convex in its input.

    Convexity follows from composition: affine maps of the input, nonnegative sums of convex functions,
    ReLU and max-pooling (both convex and nondecreasing). `nonnegative` names every weight this needs.
    """

    input_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Scores of a batch: (n, *input_shape) -> (n,)."""

    @abstractmethod
    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Name and value of every weight that must be >= 0 for the network to be convex."""

    @abstractmethod
    def fold(self) -> ConvexScore:
        """Return the deployed network: same function in evaluation mode, float64, affine layers only, frozen."""

    @property
    @abstractmethod
    def activations(self) -> int:
        """Values that one sample keeps in memory for the backward pass, about; sizes the chunks of big batches."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""

    @property
    def layers(self) -> Sequence[nn.Module]:
        """Affine layers of the main path; the last one makes the score."""
        raise refuse("score", "able to name its layers", type(self).__name__, "Define `layers`, or use sound=False.")

    @property
    def operations(self) -> int:
        """Bound on the roundings on any path from an input to the score, in whatever order sums are taken."""
        return self._longest_path(forward=True)

    @property
    def backward_operations(self) -> int:
        """The same for the gradient, on any path from the score back to an input."""
        return self._longest_path(forward=False)

    def _longest_path(self, forward: bool) -> int:
        """Terms summed along the main path and the longest way around it, with a few operations for each layer."""
        main = {id(layer.weight) for layer in self.layers}
        weights = [weight for weight in self.parameters() if weight.ndim > 1]
        terms = {id(w): (w[0] if forward else w[:, 0]).numel() + 8 for w in weights}
        around = max((count for key, count in terms.items() if key not in main), default=0)
        pools = sum(_window(module) ** 2 for module in self.modules() if isinstance(module, POOLS))
        return sum(count for key, count in terms.items() if key in main) + around + pools

    @torch.no_grad()
    def absolute(self) -> Self:
        """The network with absolute weights and sums in place of maxima: for v >= 0 the sum of all absolute terms.

        On nonnegative inputs no ReLU of it is inactive, so it is affine there; rounding errors are a multiple of it.
        """
        network = copy.deepcopy(self)
        for value in network.state_dict().values():
            value.abs_()
        for parent in list(network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.MaxPool2d):
                    setattr(parent, name, nn.LPPool2d(1, _window(child)))
        return network

    @classmethod
    def blank(cls, options: dict[str, Any]) -> Self:
        """A network to be filled with weights: built without drawing from the global generator."""
        with torch.random.fork_rng(devices=[]):
            return cls(**options)

    @torch.no_grad()
    def project_(self) -> None:
        """Clamp every nonnegative weight at zero, in place (weights that are parametrised already are)."""
        for _, weight in self.nonnegative():
            weight.clamp_(min=0.0)

    def check_convex(self) -> None:
        """Refuse the network if a weight that convexity needs nonnegative is not, or any weight is not finite.

        Raises
        ------
        InputError
            Names the first such weight and its least entry.
        """
        for name, weight in self.state_dict().items():
            if not bool(torch.isfinite(weight).all()):
                raise refuse(name, "finite", "NaN or infinite entries", "The network is damaged or training diverged.")
        for name, weight in self.nonnegative():
            if weight.numel() and not bool((weight >= 0).all()):
                got = f"a least entry of {float(weight.detach().min()):g}"
                raise refuse(name, "nonnegative", got, "Call project_() after each optimiser step.")


def freeze(network: ConvexScore) -> None:
    """Switch to evaluation and drop weight gradients: a certificate differentiates by the input only."""
    network.eval().requires_grad_(False)


def _window(pool: nn.Module) -> int:
    """Width of a square pooling window."""
    size = pool.kernel_size
    assert isinstance(size, int)
    return size


class SignedScore(ConvexScore):
    """A score that may never fall, or never rise, as some features grow: their weights have one sign each."""

    signs: list[int]

    @abstractmethod
    def from_input(self) -> Iterator[tuple[str, Tensor]]:
        """Name and weight, (units, features), of every layer that sees the input."""

    def set_signs(self, signs: Sequence[int]) -> None:
        """Give features a sign from now on, and put weights back that have another."""
        self.signs = checked_signs(signs, math.prod(self.input_shape))
        self.project_()

    @torch.no_grad()
    def project_(self) -> None:
        """As in `ConvexScore`; weights that have not their feature's sign become zero."""
        super().project_()
        for _, weight, wrong in self._of_another_sign():
            weight.masked_fill_(wrong, 0.0)

    def check_convex(self) -> None:
        """As in `ConvexScore`; refuse weights that have not their feature's sign as well."""
        super().check_convex()
        for name, _, wrong in self._of_another_sign():
            if bool(wrong.any()):
                raise refuse(f"{name}.weight", "of each feature's sign", "others", "Call project_() after each step.")

    def _of_another_sign(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Name and weight of every layer that sees the input, and where it has not its feature's sign.

        Networks are also built without values, of which products would load PyTorch's compiler.
        """
        signs = np.array(self.signs, np.int8)
        for name, weight in self.from_input() if self.signs else ():
            if not weight.is_meta:
                yield name, weight, weight * torch.from_numpy(signs).to(weight) < 0


def checked_signs(signs: Sequence[int], inputs: int) -> list[int]:
    """The signs, one for each of so many features, or none; an `InputError` for anything else."""
    if len(signs) not in (0, inputs) or not {-1, 0, 1}.issuperset(signs):
        raise refuse("signs", f"empty, or -1, 0 or 1 for each of {inputs} features", f"{len(signs)} numbers")
    return [int(sign) for sign in signs]
