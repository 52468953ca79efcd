"""What every reader of a file owes a stranger's file: an answer or one line, soon, in memory that fits its size."""

import random
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from asymcert.errors import AsymcertError

TRUNCATIONS = 16
FLIPS = 32


class ReaderContract:
    """Inherited by the test of every reader; `good`, `read` and `hostile` say what is read and how.

    A reader either returns or raises an `AsymcertError` whose message is one line.
    """

    most_seconds = 5.0
    most_memory = 300 * 2**20  # beyond the file's own size
    sealed = False  # whether the format carries a digest, so that any change is refused

    def good(self, folder: Path) -> Path:
        """Write a valid file, or a folder with one, and return its path."""
        raise AssertionError("say what a valid file is")

    def read(self, path: Path) -> object:
        """Read it as a user would."""
        raise AssertionError("say how it is read")

    def hostile(self, folder: Path) -> dict[str, Path]:
        """Valid as far as the format goes, made to exhaust or confuse: huge numbers, deep nesting, swapped types."""
        raise AssertionError("say what a stranger would send")

    def target(self, path: Path) -> Path:
        """The file to damage, where `good` returned a folder."""
        return path

    def test_a_valid_file_is_read(self, tmp_path):
        assert self.read(self.good(tmp_path)) is not None

    def test_truncated_files(self, tmp_path):
        path = self.good(tmp_path)
        target = self.target(path)
        content = target.read_bytes()
        for keep in sorted({len(content) * part // TRUNCATIONS for part in range(TRUNCATIONS)} | {len(content) - 1}):
            target.write_bytes(content[:keep])
            self.answers(path, f"the first {keep} of {len(content)} bytes", refused=self.sealed)

    def test_flipped_bits(self, tmp_path):
        path = self.good(tmp_path)
        target, draw = self.target(path), random.Random(1)
        content = target.read_bytes()
        for _ in range(FLIPS):
            place, bit = draw.randrange(len(content)), draw.randrange(8)
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            target.write_bytes(changed)
            self.answers(path, f"bit {bit} of byte {place} flipped", refused=self.sealed)

    def test_hostile_files(self, tmp_path):
        cases = self.hostile(tmp_path)
        assert cases
        for what, path in cases.items():
            self.answers(path, what, refused=True)

    def answers(self, path: Path, what: str, *, refused: bool) -> None:
        """Read within the limits; an error is one line of this package's own."""
        size = sum(part.stat().st_size for part in [path, *path.rglob("*")] if part.is_file())
        start, before = spent(), reset_peak()
        message = None
        try:
            with stopped_after(6 * self.most_seconds):
                self.read(path)
        except AsymcertError as error:
            message = str(error)
        assert message is not None or not refused, f"{what}: was read"
        assert "\n" not in (message or ""), f"{what}: the message is more than one line: {message}"
        used, seconds = peak() - before, min(now - then for now, then in zip(spent(), start, strict=True))
        assert seconds < self.most_seconds, f"{what}: took {seconds:.1f} s"
        assert used < self.most_memory + size, f"{what}: took {used / 2**20:.0f} MB for a file of {size / 2**20:.1f} MB"


def spent() -> tuple[float, float]:
    """Seconds on the clock and on the processor: a busy machine stretches the one, several threads the other."""
    return time.perf_counter(), time.process_time()


@contextmanager
def stopped_after(seconds):
    """A block that is interrupted when it takes longer, so that a hang is a failure and not a hang of the tests."""

    def stop(*_):
        pytest.fail(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def reset_peak() -> int:
    """Forget the greatest resident size so far; returns the present one in bytes."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak()


def peak() -> int:
    """Greatest resident size, in bytes, since `reset_peak`."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
