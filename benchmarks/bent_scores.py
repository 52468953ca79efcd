"""Whether a bent convex score on a learned 1-Lipschitz map is better than a linear one: validation data.

    python benchmarks/bent_scores.py mnist-3-8 --seeds 0 1

Trains the preset of the family on a learned map with three scores: linear; a perceptron of 64 and 32 units which sees
its input in every layer, so that it can be linear; the same without those connections. Says balanced accuracy, median
l2 radius of the sensitive class in closed form, and how much the slopes of alerts differ: the greatest distance of an
alert's gradient from their mean, by the length of that. 0 means that the score is linear where anything is certified:
radii are those of a 1-Lipschitz net, and neither further cuts nor an exact search would say more.

Last results, one thread:

                       score               seed  balanced  l2      slopes differ  train s
    mnist-3-8          linear              0     99.41 %   2.510   0              44
                       bent                0     99.58 %   2.542   7e-13          45
                       bent, no shortcuts  0     99.49 %   2.677   5e-9           43
                       linear              1     99.49 %   2.359   0              43
                       bent                1     99.49 %   2.291   2e-12          45
                       bent, no shortcuts  1     99.58 %   2.247   4e-16          45
    cifar10-cats-dogs  linear              0     63.00 %   0.6808  0              43
                       bent                0     63.70 %   0.6602  0.0008         43
                       bent, no shortcuts  0     61.60 %   0.6982  0.006          43
                       linear              1     60.80 %   0.5653  0              42
                       bent                1     61.00 %   0.6044  0              44
                       bent, no shortcuts  1     59.00 %   0.5732  0.010          61
    fashion-shirts     linear              0     84.75 %   1.279   0              211
                       bent                0     84.75 %   1.311   0.002          221
                       bent, no shortcuts  0     84.58 %   1.321   0.0004         246
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from asymcert import ThreatModel, certify, datasets, train
from asymcert.certify.closed_form import tangent_plane
from asymcert.datasets import BinaryData
from asymcert.evaluate import ceil_format, floor_percent, floor_significant
from asymcert.evaluate.formatting import ceil_significant
from asymcert.models import FeatureConvexClassifier
from asymcert.training import preset_for

BENT: dict[str, Any] = {"architecture": "mlp", "hidden": (64, 32)}
SCORES: dict[str, dict[str, Any]] = {"linear": {}, "bent": BENT, "bent, no shortcuts": {**BENT, "passthrough": False}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's own number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{arguments.name}\nscore               seed  balanced  l2      slopes differ  train s")
    for seed in arguments.seeds:
        data = datasets.load(arguments.name, arguments.data_dir, seed=seed)
        for score, changes in SCORES.items():
            print(f"{score:<20}{seed:<6}{measure(data, changes, seed, arguments.epochs)}", flush=True)


def measure(data: BinaryData, changes: dict[str, Any], seed: int, epochs: int | None) -> str:
    config = preset_for(data, f"{data.name.partition('-')[0]}-map")
    start = time.perf_counter()
    model = train(data, config=config, seed=seed, epochs=epochs or config.epochs, **changes)
    seconds = time.perf_counter() - start
    x, y = data.val.x, data.val.y
    found = certify(model, x, ThreatModel(2), "closed-form")
    hit, rejected = found.sensitive[y].double().mean(), (~found.sensitive[~y]).double().mean()
    return (
        f"{floor_percent(float(hit + rejected) / 2, 2):<10}{floor_significant(float(found.radius[y].median()), 4):<8}"
        f"{ceil_significant(spread(model, x[found.sensitive]), 1):<15}{ceil_format(seconds, 0)}"
    )


def spread(model: FeatureConvexClassifier, x: torch.Tensor) -> float:
    gradients = torch.cat([tangent_plane(model, chunk)[1].flatten(1) for chunk in model.chunks(x)])
    mean = gradients.mean(0)
    return float((gradients - mean).norm(dim=1).max() / mean.norm())


if __name__ == "__main__":
    main()
