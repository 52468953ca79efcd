"""Certify images, and check a certificate against an attack.

Run: python examples/image_classifier.py     (about 10 s; the digits ship with scikit-learn)

Threes are the sensitive class. For each recognised three the closed form gives a radius in l1, l2 and l_inf; projected
gradients then try to break every one of them from just inside.
"""

from __future__ import annotations

import math

import torch

from asymcert import ThreatModel, certify_each, datasets, train
from asymcert.attacks import ProjectedGradient
from asymcert.evaluate import floor_significant


def main() -> None:
    data = datasets.load("digits-3-8")
    model = train(data, seed=0)
    threes = data.test.x[data.test.y]
    threats = [ThreatModel(norm, lower=0.0, upper=1.0) for norm in (1, 2, math.inf)]
    for certificate in certify_each(model, threes, threats):
        attack = ProjectedGradient()
        budget = 0.999 * certificate.radius
        result = attack.run(model, threes, certificate.threat, budget, torch.Generator().manual_seed(0))
        broken = int((result.success & (certificate.radius > 0)).sum())
        median = floor_significant(float(certificate.radius.median()))
        print(f"{certificate.threat.describe():<14} median radius {median}, attacks that broke one: {broken}")


if __name__ == "__main__":
    main()
