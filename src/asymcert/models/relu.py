"""Plain ReLU networks: the models that bound propagation certifies."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_finite, refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.models.base import BinaryClassifier, described

Affine = tuple[Tensor, Tensor]


def relu_network(input_shape: tuple[int, ...], widths: Sequence[int], classes: int = 2) -> nn.Sequential:
    """An untrained fully connected ReLU network with one logit per class, drawn from torch's global generator."""
    sizes = [torch.Size(input_shape).numel(), *widths]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


def score_layers(network: nn.Sequential) -> list[Affine]:
    """Weight and bias of each affine layer of a `relu_network` of two classes: the last is logit 1 less logit 0."""
    *hidden, (weight, bias) = [(layer.weight, layer.bias) for layer in network if isinstance(layer, nn.Linear)]
    if len(weight) != 2:
        raise refuse("network", "one of two classes", f"{len(weight)} logits")
    return [*hidden, (weight[1:] - weight[:1], bias[1:] - bias[:1])]


class ReluClassifier(BinaryClassifier):
    """Says *sensitive* when ``margin(x) = w . relu(... relu(W_1 x + b_1)) + c - threshold > 0``.

    Weights are frozen and held in float64; call ``.float()`` to run it in single precision.

    Parameters
    ----------
    layers
        Weight (m_i, m_(i-1)) and bias (m_i,) of each affine layer, a ReLU between any two; m_0 is the number of values
        of one sample, and the last layer has one row, the score.
    threshold, input_shape, sensitive, other, scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        Weights are not finite, or their shapes do not fit each other or the input.
    """

    def __init__(
        self,
        layers: Sequence[Affine],
        threshold: float = 0.0,
        *,
        input_shape: tuple[int, ...],
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__(input_shape, threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        _check(layers, torch.Size(input_shape).numel())
        self.matrices = nn.ParameterList([_frozen(weight) for weight, _ in layers])
        self.biases = nn.ParameterList([_frozen(bias) for _, bias in layers])

    @classmethod
    def fold(cls, network: nn.Sequential, threshold: float = 0.0, **options: Any) -> Self:
        """The classifier of a trained `relu_network` of two classes: logit 1 less logit 0, as one row."""
        return cls(score_layers(copy.deepcopy(network).double()), threshold, **options)

    @property
    def layers(self) -> list[Affine]:
        """Weight and bias of each affine layer, the score's last."""
        return list(zip(self.matrices, self.biases, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        values = x.flatten(1)
        for index, (weight, bias) in enumerate(self.layers):
            values = functional.linear(values.relu() if index else values, weight, bias)
        return values[:, 0] - self.threshold

    @property
    def activations(self) -> int:
        """Values that one sample's forward and backward pass keeps."""
        return torch.Size(self.input_shape).numel() + 2 * sum(len(bias) for bias in self.biases)

    def parts(self) -> dict[str, Any]:
        """The number of layers."""
        return {"depth": len(self.matrices)}

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        pairs = [(tensors[f"matrices.{i}"], tensors[f"biases.{i}"]) for i in range(metadata["depth"])]
        return cls(pairs, input_shape=tuple(metadata["input_shape"]), **described(metadata))


def _frozen(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().cpu().double().clone(), requires_grad=False)


def _check(layers: Sequence[Affine], inputs: int) -> None:
    if not layers:
        raise refuse("layers", "one affine layer at least", "none")
    for index, (weight, bias) in enumerate(layers):
        outputs = 1 if index == len(layers) - 1 else len(bias)
        if tuple(weight.shape) != (outputs, inputs) or tuple(bias.shape) != (outputs,):
            got = f"{tuple(weight.shape)} and {tuple(bias.shape)}"
            raise refuse("layers", f"({outputs}, {inputs}) and ({outputs},) in layer {index + 1}", got)
        for values in (weight, bias):
            check_finite("layers", values, "Training has diverged: train again.")
        inputs = outputs
