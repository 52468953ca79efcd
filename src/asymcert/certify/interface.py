"""One function for every kind of certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from torch import Tensor

from asymcert._checks import check_choice, check_known, refuse
from asymcert.certify.ablation import Ablation
from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.convex_concave import ConvexConcave
from asymcert.certify.distance_nets import DistanceIntervals, DistanceLipschitz
from asymcert.certify.exact import Exact
from asymcert.certify.lipschitz_margin import LipschitzMargin
from asymcert.certify.refined import Refined
from asymcert.certify.relu.branch_and_bound import BranchAndBound
from asymcert.certify.relu.linear_bounds import Crown, IntervalBounds
from asymcert.certify.smoothing import Smoothing
from asymcert.certify.splitting import Splitting
from asymcert.certify.tangent import Tangent
from asymcert.certify.trees import TreeColumns
from asymcert.certify.veritas import Veritas
from asymcert.features import Ramps
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

CERTIFIERS: tuple[type[Certifier], ...] = (
    ClosedForm,
    Tangent,
    Refined,
    Exact,
    DistanceIntervals,
    DistanceLipschitz,
    Smoothing,
    Splitting,
    LipschitzMargin,
    Crown,
    IntervalBounds,
    BranchAndBound,
    ConvexConcave,
    Veritas,
    TreeColumns,
    Ablation,
)
METHODS = {certifier.method: certifier for certifier in CERTIFIERS}


def certify(
    model: BinaryClassifier,
    x: Tensor,
    threat: ThreatModel | None = None,
    method: str | None = None,
    sound: bool = True,
    **options: Any,
) -> Certificate:
    """Certify a batch against one adversary.

    Parameters
    ----------
    model
        The classifier.
    x
        Inputs of shape (n, *input_shape), dense and of real numbers; n may be 0, a single sample is ``x[None]``.
    threat
        The adversary, by default any change measured in l2.
    method
        For a feature-convex classifier ``closed-form`` (fastest), ``tangent``, ``refined`` or ``exact`` (slowest), in
        the order of their radii; for an l_inf-distance net ``interval`` or ``lipschitz`` (fastest); for other
        kinds the method of the kind, such as ``smoothing`` or ``splitting``. By default the first of the model's kind.
    sound
        Whether the radius holds in the floating point that is run, in full precision whatever autocast and TF32 are set
        to (see `BinaryClassifier`): bounds on all rounding errors are subtracted.
    options
        Of the method: ``cuts`` for refined; ``tolerance``, ``time_limit``, ``workers`` for exact; ``steps`` for
        interval; ``n``, ``n0``, ``alpha``, ``seed`` for smoothing.

    Returns
    -------
    Certificate
        Radii, margins and verdicts, each of shape (n,).

    Raises
    ------
    InputError
        The method or an option is unknown, or the input does not fit the model.
    """
    return certify_each(model, x, [threat if threat is not None else ThreatModel()], method, sound, **options)[0]


def certify_each(
    model: BinaryClassifier,
    x: Tensor,
    threats: Sequence[ThreatModel],
    method: str | None = None,
    sound: bool = True,
    **options: Any,
) -> list[Certificate]:
    """Certify a batch against several adversaries at once; the closed form shares its passes through the network.

    Returns one certificate per threat model, in their order.
    """
    return certifier_for(method or default_method(model, threats), sound, **options).certify(model, x, threats)


def methods_for(kind: type[BinaryClassifier]) -> tuple[str, ...]:
    """Names of the methods that certify a kind of classifier, its default first."""
    return tuple(name for name, certifier in METHODS.items() if issubclass(kind, certifier.kind))


def default_method(model: BinaryClassifier, threats: Sequence[ThreatModel] = ()) -> str:
    """The method that a classifier is certified by unless another is named.

    The first of its kind, but ``tangent`` where columns are counted or where steep ramps make Lipschitz constants huge.
    """
    steep = isinstance(model, FeatureConvexClassifier) and isinstance(model.feature_map, Ramps)
    counted = any(threat.norm == 0 for threat in threats)
    known = [certifier for certifier in CERTIFIERS if isinstance(model, certifier.kind)]
    if not known:
        raise refuse("model", "a classifier that a method certifies", type(model).__name__)
    for certifier in known:
        if certifier.counts if counted else certifier.lengths and not (steep and certifier is ClosedForm):
            return certifier.method
    return known[0].method


def certifier_for(method: str, sound: bool = True, **options: Any) -> Certifier:
    """The certifier of that name with its options.

    Raises
    ------
    InputError
        The method is unknown, or an option is not one of its own.
    """
    check_choice("method", method, tuple(METHODS))
    kind = METHODS[method]
    known = [item.name for item in fields(kind)]  # pyright: ignore[reportArgumentType]
    check_known(options, known, f"method {method!r}")
    return kind(sound=sound, **options)  # pyright: ignore[reportCallIssue]
