"""Settings and fixtures that every test shares."""

import os

import pytest
import torch
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; two-thread jobs would slow each other
torch.set_num_threads(1)
pytest.register_assert_rewrite("contracts")

settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("fixed")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20240607)
