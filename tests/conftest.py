"""Settings and fixtures that every test shares."""

import pytest
import torch
from hypothesis import settings

pytest.register_assert_rewrite("contracts")

settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("fixed")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20240607)
