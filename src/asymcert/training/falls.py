"""How far the plane of the tangent certificate can fall within a target radius, for training on just that."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.certify.coordinates import coordinates_of
from asymcert.certify.drops import Pieces, walk
from asymcert.features import CoordinatewiseMap, FeatureMap, split_linear

TINY = 1e-12  # keeps quotients finite
FILLINGS = 4  # of coordinates that reach their ends before the others; falls hardly change after two


class TangentFalls:
    """Greatest fall of tangent planes by a change of at most the target radius, while inputs stay in [0, 1].

    Each coordinate's fall is followed along the pieces of the map, as certificates follow it. In l_inf each coordinate
    goes where it is greatest, and nothing is lost. In l1 and l2 each goes along its steepest chord from the input, and
    no farther than that reaches: what a flatter rest would add is left out, so a fall behind kinks can come out smaller
    than the greatest. Behind bands changes are measured in l2.

    Parameters
    ----------
    feature_map
        Coordinatewise, or so after a low-pass and bands.
    input_shape
        Of one sample.
    targets
        Radius by norm, for 1, 2 and inf.

    Raises
    ------
    InputError
        Features mix inputs.
    """

    def __init__(self, feature_map: FeatureMap, input_shape: tuple[int, ...], targets: dict[float, float]):
        linear, rest = split_linear(feature_map)
        if not isinstance(rest, CoordinatewiseMap) or not rest.coordinatewise:
            what = f"{type(rest).__name__}, whose features mix inputs"
            raise refuse("loss", "another than 'tangent' for this feature map", what, "Set loss='certified'.")
        self.coordinates = coordinates_of(linear, input_shape, affine=False)
        self.pieces = Pieces(rest, self.coordinates.shape)
        self.targets = targets
        ones = torch.ones(input_shape, dtype=torch.float64)
        self.costs = {norm: self.coordinates.cost(ones, norm) for norm in targets}

    def greatest(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Fall of planes of `gradient` (n, *feature_shape) at inputs (n, *input_shape), averaged over norms: (n,)."""
        pieces = self.pieces.to(x)
        slope = pieces.falls(gradient.flatten(1))
        falls = [self._within(pieces, slope, x, norm, target) for norm, target in self.targets.items()]
        return torch.stack(falls).mean(0)

    def _within(self, pieces: Pieces, slope: Tensor, x: Tensor, norm: float, target: float) -> Tensor:
        """Fall (n,) in one norm, `slope` being the planes' derivatives (pieces, n, d) at inputs (n, *input_shape)."""
        at = self.coordinates.of(x)
        cost, norm = self.costs[norm].to(at), self.coordinates.norm(norm)
        low, high = self.coordinates.interval(-x.clamp(0.0, target), (1.0 - x).clamp(0.0, target))  # each pixel's room
        low, high = torch.maximum(low, -target / cost), torch.minimum(high, target / cost)
        ends = pieces.ends(at, low, high)
        reach, drop = walk(slope, ends, at)
        back, fallen = walk(-slope.flip(0), [-end for end in reversed(ends)], -at)
        reach, drop = torch.cat((reach, back)) * cost, torch.cat((drop, fallen))
        if math.isinf(norm):
            return drop.amax(0).clamp(min=0.0).sum(1)
        steepest, chosen = (drop / reach.clamp(min=TINY)).max(0)
        steepest = steepest.clamp(min=0.0)
        with torch.no_grad():
            spend = _knapsack if norm == 1 else _filled
            spent = spend(steepest, reach.gather(0, chosen[None])[0], target)
        return (steepest * spent).sum(1)


def _knapsack(steepest: Tensor, reach: Tensor, target: float) -> Tensor:
    """l1: the steepest first, each as far as it goes: (n, d)."""
    order = steepest.argsort(1, descending=True)
    length = reach.gather(1, order)
    left = (target - (length.cumsum(1) - length)).clamp(min=0.0)
    return torch.zeros_like(reach).scatter_(1, order, torch.minimum(length, left))


def _filled(steepest: Tensor, reach: Tensor, target: float) -> Tensor:
    """l2: in proportion to steepness, but where a coordinate comes to its end the others take the rest: (n, d)."""
    spent = torch.zeros_like(reach)
    full = torch.zeros_like(reach, dtype=torch.bool)
    for _ in range(FILLINGS):
        left = (target**2 - (reach.square() * full).sum(1, keepdim=True)).clamp(min=0.0).sqrt()
        others = steepest.masked_fill(full, 0.0)
        share = left / torch.linalg.vector_norm(others, dim=1, keepdim=True).clamp(min=TINY)
        spent = torch.where(full, reach, torch.minimum(share * others, reach))
        full = full | (share * others > reach)
    return spent
