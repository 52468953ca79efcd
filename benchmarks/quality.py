"""Quality of the presets: balanced accuracy and median radii on test data, per seed, with an audit.

    python benchmarks/quality.py mnist-3-8 --seeds 0 1 2
    python benchmarks/quality.py mnist-3-8 --preset mnist-published
    python benchmarks/quality.py mnist-3-8 --preset mnist-l2 --method tangent

A wrong prediction counts as radius 0; thresholds are balanced on validation data; each seed has its own
train/validation split. The audit attacks every radius at 0.999 of it.

Last results, one thread of two AMD EPYC cores shared with other work:

                                       seed  balanced  sensitive  other     l1      l2      linf     CPU s  won
    mnist-3-8                          0      99.33 %   99.80 %   98.87 %  12.77   1.977   0.1197   36     0 of 300
                                       1      99.60 %   99.40 %   99.79 %  11.60   1.782   0.1097   33     0 of 300
                                       2      99.49 %   99.40 %   99.58 %  10.91   1.761   0.1086   33     0 of 300
    fashion-shirts (wall seconds)      0      83.14 %   82.20 %   84.10 %  8.917   0.9866  0.04901  86     0 of 267
                                       1      83.40 %   81.90 %   84.90 %  8.555   0.9476  0.04786  62     0 of 261
                                       2      83.10 %   82.00 %   84.20 %  9.186   0.9919  0.04994  51     0 of 270
    cifar10-cats-dogs --audit 10       0      68.39 %   68.00 %   68.80 %  4.256   0.2431  0.005649 377    0 of 12
                                       1      68.39 %   67.70 %   69.10 %  4.235   0.2405  0.005586 402    0 of 15
    mnist-3-8 --preset mnist-published 0      98.42 %   99.20 %   97.63 %  10.24   1.781   0.09815  63     0 of 297
    tangent: mnist-3-8, mnist-small    0      98.08 %   98.31 %   97.84 %  1.947   1.947   0.08647   34     0 of 60
    tangent: fashion, fashion-small    0      81.65 %   81.00 %   82.30 %  1.102   1.102   0.04465   77     0 of 54
    tangent: cifar10, cifar10-small    0      64.45 %   64.50 %   64.40 %  1.084   0.5422  0.01012   99     0 of 207
    --audit 10: mnist-3-8, mnist-l1    0      98.87 %   99.60 %   98.15 %  17.85   1.507   0.1147   63     0 of 30
    (tangent)                          1      99.09 %   99.10 %   99.07 %  16.55   1.392   0.1043   64     0 of 30
                                       2      99.14 %   99.30 %   98.97 %  16.60   1.399   0.1040   63     0 of 30
    fashion-shirts, fashion-l1         0      82.00 %   80.80 %   83.20 %  15.87   0.7744  0.03436  65     0 of 30
                                       1      82.40 %   81.30 %   83.50 %  16.00   0.7893  0.03500  64     0 of 30
                                       2      82.40 %   81.90 %   82.90 %  16.53   0.8099  0.03639  64     0 of 30
    fashion-shirts, fashion-l2         0      83.14 %   82.70 %   83.60 %  1.091   1.091   0.04308  277    0 of 30
                                       1      83.00 %   82.30 %   83.70 %  1.115   1.115   0.04474  272    0 of 27
                                       2      83.20 %   83.30 %   83.10 %  1.148   1.148   0.04494  274    0 of 30
    cifar10-cats-dogs, cifar10-l1      0      64.30 %   62.00 %   66.60 %  13.09   0.4027  0.008551 129    0 of 15
                                       1      64.75 %   64.20 %   65.30 %  15.32   0.4749  0.01043  127    0 of 24
                                       2      63.90 %   61.70 %   66.10 %  13.53   0.4313  0.009296 125    0 of 12
    closed form: mnist-3-8, mnist-map  0      99.54 %   99.80 %   99.28 %  2.557   2.557   0.09135  46    0 of 30
                                       1      99.59 %   99.60 %   99.58 %  2.394   2.394   0.08551  44    0 of 30
                                       2      99.64 %   99.70 %   99.58 %  2.406   2.406   0.08595  44    0 of 30
    fashion-shirts, fashion-map        0      83.70 %   83.30 %   84.10 %  1.229   1.229   0.04389  139   0 of 30
                                       1      83.90 %   82.80 %   85.00 %  1.208   1.208   0.04314  126   0 of 30
                                       2      83.60 %   83.00 %   84.20 %  1.218   1.218   0.04350  128   0 of 30
    cifar10-cats-dogs, cifar10-map     0      61.74 %   59.90 %   63.60 %  1.198   0.5992  0.01081  42    0 of 18
                                       1      62.45 %   63.20 %   61.70 %  1.444   0.7222  0.01303  42    0 of 21
                                       2      63.00 %   62.30 %   63.70 %  1.311   0.6558  0.01183  43    0 of 21
    fashion-shirts, fashion-published  0      77.75 %   77.40 %   78.10 %  8.396   1.577   0.1051   632    0 of 237
"""

