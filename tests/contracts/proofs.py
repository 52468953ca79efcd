"""Honest proofs over architectures, feature maps, norms and threat models, held in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asymcert.convex import ConvexConvNet, SymmetricAverage
from asymcert.features import Centre, CentreAbsolute, Chain, Hinges, Ramps, SoftThreshold, Standardise
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.proofs.checker import Claim, Model, read_container
from asymcert.proofs.checker_network import RefusedError
from asymcert.proofs.writer import write_proof
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, random_mlp, randomise, seeded

NORMS = (1.0, 1.5, 2.0, 3.0, math.inf)


@dataclass
class Proof:
    """One honest proof: the classifier and its file as the checker reads it, and the proof's two parts."""

    classifier: FeatureConvexClassifier
    model: Model
    x: Tensor
    threat: ThreatModel
    metadata: dict
    tensors: dict[str, np.ndarray]

    @property
    def radius(self) -> float:
        return float.fromhex(self.metadata["radius"])

    def refusal(self, metadata: dict | None = None, without: str = "", **tensors) -> str | None:
        """Why the checker refuses the proof with these parts changed; None if it confirms."""
        parts = {name: value for name, value in {**self.tensors, **tensors}.items() if name != without}
        try:
            Claim(self.model, {**self.metadata, **(metadata or {})}, parts).check()
        except (RefusedError, FloatingPointError) as reason:
            return str(reason)
        return None

    def with_input(self, x: np.ndarray) -> dict:
        """Parts of a proof for another input, its digest made to fit."""
        return {"x": x, "metadata": {"input": hashlib.sha256(x.tobytes()).hexdigest()}}


def conv(seed: int, symmetric: bool = False, **options) -> tuple[FeatureConvexClassifier, Tensor]:
    """Convolutional classifier on 1 x 7 x 6 images, through the centre-and-absolute map."""
    generator = seeded(seed)
    x = torch.rand(8, 1, 7, 6, generator=generator, dtype=torch.float64)
    feature_map = CentreAbsolute(torch.full((1, 7, 6), 0.5))
    score = ConvexConvNet((2, 7, 6), **{"channels": 2, "depth": 3, "first_kernel": 3, **options})
    score = randomise(score, generator, 1.5)
    return balanced(feature_map, SymmetricAverage(score, True, 1) if symmetric else score, x), x


def classifiers() -> dict[str, tuple[FeatureConvexClassifier, Tensor]]:
    """Small classifiers of every architecture and map, with inputs."""
    generator = seeded(5)
    half = torch.full((6,), 0.5)
    nested = Chain(
        Standardise(0.3), CentreAbsolute(2 * half), Chain(SoftThreshold(torch.rand(12, generator=generator), 0.25))
    )
    narrow = random_mlp(4, feature_map=Centre(half))
    return {
        "mlp": random_mlp(0),
        "mlp without passthrough": random_mlp(1, hidden=(12,), feature_map=Centre(half), passthrough=False),
        "mlp centre-absolute": random_mlp(2, feature_map=CentreAbsolute(half)),
        "mlp soft threshold": random_mlp(3, feature_map=SoftThreshold(half, 0.125)),
        "mlp chain": random_mlp(6, hidden=(8, 6, 4), feature_map=nested),
        "mlp hinges": random_mlp(11, feature_map=Hinges(half, 3)),
        "mlp ramps": random_mlp(12, feature_map=Ramps.fit(torch.rand(40, 6, generator=generator) ** 3, 5)),
        "mlp float32": (narrow[0].float(), narrow[1]),
        "conv max": conv(7, pool_size=2, passthrough=True),
        "conv average": conv(8, pool="average", pool_size=2, stride=2),
        "conv of even width": conv(9, first_kernel=4, passthrough=True, pool_size=3),
        "symmetric": conv(10, symmetric=True, pool_size=2),
    }


def threats(shape: tuple[int, ...]) -> list[ThreatModel]:
    """Every norm, each without a box, in one, and with all parts."""
    place = torch.arange(math.prod(shape)).reshape(shape)
    cost = torch.tensor([0.25, 2.0, 0.5, 1.0, 4.0]).double()[place % 5]
    parts = {"lower": -0.5, "upper": 1.25, "cost": cost, "direction": place % 3 - 1, "mutable": place % 7 > 0}
    return [ThreatModel(norm, **rest) for norm in NORMS for rest in ({}, {"lower": 0.0, "upper": 1.0}, parts)]


def read_model(classifier: FeatureConvexClassifier, folder: Path) -> Model:
    classifier.save(folder / "model")
    return Model(folder / "model")


def prove(
    classifier: FeatureConvexClassifier, model: Model, x: Tensor, threat: ThreatModel, folder: Path, cuts: int = 3
) -> Proof:
    """An honest proof with some random anchors near the input, and the input itself."""
    generator = seeded(cuts)
    near = x + 0.02 * torch.randn(cuts, *x.shape, generator=generator).double()
    weights = torch.rand(cuts, generator=generator).double()
    weights[0] = 1.0 if cuts == 1 else 1.0 - weights[1:].sum() / (2 * cuts)
    near[0], weights = x, weights / weights.sum()
    write_proof(folder / "proof", classifier, x, threat, near, weights)
    return Proof(classifier, model, x, threat, *read_container(folder / "proof", "asymcert-proof"))


def honest_proofs(folder: Path) -> Iterator[Proof]:
    """Proofs of sensitive inputs of every classifier in every norm; the threat model's other parts take turns."""
    for turn, (classifier, x) in enumerate(classifiers().values()):
        model, choice = read_model(classifier, folder), threats(classifier.input_shape)
        index = classifier.margin(x).argsort(descending=True)
        for place, threat in enumerate(choice):
            if place % 3 == (turn + place // 3) % 3:
                yield prove(classifier, model, x[index[place % 2]], threat, folder)
