"""Tangent certificates against the contract and independent programmes."""

from __future__ import annotations

import pytest

from asymcert.certify import Tangent
from contracts.certifier import CertifierContract


class TestTangent(CertifierContract):
    @pytest.fixture
    def certifier(self):
        return Tangent()
