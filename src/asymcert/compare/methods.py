"""What is compared on images: training, certifiers, and how each method differs from the published setting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from asymcert._floats import NORMS
from asymcert.certify import Certifier, ClosedForm, Exact, Tangent, certifier_for
from asymcert.datasets import BinaryData
from asymcert.models.base import BinaryClassifier
from asymcert.training.models import MODELS, train
from asymcert.training.relu import EXPONENTS

BUDGETS = ("cpu", "gpu")
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
    """

    label: str
    certifier: Certifier
    share: float = 1.0
    optional: bool = False
    norms: tuple[float, ...] = NORMS

    @property
    def whole(self) -> bool:
        """Whether it is run on all samples."""
        return self.share == 1


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


def trained(model: str, data: BinaryData, budget: str, preset: str | None = None, **options: Any) -> BinaryClassifier:
    """A preset, or a rival's for the budget; our own serve both, but for the published large net of MNIST."""
    large = model == "linf-net" and budget == "gpu" and data.name.startswith("mnist")
    chosen = budget if budget in MODELS[model].presets else "mnist-0.3" if large else None
    return train(data, model, preset or chosen, **options)


_SMALL_BASE = "a perceptron in place of ResNet-18 or WideResNet-40-2; Adam in place of SGD; fewer epochs"
_SMOOTHING = {"cpu": _SMALL_BASE, "gpu": "none known"}
_OURS = "our own recipe in place of SGD with Jacobian regularisation; threshold balanced on validation data"
_JOINT = "not published: a convex score of 16 outputs of an l_inf-distance net, trained together"
_BOUNDS = "our own bounds in place of alpha,beta-CROWN"
_NET = "small net: width 64 to 200 in place of 5120, 16 to 40 epochs; threshold in units of logits, in the bounds too"


def _smoothing(noise: str, own: tuple[float, ...]) -> Method:
    return Method(
        f"smoothing-{noise}",
        f"Smoothing, {noise.capitalize()}",
        own,
        partial(trained, "smoothing", noise=noise),
        (Curve(f"Smoothing, {noise.capitalize()}", certifier_for("smoothing")),),
        _SMOOTHING,
        f"rs-{noise}",
        deterministic=False,
    )


def _bounded(norm: str, own: float) -> Method:
    return Method(
        f"crown-ibp-{norm}",
        f"ReLU, CROWN-IBP in {norm}",
        (own,),
        partial(trained, "relu", preset=f"crown-ibp-{norm}"),
        (
            Curve(f"CROWN-IBP in {norm}, CROWN", certifier_for("crown"), 0.5),
            Curve(f"CROWN-IBP in {norm}, branch and bound", BRANCHES, 0.2),
        ),
        dict.fromkeys(BUDGETS, f"a perceptron of 200 units in place of convolutions; {_BOUNDS}"),
        "",
    )


_ALL = (
    Method(
        "feature-convex",
        "Feature-convex",
        NORMS,
        partial(trained, "feature-convex"),
        (
            Curve("Feature-convex, closed form", ClosedForm()),
            Curve("Feature-convex, tangent", Tangent()),
            Curve("Feature-convex, refined", certifier_for("refined", cuts=4)),
            Curve("Feature-convex, exact", Exact(tolerance=1e-3, time_limit=10.0), optional=True),
        ),
        {"cpu": _OURS, "gpu": _OURS},
        "fcnn",
        ours=True,
    ),
    Method(
        "linf-convex",
        "Feature-convex on distances",
        (math.inf,),
        partial(trained, "linf-convex"),
        (Curve("Feature-convex on distances", ClosedForm()),),
        dict.fromkeys(BUDGETS, _JOINT),
        "",
        ours=True,
    ),
    Method(
        "linf-net",
        "l_inf-distance net",
        (math.inf,),
        partial(trained, "linf-net"),
        (Curve("l_inf-distance net", certifier_for("interval")),),
        {"cpu": _NET, "gpu": "the published width and schedule on MNIST, else the small net"},
        "linf-net",
    ),
    _smoothing("gaussian", (2.0,)),
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
    ),
    _smoothing("laplacian", (1.0,)),
    _smoothing("uniform", (1.0, math.inf)),
    Method(
        "splitting",
        "Splitting noise",
        (1.0,),
        partial(trained, "splitting"),
        (Curve("Splitting noise", certifier_for("splitting")),),
        _SMOOTHING,
        "splitting",
        audited=1,
    ),
    Method(
        "cayley",
        "Cayley, orthogonal",
        (2.0,),
        partial(trained, "cayley"),
        (Curve("Cayley, orthogonal", certifier_for("lipschitz-margin")),),
        {"cpu": "fewer epochs, a narrower ResNet-9 where there is one", "gpu": "none known"},
        "cayley",
    ),
    Method(
        "crown",
        "ReLU, bound propagation",
        NORMS,
        partial(trained, "relu"),
        (
            Curve("ReLU, CROWN", certifier_for("crown"), 0.3),
            Curve("ReLU, branch and bound", BRANCHES, 0.1),
        ),
        {
            "cpu": f"7 attack steps in training in place of 50, 40 epochs in place of 60; {_BOUNDS}",
            "gpu": _BOUNDS,
        },
        "ab-crown (points)",
    ),
    *(_bounded(*pair) for pair in EXPONENTS.items()),
)
COMPARED: dict[str, Method] = {method.name: method for method in _ALL}
