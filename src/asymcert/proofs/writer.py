"""Proofs of certificates: files from which the checker, which trusts nobody, derives the radius again."""

from __future__ import annotations

import bisect
import hashlib
import json
import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from asymcert._checks import check_finite, refuse
from asymcert._files import replacing
from asymcert.certify.base import Certificate
from asymcert.certify.tangent import Tangent
from asymcert.certify.texts import usable, within_window
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.proofs.checker import Claim
from asymcert.proofs.checker_model import Model
from asymcert.proofs.checker_network import RefusedError
from asymcert.proofs.prices import best_prices
from asymcert.threats.model import ThreatModel
from asymcert.threats.words import WordEdits

FORMAT = 1
KEY = "asymcert-proof"
LAYOUTS = {"mutable": torch.bool, "direction": torch.int8, "groups": torch.int64, "exclusive": torch.bool}
LAYOUTS |= {"family": torch.int8, "ends": torch.int64, "protected": torch.bool}
DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def write_proof(
    path: str | Path,
    model: FeatureConvexClassifier,
    x_row: Tensor,
    threat: ThreatModel,
    anchors: Tensor,
    weights: Tensor,
) -> float:
    """Write the proof of one sample's radius under one adversary, and return that radius.

    The weighted planes that touch the score at the anchors lie below it; the radius is the largest that the checker
    confirms for them. It holds for the classifier that is run, in the type of `model`.

    Parameters
    ----------
    path
        File to write; an existing one is replaced in one step.
    model
        The classifier; the checker needs the file that ``model.save`` writes.
    x_row
        One sample, input_shape.
    anchors
        (K, *input_shape): any points. The sample itself, with weight 1, gives the tangent certificate.
    weights
        (K,), nonnegative, of sum 1 up to rounding.

    Raises
    ------
    InputError
        Nothing can be proved of this sample: it is not sensitive, its margin is within rounding errors, it lies outside
        the box, or the weights are off the simplex.
    """
    try:
        radius = _write(Path(path), as_checked(model), model, x_row, threat, anchors, weights)
    except RefusedError as reason:
        raise refuse("x_row", "a sample of which a radius can be proved", f"one with this fault: {reason}") from reason
    if radius == 0:
        got = "one whose margin is not positive, or within the bound on rounding errors"
        raise refuse("x_row", "a sample of which a radius can be proved", got)
    return radius


def write_proofs(
    folder: str | Path,
    model: FeatureConvexClassifier | TextClassifier,
    x: Tensor,
    certificate: Certificate,
    index: Tensor | None = None,
    checked: Model | None = None,
) -> list[Path | None]:
    """Write a proof ``<index>.proof`` for every sample with a positive radius.

    Parameters
    ----------
    folder
        Made if need be.
    model, x
        What was certified: the classifier, and inputs of shape (n, *input_shape).
    certificate
        Of these inputs. Its cuts are used where it has any; else the tangent plane at the sample. Of a text it is that
        of the window for which the radius is greatest.
    index
        Int64 (n,): numbers that the files are named by; 0, 1, and so on by default.
    checked
        What `as_checked` gives for the model, where it is known already.

    Returns
    -------
    list of Path or None
        The file of each sample; None for those of radius 0, and for those of which the checker, which bounds rounding
        errors on its own, confirms no radius: an earlier file of theirs is removed.

    Raises
    ------
    InputError
        `x` does not fit the model, or another number of samples was certified.
    """
    x = model.checked(x)
    if len(x) != len(certificate):
        raise refuse("x", f"the {len(certificate)} inputs that were certified", f"{len(x)} inputs")
    folder, checked = Path(folder), checked or as_checked(model)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(len(x)) if index is None else index.tolist()
    paths: list[Path | None] = [None] * len(x)
    for row in (certificate.radius > 0).nonzero().flatten().tolist():
        path = folder / f"{numbers[row]:06d}.proof"
        if _prove(path, checked, model, x[row], certificate, row):
            paths[row] = path
        else:
            path.unlink(missing_ok=True)
    return paths


def _prove(
    path: Path,
    checked: Model,
    model: FeatureConvexClassifier | TextClassifier,
    x_row: Tensor,
    certificate: Certificate,
    row: int,
) -> bool:
    """Whether a proof of the sample was written: of a text, by the first window of which the checker confirms one."""
    threat, anchors, weights = certificate.threat, certificate.anchors, certificate.weights
    anchors = x_row[None] if anchors is None else anchors[row]
    weights = torch.ones(1) if weights is None else weights[row]
    places = _windows(model, x_row, threat) if isinstance(model, TextClassifier) else [None]
    for place in places:
        try:
            if _write(path, checked, model, x_row, threat, anchors, weights, place) > 0:
                return True
        except RefusedError:
            continue
    return False


def _windows(model: TextClassifier, x_row: Tensor, threat: ThreatModel) -> list[int]:
    """Windows of a text that certify it, those of the greatest radius first."""
    windows = WindowCodes.of(x_row[None])
    certificate = Tangent().certify(
        model.inner, windows.dense(model.features, torch.float64), [within_window(threat, model.features)]
    )[0]
    radius = torch.where(usable(windows, threat), certificate.radius, 0.0)
    order = radius.argsort(descending=True, stable=True)
    return order[radius[order] > 0].tolist()


