"""A small classifier of three numbers and a category, adversaries who are measured in columns, and brute force."""

from __future__ import annotations

import itertools
import math

import torch

from asymcert.features import Ramps
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.limits import Limits
from asymcert.threats.model import ThreatModel
from contracts.models import random_mlp, seeded

D = 6
GROUPS = torch.tensor([0, 1, 2, 3, 3, 3])  # three numbers, and a category of three values
ONE_HOT = torch.tensor([False, False, False, True, True, True])
PRICE = torch.tensor([1.0, 2.0, 0.5, 3.0, 3.0, 3.0]).double()
LIMITS = Limits(  # one grows or falls by half, one becomes 0.2 or 0.9, the category never its second value
    torch.zeros(D).double(),
    torch.ones(D).double(),
    share=torch.tensor([0.5, *[math.inf] * 5]).double(),
    values=tuple(
        None if own is None else torch.tensor(own).double() for own in (None, [0.2, 0.9], None, [0, 1], [0], [0, 1])
    ),
)
ADVERSARIES = {
    "anything": ThreatModel(0),
    "box": ThreatModel(0, lower=0, upper=1),
    "category": ThreatModel(0, lower=0, upper=1, groups=GROUPS, exclusive=ONE_HOT),
    "frozen": ThreatModel(0, lower=0, upper=1, groups=GROUPS, exclusive=ONE_HOT, mutable=torch.arange(D) != 1),
    "adds": ThreatModel(0, groups=GROUPS, exclusive=ONE_HOT, direction=torch.tensor([1, 1, -1, 0, 0, 0])),
    "limits": ThreatModel(0, lower=0, upper=1, groups=GROUPS, exclusive=ONE_HOT, limits=LIMITS),
    "prices": ThreatModel(0, lower=0, upper=1, cost=PRICE, groups=GROUPS, exclusive=ONE_HOT),
}


def rows(n: int = 30, seed: int = 0) -> torch.Tensor:
    """Three skewed numbers in [0, 1] and a category."""
    x = torch.rand(n, D, generator=seeded(seed)).double() ** 3
    x[:, 3:] = torch.eye(3).double()[torch.randint(3, (n,), generator=seeded(seed + 1))]
    return x


def classifier(seed: int, edges: int = 5, share: float = 0.1) -> FeatureConvexClassifier:
    model, _ = random_mlp(seed, D, feature_map=Ramps.fit(rows(200), edges))
    return model.with_threshold(float((model.margin(rows(200)) + model.threshold).quantile(share)))


def options(model: FeatureConvexClassifier, threat: ThreatModel, x: torch.Tensor) -> dict[int, list[torch.Tensor]]:
    """All that can be made of each column of one sample, up to what no score can tell apart: inputs of the column."""
    low, high = threat.interval(x[None])
    columns, knots = threat.columns((D,)), model.feature_map.knots((D,))
    found = {}
    for column in range(len(columns.price)):
        inputs = (columns.index == column).nonzero().flatten()
        if len(inputs) > 1:
            values = torch.eye(len(inputs)).double()
            possible = ((values >= x[inputs]) | (low[0, inputs] < 0)) & ((values <= x[inputs]) | (high[0, inputs] > 0))
            found[column] = list(values[possible.all(1)])
        else:
            j = int(inputs)
            ends = torch.cat((knots[:, j], torch.tensor([-9.0, 9.0])))
            inside = (ends - x[j]).clamp(float(low[0, j]), float(high[0, j])) + x[j]
            listed = threat.limits.values[j] if threat.limits and threat.limits.values else None
            found[column] = list((inside if listed is None else torch.cat((listed, x[j : j + 1]))).unique()[:, None])
    return found


def every_change(model, threat, x: torch.Tensor, count: int) -> torch.Tensor:
    """All inputs that differ from one sample in exactly some `count` columns, or fewer: (m, d)."""
    columns, single = threat.columns((D,)), options(model, threat, x)
    points = []
    for chosen in itertools.combinations(single, count):
        for values in itertools.product(*(single[column] for column in chosen)):
            point = x.clone()
            for column, value in zip(chosen, values, strict=True):
                point[columns.index == column] = value
            points.append(point)
    return torch.stack(points)


def least_price(model, threat, x: torch.Tensor, most: int = 2) -> float:
    """Size of the cheapest change of at most so many columns that undoes the verdict, by trying all; inf if none."""
    best = math.inf
    for count in range(1, most + 1):
        points = every_change(model, threat, x, count)
        undone = points[model.margin(points) <= 0]
        if len(undone):
            best = min(best, float(threat.size(undone - x).min()))
    return best
