"""Ordinary networks that smoothing is applied to: small ones for a CPU, and the published ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_choice, check_count, check_number, refuse

FREE = ("resnet-18", "wide-resnet-40-2")  # their weights fit images of any size
LARGEST_SIDE = 128  # of an image that is passed through them to count activations


class BaseNetwork(nn.Module):
    """A network with one output, the log-odds of the sensitive class: (n, *input_shape) -> (n,).

    Parameters
    ----------
    name
        ``mlp``, any input; ``convnet``, ``resnet-18`` or ``wide-resnet-40-2``, images (C, H, W).
    input_shape
        Shape of one sample.
    width
        Hidden units of the mlp's first layer, a quarter of them in its second; channels of the convnet. The other two
        have their published widths and ignore it.
    centre, scale
        What is subtracted from inputs, and what they are multiplied by then, so that a network without batch
        normalisation sees values around 0 and of size 1.

    Raises
    ------
    InputError
        An unknown name, an input that is no image for a network that needs one, or a number out of range.

    Source: He, Zhang, Ren, Sun, CVPR 2016 (ResNet-18, with its first layers for large images); Zagoruyko and
    Komodakis, BMVC 2016 (WideResNet-40-2).
    """

    def __init__(
        self, name: str, input_shape: tuple[int, ...], width: int = 256, centre: float = 0.0, scale: float = 1.0
    ):
        super().__init__()
        check_choice("name", name, tuple(BODIES))
        check_count("width", width, 4)
        check_number("centre", centre, -1.0, 1.0)
        check_number("scale", scale, 0.0, open_low=True)
        if name != "mlp" and len(input_shape) != 3:
            raise refuse("input_shape", f"(C, H, W) for {name!r}", tuple(input_shape), "Use name='mlp'.")
        self.name, self.input_shape, self.width = name, tuple(input_shape), width
        self.centre, self.scale = float(centre), float(scale)
        self.body = BODIES[name](self.input_shape, width)

    def forward(self, x: Tensor) -> Tensor:
        """Log-odds of one batch: (n, *input_shape) -> (n,)."""
        return self.body((x - self.centre) * self.scale)[:, 0]

    def options(self) -> dict[str, Any]:
        """Arguments that build the same network, JSON-able."""
        numbers = {"width": self.width, "centre": self.centre, "scale": self.scale}
        return {"name": self.name, "input_shape": list(self.input_shape), **numbers}

    @property
    def activations(self) -> int:
        """Values that the layers put out for one sample; of images of free size in proportion to a small one."""
        shape = self.input_shape
        if self.name in FREE:
            shape = (shape[0], *(min(side, LARGEST_SIDE) for side in shape[1:]))
        sizes: list[int] = []
        layers = [layer for layer in self.body.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ReLU)]
        handles = [layer.register_forward_hook(lambda *call: sizes.append(call[2].numel())) for layer in layers]
        weight, mode = next(self.parameters()), self.training
        with torch.no_grad():
            self.eval()(torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device))
        self.train(mode)
        for handle in handles:
            handle.remove()
        return (sum(sizes) + math.prod(shape)) * math.prod(self.input_shape) // math.prod(shape)


def base_network(name: str, input_shape: tuple[int, ...], **options: Any) -> BaseNetwork:
    """An untrained network of that name, drawn from torch's global generator; see `BaseNetwork`."""
    return BaseNetwork(name, tuple(input_shape), **options)


def _mlp(input_shape: tuple[int, ...], width: int) -> nn.Module:
    """Two hidden layers."""
    second = width // 4
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(torch.Size(input_shape).numel(), width),
        nn.ReLU(),
        nn.Linear(width, second),
        nn.ReLU(),
        nn.Linear(second, 1),
    )


def _convnet(input_shape: tuple[int, ...], width: int) -> nn.Module:
    """A coarse convolution, whose strides keep it cheap, and a hidden layer."""
    channels, height, breadth = input_shape
    features = width * (height // 4) * (breadth // 4)
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=8, stride=4, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(features, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 1),
    )


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each normalised, and a shortcut; the last ReLU follows the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first, self.first_norm = _convolution(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.second, self.second_norm = _convolution(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class _PreactivatedBlock(nn.Module):
    """Normalisation and ReLU come before each convolution; a shortcut that changes shape starts after the first."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first_norm, self.first = nn.BatchNorm2d(inputs), _convolution(inputs, outputs, stride)
        self.second_norm, self.second = nn.BatchNorm2d(outputs), _convolution(outputs, outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = functional.relu(self.first_norm(x))
        inner = functional.relu(self.second_norm(self.first(active)))
        return self.second(inner) + (x if self.shortcut is None else self.shortcut(active))


def _resnet_18(input_shape: tuple[int, ...], width: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(input_shape[0], 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 2, 1), *_stages(_ResidualBlock, 64, (64, 128, 256, 512), 2)]
    return _initialised(nn.Sequential(*layers, *_head(512)))


def _wide_resnet_40_2(input_shape: tuple[int, ...], width: int) -> nn.Module:
    stages = _stages(_PreactivatedBlock, 16, (32, 64, 128), 6)
    last = nn.BatchNorm2d(128), nn.ReLU(), *_head(128)
    return _initialised(nn.Sequential(_convolution(input_shape[0], 16), *stages, *last))


def _stages(
    block: type[_ResidualBlock] | type[_PreactivatedBlock], channels: int, widths: tuple[int, ...], depth: int
) -> list[nn.Module]:
    """`depth` blocks of each width; every stage but the first halves the image."""
    blocks: list[nn.Module] = []
    for stage, outputs in enumerate(widths):
        for index in range(depth):
            blocks.append(block(channels, outputs, 2 if stage and not index else 1))
            channels = outputs
    return blocks


def _head(channels: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


def _initialised(network: nn.Module) -> nn.Module:
    """Convolutions drawn as residual networks need it (He et al., 2015)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


BODIES: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "mlp": _mlp,
    "convnet": _convnet,
    "resnet-18": _resnet_18,
    "wide-resnet-40-2": _wide_resnet_40_2,
}
