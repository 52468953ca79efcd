"""Noise that smoothing adds to inputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymcert._checks import check_choice

LEAST = 2.0**-25  # of 1 - |u|, which float32 can round to 0: a Laplacian draw is 17.3 scales at most


def noise_scale(kind: str, sigma: float) -> float:
    """The parameter of the noise whose standard deviation is `sigma`.

    gaussian: sigma itself. laplacian: b in the density ``exp(-|t| / b) / 2b``, sigma / sqrt 2. uniform: half of the
    width, sqrt 3 sigma.
    """
    check_choice("kind", kind, tuple(NOISES))
    return sigma * {"gaussian": 1.0, "laplacian": math.sqrt(0.5), "uniform": math.sqrt(3.0)}[kind]


def draw(kind: str, sigma: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Independent draws of standard deviation `sigma`: float32 of `shape` on the generator's device."""
    scale = noise_scale(kind, sigma)
    values = torch.empty(shape, dtype=torch.float32, device=generator.device)
    return NOISES[kind](values, generator).mul_(scale)


def _gaussian(values: Tensor, generator: torch.Generator) -> Tensor:
    return values.normal_(generator=generator)


def _uniform(values: Tensor, generator: torch.Generator) -> Tensor:
    return values.uniform_(-1.0, 1.0, generator=generator)


def _laplacian(values: Tensor, generator: torch.Generator) -> Tensor:
    """By inversion: ``-log(1 - |u|)`` is exponential, and takes the sign of u."""
    values.uniform_(-1.0, 1.0, generator=generator)
    return (1.0 - values.abs()).clamp_(min=LEAST).log_().neg_().copysign_(values)


NOISES = {"gaussian": _gaussian, "laplacian": _laplacian, "uniform": _uniform}
