"""Classifiers that are smoothed by noise."""

from __future__ import annotations

from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from asymcert._checks import check_choice, check_number, check_weights, refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.models.base import described
from asymcert.models.module_network import ModuleNetwork
from asymcert.models.networks import BaseNetwork, base_network
from asymcert.models.noise import NOISES, draw
from asymcert.models.noisy import NoisyClassifier
from asymcert.models.parts import filled, grouped

Network = TypeVar("Network", bound=nn.Module)


class SmoothedClassifier(NoisyClassifier):
    """Says *sensitive* when most noisy copies of the input are: ``P(base(x + noise) > threshold) > 1/2``.

    Or more than another share of them, see `with_share`. The probability cannot be computed, only estimated from draws;
    `Smoothing` decides and certifies, or abstains. `margin` and `predict` are the *base* network's at the input itself,
    without noise. They are not the smoothed verdict, and no certificate is about them: `margin_at_most` is about what
    certificates are about.

    Parameters
    ----------
    base
        The network, run in eval mode and in float32 unless the classifier is converted; trained on noisy inputs. One of
        your own is wrapped by `ModuleNetwork`.
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
        base: BaseNetwork | ModuleNetwork,
        noise: str,
        sigma: float,
        threshold: float = 0.0,
        *,
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__(shape_of(base), threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        check_choice("noise", noise, tuple(NOISES))
        check_number("sigma", sigma, 0.0, float(torch.finfo(torch.float32).max), open_low=True)
        self.noise, self.sigma = noise, float(sigma)
        self.base = deployed(base)

    def train(self, mode: bool = True) -> Self:
        """Nothing is trained here: the base stays in eval mode."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Margins of the base without noise, differentiable by `x`: (n, *input_shape) -> (n,)."""
        return self.base(x) - self.threshold

    @property
    def activations(self) -> int:
        """Values that one copy's pass through the base keeps."""
        return self.base.activations

    def noisy(self, sample: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Samples plus noise."""
        return draw(self.noise, self.sigma, (count, *self.input_shape), generator).to(self.dtype).add_(sample)

    def parts(self) -> dict[str, Any]:
        """The base's options, the noise, and the share."""
        noise = {"noise": self.noise, "sigma": self.sigma.hex()}
        return {"base": self.base.options()} | noise | self._share_part()

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        base = rebuilt(metadata["base"], tensors)
        model = cls(base, metadata["noise"], float.fromhex(metadata["sigma"]), **described(metadata))
        return model._shared_as(metadata)


def shape_of(base: object) -> tuple[int, ...]:
    """Shape of what a network takes; refuses other modules."""
    shape = getattr(base, "input_shape", None)
    if not isinstance(shape, tuple):
        remedy = "Wrap a module of your own: ModuleNetwork(module, x)."
        raise refuse("base", "a network with an input_shape", type(base).__name__, remedy)
    return shape


def deployed(base: Network) -> Network:
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
