"""The contract of readers catches readers that break it."""

import time

import pytest

from asymcert.errors import DataError
from contracts.readers import ReaderContract


class Careless(ReaderContract):
    def good(self, folder):
        path = folder / "count"
        path.write_text("10")
        return path

    def read(self, path):
        try:
            count = int(path.read_text())
        except ValueError as error:
            raise DataError(f"{path}: no number") from error
        return self.cost(count)

    def hostile(self, folder):
        path = folder / "huge"
        path.write_text("900")
        return {"huge": path}

    def cost(self, count):
        return bytes(count)


class Greedy(Careless):
    def cost(self, count):
        return b"x" * (count * 2**20)


class Slow(Careless):
    most_seconds = 0.1

    def cost(self, count):
        end = time.process_time() + count / 6000
        while time.process_time() < end:  # work, and no rest, in which other processes have the machine
            pass


class TwoLines(DataError):
    __str__ = Exception.__str__  # as it came


class Wordy(Careless):
    def cost(self, count):
        raise TwoLines("two\nlines")


class Untidy(Careless):
    def cost(self, count):
        raise RecursionError


def test_what_promises_nothing_is_held_to_nothing(tmp_path):
    contract = Careless()
    contract.test_a_valid_file_is_read(tmp_path)
    contract.test_truncated_files(tmp_path)
    contract.test_flipped_bits(tmp_path)


@pytest.mark.parametrize(
    ("kind", "why"), [(Careless, "was read"), (Greedy, "was read|MB"), (Slow, "was read|took"), (Wordy, "one line")]
)
def test_a_broken_promise_is_caught(kind, why, tmp_path):
    with pytest.raises(AssertionError, match=why):
        kind().test_hostile_files(tmp_path)


def test_a_message_is_one_line_whatever_it_quotes():
    assert str(DataError("column 'a\nb', \x1b[31m, é, \u202e")) == "column 'a\\nb', \\x1b[31m, é, \\u202e"


def test_any_other_error_is_caught(tmp_path):
    with pytest.raises(RecursionError):
        Untidy().test_hostile_files(tmp_path)


def test_memory_and_time_are_measured(tmp_path):
    path = Careless().hostile(tmp_path)["huge"]
    with pytest.raises(AssertionError, match="MB for a file"):
        Greedy().answers(path, "huge", refused=False)
    with pytest.raises(AssertionError, match="took"):
        Slow().answers(path, "huge", refused=False)
