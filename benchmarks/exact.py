"""Exact radii: seconds for all sensitive test samples, and how near the other methods come.

    python benchmarks/exact.py [--workers 2] [--model MODEL.safetensors] [--images 100]

1. MNIST 3-8, the preset's perceptron 200-50, box [0, 1]: seconds for every test three that is called one, in each norm;
   the mean over samples of each method's radius divided by the exact one.
2. Fashion shirts, a convolutional network of two layers with eight channels: seconds for the first `--images` sensitive
   test samples, in each norm.

Two cores shared with other jobs (load 7), torch 2.13, HiGHS 1.15, Clarabel 0.11:

    mnist-3-8: 1008 sensitive test samples
    norm  seconds  a sample  greatest gap  mean radius  closed form  tangent  refined, 8 cuts
    linf    100.9    0.1001       4.6e-05      0.15136       0.7781   0.9781           0.9995
    l1       79.9    0.0793       5.3e-05       15.803       0.8202   0.9321           0.9944
    l2      284.9    0.2826       4.7e-05       2.0559       0.9508   0.9856           0.9998
    fashion, convolutional: 100 sensitive test samples
    linf     21.1    0.2105       4.9e-05     0.086534       0.8822   0.9806           0.9994
    l1       27.7    0.2764       4.9e-05       13.926       0.9124   0.9680           0.9948
    l2       38.4    0.3836       4.8e-05       1.4368       0.9466   0.9866           0.9998
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace

import torch
from torch import Tensor

from asymcert import FeatureConvexClassifier, ThreatModel, datasets, train
from asymcert.certify.base import Certificate
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.exact import Exact
from asymcert.certify.refined import Refined
from asymcert.certify.tangent import Tangent
from asymcert.evaluate import ceil_format, floor_significant
from asymcert.training import preset_for

NORMS = {"linf": math.inf, "l1": 1.0, "l2": 2.0}
OTHERS = {"closed form": ClosedForm(), "tangent": Tangent(), "refined, 8 cuts": Refined(cuts=8)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", help="trained on mnist-3-8, instead of training the preset")
    parser.add_argument("--images", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    certifier = Exact(workers=arguments.workers)
    data = datasets.load("mnist-3-8", arguments.data_dir, seed=0)
    model = FeatureConvexClassifier.load(arguments.model) if arguments.model else train(data, seed=0)
    print(f"torch {torch.__version__}, {arguments.workers} process(es)")
    report("mnist-3-8", model, sensitive(model, data.test.x[data.test.y]), certifier)
    data = datasets.load("fashion-shirts", arguments.data_dir, seed=0)
    config = replace(preset_for(data), architecture="conv", channels=8, depth=2, first_kernel=5, stride=2, epochs=10)
    model = train(data, config=config, seed=0)
    report("fashion, convolutional", model, sensitive(model, data.test.x[data.test.y])[: arguments.images], certifier)


def sensitive(model: FeatureConvexClassifier, x: Tensor) -> Tensor:
    return x[model.predict(x)]


def report(name: str, model: FeatureConvexClassifier, x: Tensor, certifier: Exact) -> None:
    print(f"{name}: {len(x)} sensitive test samples")
    print(f"norm  seconds  a sample  greatest gap  mean radius  {'  '.join(OTHERS)}")
    for norm, p in NORMS.items():
        threat = ThreatModel(p, 0.0, 1.0)
        start = time.perf_counter()
        exact = certifier.certify(model, x, [threat])[0]
        seconds = time.perf_counter() - start
        finite = exact.upper.isfinite()
        gap = float((1 - exact.radius / exact.upper)[finite].max())
        ratios = [mean_ratio(other.certify(model, x, [threat])[0], exact) for other in OTHERS.values()]
        columns = "  ".join(f"{ratio:>{len(other)}}" for ratio, other in zip(ratios, OTHERS, strict=True))
        mean = floor_significant(float(exact.radius[finite].mean()), 5)
        print(
            f"{norm:<4}  {ceil_format(seconds, 1):>7}  {ceil_format(seconds / len(x), 4):>8}"
            f"  {gap:>12.1e}  {mean:>11}  {columns}",
            flush=True,
        )


def mean_ratio(certificate: Certificate, exact: Certificate) -> str:
    """Mean over samples of a radius divided by the exact one, rounded down."""
    finite = exact.upper.isfinite()
    return floor_significant(float((certificate.radius / exact.upper)[finite].mean()), 4)


if __name__ == "__main__":
    main()
