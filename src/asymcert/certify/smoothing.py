"""Randomized smoothing: verdicts and radii from votes over noisy copies, right with a stated confidence."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_count, check_number, option
from asymcert.certify.base import Certificate, Certifier, Threats
from asymcert.certify.norms import radius_against
from asymcert.models.base import BinaryClassifier
from asymcert.models.noise import noise_scale
from asymcert.models.noisy import ALPHA, DRAWS, NoisyClassifier
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.models.voting import MOST
from asymcert.threats.model import ThreatModel

LEAST_ALPHA = 1e-100  # below it, scipy's inverse of the incomplete beta function fails for many draws
SLACK = 1e-10  # relative; far above the errors of scipy's inverse distribution functions


@dataclass(frozen=True)
class Smoothing(Certifier):
    """Votes over Gaussian, Laplacian or uniform noise; radii natural in l2, l1, and l1 and l_inf.

    A first set of draws chooses the class, a second bounds its probability from below by Clopper and Pearson's exact
    interval. Where the bound does not exceed 1/2, the classifier abstains. The certificate's margin is the bound minus
    1/2 for a sensitive verdict, 0 for an abstention, and negative for the other class, which has no radius. A
    classifier by another share of the votes is sensitive where the bound exceeds that share, of the other class where
    the bound on the other probability exceeds the rest, and radii say how far the probability stays above the share.
    The second set of draws alone decides then: few draws say little about a share near 0 or 1, and a radius is too
    large only where the bound on the probability of *sensitive* is, whichever class was chosen.

    A sample's draws end early in two cases that leave the verdict as all draws would make it: even all draws that are
    left could not prevent an abstention; or the other class is established already, so that more draws would change
    neither verdict nor radius. Its margin then rests on the draws made, the rest counted as votes against it. Where the
    classifier remembers votes, all are counted.

    Parameters
    ----------
    n0, n
        Draws that choose the class, and that bound its probability.
    alpha
        Chance, for each sample, that the bound is wrong; at least 1e-100.
    seed
        Of all draws; with it a certificate can be repeated on the same kind of device.
    sound
        Whether the errors of the inverse distribution functions are subtracted.

    Sound when probability is granted: for each sample, over the draws, the radius of the smoothed classifier is right
    with probability ``1 - alpha`` at least. It is no joint statement about all samples. Rounding in the base network is
    immaterial, since what is smoothed is the network as it is run; but noise is drawn in float32 by a pseudorandom
    generator, inputs and their sums with it are rounded to the network's type, and what that changes is not covered
    (Voracek and Hein, 2023; Jin, Ohrimenko, Rubinstein, 2022).

    Source: Cohen, Rosenfeld, Kolter, ICML 2019, Theorem 1 and CERTIFY, for a share of 1/2; see `smoothed_radius` for
    the radii.
    """

    method: ClassVar[str] = "smoothing"
    kind: ClassVar[type[BinaryClassifier]] = SmoothedClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")
    n0: int = option(100, "smoothing: draws that choose the class.")
    n: int = option(DRAWS, "smoothing: draws that bound its probability.")
    alpha: float = option(ALPHA, "smoothing: chance that a sample's radius is wrong.")
    seed: int = option(0, "smoothing: seed of the draws.")

    def __post_init__(self) -> None:
        check_count("n0", self.n0)
        check_count("n", self.n)
        check_number("alpha", self.alpha, LEAST_ALPHA, 0.5)
        check_count("seed", self.seed, 0)

    def _certificates(self, model: NoisyClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        bounds = lower_bounds(self.n, self.alpha, self.sound)
        margins: list[float] = []
        for chunk in model.chunks(x):
            for threat in threats:
                threat.check(chunk)
            margins += [self._margin(model, sample, bounds) for sample in chunk]
        margin = torch.tensor(margins, dtype=torch.float64)
        return [self._certificate(model, margin, threat) for threat in threats]

    def _margin(self, model: NoisyClassifier, sample: Tensor, bounds: Tensor) -> float:
        """Signed bound on the probability of the chosen class, minus its share; 0 to abstain."""
        if model.remembers or model.share != MOST:
            chosen, votes = self._all(model, sample, bounds)
        else:
            chosen, votes = self._enough(model, sample, bounds)
        share = model.share if chosen else 1.0 - model.share
        margin = max(0.0, float(bounds[votes]) - share)
        return margin if chosen else -margin

    def _all(self, model: NoisyClassifier, sample: Tensor, bounds: Tensor) -> tuple[bool, int]:
        """Whether *sensitive* is chosen, and all votes for what is."""
        first, votes = model.counted(sample, self.n0, self.n, self.seed)
        chosen = 2 * first > self.n0 if model.share == MOST else float(bounds[votes]) > model.share
        return chosen, votes if chosen else self.n - votes

    def _enough(self, model: NoisyClassifier, sample: Tensor, bounds: Tensor) -> tuple[bool, int]:
        """The same by most votes, of which only as many are counted as make the verdict sure."""
        generator = model.generator(sample, self.seed)
        chosen = 2 * model.votes(sample, self.n0, generator) > self.n0
        enough = int((bounds <= MOST).sum())  # least count of votes that establishes a class; bounds ascend
        votes, drawn = 0, 0
        for part in model.noisy_margins(sample, self.n, generator):
            votes, drawn = votes + int(((part > 0) == chosen).sum()), drawn + len(part)
            if votes + self.n - drawn < enough or (votes >= enough and not chosen):
                break
        return chosen, votes

    def _certificate(self, model: NoisyClassifier, margin: Tensor, threat: ThreatModel) -> Certificate:
        radius = self._radius(model, margin.clamp(min=0.0), threat)
        nothing = torch.full_like(margin, math.nan)
        return Certificate(radius, margin, nothing, threat, self.method, self.sound, abstained=margin == 0)

    def _radius(self, model: Any, excess: Tensor, threat: ThreatModel) -> Tensor:
        """Where the probability exceeds the share by `excess` (n,) at least: (n,)."""
        radius = smoothed_radius(model.noise, model.sigma, excess, threat, model.input_shape, model.share)
        return radius * (1.0 - SLACK) if self.sound else radius


@functools.lru_cache(maxsize=8)
def lower_bounds(n: int, alpha: float, sound: bool = True) -> Tensor:
    """Lower confidence bound on a probability for each count of successes 0 ... n: float64 (n + 1,), ascending.

    A bound that exceeds the probability has chance `alpha` at most; rounded down where `sound`.

    Source: Clopper and Pearson, Biometrika 1934, one-sided.
    """
    from scipy import special  # a third of a second

    successes = torch.arange(1, n + 1, dtype=torch.float64)
    found = special.betaincinv(successes.numpy(), (n - successes + 1).numpy(), alpha)
    bounds = torch.cat((torch.zeros(1, dtype=torch.float64), torch.from_numpy(found)))
    return bounds * (1.0 - SLACK) if sound else bounds


def smoothed_radius(
    noise: str, sigma: float, excess: Tensor, threat: ThreatModel, shape: tuple[int, ...], share: float = MOST
) -> Tensor:
    """Size of change that cannot bring the probability of the verdict down to a share: (n,).

    Parameters
    ----------
    noise, sigma
        Kind, and standard deviation in each coordinate.
    excess
        Float64 (n,), in [0, 1 - share]: by how much the probability p exceeds the share.
    threat
        The adversary.
    shape
        Of one sample, of d values.
    share
        t, in (0, 1).

    Returns
    -------
    Tensor
        Float64 (n,). Gaussian: ``sigma * (Phi^-1(p) - Phi^-1(t))`` in l2 (Cohen, Rosenfeld, Kolter, ICML 2019, Theorem
        1, where t is 1/2; its proof by Neyman and Pearson's lemma does not need that). Laplacian of scale b: in l1 the
        same with b and the Laplace distribution's quantiles, at t of 1/2 ``-b ln(2 (1 - p))`` (Teng, Lee, Yuan, 2020,
        Theorem 1; of its two bounds this is never the smaller one where there are two classes): along a change the
        probability falls no faster than by the factor e for each b, and its complement grows no faster, so the first
        bound leads down to 1/2 and the second one on from there. Uniform on [-b, b]: ``2 b (p - t)`` in l1 and
        ``2 b (1 - (1 - p + t)^(1/d))`` in l_inf (Yang et al., ICML 2020); the greater of what follows from them.
    """
    scale = noise_scale(noise, sigma)
    if noise == "gaussian":
        return radius_against(scale * _risen(torch.special.ndtri, share, excess), 2.0, threat, shape)
    if noise == "laplacian":
        return radius_against(scale * _risen(_laplace_quantile, share, excess), 1.0, threat, shape)
    manhattan = radius_against(2.0 * scale * excess, 1.0, threat, shape)
    cube = -2.0 * scale * torch.expm1(torch.log1p(-excess) / math.prod(shape))
    return torch.maximum(manhattan, radius_against(cube, math.inf, threat, shape))


def _risen(quantile: Callable[[Tensor], Tensor], share: float, excess: Tensor) -> Tensor:
    """How much a quantile function rises from a share by some excess (n,) more: (n,), 0 where the excess is."""
    least = torch.tensor(share, dtype=torch.float64, device=excess.device)
    return quantile(least + excess) - quantile(least)


def _laplace_quantile(p: Tensor) -> Tensor:
    """Of the density ``exp(-|t|) / 2``."""
    below = torch.log(2.0 * p.clamp(max=0.5))
    return below - torch.log1p(-2.0 * (p - 0.5).clamp(min=0.0))
