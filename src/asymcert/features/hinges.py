"""Several absolute values of every coordinate: convex scores of them bend in more places."""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_count, check_norm, check_number
from asymcert._floats import up
from asymcert.features.maps import Centre


class Hinges(Centre):
    """``(x - mean, |x - c_1|, ..., |x - c_k|)``, joined along the first axis of a sample.

    The centres ``c_j = j * reach / (k + 1)`` divide [0, reach]; [0, 1] is the range of scaled inputs. Lipschitz
    constant ``(k + 1)^(1/p)``: all parts can move by the full change of the input.

    Parameters
    ----------
    mean
        As in `Centre`.
    count
        The number k of absolute values.
    reach
        Positive, finite: the range of what comes in, ``2^levels`` after a low-pass.
    """

    def __init__(self, mean: Tensor, count: int, reach: float = 1.0):
        super().__init__(mean)
        check_count("count", count)
        check_number("reach", reach, 0.0, sys.float_info.max, open_low=True)
        self.count, self.reach = count, float(reach)

    @property
    def centres(self) -> list[float]:
        """The k centres, ascending."""
        return [index * self.reach / (self.count + 1) for index in range(1, self.count + 1)]

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, ...) -> (n, (k + 1) c, ...)."""
        return torch.cat((x - self.mean, *((x - centre).abs() for centre in self.centres)), dim=1)

    def lipschitz(self, norm: float) -> float:
        """``(k + 1)^(1/p)``, rounded up."""
        norm = check_norm(norm)
        return 1.0 if math.isinf(norm) else (self.count + 1) ** (1.0 / norm) * up(32)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """``k + 1`` times as many channels; refuses what `Centre` refuses."""
        super().output_shape(input_shape)
        return ((self.count + 1) * input_shape[0], *input_shape[1:])

    def knots(self, input_shape: tuple[int, ...]) -> Tensor:
        """The centres."""
        centres = torch.tensor(self.centres, dtype=torch.float64, device=self.mean.device)
        return centres.reshape(-1, *[1] * len(input_shape)).expand(-1, *input_shape)

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One from the first part, two from every absolute value."""
        first, *rest = values.split(input_shape[0], dim=1)
        hinged = list(zip(self.centres, rest, strict=True))
        above, below = ([centre + sign * part for centre, part in hinged] for sign in (1, -1))
        return torch.cat((self.mean + first, *above, *below))

    def options(self) -> dict[str, Any]:
        """The number of absolute values, and the range."""
        return {"count": self.count, "reach": self.reach}
