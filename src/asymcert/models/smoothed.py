"""Classifiers that are smoothed by noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Self

import torch
from scipy import special
from torch import Tensor

from asymcert._checks import check_choice, check_number, check_weights
from asymcert.datasets.scaling import TableScaling
from asymcert.models.base import CHUNK_VALUES, BinaryClassifier, described
from asymcert.models.networks import BaseNetwork, base_network
from asymcert.models.noise import NOISES, draw
from asymcert.models.parts import filled, grouped

DRAWS, ALPHA = 10_000, 0.001  # that a statement rests on, and its chance to be wrong
LARGEST_BATCH = 2000  # noisy copies that pass through the network at once, where memory allows


class SmoothedClassifier(BinaryClassifier):
    """Says *sensitive* when most noisy copies of the input are: ``P(base(x + noise) > threshold) > 1/2``.

    The probability cannot be computed, only estimated from draws; `Smoothing` decides and certifies, or abstains.
    `margin` and `predict` are the *base* network's at the input itself, without noise. They are not the smoothed
    verdict, and no certificate is about them: `margin_at_most` is about what certificates are about.

    Parameters
    ----------
    base
        The network, run in eval mode and in float32 unless the classifier is converted; trained on noisy inputs.
    noise
        ``gaussian``, ``laplacian`` or ``uniform``, the same in each coordinate.
    sigma
        Its standard deviation, in units of the input.
    threshold
        Of the base's log-odds; finite. Balanced on validation data by training, by `noisy_medians`.
    sensitive, other, scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        An unknown noise, a sigma that is not positive and finite, or weights that are not finite.

    Source: Cohen, Rosenfeld, Kolter, ICML 2019; Teng, Lee, Yuan, 2020; Yang et al., ICML 2020.
    """

    def __init__(
        self,
        base: BaseNetwork,
        noise: str,
        sigma: float,
        threshold: float = 0.0,
        *,
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__(base.input_shape, threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        check_choice("noise", noise, tuple(NOISES))
        check_number("sigma", sigma, 0.0, float(torch.finfo(torch.float32).max), open_low=True)
        self.noise, self.sigma = noise, float(sigma)
        self.base = deployed(base)
        self.batch = max(1, min(LARGEST_BATCH, CHUNK_VALUES // self.base.activations))

    def train(self, mode: bool = True) -> Self:
        """Nothing is trained here: the base stays in eval mode."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Margins of the base without noise, differentiable by `x`: (n, *input_shape) -> (n,)."""
        return self.base(x) - self.threshold

    @property
    def activations(self) -> int:
        """Values that one sample's pass through the base keeps."""
        return self.base.activations

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
            size = min(self.batch, count - start)
            noise = draw(self.noise, self.sigma, (size, *self.input_shape), generator)
            yield self(noise.to(self.dtype).add_(sample))

    def sampled(self, x: Tensor, count: int, seed: int = 0) -> Tensor:
        """How many of `count` noisy copies the base calls sensitive: (n, *input_shape) -> int64 (n,) on the CPU.

        Each sample's draws depend on `seed` and its own values alone, and its copies pass through the base in batches
        of their own: other samples of the batch make no difference.
        """
        votes = [
            sum(int((margins > 0).sum()) for margins in self.noisy_margins(row, count, self.generator(row, seed)))
            for chunk in self.chunks(x)
            for row in chunk
        ]
        return torch.tensor(votes, dtype=torch.int64, device="cpu")

    def margin_at_most(self, x: Tensor, alpha: float = ALPHA, seed: int = 0) -> Tensor:
        """Upper confidence bound on the probability of *sensitive*, minus 1/2: (n, *input_shape) -> float64 (n,).

        Positive unless the smoothed verdict is the other class with confidence ``1 - alpha`` for each sample: where a
        certifier would abstain, nothing is refuted. Source: Clopper and Pearson, Biometrika 1934, one-sided.
        """
        votes = self.sampled(x, DRAWS, seed).numpy()
        return torch.from_numpy(special.bdtri(votes, DRAWS, alpha)).nan_to_num(nan=1.0) - 0.5  # NaN where all agree

    def scores(self, x: Tensor) -> Tensor:
        """`noisy_medians`, by no threshold's rounding."""
        return self.with_threshold(0.0).noisy_medians(x)

    def noisy_medians(self, x: Tensor, count: int = 101, seed: int = 0) -> Tensor:
        """Median of the base's log-odds over `count` noisy copies: (n, *input_shape) -> float64 (n,) on the CPU.

        Most copies are sensitive if and only if the median exceeds the threshold (an odd count has no ties), so what
        balances these medians balances the smoothed verdicts.
        """
        medians = [
            torch.cat(list(self.noisy_margins(row, count, self.generator(row, seed)))).double().median()
            for chunk in self.chunks(x)
            for row in chunk
        ]
        return torch.stack(medians).cpu() + self.threshold if medians else torch.empty(0, dtype=torch.float64)

    def parts(self) -> dict[str, Any]:
        """The base's options and the noise."""
        return {"base": self.base.options(), "noise": self.noise, "sigma": self.sigma.hex()}

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        base = rebuilt(metadata["base"], tensors)
        return cls(base, metadata["noise"], float.fromhex(metadata["sigma"]), **described(metadata))


def deployed(base: BaseNetwork) -> BaseNetwork:
    """The network, frozen, in float32 and eval mode.

    Raises
    ------
    InputError
        Weights are not finite.
    """
    base = base.float().eval().requires_grad_(False)
    check_weights("base", base)
    return base


def rebuilt(options: dict[str, Any], tensors: dict[str, Tensor]) -> BaseNetwork:
    """The network that `options` describe, with those of `tensors` whose names begin with ``base.``."""
    arguments = dict(options)
    name, shape = arguments.pop("name"), tuple(arguments.pop("input_shape"))
    return filled(lambda: base_network(name, shape, **arguments), grouped(tensors)["base"])
