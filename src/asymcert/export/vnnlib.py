"""Properties for verifiers of neural networks, in the VNN-LIB format, one for each sample.

A property states a box of inputs and the opposite of what is claimed, ``margin <= 0``; a verifier that finds it
unsatisfiable has proven that the verdict is sensitive on the whole box. Decimal numbers are rounded outward: the box
that is written contains the adversary's, so such a proof holds for the adversary too.

Source: Demarchi, Guidotti, Pulina, Tacchella, "Supporting Standardization of Neural Networks Verification with VNNLIB
and CoCoNet", 2023, and the rules of the VNN-COMP competition, whose list of instances is written as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from pathlib import Path

import torch
from torch import Tensor

from asymcert._checks import check_inputs, check_number, refuse
from asymcert._files import replacing
from asymcert.export.onnx_graph import save_onnx, to_onnx
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

DIGITS = 20  # significant ones; a float64 takes 17 to be told from its neighbours
DOWN, UP = Context(DIGITS, ROUND_FLOOR), Context(DIGITS, ROUND_CEILING)
NETWORK, INSTANCES = "model.onnx", "instances.csv"


def write_properties(
    model: BinaryClassifier, x: Tensor, threat: ThreatModel, radius: float, folder: str | Path, timeout: float = 300.0
) -> list[Path]:
    """Write a network, a property for each sample of sensitive verdict, and the list of instances.

    Samples of the other verdict have none: the property is satisfied by the sample itself. Files are named by the
    sample's position.

    Parameters
    ----------
    model
        A classifier that `to_onnx` takes; ``model.onnx`` has the single output ``margin``.
    x
        Inputs of shape (n, *input_shape).
    threat
        An l_inf adversary; costs, a box, immutable features and directions are all boxes of inputs.
    radius
        Largest size of a change, finite; the boundary is part of the box.
    folder
        Made if it does not exist.
    timeout
        Seconds that the list of instances grants a verifier for each.

    Returns
    -------
    list[Path]
        The property files.

    Raises
    ------
    InputError
        Another norm, a radius that is not a finite number, inputs outside the box, or a model that has no graph.
    """
    x = check_inputs(x, model.input_shape)
    check_number("timeout", timeout, 0.0, open_low=True)
    network = to_onnx(model, verdict=False, raw=False)
    chosen = model.predict(x).nonzero()[:, 0].tolist()
    remark = f"{model.sensitive} stays {model.sensitive}: {threat.describe()}, radius {radius!r}, model {model.digest}"
    texts = [property_text(x[index], threat, radius, f"sample {index}, {remark}") for index in chosen]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_onnx(network, folder / NETWORK)
    paths = [folder / f"sample_{index:06d}.vnnlib" for index in chosen]
    for path, text in zip(paths, texts, strict=True):
        with replacing(path) as partial:
            partial.write_text(text, encoding="ascii", errors="backslashreplace")
    lines = [f"{NETWORK},{path.name},{timeout:g}\n" for path in paths]
    (folder / INSTANCES).write_text("".join(lines), encoding="ascii")
    return paths


def property_text(sample: Tensor, threat: ThreatModel, radius: float, remark: str = "") -> str:
    """The property of one sample (*input_shape): all admissible inputs, and the claim's opposite on output ``Y_0``.

    Examples
    --------
    >>> print(property_text(torch.tensor([0.5, 0.25]), ThreatModel(norm=math.inf, upper=0.75), 0.5))
    (declare-const X_0 Real)
    (declare-const X_1 Real)
    (declare-const Y_0 Real)
    (assert (>= X_0 0.0))
    (assert (<= X_0 0.75))
    (assert (>= X_1 -0.25))
    (assert (<= X_1 0.75))
    (assert (<= Y_0 0.0))
    <BLANKLINE>
    """
    bounds = list(_bounds(sample, threat, radius))
    lines = [f"; {part}" for part in remark.splitlines()]
    lines += [f"(declare-const X_{index} Real)" for index in range(len(bounds))] + ["(declare-const Y_0 Real)"]
    for index, (low, high) in enumerate(bounds):
        lines += [f"(assert (>= X_{index} {_decimal(low)}))", f"(assert (<= X_{index} {_decimal(high)}))"]
    return "\n".join([*lines, "(assert (<= Y_0 0.0))", ""])


def _bounds(sample: Tensor, threat: ThreatModel, radius: float) -> Iterator[tuple[Decimal, Decimal]]:
    """Least and greatest value of each input, rounded outward.

    Computed from the parts of the threat model in decimal arithmetic: a double converts to it exactly, so each
    operation rounds once and in the known direction.
    """
    if not math.isinf(threat.norm):
        raise refuse("threat", "an l_inf threat model", threat.describe(), "No other norm's ball is a box.")
    check_number("radius", radius, 0.0)
    if math.isinf(radius):
        raise refuse("radius", "finite", radius)
    sample = sample.detach().cpu().double()
    threat.check(sample[None])
    shape, size = tuple(sample.shape), Decimal(radius)
    lower, upper = _values(threat.lower, -math.inf, shape), _values(threat.upper, math.inf, shape)
    costs = threat.cost_for(shape).flatten().tolist()
    falls, rises = (moves.flatten().tolist() for moves in _moves(threat, shape))
    values = sample.flatten().tolist()
    for value, cost, low, high, fall, rise in zip(values, costs, lower, upper, falls, rises, strict=True):
        centre, reach = Decimal(value), UP.divide(size, Decimal(cost))
        least = DOWN.subtract(centre, reach) if fall else DOWN.plus(centre)
        most = UP.add(centre, reach) if rise else UP.plus(centre)
        yield max(least, DOWN.plus(Decimal(low))), min(most, UP.plus(Decimal(high)))


def _values(end: Tensor | float | None, otherwise: float, shape: tuple[int, ...]) -> list[float]:
    values = torch.as_tensor(otherwise if end is None else end, dtype=torch.float64)
    return values.cpu().expand(shape).flatten().tolist()


def _moves(threat: ThreatModel, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Whether each input may fall, and whether it may rise: bool, of `shape`."""
    free = torch.ones(shape, dtype=torch.bool) if threat.mutable is None else threat.mutable.cpu().expand(shape)
    direction = torch.zeros((), dtype=torch.long) if threat.direction is None else threat.direction.cpu()
    return free & (direction <= 0), free & (direction >= 0)


def _decimal(value: Decimal) -> str:
    """Digits without an exponent, which not every parser reads, and always with a point."""
    text = format(abs(value) if value.is_zero() else value, "f")  # rounding down makes minus zero
    return text if "." in text else f"{text}.0"
