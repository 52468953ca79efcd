"""What a method of the comparison is: training, certifiers, a knob."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asymcert._floats import NORMS
from asymcert.certify import Certifier
from asymcert.compare.settings import AS_IT_IS, Setting
from asymcert.datasets import BinaryData
from asymcert.models.base import BinaryClassifier
from asymcert.training.models import MODELS, train

BUDGETS = ("cpu", "gpu")
TrainMethod = Callable[..., BinaryClassifier]  # (data, budget=, seed=, device=, checkpoint=, on_epoch=)


@dataclass(frozen=True)
class Curve:
    """One certifier of a method.

    Parameters
    ----------
    label
        What it is called in tables.
    certifier
        What certifies the method's model.
    share
        Part of the samples it is run on, the first ones: less than 1 for what takes seconds for each.
    optional
        Whether it may refuse the method's model, as the exact method does where a feature map bends.
    norms
        Those that it is run in.
    swept
        Whether it is quick enough to be run at several thresholds of each model, or shares of votes.
    weight
        What a sample and norm take, thresholds included, beside the method's other certifiers.
    """

    label: str
    certifier: Certifier
    share: float = 1.0
    optional: bool = False
    norms: tuple[float, ...] = NORMS
    swept: bool = False
    weight: float = 1.0

    @property
    def whole(self) -> bool:
        """Whether it is run on all samples."""
        return self.share == 1


class Minutes(NamedTuple):
    """What one setting takes: training, and certifying 1,000 samples."""

    train: float
    certify: float


@dataclass(frozen=True)
class Method:
    """One method of the comparison.

    Parameters
    ----------
    name, label
        On the command line, and in tables.
    own
        Norms that its certificates are made for; in the others it is converted, or covers them by inclusion.
    train
        Returns the classifier for data and a budget.
    curves
        Its certifiers.
    deviations
        By budget: what differs from the published setting.
    published
        Name of its curve in a file of published curves; empty where there is none.
    deterministic
        Whether attacks inside a radius must fail; a randomised one promises that with high probability.
    audited
        Most samples of a norm to attack: few where one evaluation takes thousands of passes.
    ours
        Whether it is a feature-convex classifier.
    knob
        Settings in the order in which they spread best along its front, the method as it is first.
    minutes
        By family of data: what training and certifying 1,000 samples take for one setting, on two shared cores.
    """

    name: str
    label: str
    own: tuple[float, ...]
    train: TrainMethod
    curves: tuple[Curve, ...]
    deviations: dict[str, str]
    published: str
    deterministic: bool = True
    audited: int = 1000
    ours: bool = False
    knob: tuple[Setting, ...] = (AS_IT_IS,)
    minutes: Mapping[str, Minutes] = field(default_factory=dict)


def trained(
    model: str,
    data: BinaryData,
    budget: str,
    preset: str | None = None,
    scaled: Mapping[str, float] | None = None,
    **options: Any,
) -> BinaryClassifier:
    """A model by a preset, by default the one for the budget or the data; some of its numbers `scaled` by factors.

    A star in the preset's name stands for the family of the data, or ``image`` for others: ``*-l2``. Our own serve both
    budgets, but for the published large l_inf-distance net of MNIST.
    """
    family = data.name.partition("-")[0]
    large = model == "linf-net" and budget == "gpu" and family == "mnist"
    usual = budget if budget in MODELS[model].presets else "mnist-0.3" if large else None
    named = [preset.replace("*", each) for each in (family, "image")] if preset else [usual]
    chosen = named[0] if named[0] in MODELS[model].presets else named[-1]
    recipe = MODELS[model].recipe(data, chosen)
    turned = {name: factor * getattr(recipe, name) for name, factor in (scaled or {}).items()}
    return train(data, model, chosen, **turned, **options)
