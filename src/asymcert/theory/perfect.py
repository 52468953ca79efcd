"""Input-convex ReLU networks without an error on the training data: Open Problem 3.9 of the paper.

``g(x) = sum_k relu(<w_k, x> + b_k)`` is convex and is positive where any unit is. A sample of the other class that
every unit leaves at or below zero, and a sample of the sensitive class that some unit lifts above it, are both
classified right with a threshold a little above 0. Two ways to such units:

- `learn_units` trains a given number of them in whitened coordinates; two are enough for CIFAR-10 cats and dogs.
  Images are so correlated that steps in the pixels themselves hardly move in most directions.
- `hull_units` builds one unit for each sensitive sample from its projection onto the hull of the other class, so that
  each sample's exact l2 radius is nearly as large as the proven distance to the hull, beyond which no such classifier
  can certify.
  `cover` keeps as many of them as it takes.

Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, Open Problem 3.9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_count, check_number, refuse
from asymcert.convex import ConvexMLP
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.theory.hull import hull_distances

SLACK = 1e-3  # of a unit's distance: what the other class is kept below zero by, against rounding
THRESHOLD = 1e-3  # above zero, so that the other verdict's region has an interior, without which Exact stalls
HISTORY = 20  # pairs of L-BFGS
RIDGE = 1e-8  # weight of the squared weights in whitened coordinates; makes the least of the loss unique


@dataclass(frozen=True)
class Units:
    """Affine functions ``<w_k, x> + b_k``.

    Parameters
    ----------
    weights
        Float64 (k, d).
    biases
        Float64 (k,).
    """

    weights: Tensor
    biases: Tensor

    def values(self, x: Tensor) -> Tensor:
        """(n, ...) -> (n, k), float64."""
        return torch.addmm(self.biases, x.flatten(1).double(), self.weights.T)

    def __len__(self) -> int:
        return len(self.biases)


def learn_units(
    x: Tensor,
    y: Tensor,
    units: int = 2,
    *,
    smoothing: float = 0.1,
    iterations: int = 300,
    generator: torch.Generator | None = None,
) -> Units:
    """Train units so that every sample with `y` True lies above 1 in some unit, and no other above -1 in any.

    Squared hinge losses, L-BFGS on all samples at once, float32 in whitened coordinates. Nothing promises success;
    count errors afterwards.

    Parameters
    ----------
    x, y
        Float (n, ...), and bool (n,), True for the sensitive class.
    units
        How many.
    smoothing
        Share of the features' mean variance that is added to each variance before whitening. More of it makes weights
        smaller and so radii larger, but training longer.
    iterations
        Of L-BFGS.
    generator
        Of the start; seed 0 by default.

    Raises
    ------
    InputError
        One class is missing, or an option out of range.
    """
    check_count("units", units)
    check_number("smoothing", smoothing, 0.0, open_low=True)
    check_count("iterations", iterations)
    _check_classes(x, y)
    flat = x.flatten(1).double()
    centre = flat.mean(0)
    factor = _covariance_factor(flat - centre, smoothing)
    white = torch.linalg.solve_triangular(factor, (flat - centre).T, upper=False).T.float().contiguous()
    generator = generator or torch.Generator().manual_seed(0)
    start = torch.randn(units, white.shape[1], generator=generator) / white.shape[1] ** 0.5
    weights, biases = _fit(white[y], white[~y], start.to(white), iterations)
    original = torch.linalg.solve_triangular(factor.T, weights.double().T, upper=True).T
    return Units(original, biases.double() - original @ centre)


def _covariance_factor(centred: Tensor, smoothing: float) -> Tensor:
    """Lower Cholesky factor (d, d) of the smoothed covariance."""
    covariance = centred.T @ centred / len(centred)
    added = smoothing * float(covariance.diagonal().mean())
    covariance.diagonal().add_(added or 1.0)
    return torch.linalg.cholesky(covariance)


def _fit(sensitive: Tensor, other: Tensor, weights: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Weights and biases that minimise the squared hinge losses."""
    weights = weights.clone().requires_grad_()
    biases = weights.new_zeros(len(weights), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, biases], max_iter=iterations, history_size=HISTORY, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimiser.zero_grad()
        above = torch.addmm(biases, sensitive, weights.T).amax(1)
        below = torch.addmm(biases, other, weights.T)
        value = (1.0 - above).relu().square().mean() + (1.0 + below).relu().square().sum(1).mean()
        value = value + RIDGE * weights.square().sum()
        value.backward()
        return float(value.detach())

    optimiser.step(loss)
    return weights.detach(), biases.detach()


