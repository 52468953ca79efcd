"""One function for every kind of certificate."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from asymcert._checks import check_choice, refuse
from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.closed_form import ClosedForm
from asymcert.classifier import FeatureConvexClassifier
from asymcert.threat import ThreatModel

METHODS: dict[str, type[Certifier]] = {ClosedForm.method: ClosedForm}


def certify(
    model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel | None = None, method: str = "closed-form"
) -> Certificate:
    """Certify a batch against one adversary.

    Parameters
    ----------
    model
        The classifier.
    x
        Inputs of shape (n, *input_shape).
    threat
        The adversary, by default any change measured in l2.
    method
        ``closed-form``.

    Returns
    -------
    Certificate
        Radii, margins and verdicts, each of shape (n,).

    Raises
    ------
    InputError
        The method is unknown, or the input does not fit the model.
    """
    return certify_each(model, x, [threat if threat is not None else ThreatModel()], method)[0]


def certify_each(
    model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel], method: str = "closed-form"
) -> list[Certificate]:
    """Certify a batch against several adversaries at once, sharing the passes through the network.

    Returns one certificate per threat model, in their order.
    """
    check_choice("method", method, tuple(METHODS))
    for threat in threats:
        if not isinstance(threat, ThreatModel):
            raise refuse("threat", "a ThreatModel", type(threat).__name__, "Use ThreatModel(norm=2).")
    return METHODS[method]().certify(model, x, threats)
