"""Nonnegative weights: initialisation, and the positive parametrisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from asymcert.convex.base import WeightOptions

UNIFORM_LINEAR = 0.003  # Pfrommer et al. 2023, appendix: nonnegative linear weights start in [0, 0.003]
UNIFORM_CONVOLUTION = 0.005  # and convolutions in [0, 0.005]
CORRELATION = 0.5  # Hoedt and Klambauer 2023: the fixed point that keeps pre-activations from collapsing
VARIANCE = 1.0  # of the pre-activations that enter a layer

# Mean sums of a unit's weights in networks that are standardised, by recipe search on CIFAR-10: the readout's step is
# small beside weights that start large, which both accuracy and radii gain from.
GAIN, READOUT_GAIN = 0.5, 10.0


class _Softplus(nn.Module):
    """``W = softplus(V)``, with the inverse that initialisation needs."""

    def forward(self, value: Tensor) -> Tensor:
        return functional.softplus(value)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """V with softplus(V) = weight, for weight > 0 (zeros are lifted to 1e-6)."""
        weight = weight.clamp(min=1e-6)
        return weight + torch.log(-torch.expm1(-weight))


def make_nonnegative(layer: nn.Linear | nn.Conv2d, options: WeightOptions, readout: bool = False) -> None:
    """Initialise the layer's weight at nonnegative values, and parametrise it if asked to.

    `readout` says that the layer makes the score.
    """
    if options.initialisation == "uniform":
        top = UNIFORM_LINEAR if isinstance(layer, nn.Linear) else UNIFORM_CONVOLUTION
        nn.init.uniform_(layer.weight, 0.0, top)
    elif options.initialisation == "principled":
        _initialise_principled(layer)
    else:
        gain = READOUT_GAIN if readout else GAIN
        nn.init.uniform_(layer.weight, 0.0, 2.0 * gain / layer.weight[0].numel())
    if options.nonnegativity == "softplus":
        parametrize.register_parametrization(layer, "weight", _Softplus())


@torch.no_grad()
def _initialise_principled(layer: nn.Linear | nn.Conv2d) -> None:
    """Log-normal weights and a negative bias that keep mean, variance and correlation of ReLU signals.

    With n inputs that are ReLUs of N(0, v) pre-activations of correlation rho, the covariance of two output
    units is mu^2 n v (pi - n + (n - 1) k) / (2 pi), k = sqrt(1 - rho^2) + rho acos(-rho): set to rho v. Their
    variance is that plus n sigma^2 v / 2: set to v. The bias removes their mean n mu sqrt(v / (2 pi)).

    Source: Hoedt and Klambauer, Principled Weight Initialisation for Input-Convex Neural Networks, NeurIPS 2023.
    """
    fan_in = layer.weight[0].numel()
    rho = CORRELATION
    kernel = math.sqrt(1 - rho**2) + rho * math.acos(-rho)
    mean_square = rho * 2 * math.pi / (fan_in * (math.pi - fan_in + (fan_in - 1) * kernel))
    variance = 2 * (1 - rho) / fan_in
    log_variance = math.log1p(variance / mean_square)
    log_mean = 0.5 * (math.log(mean_square) - log_variance)
    nn.init.normal_(layer.weight, log_mean, math.sqrt(log_variance)).exp_()
    if layer.bias is not None:
        nn.init.constant_(layer.bias, -fan_in * math.sqrt(mean_square * VARIANCE / (2 * math.pi)))
