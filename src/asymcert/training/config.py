"""Everything that a training run depends on besides the data and the seed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from asymcert._checks import check_choice, check_count, check_number, option, refuse

ARCHITECTURES = ("mlp", "conv")
FEATURE_MAPS = ("identity", "centre", "centre-absolute", "soft-threshold", "hinges")
CENTRES = ("channel", "pixel")
LOSSES = ("cross-entropy", "radius", "certified")
INITIALISATIONS = ("uniform", "principled", "standardised")
PENALTIES = ("none", "rms", "published")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("one-cycle", "exponential", "constant")
KEEP = ("last", "best")

Recipe = TypeVar("Recipe")  # a dataclass of options


def with_overrides(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with fields changed; an `InputError` that names a field it does not have, or a value out of range."""
    known = [item.name for item in fields(recipe)]  # pyright: ignore[reportArgumentType]
    for name in overrides:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            remedy = f"Did you mean {close[0]}?" if close else ""
            raise refuse(name, f"a field of {type(recipe).__name__}", "an unknown name", remedy)
    return replace(recipe, **overrides)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class TrainConfig:
    """A training recipe. Every field is also a command-line option of the same name."""

    architecture: str = option("mlp", "Convex network.", ARCHITECTURES)
    feature_map: str = option("centre", "Lipschitz map before it.", FEATURE_MAPS)
    centre_on: str = option("channel", "centre, centre-absolute: mean of each channel, or of each pixel.", CENTRES)
    soft_width: float = option(0.1, "soft-threshold: deviations up to this count as none.")
    hinge_count: int = option(2, "hinges: absolute values of every input.")
    hidden: tuple[int, ...] = option((200, 50), "mlp: widths of the hidden layers.")
    passthrough: bool = option(True, "Connect the input, or for conv the first convolution, to every layer.")
    monotone: bool = option(False, "centre-absolute: nonnegative weights on the absolute half; exact radii need it.")
    channels: int = option(16, "conv: channels of every convolution.")
    depth: int = option(5, "conv: number of convolutions.")
    first_kernel: int = option(11, "conv: width of the free first convolution.")
    kernel: int = option(3, "conv: width of the nonnegative convolutions.")
    stride: int = option(1, "conv: stride of the first convolution.")
    pool: str = option("max", "conv: final pooling.", ("max", "average"))
    pool_size: int = option(1, "conv: width of the final pooling.")
    batch_norm: bool = option(False, "Scalar batch normalisation before each ReLU.")
    nonnegativity: str = option("projection", "Upkeep of nonnegative weights.", ("projection", "softplus"))
    initialisation: str = option("uniform", "Start of nonnegative weights.", INITIALISATIONS)
    loss: str = option("certified", "Training loss: cross-entropy alone, or with a term for the radius.", LOSSES)
    target_l1: float = option(0.0, "radius, certified: l1 radius to reach; 0 leaves the norm out.")
    target_l2: float = option(0.5, "radius, certified: l2 radius to reach; 0 leaves the norm out.")
    target_linf: float = option(0.0, "radius, certified: l_inf radius to reach; 0 leaves the norm out.")
    radius_weight: float = option(0.5, "radius: weight of the term.")
    sensitive_only: bool = option(True, "Gradient terms act on sensitive samples only; a radius always does.")
    warmup: float = option(0.3, "Part of training over which the gradient terms grow to full weight.")
    penalty: str = option("none", "cross-entropy: Jacobian regularisation.", PENALTIES)
    penalty_weight: float = option(0.05, "cross-entropy: weight of the regularisation.")
    penalty_max: float = option(0.0, "cross-entropy: share of the largest gradient entry in the regularisation.")
    optimizer: str = option("adam", "Optimiser.", OPTIMIZERS)
    learning_rate: float = option(0.005, "Peak learning rate.")
    momentum: float = option(0.9, "sgd: momentum.")
    schedule: str = option("one-cycle", "Learning-rate schedule.", SCHEDULES)
    decay: float = option(0.99, "exponential: factor per epoch.")
    epochs: int = option(60, "Passes over the training data.")
    batch_size: int = option(128, "Samples per step.")
    averaging: float = option(0.99, "Decay of the moving average of weights that is deployed; 0 deploys the last.")
    crop: int = option(0, "images: pixels of edge-padded random crops.")
    flip: bool = option(False, "images: random horizontal flips.")
    mirror: bool = option(False, "images: deploy the average over the image and its mirror image.")
    shift: int = option(0, "images: deploy the average over shifts by this many pixels; 0 for none.")
    keep: str = option("last", "Which epoch to deploy; `best` is by validation certified accuracy.", KEEP)
    patience: int = option(0, "Stop after this many validations without a better one; 0 never stops early.")
    validate_every: int = option(1, "Epochs between validations.")
    false_positive_rate: float = option(-1.0, "Threshold for this rate on validation data; -1 balances accuracies.")

    def __post_init__(self) -> None:
        for item in fields(self):
            choices = item.metadata["choices"]
            if choices:
                check_choice(item.name, getattr(self, item.name), choices)
        for name in ("epochs", "batch_size", "validate_every", "hinge_count"):
            check_count(name, getattr(self, name))
        for name in ("crop", "patience", "shift"):
            check_count(name, getattr(self, name), 0)
        for name in ("target_l1", "target_l2", "target_linf", "soft_width"):
            check_number(name, getattr(self, name), 0.0)
        for name in ("radius_weight", "penalty_weight", "penalty_max"):
            check_number(name, getattr(self, name), 0.0)
        for name in ("warmup", "averaging", "momentum", "decay"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        check_number("learning_rate", self.learning_rate, 0.0, open_low=True)
        if self.false_positive_rate != -1.0:
            check_number("false_positive_rate", self.false_positive_rate, 0.0, 1.0)
        if self.loss != "cross-entropy" and not any(self.targets.values()):
            raise refuse("target_l2", "positive for at least one norm", "all targets 0", "Set target_l2=0.5.")

    @property
    def targets(self) -> dict[float, float]:
        """Target radius per norm, the positive ones only."""
        targets = {1.0: self.target_l1, 2.0: self.target_l2, float("inf"): self.target_linf}
        return {norm: target for norm, target in targets.items() if target > 0}
