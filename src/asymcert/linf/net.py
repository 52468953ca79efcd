"""Nets of distance layers: as they are trained, and folded as they are deployed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import check_choice, check_count, check_number, refuse
from asymcert.linf.layers import DistanceConv2d, DistanceLayer, DistanceLinear, MeanShift

MNIST = {"width": 5120, "depth": 5, "deviation": 0.3081}
PUBLISHED: dict[str, dict[str, Any]] = {
    "mnist": MNIST,
    "fashion": MNIST | {"deviation": 0.3520},
    "cifar10": MNIST | {"depth": 6, "deviation": 0.2009},
}


class TanhHead(nn.Module):
    """Linear, tanh, linear: turns features into logits (n, classes).

    Source: Zhang, Cai, Lu, He, Wang, ICML 2021, section 6 ("l_inf-dist net + MLP").
    """

    def __init__(self, features: int, hidden: int, classes: int):
        super().__init__()
        self.first, self.last = nn.Linear(features, hidden), nn.Linear(hidden, classes)

    def forward(self, features: Tensor) -> Tensor:
        """(n, features) -> (n, classes)."""
        return self.last(torch.tanh(self.first(features)))

    def shifted(self, mean: Tensor, scale: float) -> None:
        """Make the head at x what it was at ``(x - mean) / scale``."""
        with torch.no_grad():
            self.first.weight.div_(scale)
            self.first.bias.sub_(self.first.weight @ mean)


class LinfDistanceNet(nn.Module):
    """Distance layers with mean shifts between them; the logits are minus the last distances.

    Every logit is 1-Lipschitz in l_inf by the standardised input, whatever the weights.

    Parameters
    ----------
    input_shape
        Of one sample. Images (c, h, w) are flattened after the convolutions.
    classes
        Number of logits.
    width, depth
        Units of a fully connected layer, and number of distance layers after the convolutions, the last one included.
    convolutions
        ``(channels, kernel, stride)`` of distance convolutions in front; padding is half the kernel, rounded down.
    groups
        Parts that the hidden fully connected layers but the first are divided into.
    head
        Units of a linear-tanh-linear head that replaces the last layer's minus sign; 0 for none. The last distance
        layer then is as wide as the others.
    rho
        Probability that a unit leaves an input out in training, for sorted units; see `DistanceLayer`.
    centre, deviation
        The input is standardised as ``(x - centre) / deviation``, one number each for all of it.

    Raises
    ------
    InputError
        A size below 1, or groups that do not divide the width.

    Source: Zhang, Cai, Lu, He, Wang, ICML 2021; published sizes in `LinfDistanceNet.published`.

    Examples
    --------
    >>> net = LinfDistanceNet((1, 8, 8), classes=3, width=16, depth=3).eval()
    >>> net(torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int = 2,
        width: int = 128,
        depth: int = 4,
        convolutions: tuple[tuple[int, int, int], ...] = (),
        groups: int = 1,
        head: int = 0,
        centre: float = 0.0,
        deviation: float = 1.0,
        rho: float = 0.0,
    ):
        super().__init__()
        for name, value, low in (("classes", classes, 2), ("width", width, 1), ("depth", depth, 1), ("head", head, 0)):
            check_count(name, value, low)
        check_number("deviation", deviation, 0.0, open_low=True)
        check_number("centre", centre)
        if convolutions and len(input_shape) != 3:
            raise refuse("convolutions", "empty unless samples are images (c, h, w)", f"samples of {input_shape}")
        self.input_shape, self.classes, self.width, self.depth = tuple(input_shape), classes, width, depth
        self.convolutions = tuple(tuple(layer) for layer in convolutions)
        self.groups, self.centre, self.deviation, self.rho = groups, float(centre), float(deviation), float(rho)
        self.layers = nn.ModuleList([*self._convolutional(), *self._connected(bool(head))])
        shifted = self.layers if head else list(self.layers)[:-1]
        self.shifts = nn.ModuleList(MeanShift(len(layer.weight)) for layer in shifted)  # pyright: ignore
        self.head = TanhHead(width, head, classes) if head else None

    @classmethod
    def published(cls, name: str, input_shape: tuple[int, ...], classes: int = 10, **options: Any) -> LinfDistanceNet:
        """The net of the papers for ``mnist``, ``fashion`` or ``cifar10``; options replace its own."""
        check_choice("name", name, tuple(PUBLISHED))
        return cls(input_shape, classes, **(PUBLISHED[name] | options))

    @property
    def p(self) -> float:
        """Exponent of all layers' distances; certificates need inf."""
        return next(iter(self._distance_layers())).p

    @p.setter
    def p(self, value: float) -> None:
        for layer in self._distance_layers():
            layer.p = value

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (n, *input_shape) -> (n, classes)."""
        features = self.features(x)
        return -features if self.head is None else self.head(features)

    def features(self, x: Tensor, draws: torch.Generator | None = None) -> Tensor:
        """Outputs of the distance layers, 1-Lipschitz by the standardised input: (n, *input_shape) -> (n, units).

        With `draws`, units with a `rho` take some of their inputs only.
        """
        last = self.layers[-1](self.hidden(x, draws), draws)
        return last if self.head is None else self.shifts[-1](last)

    def hidden(self, x: Tensor, draws: torch.Generator | None = None) -> Tensor:
        """Inputs of the last distance layer: (n, *input_shape) -> (n, units)."""
        x = (x - self.centre) / self.deviation
        *before, last = self._distance_layers()
        for layer, shift in zip(before, self.shifts, strict=False):
            x = shift(layer(_fitting(layer, x), draws))
        return _fitting(last, x)

    def options(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        names = ("input_shape", "classes", "width", "depth", "convolutions", "groups", "centre", "deviation")
        chosen: dict[str, Any] = {name: getattr(self, name) for name in names}
        chosen |= {"rho": self.rho} if self.rho else {}  # as files of nets without it were written
        return chosen | {"head": self.head.first.out_features if self.head else 0}

    @torch.no_grad()
    def fold(self) -> FoldedDistanceNet:
        """A frozen float64 copy without shifts and scales, of the same predictions.

        Running means and the standardisation go into the next weights, so that the distances, and the logits unless
        there is a head, are multiplied by the deviation: 1-Lipschitz by the *raw* input.
        """
        net = copy.deepcopy(self).double()
        if not net.layers[0].weight.is_meta:  # there it has no values
            net._fold_shifts()
        return FoldedDistanceNet(net.layers, net.head, self.input_shape)  # pyright: ignore[reportArgumentType]

    def _fold_shifts(self) -> None:
        """Move running means and the standardisation into the weights behind them, in place."""
        mean, scale = torch.full(self.input_shape[:1], self.centre, dtype=torch.float64), self.deviation
        flat = self.input_shape
        for index, layer in enumerate(self._distance_layers()):
            mean = mean.to(layer.weight.device)
            if isinstance(layer, DistanceLinear):
                mean, flat = _per_input(mean, flat), (math.prod(flat),)
            layer.shifted(mean, scale)
            flat = layer.output_shape(flat)
            if index < len(self.shifts):
                mean = self.shifts[index].running * scale  # pyright: ignore[reportOperatorIssue]
        if self.head is not None:
            self.head.shifted(mean, scale)

    def _distance_layers(self) -> Iterator[DistanceLayer]:
        yield from self.layers  # pyright: ignore[reportReturnType]

    def _convolutional(self) -> Iterator[DistanceConv2d]:
        channels = self.input_shape[0]
        for index, (out_channels, kernel, stride) in enumerate(self.convolutions):
            rho = self.rho if index else 0.0
            yield DistanceConv2d(channels, out_channels, kernel, stride, kernel // 2, rho=rho)
            channels = out_channels

    def _connected(self, headed: bool) -> Iterator[DistanceLinear]:
        shape = self.input_shape
        for layer in self._convolutional():
            shape = layer.output_shape(shape)
        inputs = math.prod(shape)
        hidden = self.depth if headed else self.depth - 1
        for index in range(hidden):
            rho = self.rho if index or self.convolutions else 0.0
            yield DistanceLinear(inputs, self.width, groups=self.groups if index else 1, rho=rho)
            inputs = self.width
        if not headed:
            yield DistanceLinear(inputs, self.classes, bias=True, rho=self.rho if hidden or self.convolutions else 0.0)


class FoldedDistanceNet(nn.Module):
    """What `LinfDistanceNet.fold` returns: distance layers and possibly a head, float64, frozen."""

    def __init__(self, layers: nn.ModuleList, head: TanhHead | None, input_shape: tuple[int, ...]):
        super().__init__()
        self.layers, self.head, self.input_shape = layers, head, tuple(input_shape)
        self.double().eval().requires_grad_(False)

    @property
    def p(self) -> float:
        """Exponent of the distances; anything but inf has no certificate."""
        return min(layer.p for layer in self.distance_layers())

    @property
    def classes(self) -> int:
        """Number of logits."""
        last = list(self.distance_layers())[-1]
        return len(last.weight) if self.head is None else self.head.last.out_features

    @property
    def activations(self) -> int:
        """Values that one sample's forward pass keeps."""
        shape, count = self.input_shape, math.prod(self.input_shape)
        for layer in self.distance_layers():
            shape = layer.output_shape(shape)
            count += math.prod(shape)
        return count

    def features(self, x: Tensor) -> Tensor:
        """Outputs of the distance layers: (n, *input_shape) -> (n, units)."""
        for layer in self.distance_layers():
            x = layer(_fitting(layer, x))
        return x

    def enclosure(self, low: Tensor, high: Tensor, unit: float, least: float) -> tuple[Tensor, Tensor, Tensor]:
        """Bounds of the distances over boxes, and of the size of every number on the way: (n, units) twice, (n,).

        They hold for what is computed in a type of roundoff `unit` and least normal number `least`.
        """
        largest = torch.maximum(low.abs(), high.abs()).flatten(1).amax(1)
        for layer in self.distance_layers():
            low, high = layer.enclosure(_fitting(layer, low), _fitting(layer, high), unit, least)
            largest = torch.maximum(largest, torch.maximum(low.abs(), high.abs()).flatten(1).amax(1))
        return low, high, largest

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (n, *input_shape) -> (n, classes)."""
        features = self.features(x)
        return -features if self.head is None else self.head(features)

    def distance_layers(self) -> Iterator[DistanceLayer]:
        """The distance layers in order."""
        yield from self.layers  # pyright: ignore[reportReturnType]


def _fitting(layer: DistanceLayer, x: Tensor) -> Tensor:
    return x.flatten(1) if isinstance(layer, DistanceLinear) else x


def _per_input(mean: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Means per channel as means per flattened input."""
    return mean.repeat_interleave(math.prod(shape[1:]))
