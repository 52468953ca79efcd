"""A deployed network of layers with known l2 Lipschitz constants, such as a trained orthogonal one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import check_weights, refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.features.layers import Dense, Downsample, MaxMin, check_bias, fixed
from asymcert.features.trained_layers import CayleyLinear
from asymcert.models.base import BinaryClassifier, described
from asymcert.models.cayley import CayleyConv, Mix, Pad, blended, spectral_convolution
from asymcert.models.parts import grouped


class SpectralConv(nn.Module):
    """Circular convolution by fixed matrices at each frequency, real and imaginary parts (h, w // 2 + 1, m, c)."""

    def __init__(self, real: Tensor, imaginary: Tensor, bias: Tensor):
        super().__init__()
        check_bias(bias, real.shape[2])
        self.real, self.imaginary, self.bias = fixed(real), fixed(imaginary), fixed(bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, m, h, w)."""
        return spectral_convolution(x, torch.complex(self.real, self.imaginary)) + self.bias[:, None, None]


class Blend(nn.Module):
    """``share[0] * inner(x) + share[1] * x`` with fixed shares."""

    def __init__(self, inner: nn.Sequential, share: Tensor):
        super().__init__()
        if any(isinstance(layer, Pad) for layer in inner):
            raise refuse("network", "blocks that keep their shape", "one with Pad")
        self.inner, self.share = inner, fixed(share)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return blended(self.inner(x), x, self.share[0], self.share[1])


class LipschitzClassifier(BinaryClassifier):
    """Says *sensitive* when ``margin(x) = score(x) - threshold > 0``, the score having a known l2 Lipschitz constant.

    Weights are frozen and held in float64; call ``.float()`` to run it in single precision.

    Parameters
    ----------
    network
        Layers `Dense`, `SpectralConv`, `Blend`, `MaxMin`, `Downsample`, `Pad` and ``nn.Flatten``, the last one a
        `Dense` of one row.
    threshold, input_shape, sensitive, other, scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        A layer of another kind, weights that are not finite, or shapes that do not fit the input.
    """

    def __init__(
        self,
        network: nn.Sequential,
        threshold: float = 0.0,
        *,
        input_shape: tuple[int, ...],
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__(input_shape, threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        describe_layers(network)
        check_weights("network", network)
        self.network = network.double().eval().requires_grad_(False)
        self._activations = _count(self.network, self.input_shape)

    @classmethod
    def fold(cls, trained: nn.Sequential, threshold: float = 0.0, **options: Any) -> Self:
        """The classifier of a trained network of Cayley layers and two classes: logit 1 less logit 0, as one row.

        Orthogonal matrices are computed once, in float64.
        """
        *layers, last = trained.double()
        if not isinstance(last, CayleyLinear) or len(last.bias) != 2:
            raise refuse("trained", "a network that ends in a CayleyLinear of two classes", type(last).__name__)
        with torch.no_grad():
            weight, bias = last.matrix(), last.bias
            row = Dense(weight[1:] - weight[:1], bias[1:] - bias[:1])
            return cls(nn.Sequential(*_materialised(layers), row), threshold, **options)

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        if not len(x):  # Fourier transforms refuse empty batches
            return x.flatten(1).sum(1)
        return self.network(x)[:, 0] - self.threshold

    @property
    def activations(self) -> int:
        """Values that one sample's forward and backward pass keeps."""
        return self._activations

    def parts(self) -> dict[str, Any]:
        """The layers."""
        return {"layers": describe_layers(self.network)}

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        network = _build_layers(metadata["layers"], grouped(tensors)["network"])
        return cls(network, input_shape=tuple(metadata["input_shape"]), **described(metadata))


def describe_layers(network: Sequence[nn.Module] | nn.Sequential) -> list[dict[str, Any]]:
    """JSON-able description of layers without their weights; refuses unknown kinds."""
    described_layers = []
    for layer in network:
        if not isinstance(layer, tuple(LAYERS.values())):
            raise refuse("network", f"made of {', '.join(LAYERS)}", type(layer).__name__)
        kind: dict[str, Any] = {"kind": type(layer).__name__}
        if isinstance(layer, Pad):
            kind["amount"] = layer.amount
        if isinstance(layer, Blend):
            kind["inner"] = describe_layers(layer.inner)
        described_layers.append(kind)
    return described_layers


def _build_layers(layers: Iterable[dict[str, Any]], tensors: dict[str, Tensor]) -> nn.Sequential:
    built, parts = [], grouped(tensors)
    for index, layer in enumerate(layers):
        options: dict[str, Any] = {**layer, **parts[str(index)]}
        kind = options.pop("kind")
        if kind == "Blend":
            inner = _build_layers(layer["inner"], grouped(parts[str(index)])["inner"])
            options = {"inner": inner, "share": options["share"]}
        built.append(LAYERS[kind](**options))
    return nn.Sequential(*built)


def _materialised(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """The layers with their orthogonal matrices computed."""
    deployed: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, CayleyLinear):
            deployed.append(layer.fold())
        elif isinstance(layer, CayleyConv):
            spectrum = layer.spectrum()
            deployed.append(SpectralConv(spectrum.real, spectrum.imag, layer.bias))
        elif isinstance(layer, Mix):
            share = layer.logit.sigmoid()
            deployed.append(Blend(nn.Sequential(*_materialised(layer.inner)), torch.stack((share, 1.0 - share))))
        else:
            deployed.append(layer)
    return deployed


def _count(network: nn.Sequential, input_shape: tuple[int, ...]) -> int:
    """Values that the layers put out for one sample; refuses an input that they do not take."""
    most = sum(weight.numel() for weight in network.parameters())
    try:
        values, total = torch.zeros(1, dtype=torch.float64).expand(1, *input_shape), 0
        for layer in network:
            if values.numel() > most:  # each value meets a weight of its own further on
                raise refuse("network", f"of a weight for each of {values.numel()} values", f"{most} weights")
            values = layer(values)
            total += values.numel() * (4 if isinstance(layer, SpectralConv | Blend) else 1)
    except RuntimeError as error:
        raise refuse("network", f"layers that fit inputs of shape {input_shape}", str(error).splitlines()[0]) from None
    if tuple(values.shape) != (1, 1):
        raise refuse("network", "ending in one score", f"an output of shape {tuple(values.shape)}")
    return total + torch.Size(input_shape).numel()


LAYERS: dict[str, type[nn.Module]] = {
    kind.__name__: kind for kind in (Dense, SpectralConv, Blend, MaxMin, Downsample, Pad, nn.Flatten)
}