def as_checked(model: FeatureConvexClassifier | TextClassifier) -> Model:
    """The model as the checker reads it from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        return Model(path)


def _write(
    path: Path,
    checked: Model,
    model: FeatureConvexClassifier | TextClassifier,
    x_row: Tensor,
    threat: ThreatModel,
    anchors: Tensor,
    weights: Tensor,
    place: int | None = None,
) -> float:
    """Write a file unless its radius, which is returned, would be 0; a `RefusedError` where the checker says why.

    The proof of a text is about its window of the given place, and the plane touches there.
    """
    metadata, tensors = _contents(checked, model, x_row, threat, anchors, weights)
    if threat.edits is not None:
        metadata["edits"], parts = _edits(threat.edits, place is None)
        tensors = {name: tensors[name] for name in ("x", "anchors", "weights")} | parts
    if place is not None:
        metadata["window"] = place
        del tensors["anchors"]
    try:
        claim = Claim(checked, metadata, tensors)
    except FloatingPointError:  # a network that overflows
        return 0.0
    price, radius = _best(claim) if threat.edits is None else _dearest(claim, threat.edits)
    if radius == 0:
        return 0.0
    metadata["radius"] = radius.hex()
    if 1 <= claim.measured < math.inf:
        tensors["price"] = price
    with replacing(path) as unfinished:
        save_file(tensors, unfinished, {KEY: json.dumps(metadata, sort_keys=True)})
    return radius


def _contents(
    checked: Model,
    model: FeatureConvexClassifier | TextClassifier,
    x_row: Tensor,
    threat: ThreatModel,
    anchors: Tensor,
    weights: Tensor,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata and tensors, with any radius and price."""
    if model.dtype not in DTYPES:
        raise refuse("model", "deployed in float32 or float64", str(model.dtype))
    x = _array(model.checked(x_row[None])[0])
    check_finite("anchors", anchors)
    if not bool((weights >= 0).all()) or not math.isclose(float(weights.sum()), 1.0, rel_tol=1e-6):
        raise refuse("weights", "nonnegative and of sum 1", "other weights")
    used = weights > 0
    shares = _array(weights[used])
    tensors = {"x": x, "anchors": _array(anchors[used]), "weights": shares / shares.sum()}
    for name in ("lower", "upper", "cost", "mutable", "direction", "groups", "exclusive"):
        part = getattr(threat, name)
        if part is not None:
            part = part.expand(model.input_shape) if part.ndim else part
            tensors[name] = _array(part, LAYOUTS.get(name, torch.float64))
    if threat.norm and (threat.norm < math.inf or checked.map.linear.banded):
        tensors["price"] = np.zeros(checked.map.shape)
    metadata = {
        "format": FORMAT,
        "model": checked.digest,
        "threshold": model.threshold.hex(),
        "dtype": DTYPES[model.dtype],
        "norm": threat.norm.hex(),
        "input": hashlib.sha256(x.tobytes()).hexdigest(),
        "radius": math.ulp(0.0).hex(),
        "sensitive": model.sensitive,
    }
    return metadata, tensors


def _edits(edits: WordEdits, families: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata and tensors that say of edits what they are; and of inputs, unless the model does."""
    parts = ("family", "protected") if families else ("protected",)
    tensors = {name: getattr(edits, name) for name in parts} | ({"ends": edits.words} if families else {})
    described = {"kinds": {kind: price.hex() for kind, price in edits.kinds.items()}}
    described |= {"sentences": edits.sentences, "marks_stay": edits.marks_stay}
    described |= {"grams": edits.grams_per_word} if families else {}
    return described, {name: _array(part, LAYOUTS[name]) for name, part in tensors.items() if part is not None}


def _array(values: Tensor, dtype: torch.dtype = torch.float64) -> np.ndarray:
    return values.detach().cpu().to(dtype).contiguous().numpy()


def _best(claim: Claim) -> tuple[np.ndarray, float]:
    """Prices, and the largest radius that the checker confirms with them."""
    free = np.zeros(claim.at.shape)
    if _holds(claim, free, math.inf):
        return free, math.inf
    best = free, 0.0
    if not _holds(claim, free, math.ulp(0.0)):  # rounding errors leave nothing
        return best
    for price, guess in [(free, 1.0)] if claim.measured in (0, math.inf) else best_prices(claim):
        radius = _last(partial(_holds, claim, price), guess)
        best = (price, radius) if radius > best[1] else best
    if claim.norm == 0 and (claim.columns.price == claim.columns.price[0]).all():  # whole columns
        best = free, math.floor(best[1] / claim.columns.price[0]) * float(claim.columns.price[0])
    return best


def _dearest(claim: Claim, edits: WordEdits) -> tuple[np.ndarray, float]:
    """No prices of inputs, and the greatest price of edits that the checker confirms; 0 if none."""
    if _holds(claim, claim.price, math.inf):
        return claim.price, math.inf
    prices = edits.plans.price.unique().tolist()
    confirmed = bisect.bisect_left(prices, True, key=lambda price: not _holds(claim, claim.price, price))
    return claim.price, prices[confirmed - 1] if confirmed else 0.0


def _holds(claim: Claim, price: np.ndarray, radius: float) -> bool:
    try:
        return bool(claim.need(radius, price) < claim.value)
    except (RefusedError, FloatingPointError):
        return False


def _last(holds: Callable[[float], bool], guess: float) -> float:
    """A radius that holds while the next greater number does not, near a good guess; 0 if there is none."""
    low, high = 0, _bits(math.inf)
    trial, step = _bits(guess), 1
    while high - low > 1:
        if not low < trial < high:
            trial = (low + high) // 2
        if holds(_number(trial)):
            low, trial = trial, trial + step
        else:
            high, trial = trial, trial - step
        step *= 4
    return _number(low)


def _bits(number: float) -> int:
    """Place of a nonnegative number among all of them."""
    return int(np.float64(number).view(np.int64))


def _number(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
