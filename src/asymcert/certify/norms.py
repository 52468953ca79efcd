"""From the norm that a method certifies in to the adversary that is asked about."""

from __future__ import annotations

import math

from torch import Tensor

from asymcert._checks import check_count, check_norm
from asymcert._floats import down
from asymcert.threats.model import ThreatModel


def converted(radius: Tensor, own: float, norm: float, d: int) -> Tensor:
    """Radius in another norm that follows from one in a method's own, rounded down.

    Parameters
    ----------
    radius
        Float64 (n,), in l_p with p = `own`.
    own, norm
        Exponents p and q in [1, inf].
    d
        Number of input dimensions.

    Returns
    -------
    Tensor
        Float64 (n,): `radius` if q <= p, since then ``||v||_p <= ||v||_q``; otherwise ``radius * d^(1/q - 1/p)``, by
        Hoelder's inequality. Both are attained, by a multiple of a unit vector and of the vector of ones.

    Raises
    ------
    InputError
        A norm below 1, or no dimension.

    Examples
    --------
    >>> import torch
    >>> converted(torch.tensor([1.0], dtype=torch.float64), own=2, norm=float("inf"), d=4)
    tensor([0.5000], dtype=torch.float64)
    """
    own, norm = check_norm(own), check_norm(norm)
    check_count("d", d)
    if norm <= own or d == 1:
        return radius
    return radius * d ** (1.0 / norm - 1.0 / own) * down(16)


def radius_against(radius: Tensor, own: float, threat: ThreatModel, shape: tuple[int, ...]) -> Tensor:
    """A method's radius (n,) in l_p, p = `own`, as a radius against `threat`, rounded down.

    Costs count by the cheapest feature of a sample of `shape`. A box, immutable features and directions only shrink
    what the adversary can do and are not used.
    """
    cheapest = float(threat.cost_for(shape).min())
    found = converted(radius, own, threat.norm, math.prod(shape))
    return found if cheapest == 1.0 else found * cheapest * down(4)
