"""What the tests of estimators share."""

import pytest

from estimator.frames import detector, transactions


@pytest.fixture(scope="session")
def bought():
    return transactions()


@pytest.fixture(scope="session")
def fitted(bought):
    return detector().fit(*bought)
