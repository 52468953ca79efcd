"""What a command's data are: a data set by name, or a path; a folder of the name does not stand in its way."""

import polars as pl
import pytest

from asymcert.cli.inputs import is_path, load_data


@pytest.fixture(autouse=True)
def shadowed(tmp_path, monkeypatch):
    """A working directory with a folder of tables by a data set's name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits-3-8").mkdir()
    pl.DataFrame({"x": [1.0]}).write_parquet(tmp_path / "digits-3-8" / "rows.parquet")
    (tmp_path / "mine").mkdir()
    pl.DataFrame({"x": [1.0]}).write_parquet(tmp_path / "mine" / "rows.parquet")


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ("digits-3-8", False),
        ("breast-cancer", False),
        ("cifar10-cats-dogs", False),
        ("digits-8-8", False),
        ("nonsense", False),
        ("./digits-3-8", True),
        ("mine", True),
        ("new.csv", True),
        ("runs/new", True),
    ],
)
def test_names_come_first_and_a_folder_is_asked_for_by_its_path(data, path):
    assert is_path(data) == path


def test_the_data_set_is_loaded_beside_a_folder_of_its_name():
    assert load_data("digits-3-8", None, [], 0, {}).input_shape == (1, 8, 8)
