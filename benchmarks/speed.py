"""Speed as ratios in one process: batched certification and Jacobian regularisation against doing it one by one.

    python benchmarks/speed.py [--threads 1]

1. Certifying 1,000 MNIST-shaped samples in l1, l2 and l_inf, batched, float64, against a loop of one-sample calls that
   each build the full Jacobian.
2. A training step with Jacobian regularisation by the gradient of the summed scores, against building the Jacobian
   output by output, at batch 64 (as published) on the perceptron 200-50.
3. Certification of a batch against its own bare forward and backward pass, without and with bounds on rounding.
4. Tangent and refined certificates in the box [0, 1] against the closed form, all with bounds on rounding.
Each figure is the median of repeated runs, taken alternately.

Last results, one thread of two shared cores (load 2), torch 2.13: one by one / batched 15.2; batched / own forward and
backward pass 0.92, with bounds on rounding 1.52; tangent / closed form 3.1 in l1, 3.2 in l2, 2.8 in l_inf; refined with
4 cuts / closed form 29.6, 27.0, 24.2; Jacobian step by output / summed 24.0.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
from timing import alternate
from torch import Tensor

from asymcert import FeatureConvexClassifier, ThreatModel, certify, certify_each
from asymcert.convex import ConvexMLP
from asymcert.features import Centre
from asymcert.training.losses import classification_loss, jacobian_norm

SHAPE = (1, 28, 28)
THREATS = [ThreatModel(norm) for norm in (1, 2, math.inf)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = FeatureConvexClassifier(Centre(torch.full((1, 1, 1), 0.1)), ConvexMLP(SHAPE), -1.0, input_shape=SHAPE)
    x = torch.rand(1000, *SHAPE)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s), median of {arguments.repeats}")

    batched, sound, looped, passes = alternate(
        [
            lambda: certify_each(model, x, THREATS, sound=False),
            lambda: certify_each(model, x, THREATS),
            lambda: one_by_one(model, x),
            lambda: bare_passes(model, x),
        ],
        arguments.repeats,
    )
    print(f"certify 1,000 samples, 3 norms: batched {batched * 1e3:.1f} ms, one by one {looped * 1e3:.1f} ms")
    print(f"  one by one / batched                     {looped / batched:.1f}")
    print(f"  batched / own forward and backward pass  {batched / passes:.2f}")
    print(f"  the same with bounds on rounding         {sound / passes:.2f}")
    certify_by_method(model, x, arguments.repeats)

    score, features, labels = ConvexMLP(SHAPE), torch.rand(64, *SHAPE), torch.arange(64) % 2 == 0
    summed, rows = alternate(
        [lambda: step(score, features, labels, gradient_of_sum), lambda: step(score, features, labels, row_by_row)],
        arguments.repeats,
    )
    print(f"training step with Jacobian regularisation: summed {summed * 1e3:.2f} ms, by output {rows * 1e3:.2f} ms")
    print(f"  by output / summed                       {rows / summed:.1f}")


def certify_by_method(model: FeatureConvexClassifier, x: Tensor, repeats: int) -> None:
    """Print what the other methods cost, norm by norm."""
    for norm in (1, 2, math.inf):
        threat = ThreatModel(norm, 0.0, 1.0)
        closed, tangent, refined = alternate(
            [
                lambda threat=threat: certify(model, x, threat),
                lambda threat=threat: certify(model, x, threat, "tangent"),
                lambda threat=threat: certify(model, x, threat, "refined", cuts=4),
            ],
            repeats,
        )
        name = threat.describe().split()[0]
        print(f"  {name}: tangent / closed form {tangent / closed:.1f}, refined with 4 cuts {refined / closed:.1f}")


def one_by_one(model: FeatureConvexClassifier, x: Tensor) -> list[list[float]]:
    """The plain way: per sample a forward pass, the full Jacobian and three norms."""
    radii = []
    for sample in x.double():
        features = model.feature_map(sample[None])
        margin = model.score(features) - model.threshold
        jacobian = torch.autograd.functional.jacobian(model.score, features).flatten()
        duals = [torch.linalg.vector_norm(jacobian, ord=q) for q in (math.inf, 2, 1)]
        radii.append([float(margin / dual) for dual in duals])
    return radii


def bare_passes(model: FeatureConvexClassifier, x: Tensor) -> Tensor:
    features = model.feature_map(x.double()).requires_grad_(True)
    return torch.autograd.grad(model.score(features).sum(), features)[0]


def step(score: ConvexMLP, features: Tensor, labels: Tensor, gradient: Callable[..., Tensor]) -> None:
    features = features.clone().requires_grad_(True)
    scores = score(features)
    loss = classification_loss(scores, labels) + 0.05 * jacobian_norm(gradient(scores, features), 0.0, mean=True)
    score.zero_grad(set_to_none=True)
    loss.backward()


def gradient_of_sum(scores: Tensor, features: Tensor) -> Tensor:
    return torch.autograd.grad(scores.sum(), features, create_graph=True)[0]


def row_by_row(scores: Tensor, features: Tensor) -> Tensor:
    rows = [torch.autograd.grad(score, features, create_graph=True)[0][i] for i, score in enumerate(scores)]
    return torch.stack(rows)


if __name__ == "__main__":
    main()
