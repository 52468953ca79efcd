"""Certificate of networks with a known l2 Lipschitz constant: margin over that constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from asymcert._checks import option
from asymcert._floats import UP, down, scaled_norm
from asymcert.certify.base import Certificate, Certifier, Threats
from asymcert.certify.norms import radius_against
from asymcert.features.layers import Dense, norm_above
from asymcert.features.spectral import product_above, spectral_bound
from asymcert.models.base import BinaryClassifier
from asymcert.models.lipschitz import Blend, LipschitzClassifier, SpectralConv

FOURIER = 16.0  # unit roundoffs per halving of a fast Fourier transform, of its l2 norm; textbook ones stay below 8


@dataclass(frozen=True)
class LipschitzMargin(Certifier):
    """``r_2 = margin / Lip``, Lip being the product of all layers' bounds, the last layer's row included.

    For orthonormal rows of the last layer the row ``w_1 - w_0`` has norm sqrt 2, which is the published constant. The
    constants are upper bounds computed from the deployed weights. Radii against other norms follow from norm
    inequalities; a box, immutable features and directions are not used.

    Parameters
    ----------
    sound
        Whether bounds on the deployed forward pass's rounding are subtracted.

    Sound when the library's Fourier transforms err, relative to the l2 norm, by at most 16 unit roundoffs for each
    halving of the number of pixels (Higham 2002, Theorem 24.2, proves less for textbook ones).

    Source: Trockman and Kolter, ICLR 2021, section 5; Tsuzuku, Sato, Sugiyama, NeurIPS 2018, Proposition 1.
    """

    method: ClassVar[str] = "lipschitz-margin"
    kind: ClassVar[type[BinaryClassifier]] = LipschitzClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def _certificates(self, model: LipschitzClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        margin, constant = model.margin(x).double(), lipschitz_bound(model.network)
        inputs = x.to(model.device, torch.float64)
        radius = margin.clamp(min=0.0) / constant
        if self.sound:
            size = scaled_norm(inputs.flatten(1).abs(), 2.0) * UP
            error = deployed_error(model, size + radius * UP)
            radius = ((margin - 2.0 * error * UP) / constant).clamp(min=0.0).nan_to_num(0.0)
        radius = torch.where(margin > 0, radius * down(8), 0.0)
        slope = torch.full_like(margin, constant)
        certificates = []
        for threat in threats:
            threat.check(inputs)
            found = radius_against(radius, 2.0, threat, model.input_shape)
            certificates.append(Certificate(found, margin, slope, threat, self.method, self.sound))
        return certificates


def lipschitz_bound(network: nn.Sequential) -> float:
    """Upper bound of a network's l2 Lipschitz constant, from its weights."""
    bound = 1.0
    for layer in network:
        bound = product_above(bound, _lipschitz(layer))
    return bound


def _lipschitz(layer: nn.Module) -> float:
    """Of one layer; those without weights keep or shorten distances."""
    if isinstance(layer, Dense):
        return layer.constant()
    if isinstance(layer, SpectralConv):
        return spectral_bound(torch.complex(layer.real.double(), layer.imaginary.double()))
    if isinstance(layer, Blend):
        inner, outer = layer.share.double().abs().tolist()
        return (product_above(inner, lipschitz_bound(layer.inner)) + outer) * UP
    return 1.0


@dataclass(frozen=True)
class _Growth:
    """Bounds (n,) on the l2 norm of a layer's computed values and on their error."""

    size: Tensor
    error: Tensor


def deployed_error(model: LipschitzClassifier, size: Tensor) -> Tensor:
    """Bound (n,) on the error of the deployed margin at any input of l2 norm at most `size` (n,)."""
    arithmetic = torch.finfo(model.dtype)
    unit, inputs = arithmetic.eps / 2.0, math.prod(model.input_shape)
    conversion = unit * size + arithmetic.tiny * inputs
    values = _Growth(size + conversion, _finite(conversion, size + conversion, arithmetic))
    grown = _through(model.network, values, arithmetic)
    last = 2.0 * unit * (grown.size + 2.0 * abs(model.threshold)) + 4.0 * arithmetic.tiny
    return _finite((grown.error + last) * UP, grown.size, arithmetic)


def _finite(error: Tensor, largest: Tensor, arithmetic: torch.finfo) -> Tensor:
    """`error` where no number comes near overflow, all of them being at most `largest`; inf elsewhere."""
    return torch.where(largest < arithmetic.max / 8, error, math.inf).nan_to_num(math.inf, math.inf)


def _through(network: nn.Sequential, values: _Growth, arithmetic: torch.finfo) -> _Growth:
    for layer in network:
        values = _grown(layer, values, arithmetic)
    return values


def _grown(layer: nn.Module, values: _Growth, arithmetic: torch.finfo) -> _Growth:
    """Error analysis of one layer: errors so far times its constant, and its own roundings."""
    constant, unit, least = _lipschitz(layer), arithmetic.eps / 2.0, arithmetic.tiny
    if isinstance(layer, Dense):
        weight, shift = layer.weight.double(), norm_above(layer.bias)
        largest = values.size * norm_above(weight) + shift
        own = _gamma(weight.shape[1] + 4, unit) * largest + least * (weight.numel() + 4)
    elif isinstance(layer, SpectralConv):
        spectrum = torch.complex(layer.real.double(), layer.imaginary.double())
        pixels = spectrum.shape[0] * 2 * (spectrum.shape[1] - 1) + spectrum.shape[0]
        shift = math.sqrt(pixels) * norm_above(layer.bias)
        frobenius = float(scaled_norm(spectrum.abs().flatten(0, 1).flatten(1), 2.0).max()) * UP
        transforms = 2.0 * FOURIER * math.log2(2.0 * pixels) * unit * constant * values.size
        products = _gamma(4 * spectrum.shape[3] + 8, unit) * frobenius * values.size
        own = 1.1 * (transforms + products) + 4.0 * unit * (constant * values.size + shift)
        own = own + least * pixels * (spectrum[0, 0].numel() + 4)
        largest = 4.0 * pixels * (1.0 + constant + frobenius) * values.size + shift  # transforms are not scaled
    elif isinstance(layer, Blend):
        inner = _through(layer.inner, values, arithmetic)
        first, second = layer.share.double().abs().tolist()
        size = first * inner.size + second * values.size
        own = 4.0 * unit * size + least * 4.0
        error = first * inner.error + second * values.error + own
        return _Growth((size + own) * UP, _finite(error * UP, size, arithmetic))
    else:
        return values
    error = _finite((constant * values.error + own) * UP, largest, arithmetic)
    return _Growth((constant * values.size + shift + own) * UP, error)


def _gamma(terms: int, unit: float) -> float:
    total = terms * unit
    return total / (1.0 - total) * UP if total < 0.5 else math.inf
