"""The methods that are compared on images: training, certifiers, knobs, what differs from the published setting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from asymcert._floats import NORMS, norm_name
from asymcert.certify import ClosedForm, Exact, Tangent, certifier_for
from asymcert.compare.methods import BUDGETS, Curve, Method, Minutes, trained
from asymcert.compare.settings import multiples
from asymcert.training.relu import EXPONENTS

FAMILIES = ("mnist", "fashion", "cifar10")  # of data whose times are known
CROWN = certifier_for("crown")
BRANCHES = certifier_for("branch-and-bound", time_limit=3.0)


def _minutes(*each: tuple[float, float]) -> dict[str, Minutes]:
    """Of the families with published data, in their order, on a CPU."""
    return {family: Minutes(*pair) for family, pair in zip(FAMILIES, each, strict=True)}


_SMALL_BASE = "a perceptron in place of ResNet-18 or WideResNet-40-2; Adam in place of SGD; fewer epochs"
_TARGETS = ("target_l2", "target_l1", "target_linf", "penalty_weight")  # whichever of them a preset trains by
_NOISES = multiples("sigma", of=(0.5, 1.5, 0.25, 0.75))
_SPLITS = multiples("sigma", of=(0.5, 2.0, 0.25, 4.0))  # costs accuracy more slowly, so it goes on further
_EPSILONS = multiples("epsilon", of=(0.5, 1.5, 0.25, 0.75))
_SMOOTHING = {"cpu": _SMALL_BASE, "gpu": "none known"}
_OURS = "our own recipe in place of SGD with Jacobian regularisation; threshold balanced on validation data"
_JOINT = "not published: a convex score of 16 outputs of an l_inf-distance net, trained together"
_BOUNDS = "our own bounds in place of alpha,beta-CROWN"
_NET = "small net: width 64 to 200 in place of 5120, 16 to 40 epochs; threshold in units of logits, in the bounds too"
_DENSE = "four dense layers in place of convolutional ones; a loss on the certified margin"


def _smoothing(noise: str, own: tuple[float, ...], minutes: Mapping[str, Minutes]) -> Method:
    return Method(
        f"smoothing-{noise}",
        f"Smoothing, {noise.capitalize()}",
        own,
        partial(trained, "smoothing", noise=noise),
        (Curve(f"Smoothing, {noise.capitalize()}", certifier_for("smoothing"), swept=True),),
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
            Curve(f"CROWN-IBP in {norm}, CROWN", CROWN, 0.5, norms=(own,), swept=True),
            Curve(f"CROWN-IBP in {norm}, branch and bound", BRANCHES, 0.2, norms=(own,), swept=True, weight=8.0),
        ),
        dict.fromkeys(BUDGETS, f"a perceptron of 200 units in place of convolutions; {_BOUNDS}"),
        "",
        knob=multiples("epsilon", of=(2.0, 0.5, 4.0, 0.25)),
        minutes=_minutes((0.3, 12), (0.3, 11), (1, 25)),
    )


def _ours(norm: float, minutes: Mapping[str, Minutes], farther: tuple[float, ...] = (1.3, 2.1)) -> Method:
    """A feature-convex classifier that is trained for one norm, on the falls that its certificate follows."""
    name = norm_name(norm)
    return Method(
        f"feature-convex-{name}",
        f"Feature-convex for {name}",
        (norm,),
        partial(trained, "feature-convex", preset=f"*-{name}"),
        (Curve(f"Feature-convex for {name}, tangent", Tangent(), swept=True),),
        dict.fromkeys(BUDGETS, _OURS),
        "",
        ours=True,
        knob=multiples(f"target_{name}", of=(0.6, 1.7, 2.5, 0.35, *farther)),
        minutes=minutes,
    )


def _on_map(name: str, label: str, preset: str, deviations: str, ours: bool = False) -> Method:
    """A linear score of a learned 1-Lipschitz map, with the same knob for all layers."""
    return Method(
        name,
        label,
        (2.0,),
        partial(trained, "feature-convex", preset=preset),
        (Curve(label, ClosedForm(), swept=True),),
        dict.fromkeys(BUDGETS, deviations),
        "",
        ours=ours,
        knob=multiples("target_l2", of=(0.6, 1.4, 0.3, 2.0)),
        minutes=_minutes((1, 1), (2, 1), (1, 1)),
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
            Curve("Feature-convex, refined", certifier_for("refined", cuts=4), weight=10.0),
            Curve("Feature-convex, exact", Exact(tolerance=1e-3, time_limit=10.0), optional=True, weight=150.0),
        ),
        {"cpu": _OURS, "gpu": _OURS},
        "fcnn",
        ours=True,
        knob=multiples(*_TARGETS, of=(0.4, 2.0, 0.7, 1.4)),
        minutes=_minutes((1, 3), (1, 5), (14, 50)),
    ),
    _ours(1.0, _minutes((0.7, 0.3), (1, 0.3), (2, 1)), farther=(0.15,)),
    _ours(2.0, _minutes((0.7, 0.3), (1.2, 0.3), (2, 1))),
    _ours(math.inf, _minutes((0.7, 0.3), (2, 0.3), (2, 1)), farther=(0.15,)),
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
        (Curve("Smoothing, MACER", certifier_for("smoothing"), swept=True),),
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
        (Curve("Splitting noise", certifier_for("splitting"), swept=True),),
        _SMOOTHING,
        "splitting",
        audited=1,
        knob=_SPLITS,
        minutes=_minutes((0.6, 4.6), (0.6, 0.5), (1.5, 14)),  # the mean of all settings
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
    _on_map("feature-convex-map", "Feature-convex on a learned map", "*-map", _OURS, ours=True),
    _on_map("sll", "1-Lipschitz, SLL", "*-sll", _DENSE),
    Method(
        "crown",
        "ReLU, bound propagation",
        NORMS,
        partial(trained, "relu"),
        (
            Curve("ReLU, CROWN", CROWN, 0.5, swept=True),
            Curve("ReLU, branch and bound", BRANCHES, 0.2, weight=8.0),
        ),
        {
            "cpu": f"7 attack steps in training in place of 50, 40 epochs in place of 60; {_BOUNDS}",
            "gpu": _BOUNDS,
        },
        "ab-crown (points)",
        knob=multiples("epsilon", of=(0.5, 0.25, 1.25, 0.75)),
        minutes=_minutes((0.7, 27), (0.9, 23), (2.4, 78)),
    ),
    *(_bounded(*pair) for pair in EXPONENTS.items()),
)
COMPARED: dict[str, Method] = {method.name: method for method in _ALL}
