"""What is compared on images: training, certifiers, and how each method differs from the published setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from asymcert._floats import NORMS
from asymcert.certify import Certifier, ClosedForm, Exact, Tangent, certifier_for
from asymcert.compare.settings import AS_IT_IS, Setting, multiples
from asymcert.datasets import BinaryData
from asymcert.models.base import BinaryClassifier
from asymcert.training.models import MODELS, train
from asymcert.training.relu import EXPONENTS

BUDGETS = ("cpu", "gpu")
FAMILIES = ("mnist", "fashion", "cifar10")  # of data whose times are known
BRANCHES = certifier_for("branch-and-bound", time_limit=3.0)
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
        Whether it is quick enough to be run at several thresholds of each model.
    """

    label: str
    certifier: Certifier
    share: float = 1.0
    optional: bool = False
    norms: tuple[float, ...] = NORMS
    swept: bool = False

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

    A star in the preset's name stands for the family of the data: ``*-small``. Our own serve both budgets, but for the
    published large l_inf-distance net of MNIST.
    """
    family = data.name.partition("-")[0]
    large = model == "linf-net" and budget == "gpu" and family == "mnist"
    usual = budget if budget in MODELS[model].presets else "mnist-0.3" if large else None
    chosen = preset.replace("*", family) if preset else usual
    recipe = MODELS[model].recipe(data, chosen)
    turned = {name: factor * getattr(recipe, name) for name, factor in (scaled or {}).items()}
    return train(data, model, chosen, **turned, **options)


def _minutes(*each: tuple[float, float]) -> dict[str, Minutes]:
    """Of the families with published data, in their order, on a CPU."""
    return {family: Minutes(*pair) for family, pair in zip(FAMILIES, each, strict=True)}


_SMALL_BASE = "a perceptron in place of ResNet-18 or WideResNet-40-2; Adam in place of SGD; fewer epochs"
_TARGETS = ("target_l2", "target_l1", "target_linf", "penalty_weight")  # whichever of them a preset trains by
_NOISES = multiples("sigma", of=(0.5, 1.5, 0.25, 0.75))
_EPSILONS = multiples("epsilon", of=(0.5, 1.5, 0.25, 0.75))
_SMOOTHING = {"cpu": _SMALL_BASE, "gpu": "none known"}
_OURS = "our own recipe in place of SGD with Jacobian regularisation; threshold balanced on validation data"
_JOINT = "not published: a convex score of 16 outputs of an l_inf-distance net, trained together"
_BOUNDS = "our own bounds in place of alpha,beta-CROWN"
_NET = "small net: width 64 to 200 in place of 5120, 16 to 40 epochs; threshold in units of logits, in the bounds too"


_SLL = "four dense steps on sums over blocks of pixels in place of convolutional ones; a loss on the certified margin"


def _train_sll(data: BinaryData, budget: str, **options: Any) -> BinaryClassifier:
    """A linear score of a learned 1-Lipschitz map; photographs are mirrored in training."""
    photographs = data.input_shape[0] == 3
    return trained("feature-convex", data, budget, "sll", **{"flip": photographs, **options})


def _smoothing(noise: str, own: tuple[float, ...], minutes: Mapping[str, Minutes]) -> Method:
    return Method(
        f"smoothing-{noise}",
        f"Smoothing, {noise.capitalize()}",
        own,
        partial(trained, "smoothing", noise=noise),
        (Curve(f"Smoothing, {noise.capitalize()}", certifier_for("smoothing")),),
        _SMOOTHING,
        f"rs-{noise}",
        deterministic=False,
        knob=_NOISES,
        minutes=minutes,
    )


def _bounded(norm: str, own: float) -> Method:
    return Method(
        f"crown-ibp-{norm}",
        f"ReLU, CROWN-IBP in {norm}",
        (own,),
        partial(trained, "relu", preset=f"crown-ibp-{norm}"),
        (
            Curve(f"CROWN-IBP in {norm}, CROWN", certifier_for("crown"), 0.5, norms=(own,)),
            Curve(f"CROWN-IBP in {norm}, branch and bound", BRANCHES, 0.2, norms=(own,)),
        ),
        dict.fromkeys(BUDGETS, f"a perceptron of 200 units in place of convolutions; {_BOUNDS}"),
        "",
        knob=multiples("epsilon", of=(2.0, 0.5, 4.0, 0.25)),
        minutes=_minutes((1, 15), (1, 9), (3, 20)),
    )


_ALL = (
    Method(
        "feature-convex",
        "Feature-convex",
        NORMS,
        partial(trained, "feature-convex"),
        (
            Curve("Feature-convex, closed form", ClosedForm(), swept=True),
            Curve("Feature-convex, tangent", Tangent(), swept=True),
            Curve("Feature-convex, refined", certifier_for("refined", cuts=4)),
            Curve("Feature-convex, exact", Exact(tolerance=1e-3, time_limit=10.0), optional=True),
        ),
        {"cpu": _OURS, "gpu": _OURS},
        "fcnn",
        ours=True,
        knob=multiples(*_TARGETS, of=(0.4, 2.0, 0.7, 1.4)),
        minutes=_minutes((1, 3), (1, 5), (14, 50)),
    ),
    Method(
        "linf-convex",
        "Feature-convex on distances",
        (math.inf,),
        partial(trained, "linf-convex"),
        (Curve("Feature-convex on distances", certifier_for("enclosure"), swept=True),),
        dict.fromkeys(BUDGETS, _JOINT),
        "",
        ours=True,
        knob=_EPSILONS,
        minutes=_minutes((1.2, 0.2), (0.8, 0.2), (2.3, 0.2)),
    ),
    Method(
        "linf-net",
        "l_inf-distance net",
        (math.inf,),
        partial(trained, "linf-net"),
        (Curve("l_inf-distance net", certifier_for("interval"), swept=True),),
        {"cpu": _NET, "gpu": "the published width and schedule on MNIST, else the small net"},
        "linf-net",
        knob=_EPSILONS,
        minutes=_minutes((1, 0.6), (0.7, 2), (2, 6)),
    ),
    _smoothing("gaussian", (2.0,), _minutes((0.2, 2), (0.2, 2), (0.5, 6))),
    Method(
        "smoothing-macer",
        "Smoothing, MACER",
        (2.0,),
        partial(trained, "smoothing", preset="macer"),
        (Curve("Smoothing, MACER", certifier_for("smoothing")),),
        dict.fromkeys(
            BUDGETS, "a perceptron in place of ResNet-110; 4 copies in place of 16; a flatter, lighter hinge"
        ),
        "",
        deterministic=False,
        knob=_NOISES,
        minutes=_minutes((1, 2), (1, 2), (2, 6)),
    ),
    _smoothing("laplacian", (1.0,), _minutes((0.3, 6), (0.3, 5), (0.5, 13))),
    _smoothing("uniform", (1.0, math.inf), _minutes((0.3, 6), (0.3, 3), (0.5, 14))),
    Method(
        "splitting",
        "Splitting noise",
        (1.0,),
        partial(trained, "splitting"),
        (Curve("Splitting noise", certifier_for("splitting")),),
        _SMOOTHING,
        "splitting",
        audited=1,
        knob=_NOISES,
        minutes=_minutes((0.6, 3), (0.6, 0.3), (1.5, 9)),
    ),
    Method(
        "cayley",
        "Cayley, orthogonal",
        (2.0,),
        partial(trained, "cayley"),
        (Curve("Cayley, orthogonal", certifier_for("lipschitz-margin"), swept=True),),
        {"cpu": "fewer epochs, a narrower ResNet-9 where there is one", "gpu": "none known"},
        "cayley",
        knob=multiples("margin", of=(0.25, 4.0, 0.5, 2.0)),
        minutes=_minutes((0.3, 0.1), (0.7, 0.3), (0.7, 0.2)),
    ),
    Method(
        "sll",
        "1-Lipschitz, SLL",
        (2.0,),
        _train_sll,
        (Curve("1-Lipschitz, SLL", ClosedForm(), swept=True),),
        dict.fromkeys(BUDGETS, _SLL),
        "",
        knob=multiples("target_l2", of=(0.4, 2.0, 0.7, 1.4)),
    ),
    Method(
        "crown",
        "ReLU, bound propagation",
        NORMS,
        partial(trained, "relu"),
        (
            Curve("ReLU, CROWN", certifier_for("crown"), 0.5),
            Curve("ReLU, branch and bound", BRANCHES, 0.2),
        ),
        {
            "cpu": f"7 attack steps in training in place of 50, 40 epochs in place of 60; {_BOUNDS}",
            "gpu": _BOUNDS,
        },
        "ab-crown (points)",
        knob=multiples("epsilon", of=(0.5, 0.25, 1.25, 0.75)),
        minutes=_minutes((0.7, 43), (0.9, 26), (2.4, 59)),
    ),
    *(_bounded(*pair) for pair in EXPONENTS.items()),
)
COMPARED: dict[str, Method] = {method.name: method for method in _ALL}
