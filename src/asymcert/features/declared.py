"""Feature maps of one's own: any module with declared Lipschitz constants, checked on samples before use."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import (
    Owner,
    check_finite,
    check_given,
    check_independent,
    check_norm,
    check_number,
    output_of,
    refuse,
)
from asymcert._floats import NORMS, UP, dual_exponent, norm_ratio
from asymcert.features.base import FeatureMap

STEP = 1e-3  # length of the changes that steepest directions are searched with
MEASURED = 1.0 + 1e-9  # rounding of a measured ratio in float64


class DeclaredMap(Owner, FeatureMap):
    """A module as feature map, with Lipschitz constants that are declared, not computed; frozen, in float64.

    Certificates are as good as that declaration. Rounding inside the module has no bound: certify with
    ``sound=False``. Model files hold no code, so classifiers with such a map cannot be saved.

    Parameters
    ----------
    module
        Treats samples independently in eval mode: (n, *input_shape) -> (n, *output_shape).
    lipschitz
        For a norm p, a bound L on ``||phi(x) - phi(y)||_p / ||x - y||_p``; others follow from the nearest one.
    x
        One input at least, of which the shapes are taken.
    """

    def __init__(self, module: nn.Module, lipschitz: Mapping[float, float], x: Tensor):
        super().__init__()
        check_given(module, x)
        if not isinstance(lipschitz, Mapping) or not lipschitz:
            raise refuse("lipschitz", "a constant by norm, of one at least", lipschitz, "Pass lipschitz={2: 1.0}.")
        for constant in lipschitz.values():
            check_number("lipschitz", constant, 0.0, torch.finfo(torch.float64).max)
        self.constants = {check_norm(norm): float(constant) for norm, constant in lipschitz.items()}
        self.module = copy.deepcopy(module).double().eval().requires_grad_(False)
        self.input_shape = tuple(x.shape[1:])
        remedy = "Fix its weights first: torch.nn.utils.parametrize.remove_parametrizations."
        self._output_shape = tuple(output_of(self.module, x[:1].double(), remedy).shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """What the module makes of a batch."""
        return self.module(x)

    def lipschitz(self, norm: float) -> float:
        """The constant of the nearest declared norm, times how far the input's norm is from it, rounded up."""
        norm = check_norm(norm)
        own = self.feature_norm(norm)
        return self.constants[own] * norm_ratio(own, norm, math.prod(self.input_shape)) * UP

    def feature_norm(self, norm: float) -> float:
        """The nearest declared norm, rather a greater one."""
        return min(self.constants, key=lambda own: (own < norm, abs(1.0 / own - 1.0 / norm)))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The module's; refuses other inputs than those it was declared with."""
        if tuple(input_shape) != self.input_shape:
            raise refuse("input_shape", f"{self.input_shape}, the map's", tuple(input_shape))
        return self._output_shape

    @property
    def activations(self) -> int:
        """As many as weights, for want of a better guess."""
        return sum(weight.numel() for weight in self.module.parameters())

    def options(self) -> dict[str, Any]:
        """None that a file could hold."""
        remedy = "Keep the code that declares it, or build it of features.sll, features.orthogonal or LayeredMap."
        raise refuse("feature_map", "one of the package's own, to be saved", "a declared module", remedy)


def declared(module: nn.Module, lipschitz: Mapping[float, float], x: Tensor) -> DeclaredMap:
    """A module of one's own as a feature map, with declared Lipschitz constants that are checked on samples.

    Parameters
    ----------
    module
        Such as a network of torchlip or orthogonium: (n, *input_shape) -> (n, *output_shape). It is copied.
    lipschitz
        Constants by norm: ``{2: 1.0}``.
    x
        Samples (n, *input_shape) of the data it is for, a few dozen.

    Raises
    ------
    InputError
        The map stretches a change of a sample by more than is declared, a sample's features depend on other samples, or
        no constant is declared.

    Examples
    --------
    >>> layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(4, 4).double())
    >>> declared(layer, {2: 1.0}, torch.rand(8, 4)).lipschitz(2) < 1.0001
    True
    """
    feature_map = DeclaredMap(module, lipschitz, x)
    check_independent(feature_map, x.detach().double())
    check_lipschitz(feature_map, x, tuple(feature_map.constants))
    return feature_map


def check_lipschitz(feature_map: FeatureMap, x: Tensor, norms: Sequence[float] = NORMS, steps: int = 30) -> None:
    """Look for inputs whose distance a map multiplies by more than its constant; none found proves nothing.

    Distances between samples are tried, and small changes of each in the direction that is stretched most, by as many
    steps of power iteration.

    Raises
    ------
    InputError
        There are such inputs; the message says the ratio.
    """
    feature_map, x = copy.deepcopy(feature_map).double().eval(), x.detach().double()
    for norm in norms:
        found, constant = stretch(feature_map, x, norm, steps), feature_map.lipschitz(norm)
        if not found <= constant * MEASURED:
            must_be = f"of Lipschitz constant {constant:.9g} in l{norm:g}, as declared"
            remedy = "Declare a greater constant, or mend the map (orthogonal weights: in float64)."
            raise refuse("feature_map", must_be, f"distances that grow by {found:.12g}", remedy)


def stretch(feature_map: FeatureMap, x: Tensor, norm: float, steps: int = 30) -> float:
    """The greatest ratio of distances after and before the map that is found near and between samples.

    Parameters
    ----------
    x
        (n, *input_shape), float64.
    norm
        Of inputs; features are measured in the map's `feature_norm` of it.
    steps
        Of power iteration.
    """
    draws = torch.Generator(x.device).manual_seed(0)
    between = x.roll(1, dims=0) - x
    change = STEP * _along(torch.randn(x.shape, generator=draws, dtype=x.dtype, device=x.device), norm)
    best = _ratios(feature_map, x, between, norm)[0]
    for _ in range(steps):
        found, slope = _ratios(feature_map, x, change, norm)
        best, upward = max(best, found), STEP * _along(slope, norm)
        change = torch.where(upward.isfinite(), upward, change)  # where nothing moves there is no direction
    return best


@torch.enable_grad()
def _ratios(feature_map: FeatureMap, x: Tensor, change: Tensor, norm: float) -> tuple[float, Tensor]:
    """The greatest ratio for changes (n, *input_shape), and the gradients by them of the distances of features."""
    change = change.detach().requires_grad_(True)
    features = feature_map(x + change) - feature_map(x)
    check_finite("feature_map's values", features.detach())
    moved = torch.linalg.vector_norm(features.flatten(1), feature_map.feature_norm(norm), dim=1)
    (slope,) = torch.autograd.grad(moved.sum(), change)
    ratio = moved.detach() / torch.linalg.vector_norm(change.detach().flatten(1), norm, dim=1)
    return float(ratio.nan_to_num(0.0).max()), slope


def _along(slope: Tensor, norm: float) -> Tensor:
    """The change of l_p norm 1, p = `norm`, in whose direction each slope is steepest: (n, ...) -> (n, ...)."""
    rows = slope.flatten(1)
    if norm == 1:
        sizes = functional.one_hot(rows.abs().argmax(1), rows.shape[1])
    else:
        sizes = (rows.abs() / rows.abs().amax(1, keepdim=True)) ** (dual_exponent(norm) - 1.0)
    change = rows.sign() * sizes
    return (change / torch.linalg.vector_norm(change, norm, dim=1, keepdim=True)).reshape(slope.shape)
