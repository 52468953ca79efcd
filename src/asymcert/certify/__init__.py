"""Certificates: radii within which no change of the input undoes a sensitive verdict."""

from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.exact import Exact
from asymcert.certify.interface import certifier_for, certify, certify_each
from asymcert.certify.refined import Refined
from asymcert.certify.registry import CERTIFIERS, METHODS, default_method, methods_for
from asymcert.certify.tangent import Tangent

__all__ = [
    "CERTIFIERS",
    "METHODS",
    "Certificate",
    "Certifier",
    "ClosedForm",
    "Exact",
    "Refined",
    "Tangent",
    "certifier_for",
    "certify",
    "certify_each",
    "default_method",
    "methods_for",
]
