"""Refined certificates: the contract."""

from __future__ import annotations

import pytest

from asymcert.certify import Refined
from contracts.certifier import CertifierContract


class TestRefined(CertifierContract):
    @pytest.fixture
    def certifier(self):
        return Refined(cuts=3, steps=1)
