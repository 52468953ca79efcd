"""The recipe of feature-convex classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from asymcert._checks import check_count, check_number, option, refuse
from asymcert.training.recipe import Recipe, instead

ARCHITECTURES = ("mlp", "conv", "additive")
FEATURE_MAPS = ("identity", "centre", "centre-absolute", "soft-threshold", "hinges", "ramps")
CENTRES = ("channel", "pixel")
LOSSES = ("cross-entropy", "radius", "certified", "tangent")
INITIALISATIONS = ("uniform", "principled", "standardised")
PENALTIES = ("none", "rms", "published")
CLASS_WEIGHTS = ("none", "balanced")
OF_ONE = ("passthrough", "monotone", "batch_norm", "nonnegativity", "initialisation")  # fields that members leave alone


@dataclass(frozen=True)
class TrainConfig(Recipe):
    """A recipe for one feature-convex classifier."""

    learning_rate: float = instead("learning_rate", 0.005)
    schedule: str = instead("schedule", "one-cycle")
    averaging: float = instead("averaging", 0.99)
    architecture: str = option("mlp", "Convex network.", ARCHITECTURES)
    feature_map: str = option("centre", "Lipschitz map before it.", FEATURE_MAPS)
    centre_on: str = option("channel", "centre, centre-absolute: mean of each channel, or of each pixel.", CENTRES)
    levels: int = option(0, "images: sums over blocks of 2^levels pixels each way before the map; 0 for none.")
    soft_width: float = option(0.1, "soft-threshold: deviations up to this count as none.")
    hinge_count: int = option(2, "hinges: absolute values of every input.")
    edges: int = option(16, "ramps: quantiles of every input between which it is encoded, 2 at least.")
    hidden: tuple[int, ...] = option((200, 50), "mlp: widths of the hidden layers.")
    members: int = option(1, "mlp: networks trained side by side, whose average is deployed.")
    increasing: Sequence[str] = option((), "ramps: column in which the score never falls; repeat for more.")
    decreasing: Sequence[str] = option((), "ramps: column in which the score never rises; repeat for more.")
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
    target_l1: float = option(0.0, "radius, certified, tangent: l1 radius to reach; 0 leaves the norm out.")
    target_l2: float = option(0.5, "radius, certified, tangent: l2 radius to reach; 0 leaves the norm out.")
    target_linf: float = option(0.0, "radius, certified, tangent: l_inf radius to reach; 0 leaves the norm out.")
    target_columns: int = option(0, "ramps, cross-entropy: columns whose worst change counts in the loss; 0 for none.")
    columns_weight: float = option(0.1, "target_columns: share of the fall by their worst change that counts.")
    label_smoothing: float = option(0.0, "Share of every label that is spread over both classes.")
    class_weight: str = option(
        "none", "Weights of the classes in the loss: all samples alike, or balanced.", CLASS_WEIGHTS
    )
    dropout: float = option(0.0, "Share of features that training leaves out at random.")
    radius_weight: float = option(0.5, "radius: weight of the term.")
    sensitive_only: bool = option(True, "Gradient terms act on sensitive samples only; a radius always does.")
    warmup: float = option(0.3, "Part of training over which the gradient terms grow to full weight.")
    penalty: str = option("none", "cross-entropy: Jacobian regularisation.", PENALTIES)
    penalty_weight: float = option(0.05, "cross-entropy: weight of the regularisation.")
    penalty_max: float = option(0.0, "cross-entropy: share of the largest gradient entry in the regularisation.")
    mirror: bool = option(False, "images: deploy the average over the image and its mirror image.")
    shift: int = option(0, "images: deploy the average over shifts by this many pixels; 0 for none.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("warmup", "columns_weight", "label_smoothing"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        check_number("dropout", self.dropout, 0.0, 0.99)
        check_count("edges", self.edges, 2)
        self._check_ramps()
        if self.loss != "cross-entropy" and not any(self.targets.values()):
            raise refuse("target_l2", "positive for at least one norm", "all targets 0", "Set target_l2=0.5.")

    def changed(self, owner: str, overrides: Mapping[str, Any]) -> Self:
        """As in `Recipe`; what only ramps have is left out where another map takes their place."""
        without = overrides.get("feature_map", "ramps") != "ramps"
        return super().changed(owner, {"target_columns": 0, **overrides} if without else overrides)

    def _check_ramps(self) -> None:
        """Refuse what has no meaning for the feature map, the loss or several members."""
        for name in ("increasing", "decreasing", "target_columns"):
            if getattr(self, name) and self.feature_map != "ramps":
                raise refuse(name, "left out without ramps", getattr(self, name), "Set feature_map='ramps'.")
        if self.target_columns and self.loss != "cross-entropy":
            raise refuse("target_columns", "0 for other losses than cross-entropy", self.target_columns)
        for name in OF_ONE if self.members > 1 else ():
            default = getattr(type(self), name)
            if getattr(self, name) != default:
                raise refuse(name, f"{default} for several members", getattr(self, name), "Set members=1.")

    @property
    def targets(self) -> dict[float, float]:
        """Target radius per norm, the positive ones only."""
        targets = {1.0: self.target_l1, 2.0: self.target_l2, float("inf"): self.target_linf}
        return {norm: target for norm, target in targets.items() if target > 0}
