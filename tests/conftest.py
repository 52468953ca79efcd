"""Settings and fixtures that every test shares."""

import os
import re
import shutil
import subprocess

import pytest
import torch
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; two-thread jobs would slow each other
torch.set_num_threads(1)
pytest.register_assert_rewrite("contracts")

# Files of tests that take longest. They are begun first, lest one process be left with one of them at the end.
LONG = (
    "test_site.py",
    "test_compare.py",
    "test_published_data.py",
    "test_tangent.py",
    "test_exact.py",
    "test_estimator.py",
    "test_serve_process.py",
    "test_lake_benchmark.py",
    "test_lake_kills.py",
    "test_lake_objects.py",
    "test_cli_lake.py",
    "test_cli.py",
    "test_refined.py",
    "test_docs.py",
    "test_whole_network.py",
    "test_distributed.py",
    "test_every_kind.py",
    "test_low_pass_certificates.py",
    "test_band_certificates.py",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSE = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --enable-logging=stderr --window-size=1200,2000 --virtual-time-budget=20000 --dump-dom"
)

settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("fixed")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20240607)


@pytest.fixture(scope="session")
def browse(tmp_path_factory):
    """A function from a page's path or address to its elements after drawing, and what the browser's console said."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser found; looked for {', '.join(BROWSERS)}")

    def run(page):
        address = page if isinstance(page, str) else page.as_uri()
        profile = tmp_path_factory.mktemp("profile")
        command = [browser, *BROWSE.split(), f"--user-data-dir={profile}", address]
        result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        return result.stdout, re.findall(r".*CONSOLE.*", result.stderr)

    return run
