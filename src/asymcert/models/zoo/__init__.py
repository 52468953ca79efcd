"""Small trained models that come with the package: ``asymcert.load("zoo:spam-sms")``, ``asymcert zoo``."""

from __future__ import annotations

from asymcert.models.zoo.entries import PAGE, Entry, copy, entry
from asymcert.models.zoo.places import MODELS, check_no_model, check_own, is_zoo, names, resolve

__all__ = ["MODELS", "PAGE", "Entry", "check_no_model", "check_own", "copy", "entry", "is_zoo", "names", "resolve"]
