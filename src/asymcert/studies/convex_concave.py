"""Training of one convex logit against concave ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from asymcert._checks import check_count, check_number
from asymcert.convex import ConvexMLP
from asymcert.datasets.many import ManyClasses
from asymcert.features import Centre
from asymcert.models.convex_concave import ConvexConcaveClassifier
from asymcert.studies.cascade import check_class
from asymcert.training.balance import balanced_threshold


def train_convex_concave(
    data: ManyClasses,
    sensitive_class: int,
    *,
    hidden: tuple[int, ...] = (64, 32),
    epochs: int = 20,
    learning_rate: float = 0.005,
    batch_size: int = 128,
    seed: int = 0,
) -> ConvexConcaveClassifier:
    """Train the logits by cross-entropy over all classes; the threshold balances sensitive against other samples.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    sensitive_class
        Position of the class with the convex logit.
    hidden
        Widths of the hidden layers of every network.
    epochs, learning_rate, batch_size
        Of Adam.
    seed
        Fixes weights and order.

    Raises
    ------
    InputError
        A position that is no class's, or a number out of range.
    """
    check_class(sensitive_class, len(data.classes))
    check_count("epochs", epochs)
    check_count("batch_size", batch_size)
    check_number("learning_rate", learning_rate, 0.0, open_low=True)
    x, labels = data.train
    order = [sensitive_class, *(i for i in range(len(data.classes)) if i != sensitive_class)]
    feature_map = Centre(x.mean(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        scores = [ConvexMLP(tuple(x.shape[1:]), hidden) for _ in order]
        _fit(scores, feature_map(x), _positions(labels, order), epochs, learning_rate, batch_size)
    model = ConvexConcaveClassifier(
        feature_map,
        scores[0],
        scores[1:],
        input_shape=tuple(x.shape[1:]),
        classes=[data.classes[index] for index in order],
        info={"data": data.name, "seed": seed},
    )
    held_out, held_labels = data.val
    return model.with_threshold(balanced_threshold(model.margin(held_out), held_labels == sensitive_class))


def _positions(labels: Tensor, order: list[int]) -> Tensor:
    """Labels as positions in `order`."""
    return torch.tensor(order).argsort()[labels]


def _fit(
    scores: list[ConvexMLP], features: Tensor, labels: Tensor, epochs: int, learning_rate: float, batch_size: int
) -> None:
    """Minimise the cross-entropy of the logits ``(g_0, -g_1, ...)`` in place."""
    optimizer = torch.optim.Adam([weight for score in scores for weight in score.parameters()], learning_rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(batch_size):
            values = [score(features[batch]) for score in scores]
            logits = torch.stack((values[0], *(-value for value in values[1:])), dim=1)
            loss = functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            for score in scores:
                score.project_()
