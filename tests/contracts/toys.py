"""Small data and small recipes for every kind of model, and what a training of them comes to."""

from functools import cache

import numpy as np
import pytest
import torch

from asymcert.datasets import BinaryData, Split
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.text_columns import WindowsColumn
from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.codes import packed
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.vocabulary import Vocabulary
from asymcert.training import MODELS

SMALL = {
    "feature-convex": {"hidden": (6, 5), "channels": 2, "depth": 2, "first_kernel": 3},
    "linf-net": {"width": 8, "depth": 3, "p_end": 100.0, "epsilon": 0.1, "deviation": 0.3},
    "linf-convex": {"width": 8, "depth": 3, "convex": (4,), "features": 4, "epochs": 2, "above": 2, "epsilon": 0.1},
    "smoothing": {"width": 8},
    "splitting": {"width": 8, "sigma": 0.05},
    "cayley": {"widths": (4, 4), "width": 2},
    "relu": {"widths": (5,), "attack_steps": 2, "epsilon": 0.05},
    "convex-concave": {"hidden": (6,)},
    "text": {"hidden": (6,), "dropout": 0.1, "target_words": 1, "sensitive_weight": 1.0},
}
RECIPES = {
    name: kind.config(**({"epochs": 4, "batch_size": 16, "learning_rate": 0.01} | SMALL[name]))
    for name, kind in MODELS.items()
}
EVERY = pytest.mark.parametrize("model", MODELS)


def splits():
    """Small images whose sensitive class is brighter on the left."""
    generator = torch.Generator().manual_seed(0)
    for n in (32, 12, 12):
        x, y = torch.rand(n, 1, 6, 6, generator=generator) * 0.5, torch.arange(n) % 2 == 0
        x[y, :, :, :3] += 0.4
        yield x, y


def texts():
    """Texts whose sensitive ones have more of the first animals."""
    encoder = TextEncoder(CanonicalForm(), Vocabulary(ANIMALS, pairs=(ANIMALS[:2], ANIMALS[2:4])))
    generator = np.random.default_rng(0)
    for n in (32, 12, 12):
        y = torch.arange(n) % 2 == 0
        drawn = [" ".join(generator.choice(ANIMALS, 5, p=WORDS[int(own)])) for own in y]
        yield torch.from_numpy(packed(encoder.encode(drawn), n, 8)), y, encoder


ANIMALS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")
WORDS = {0: np.array([1, 1, 1, 1, 7, 7, 7, 7]) / 32, 1: np.array([7, 7, 7, 7, 1, 1, 1, 1]) / 32}


@cache
def toy(model, flat=False, more=0):
    """Data for a kind of model; `more` samples of a class in each split."""
    parts, scaling = [(x.flatten(1) if flat else x, y) for x, y in splits()], None
    if MODELS[model].texts:
        found = list(texts())
        parts, scaling = [part[:2] for part in found], TableScaling((WindowsColumn("text", "", found[0][2], 8),))
    parts = [Split(torch.cat((x, x[:more])), torch.cat((y, y[:more]))) for x, y in parts]
    return BinaryData("toy", *parts, sensitive="left", other="none", scaling=scaling)


def outcome(model, records=()):
    """Weights, threshold, and at which epochs there was a validation."""
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    return weights, getattr(model, "threshold", 0.0), ["seconds" in r and len(r) > 4 for r in records]
