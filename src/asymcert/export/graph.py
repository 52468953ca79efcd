"""Building an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from asymcert._checks import refuse
from asymcert._version import __version__
from asymcert.models.base import BinaryClassifier

OPSET = 17
IR_VERSION = 8  # what belongs to that opset; later ones are unknown to older runtimes
TYPES = {torch.float32: TensorProto.FLOAT, torch.float64: TensorProto.DOUBLE}
OPSET_OF_ENCODERS = 3
INPUT, OUTPUTS = "x", ("margin", "sensitive", "radius")


class Graph:
    """Nodes and constants of a graph; values are known by their names.

    Its input is ``x`` (batch, *input_shape), unless others are added.

    Parameters
    ----------
    dtype
        Type of the input and of all numbers, float32 or float64.
    input_shape
        Shape of one sample.

    Raises
    ------
    InputError
        Another type.
    """

    def __init__(self, dtype: torch.dtype, input_shape: tuple[int, ...]):
        if dtype not in TYPES:
            raise refuse("model", "in float32 or float64", str(dtype), "Convert it with model.float().")
        self.dtype, self.input_shape = dtype, tuple(input_shape)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[object, ...], TensorProto] = {}  # by contents: equal ones are stored once
        self._inputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node of one output and return the output's name."""
        return self.several(kind, 1, *inputs, **attributes)[0]

    def several(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Append a node of so many outputs and return their names."""
        names = [self._fresh(kind.lower()) for _ in range(count)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names

    def loop(self, times: int, state: Sequence[str], body: Callable[..., Sequence[str]]) -> list[str]:
        """Values of the graph's type, replaced `times` times by what `body` makes of them.

        `body` appends nodes; it sees all values that there are already, and gives one for each that it is given.
        """
        kind = TYPES[self.dtype]
        before, self._nodes = self._nodes, []
        step, going = self._fresh("step"), self._fresh("going")
        given = [self._fresh("state") for _ in state]
        results = [self.op("Identity", name) for name in (going, *body(*given))]
        ends = [helper.make_tensor_value_info(step, TensorProto.INT64, []), *self._values([going], TensorProto.BOOL)]
        outputs = [*self._values(results[:1], TensorProto.BOOL), *self._values(results[1:], kind)]
        inner = helper.make_graph(self._nodes, self._fresh("body"), [*ends, *self._values(given, kind)], outputs)
        self._nodes, after = before, [self._fresh("after") for _ in state]
        count = self.integers(times)
        self._nodes.append(helper.make_node("Loop", [count, "", *state], after, name=self._fresh("loop"), body=inner))
        return after

    def _values(self, names: Sequence[str], kind: int) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, kind, [] if kind == TensorProto.BOOL else None) for name in names]

    def _fresh(self, word: str) -> str:
        """A name that nothing has yet; those of inputs may be any."""
        self._count += 1
        name = f"{word}_{self._count}"
        return self._fresh(word) if any(name == known.name for known in self._inputs) else name

    def number(self, value: float | Tensor) -> str:
        """A constant of the graph's type: a number, or a tensor of any shape."""
        values = value.detach().cpu() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        return self._constant(values.to(self.dtype).contiguous().numpy())

    def doubles(self, values: float | list[float]) -> str:
        """A float64 constant, whatever the graph's type."""
        return self._constant(np.array(values, dtype=np.float64))

    def scaled(self, kind: str, name: str, factor: float | Tensor) -> str:
        """Values times (kind ``Mul``) or divided by (``Div``) constants.

        ONNX Runtime compares a lone constant with 1 in single precision and drops the operation if they are equal, so
        one that is so near to 1 takes two steps; both by numbers that are not, one of them a power of two.
        """
        factors = torch.as_tensor(factor, dtype=torch.float64)
        if factors.numel() == 1 and float(factors) != float(factors.float()) == 1.0:
            name, factors = self.op(kind, name, self.number(2.0)), factors / 2.0
        return self.op(kind, name, self.number(factors))

    def integers(self, values: int | list[int] | Tensor) -> str:
        """An int64 constant: shapes, axes and indices."""
        return self._constant(torch.as_tensor(values, dtype=torch.int64).contiguous().numpy())

    def reshape(self, name: str, *shape: int) -> str:
        """(n, ...) -> (n, *shape)."""
        return self.op("Reshape", name, self.integers([0, *shape]))

    def flat_input(self) -> str:
        """Add the input ``x``; flat, (n, values of one sample)."""
        self._inputs.append(helper.make_tensor_value_info(INPUT, TYPES[self.dtype], ["batch", *self.input_shape]))
        return self.op("Flatten", INPUT, axis=1)

    def add_input(self, name: str, kind: int) -> None:
        """Add an input of one value for each sample, (batch,), of any type, and any name that nothing has yet.

        Raises
        ------
        InputError
            No name, one of the graph's outputs, or one that ONNX cannot write.
        """
        if name in ("", *OUTPUTS) or any(name == known.name for known in self._inputs):
            remedy = "Rename it before training, or export with raw=False (--scaled)."
            raise refuse("column name", f"none of {', '.join(OUTPUTS)}, and not empty", repr(name), remedy)
        self._inputs.append(helper.make_tensor_value_info(name, kind, ["batch"]))

    def affine(self, name: str, weight: Tensor, bias: Tensor) -> str:
        """``W x + b``: (n, k) -> (n, m)."""
        return self.op("Gemm", name, self.number(weight), self.number(bias), transB=1)

    def gather(self, name: str, index: Tensor, count: int) -> str:
        """Pixels of flattened images, an index of `count` giving zero: (n, c, count), (k, p) -> (n, c, k * p)."""
        if bool((index == count).any()):
            name = self.op("Pad", name, self.integers([0, 0, 0, 0, 0, 1]))
        return self.op("Gather", name, self.integers(index.flatten()), axis=2)

    def verdict(self, score: str, threshold: float) -> None:
        """Give the graph its outputs ``margin`` and ``sensitive``, from scores (n,)."""
        self.named("Sub", "margin", score, self.number(threshold))
        self.named("Greater", "sensitive", "margin", self.number(0.0))

    def named(self, kind: str, output: str, *inputs: str) -> None:
        """Append a node whose output has the given name, such as an output of the graph."""
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=output))

    def model(self, outputs: list[str], metadata: dict[str, str]) -> onnx.ModelProto:
        """The finished model, checked; each output is (batch,), and boolean if it is ``sensitive``."""
        kind = TYPES[self.dtype]
        graph = helper.make_graph(
            self._nodes,
            "asymcert",
            self._inputs,
            [
                helper.make_tensor_value_info(name, TensorProto.BOOL if name == "sensitive" else kind, ["batch"])
                for name in outputs
            ],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_OF_ENCODERS)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="asymcert")
        model.producer_version = __version__
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _constant(self, values: np.ndarray) -> str:
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(values, self._fresh("constant"))
        return self._constants[key].name


def facts(model: BinaryClassifier) -> dict[str, str]:
    """What a file says of the model that it was made from."""
    return {
        "digest": model.digest,
        "kind": type(model).__name__,
        "sensitive": model.sensitive,
        "other": model.other,
        "threshold": model.threshold.hex(),
    }
