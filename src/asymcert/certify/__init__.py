"""Certificates: radii within which no change of the input undoes a sensitive verdict."""

from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.interface import METHODS, certify, certify_each

__all__ = ["METHODS", "Certificate", "Certifier", "ClosedForm", "certify", "certify_each"]
