"""Tangent certificates as ONNX nodes: how far a plane falls as each input moves, and what follows from it.

The plane's fall along one input bends at the map's knots only, and changes of size R move no input by more than R. So
for any prices of the inputs' changes, the fall of the whole plane is at most the greatest excesses of the inputs' falls
over their prices, summed, and the dual norm of the prices times R: if that is below the margin, R is a radius. For
l_inf no prices are needed, and bisection finds the radius that the package does; for other norms they come from a
family of one parameter, which may lose a part of it. Errors are counted as in `asymcert.export.certified_graph`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from asymcert._floats import UNIT, dual_exponent
from asymcert.certify.rounding import Rounding
from asymcert.export.bounds import LEAST, MARGIN, TIMES, norm_of, plus
from asymcert.export.feature_maps import add_map
from asymcert.export.graph import Graph
from asymcert.export.layout import gathered_back
from asymcert.features import CoordinatewiseMap, Ramps
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

LEAST_RADIUS, FAR = 1e-20, 1e15  # radii below are given as 0; changes beyond are none that anybody measures
HALVINGS, FEWER, SECTIONS = 48, 26, 34  # steps of the search for a radius, for a better one, and for prices
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
LOGARITHMS = math.log(1e-5), math.log(1.1)  # of the multiplier, as a share of the most it can be


class Falls:
    """How far the tangent plane at the graph's input falls as each input moves: values (n, ...) by their names.

    Parameters
    ----------
    x, features, gradient
        Flat inputs (n, d), features and gradient of the score by them (n, F).
    """

    def __init__(
        self, graph: Graph, model: FeatureConvexClassifier, rounding: Rounding, x: str, features: str, gradient: str
    ):
        assert isinstance(model.feature_map, CoordinatewiseMap)
        self.graph, self.map, self.shape = graph, model.feature_map, model.input_shape
        self.x, self._features, self._gradient = x, features, gradient
        self._back = gathered_back(self.map.sources(self.shape).cpu(), math.prod(self.shape))  # (m, d)
        self._bound_errors(rounding)
        knots = self.map.knots(self.shape)  # (k, *shape)
        misplaced = graph.op("Mul", self._steep, graph.number(16.0 * UNIT * knots.abs().sum(0).flatten()))
        self.misplaced = graph.op("ReduceSum", misplaced, graph.integers([1]), keepdims=0)  # (n,), of any change
        self._knots, mapped = knots.flatten(1), self.map(knots).flatten(1) if len(knots) else ()
        pairs = zip(self._knots, mapped, strict=True)
        self._at_knots = self._stacked([self.at(graph.number(knot), graph.number(values)) for knot, values in pairs])

    def _bound_errors(self, rounding: Rounding) -> None:
        """Errors of a fall: ``min(steep * |change|, most) + fixed + per_unit * (|x| + |point|)`` of each input."""
        graph, zero = self.graph, torch.zeros(1, *self.shape, dtype=torch.float64)
        at_zero = self.map.magnitude_of_exact(zero).flatten()
        per_unit = self.map.magnitude_of_exact(zero + 1.0).flatten() - at_zero
        slopes = self.map.slopes(self.shape).abs().flatten(1)
        size, steepest = graph.op("Abs", self._gradient), graph.number(slopes.amax(0))
        roundings = TIMES * (16.0 + 4.0 * len(slopes) + 2.0 * len(self._back)) * UNIT
        error = plus(graph, graph.op("Mul", size, graph.number(roundings)), TIMES * rounding.gradient_error.flatten())
        self._steep = self._by_input(graph.op("Mul", graph.op("Add", size, error), steepest))
        self._steep_error = self._by_input(graph.op("Mul", error, steepest))
        self._most = self._by_input(error) if isinstance(self.map, Ramps) else None
        rounded = graph.op("Mul", size, graph.number(2.0 * roundings))
        self._fixed = plus(graph, self._by_input(graph.op("Mul", rounded, graph.number(at_zero))), LEAST)
        self._per_unit = self._by_input(graph.op("Mul", rounded, graph.number(per_unit)))

    def _by_input(self, features: str) -> str:
        """Sums over the features of each input: (n, F) -> (n, d)."""
        (most, inputs), count = self._back.shape, int(self.map.sources(self.shape).numel())
        found = self.graph.gather(self.graph.reshape(features, 1, count), self._back, count)
        found = self.graph.reshape(found, most, inputs)
        return self.graph.op("ReduceSum", found, self.graph.integers([1]), keepdims=0)

    def moved(self, point: str) -> str:
        """How far each input is from a point: (n, d)."""
        return self.graph.op("Abs", self.graph.op("Sub", point, self.x))

    def at(self, point: str, mapped: str | None = None) -> str:
        """Fall along each input from x to a point of these features, rounded up but for what is `misplaced`: (n, d)."""
        graph = self.graph
        mapped = mapped or add_map(graph, self.map, point, self.shape)
        fall = self._by_input(graph.op("Mul", self._gradient, graph.op("Sub", self._features, mapped)))
        error = graph.op("Mul", self._steep_error, self.moved(point))
        if self._most is not None:
            error = graph.op("Min", error, self._most)
        sizes = graph.op("Add", graph.op("Abs", self.x), graph.op("Abs", point))
        error = graph.op("Add", error, graph.op("Mul", self._per_unit, sizes))
        return graph.op("Add", fall, graph.op("Add", error, self._fixed))

    def within(self, room: str, threat: ThreatModel) -> tuple[str, str]:
        """Falls at all points where they may bend within `room` (n, d) of x, and how far the points are: (n, j, d).

        Falls at points out of reach are 0.
        """
        graph, one = self.graph, self.graph.integers([1])
        ends = self._ends(room, threat)
        fall, distance = (self._stacked([part(end) for end in ends]) for part in (self.at, self.moved))
        if not len(self._knots):
            return fall, distance
        low, high, x = (graph.op("Unsqueeze", name, one) for name in (*ends, self.x))
        knots = graph.number(self._knots)
        inside = graph.op("And", graph.op("LessOrEqual", low, knots), graph.op("LessOrEqual", knots, high))
        fall = graph.op("Concat", fall, graph.op("Where", inside, self._at_knots, graph.number(0.0)), axis=1)
        return fall, graph.op("Concat", distance, graph.op("Abs", graph.op("Sub", knots, x)), axis=1)

    def _stacked(self, names: Sequence[str]) -> str:
        """(n, d) of each -> (n, j, d)."""
        parts = [self.graph.op("Unsqueeze", name, self.graph.integers([1])) for name in names]
        return self.graph.op("Concat", *parts, axis=1) if parts else ""

    def _ends(self, room: str, threat: ThreatModel) -> tuple[str, str]:
        """Least and greatest value of each input that the adversary can reach, with some room to spare."""
        graph = self.graph
        ends = []
        for kind, inward, limit, blocked in (("Sub", "Max", threat.lower, 1), ("Add", "Min", threat.upper, -1)):
            end = graph.op(kind, self.x, graph.op("Mul", room, graph.number(_free(threat, blocked, self.shape))))
            if limit is not None:
                bound = torch.as_tensor(limit, dtype=torch.float64)
                end = graph.op(inward, end, graph.number(bound.expand(self.shape).flatten()))
            ends.append(end)
        return ends[0], ends[1]


def _free(threat: ThreatModel, blocked: int, shape: tuple[int, ...]) -> Tensor:
    """1 for inputs that may move in the direction that `blocked` is opposite to, 0 for others: (d,)."""
    free = torch.ones(shape, dtype=torch.float64)
    if threat.mutable is not None:
        free = free * threat.mutable.double()
    if threat.direction is not None:
        free = free * (threat.direction != blocked).double()
    return free.flatten()


class TangentRadius:
    """Radius of an l_p adversary, p from 1 on: sound, and for p = inf that of `asymcert.certify.Tangent`.

    Parameters
    ----------
    amount
        (n,), what the plane must not fall by.
    rate
        What the deployed classifier's error grows by for each unit of size.
    """

    def __init__(self, falls: Falls, threat: ThreatModel, amount: str, rate: float):
        self.falls, self.graph, self.threat, self.rate = falls, falls.graph, threat, rate
        self.amount = self.graph.op("Unsqueeze", amount, self.graph.integers([1]))
        self.cost = threat.cost_for(falls.shape).flatten()

    def add(self) -> str:
        """The radius (n,); infinite where no change that is measured suffices.

        That for l_inf first, which no other is below, nor above by more than d^(1/p).
        """
        graph, norm = self.graph, self.threat.norm
        start = graph.op("Add", graph.op("Mul", self.amount, graph.number(0.0)), graph.number(LEAST_RADIUS))
        far = graph.op("Add", graph.op("Mul", start, graph.number(0.0)), graph.number(FAR))
        never = graph.op("Less", self._fall(far), self.amount)
        radius = self._bisected(HALVINGS, start, far, self._fall)
        if math.isfinite(norm):
            most = self.cost.numel() ** (1.0 / norm) * (1.0 + MARGIN)
            radius = self._bisected(FEWER, radius, graph.op("Mul", radius, graph.number(most)), self._priced_fall)
        radius = graph.op("Where", graph.op("Greater", radius, graph.number(LEAST_RADIUS)), radius, graph.number(0.0))
        radius = graph.scaled("Mul", radius, 1.0 - MARGIN)
        return graph.reshape(graph.op("Where", never, graph.number(math.inf), radius) if self.rate == 0 else radius)

    def _bisected(self, times: int, low: str, high: str, fall: Callable[[str], str]) -> str:
        """The greatest size found at which the fall is below the amount, else `low`: bisection of its logarithm."""
        graph = self.graph

        def halve(low: str, high: str) -> Sequence[str]:
            middle = graph.op("Sqrt", graph.op("Mul", low, high))
            holds = graph.op("Less", fall(middle), self.amount)
            return graph.op("Where", holds, middle, low), graph.op("Where", holds, high, middle)

        return graph.loop(times, [low, high], halve)[0]

    def _fall(self, radius: str) -> str:
        """Bound on the plane's fall where every input may change by the radius: (n, 1) -> (n, 1)."""
        return self._sum(radius, self._points(radius)[0])

    def _priced_fall(self, radius: str) -> str:
        """Bound on the plane's fall within the radius, by about the best prices: (n, 1) -> (n, 1)."""
        graph = self.graph
        fall, spent = self._points(radius)
        most = graph.op("Div", self.amount, radius)  # what the best prices' norm, the multiplier, can be
        share = graph.op("Div", spent, graph.op("Unsqueeze", radius, graph.integers([1])))
        if self.threat.norm not in (1, 2):  # powers are slow
            share = graph.op("Pow", share, graph.number(self.threat.norm - 1.0))

        def fall_at(exponent: str) -> str:
            price = self._prices(graph.op("Mul", most, graph.op("Exp", exponent)), fall, spent, share)
            norm = norm_of(graph, price, dual_exponent(self.threat.norm))
            paid = graph.op("Mul", radius, graph.op("Unsqueeze", norm, graph.integers([1])))
            priced = graph.op("Mul", graph.op("Unsqueeze", price, graph.integers([1])), spent)
            over = self._sum(radius, graph.op("Sub", fall, priced))
            return graph.op("Add", over, graph.scaled("Mul", paid, 1.0 + MARGIN))

        return self._least(fall_at, graph.op("Mul", radius, graph.number(0.0)))

    def _prices(self, multiplier: str, fall: str, spent: str, share: str) -> str:
        """Prices (n, d) that are best where those of all changes are ``multiplier * share``.

        `share` is ``(spent / radius)^(p - 1)``. An input is best at the point of the greatest fall less
        ``multiplier * spent / p * share``, or between it and a neighbour; its price there is the multiplier's, but no
        less than the slope to any point farther out and no more than that from any point nearer.
        """
        graph, zero, power = self.graph, self.graph.number(0.0), self.threat.norm
        ones = graph.op("ReduceMax", graph.op("Mul", fall, zero), axes=[1], keepdims=0)
        if power == 1:
            return graph.op("Add", ones, multiplier)
        multiplier = graph.op("Unsqueeze", multiplier, graph.integers([1]))
        at_points = graph.op("Mul", multiplier, share)
        worth = graph.op("Sub", fall, graph.scaled("Div", graph.op("Mul", at_points, spent), power))
        best = graph.op("Max", graph.op("ReduceMax", worth, axes=[1], keepdims=1), zero)
        chosen = graph.op("GreaterOrEqual", worth, best)
        place, height, price = (
            graph.op("ReduceMax", graph.op("Where", chosen, part, zero), axes=[1], keepdims=1)
            for part in (spent, fall, at_points)
        )
        slope = graph.op("Div", graph.op("Sub", fall, height), graph.op("Sub", spent, place))
        ahead, behind = graph.op("Greater", spent, place), graph.op("Less", spent, place)
        least = graph.op("ReduceMax", graph.op("Where", ahead, slope, zero), axes=[1], keepdims=1)
        most = graph.op("Where", behind, slope, graph.number(math.inf))
        most = graph.op("ReduceMin", most, axes=[1], keepdims=1)
        from_x = graph.op("Div", height, graph.op("Max", place, graph.number(LEAST)))
        from_x = graph.op("Where", graph.op("Greater", place, zero), from_x, graph.number(math.inf))
        price = graph.op("Min", graph.op("Max", price, least), graph.op("Min", most, from_x))
        return graph.op("Squeeze", price, graph.integers([1]))

    def _points(self, radius: str) -> tuple[str, str]:
        """Falls within the radius and what the changes cost, rounded down: (n, j, d)."""
        graph = self.graph
        room = graph.op("Mul", radius, graph.number((1.0 + MARGIN) / self.cost))
        fall, distance = self.falls.within(room, self.threat)
        return fall, graph.op("Mul", distance, graph.number((1.0 - 3.0 * MARGIN) * self.cost))

    def _sum(self, radius: str, falls: str) -> str:
        """Greatest falls (n, j, d) of the inputs together, and the growth of errors: (n, 1)."""
        graph = self.graph
        greatest = graph.op("Max", graph.op("ReduceMax", falls, axes=[1], keepdims=0), graph.number(0.0))
        total = graph.op("ReduceSum", greatest, graph.integers([1]), keepdims=1)
        total = graph.op("Add", total, graph.op("Mul", radius, graph.number(self.rate)))
        return graph.scaled("Mul", total, 1.0 + MARGIN)

    def _least(self, value: Callable[[str], str], zero: str) -> str:
        """About the least value of a function of (n, 1) with one valley, by golden section."""
        graph = self.graph
        low, high = LOGARITHMS
        places = [low + (high - low) * part for part in (0.0, 1.0 - GOLDEN, GOLDEN, 1.0)]
        start = [graph.op("Add", zero, graph.number(place)) for place in places]

        def narrow(low: str, left: str, right: str, high: str, at_left: str, at_right: str) -> Sequence[str]:
            down = graph.op("Less", at_left, at_right)
            low, high = graph.op("Where", down, low, left), graph.op("Where", down, right, high)
            width = graph.op("Mul", graph.op("Sub", high, low), graph.number(GOLDEN))
            tried = graph.op("Where", down, graph.op("Sub", high, width), graph.op("Add", low, width))
            found = value(tried)
            return (
                low,
                graph.op("Where", down, tried, right),
                graph.op("Where", down, left, tried),
                high,
                graph.op("Where", down, found, at_right),
                graph.op("Where", down, at_left, found),
            )

        return graph.op("Min", *graph.loop(SECTIONS, [*start, value(start[1]), value(start[2])], narrow)[4:])