def hull_units(x: Tensor, y: Tensor, *, relative: float = 0.25, iterations: int = 400) -> Units:
    """One unit for each sensitive sample, from its projection onto the convex hull of the other class.

    Its weights have l2 norm 1. Every sample of the other class is at or below minus `SLACK` times the distance, the
    sensitive sample itself above zero by nearly the proven distance.

    Parameters
    ----------
    x, y
        Float (n, ...), and bool (n,), True for the sensitive class.
    relative
        Gap of the distances, as a share of them.
    iterations
        The most for each projection.

    Raises
    ------
    InputError
        A sensitive sample that was not proven to lie outside the hull.
    """
    _check_classes(x, y)
    found = hull_distances(
        x[y], x[~y], 2.0, tolerance=1e-6, relative=relative, iterations=iterations, precision=torch.float32
    )
    if not bool((found.lower > 0).all()):
        inside = int((found.lower <= 0).sum())
        remedy = (
            "Spend more iterations; a sample inside the hull cannot be classified right by an input-convex network."
        )
        raise refuse("x", "convexly separable", f"{inside} sensitive samples not proven to be outside the hull", remedy)
    support = (found.directions @ x[~y].flatten(1).double().T).amax(1)
    return Units(found.directions, -support - SLACK * found.lower)


def cover(units: Units, x: Tensor, share: float = 0.5) -> Units:
    """Few of the units that together are positive on every sample (n, ...): the greedy choice.

    A unit counts for a sample where its value is at least `share`, in (0, 1], of that of the sample's best unit, so
    that margins do not shrink by more.

    Raises
    ------
    InputError
        No unit is positive on some sample.
    """
    check_number("share", share, 0.0, 1.0, open_low=True)
    values = units.values(x)
    best = values.amax(1, keepdim=True)
    if not bool((best > 0).all()):
        raise refuse("units", "positive on every sample", f"none of them on {int((best <= 0).sum())} samples")
    serves = (values >= share * best).double()
    chosen, waiting = [], torch.ones(len(values), dtype=torch.float64)
    while bool(waiting.any()):
        chosen.append(int((waiting @ serves).argmax()))
        waiting = waiting * (1.0 - serves[:, chosen[-1]])
    return Units(units.weights[chosen], units.biases[chosen])


def perfect_classifier(
    units: Units, input_shape: tuple[int, ...], threshold: float = THRESHOLD, **names: Any
) -> FeatureConvexClassifier:
    """The input-convex classifier ``sum_k relu(<w_k, x> + b_k) > threshold``.

    Parameters
    ----------
    units
        The hidden layer.
    input_shape
        Shape of one sample, of d features.
    threshold
        At least 0; below zero everything is sensitive. At exactly 0 nothing in the region of the other verdict lies
        below the threshold, and exact certificates of rounded scores then stop well before the region's edge.
    names
        ``sensitive``, ``other``, ``scaling`` and ``info`` of the classifier.
    """
    score = ConvexMLP(input_shape, hidden=(len(units),), passthrough=False).double()
    first, last = score.layers
    with torch.no_grad():
        first.weight.copy_(units.weights)
        first.bias.copy_(units.biases)
        last.weight.fill_(1.0)
        last.bias.zero_()
    return FeatureConvexClassifier(Identity(), score, threshold, input_shape=input_shape, **names)


@dataclass(frozen=True)
class Errors:
    """Misclassified samples of each class."""

    sensitive: int
    other: int

    @property
    def total(self) -> int:
        """Of both classes."""
        return self.sensitive + self.other


def count_errors(classifier: FeatureConvexClassifier, x: Tensor, y: Tensor) -> Errors:
    """Misclassified samples; runs in the precision that the classifier is in."""
    verdict = classifier.predict(x.to(classifier.dtype))
    return Errors(int((~verdict & y).sum()), int((verdict & ~y).sum()))


def _check_classes(x: Tensor, y: Tensor) -> None:
    count = int(y.sum())
    if y.dtype != torch.bool or y.shape != x.shape[:1] or count in (0, math.prod(y.shape)):
        raise refuse(
            "y", f"({len(x)},) booleans with both values", f"{y.dtype} of shape {tuple(y.shape)}, {count} True"
        )
