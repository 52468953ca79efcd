"""One function for every kind of certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from torch import Tensor

from asymcert._checks import check_choice, check_known
from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.registry import METHODS, default_method
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel


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
        the order of their radii, or ``enclosure`` where features mix inputs; for an l_inf-distance net ``interval`` or
        ``lipschitz`` (fastest); for other kinds the method of the kind, such as ``smoothing`` or ``splitting``. By
        default the first of the model's kind.
    sound
        Whether the radius holds in the floating point that is run, in full precision whatever autocast and TF32 are set
        to (see `BinaryClassifier`): bounds on all rounding errors are subtracted.
    options
        Of the method: ``cuts`` for refined; ``tolerance``, ``time_limit``, ``workers`` for exact; ``steps`` for
        interval and enclosure; ``n``, ``n0``, ``alpha``, ``seed`` for smoothing.

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
