"""What classifiers that decide by votes over noisy copies of an input have in common."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from asymcert.models.base import CHUNK_VALUES
from asymcert.models.voting import VotingClassifier, exceeded

DRAWS, ALPHA = 10_000, 0.001  # that a statement rests on, and its chance to be wrong
LARGEST_BATCH = 2000  # noisy copies that pass through the base at once, where memory allows


class NoisyClassifier(VotingClassifier):
    """Says *sensitive* when most noisy copies of the input are: ``P(base(noisy(x)) > threshold) > 1/2``.

    Or more than another share of them, see `with_share`.
    The probability cannot be computed, only estimated from draws; a certifier decides, or abstains. The classifier as
    it is called is the *base*, at the input itself: that is not the verdict, and no certificate is about it.
    """

    least_share = 2 * (1 - ALPHA ** (1 / DRAWS))  # below half of this, no draws could establish the other class

    @abstractmethod
    def noisy(self, sample: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Independent noisy copies of one sample: (*input_shape) -> (count, *input_shape)."""

    @cached_property
    def batch(self) -> int:
        """Copies that pass through the base at once."""
        return max(1, min(LARGEST_BATCH, CHUNK_VALUES // self.activations))

    def generator(self, sample: Tensor, seed: int) -> torch.Generator:
        """Source of one sample's draws: float32 (*input_shape), fixed by `seed` and the sample's values."""
        values = sample.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False)
        state = hashlib.sha256(f"{seed} ".encode())
        state.update(values.tobytes())
        return torch.Generator(self.device).manual_seed(int.from_bytes(state.digest()[:8], "little") >> 1)

    @torch.no_grad()
    def noisy_margins(self, sample: Tensor, count: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Base margins of `count` noisy copies of one sample (*input_shape), in batches of at most `self.batch`."""
        for start in range(0, count, self.batch):
            yield self(self.noisy(sample, min(self.batch, count - start), generator))

    def votes(self, sample: Tensor, count: int, generator: torch.Generator) -> int:
        """How many of the next `count` noisy copies of one sample (*input_shape) the base calls sensitive."""
        return sum(int((margins > 0).sum()) for margins in self.noisy_margins(sample, count, generator))

    def sampled(self, x: Tensor, count: int, seed: int = 0) -> Tensor:
        """How many of `count` noisy copies the base calls sensitive: (n, *input_shape) -> int64 (n,) on the CPU.

        Each sample's draws depend on `seed` and its own values alone, and its copies pass through the base in batches
        of their own: other samples of the batch make no difference.
        """
        votes = [self.votes(row, count, self.generator(row, seed)) for chunk in self.chunks(x) for row in chunk]
        return torch.tensor(votes, dtype=torch.int64, device="cpu")

    def shares(self, x: Tensor, count: int, seed: int = 0) -> Tensor:
        """As in `VotingClassifier`, among `count` noisy copies."""
        return self.sampled(x, count, seed).double() / count

    def counted(self, sample: Tensor, n0: int, n: int, seed: int) -> tuple[int, int]:
        """Sensitive ones among the first `n0` noisy copies of one sample (*input_shape), and among the next `n`."""

        def count() -> tuple[int, int]:
            draws = self.generator(sample, seed)
            return self.votes(sample, n0, draws), self.votes(sample, n, draws)

        return self._once(count, sample, n0, n, seed)

    def margin_at_most(self, x: Tensor, alpha: float = ALPHA, seed: int = 0) -> Tensor:
        """Upper confidence bound on the probability of *sensitive*, minus the share: (n, *input_shape) -> float64 (n,).

        Positive unless the smoothed verdict is the other class with confidence ``1 - alpha`` for each sample: where a
        certifier would abstain, nothing is refuted. Source: Clopper and Pearson, Biometrika 1934, one-sided.
        """
        from scipy import special  # a third of a second

        votes = self.sampled(x, DRAWS, seed).numpy()
        return torch.from_numpy(special.bdtri(votes, DRAWS, alpha)).nan_to_num(nan=1.0) - self.share  # NaN if all agree

    def scores(self, x: Tensor) -> Tensor:
        """`noisy_medians`, by no threshold's rounding."""
        return self.with_threshold(0.0).noisy_medians(x)

    def noisy_medians(self, x: Tensor, count: int = 101, seed: int = 0) -> Tensor:
        """Median of the base's log-odds over `count` noisy copies: (n, *input_shape) -> float64 (n,) on the CPU.

        By another share than half, what they exceed for more than that share. Enough copies are sensitive if and only
        if this exceeds the threshold (an odd count has no ties), so what balances it balances the smoothed verdicts.
        """
        fewer = math.floor(self.share * count)
        found = [
            exceeded(torch.cat(list(self.noisy_margins(row, count, self.generator(row, seed)))).double(), fewer)
            for chunk in self.chunks(x)
            for row in chunk
        ]
        return torch.stack(found).cpu() + self.threshold if found else torch.empty(0, dtype=torch.float64)