from __future__ import annotations

import argparse
import math
import time

import torch

from asymcert import ThreatModel, certify_each, datasets, train
from asymcert.attacks import ProjectedGradient
from asymcert.evaluate import ceil_format, floor_percent, floor_significant
from asymcert.training import preset_for

THREATS = [ThreatModel(norm, lower=0.0, upper=1.0) for norm in (1, 2, math.inf)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--data-dir")
    parser.add_argument("--preset", help="by default the one of the data's family")
    parser.add_argument("--method", default="closed-form", choices=["closed-form", "tangent", "refined"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's own number")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--audit", type=int, default=100, help="sensitive samples to attack per norm")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{arguments.name}, preset {arguments.preset}, {arguments.method}, {arguments.threads} thread(s)")
    print("seed  balanced  sensitive  other     l1      l2      linf     train CPU s  attacks won")
    for seed in arguments.seeds:
        print(measure(arguments, seed), flush=True)


def measure(arguments: argparse.Namespace, seed: int) -> str:
    data = datasets.load(arguments.name, arguments.data_dir, seed=seed)
    config = preset_for(data, arguments.preset)
    epochs = arguments.epochs or config.epochs
    start = time.process_time()  # of all threads
    model = train(data, config=config, seed=seed, epochs=epochs)
    seconds = time.process_time() - start
    x, y = data.test.x, data.test.y
    certificates = certify_each(model, x, THREATS, arguments.method)
    said = certificates[0].sensitive
    hit, rejected = float(said[y].double().mean()), float((~said[~y]).double().mean())
    medians = [floor_significant(float(certificate.radius[y].median()), 4) for certificate in certificates]
    accuracies = [floor_percent(value, 2) for value in ((hit + rejected) / 2, hit, rejected)]
    won = attacks_won(model, x[y][: arguments.audit], arguments.method)
    return f"{seed:<5} {accuracies[0]:>8}  {accuracies[1]:>8}  {accuracies[2]:>8}  " + (
        f"{medians[0]:<7} {medians[1]:<7} {medians[2]:<8} {ceil_format(seconds, 0):<12} {won}"
    )


def attacks_won(model: object, x: torch.Tensor, method: str) -> str:
    won = tried = 0
    for certificate in certify_each(model, x, THREATS, method):  # pyright: ignore[reportArgumentType]
        generator = torch.Generator().manual_seed(0)
        budget = 0.999 * certificate.radius
        result = ProjectedGradient().run(model, x, certificate.threat, budget, generator)  # pyright: ignore
        won += int((result.success & certificate.sensitive).sum())
        tried += int(certificate.sensitive.sum())
    return f"{won} of {tried}"


if __name__ == "__main__":
    main()
