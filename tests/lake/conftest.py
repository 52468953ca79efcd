"""A model's run folder, a lake and what an undisturbed run makes of it."""

import pytest

from asymcert import lake
from contracts.lakes import THREATS, make_lake, outputs, table_model


@pytest.fixture(scope="session")
def model():
    return table_model()


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """Five files in two folders, one without rows, and one damaged."""
    return make_lake(tmp_path_factory.mktemp("lake") / "source", damaged=1)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, model, source):
    """Outputs of a run in this process."""
    dest = tmp_path_factory.mktemp("undisturbed") / "dest"
    lake.certify(model, source, dest, THREATS, keep=["id"], workers=0)
    return outputs(dest)
