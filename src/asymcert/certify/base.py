"""What a certificate is, and the contract of everything that issues one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel
from asymcert.threats.shown import Shown, floored

if TYPE_CHECKING:
    import polars as pl

QUANTILES = (0.5, 0.1, 0.9)  # of radii that are shown
Threats = Sequence[ThreatModel]
Kind = TypeVar("Kind", bound=BinaryClassifier)


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Shown):
    """Radii of a batch under one threat model.

    No admissible change of size *less than* ``radius[i]`` turns sample i's verdict from sensitive to other.

    Parameters
    ----------
    radius
        Float64 (n,), in the units of ``threat.size``; 0 where the verdict is not sensitive, inf where no
        admissible change undoes it. Where columns are counted (norm 0), no change *of* that size undoes it either:
        a radius of 3 says that no change of any three columns does.
    margin
        Float64 (n,): score minus threshold.
    slope
        Float64 (n,): bound on how fast the margin can fall per unit of size, the denominator of the closed form; NaN
        for methods that have none.
    threat
        The adversary that the radii hold against.
    method
        Name of the certifier.
    sound
        Whether rounding errors were subtracted, so that the radius holds for the classifier that is run.
    upper
        Float64 (n,): size, rounded up, of a known admissible change that undoes the verdict; inf where none is known,
        0 where the verdict is not sensitive. The best possible radius lies between `radius` and this.
    adversarial
        Float64 (n, *input_shape): the worst input that the certifier came across; where `upper` is finite, the verdict
        on it is not sensitive.
    abstained
        Bool (n,): the classifier gave no verdict, as randomized smoothing may; its margin is not positive there.
    anchors, weights
        Float64 (n, K, *input_shape) and (n, K): the points whose tangent planes, averaged by these weights, prove the
        radius.

    Raises
    ------
    InputError
        A radius is NaN or negative, positive for a verdict that is not sensitive, or the sizes disagree.
    """

    radius: Tensor
    margin: Tensor
    slope: Tensor
    threat: ThreatModel
    method: str
    sound: bool = False
    upper: Tensor | None = None
    adversarial: Tensor | None = None
    anchors: Tensor | None = None
    weights: Tensor | None = None
    abstained: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.radius.shape == self.margin.shape == self.slope.shape:
            raise refuse("radius", "of the same shape as margin and slope", tuple(self.radius.shape))
        if self.radius.dtype != torch.float64:
            raise refuse("radius", "float64", self.radius.dtype)
        if not bool((self.radius >= 0).all()):  # NaN fails the comparison too
            raise refuse("radius", "nonnegative", "NaN or negative entries", "The certifier is at fault.")
        if bool((self.radius[~self.sensitive] > 0).any()):
            raise refuse("radius", "0 where the verdict is not sensitive", "a positive entry")
        if self.upper is not None and bool((self.radius > self.upper).any()):
            raise refuse("radius", "at most `upper`", "a greater entry", "The certifier is at fault.")

    @property
    def sensitive(self) -> Tensor:
        """Bool (n,): the verdict, sensitive iff the margin is positive."""
        return self.margin > 0

    def __len__(self) -> int:
        return len(self.radius)

    def to_frame(self) -> pl.DataFrame:
        """One row for each sample, for polars and, by ``.to_pandas()``, pandas.

        Returns
        -------
        polars.DataFrame
            n rows of ``row`` (from 0), ``verdict`` (bool, True: sensitive; null where the classifier abstained),
            ``margin`` and ``radius`` in float64, and ``upper`` where the method gives one. A radius is in the units of
            ``threat.size``.
        """
        import polars as pl

        columns = {"verdict": self.sensitive, "margin": self.margin.double(), "radius": self.radius}
        columns |= {} if self.upper is None else {"upper": self.upper.double()}
        frame = pl.DataFrame({name: values.detach().cpu().numpy() for name, values in columns.items()})
        if self.abstained is not None:
            given = pl.Series(~self.abstained.cpu().numpy())
            frame = frame.with_columns(pl.when(given).then("verdict").alias("verdict"))
        return frame.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), pl.all())

    def _shown(self) -> dict[str, str]:
        radii, withheld = self.radius[self.sensitive], 0 if self.abstained is None else int(self.abstained.sum())
        return {
            "method": self.method,
            "threat": self.threat.describe(),
            "samples": str(len(self)),
            "sensitive": str(len(radii)),
            **({"without verdict": str(withheld)} if withheld else {}),
            **({"radius of the sensitive": _spread(radii)} if len(radii) else {}),
            "sound": "yes" if self.sound else "no, rounding ignored",
        }


def _spread(radii: Tensor) -> str:
    """Quantiles, each a radius that occurs, so that infinite ones and counts stay what they are."""
    ordered = radii.sort().values
    middle, low, high = (floored(float(ordered[int(share * (len(ordered) - 1))])) for share in QUANTILES)
    return f"median {middle}, 10 % {low}, 90 % {high}"


class Certifier(ABC):
    """Issues certificates for batches; never sees a label.

    `kind` is the kind of classifier that it understands. Sound when that keeps what it promises (for the
    feature-convex: a convex score, and a feature map as it declares); with `sound`, in the floating point that is run
    as well (unless an evaluation runs convolutions by Winograd's method or in TF32).
    """

    method: ClassVar[str]
    kind: ClassVar[type[BinaryClassifier]]
    counts: ClassVar[bool] = False  # whether it certifies numbers of changed columns, norm 0
    edits: ClassVar[bool] = False  # whether it certifies prices of edited words
    lengths: ClassVar[bool] = True  # whether it certifies sizes in norms from 1 on
    sound: bool

    def certify(self, model: BinaryClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        """One certificate per threat model for inputs of shape (n, *input_shape).

        For n = 0 certificates of no samples, with the parts that others have. Runs in full precision, whatever
        autocast, TF32, inference mode or default device are set outside.

        Raises
        ------
        InputError
            The model is of another kind, in half precision, quantised or built in inference mode, or the input does
            not fit it or a threat model's box.
        """
        for threat in threats:
            if not isinstance(threat, ThreatModel):
                raise refuse("threat", "a ThreatModel", type(threat).__name__, "Use ThreatModel(norm=2).")
            self._check(threat)
        with self._prepared(model, x) as checked:
            return self._certificates(model, checked, threats)

    def _check(self, threat: ThreatModel) -> None:
        """Refuse an adversary that the method says nothing about."""
        if threat.norm == 0 and not self.counts:
            remedy = "Methods tangent and refined count columns."
            raise refuse("threat", f"of a norm from 1 on for method {self.method!r}", "norm 0", remedy)
        if threat.edits is not None and not self.edits:
            remedy = "Methods tangent and refined count words."
            raise refuse("threat", f"without edits of words for method {self.method!r}", "one with them", remedy)
        if threat.norm != 0 and not self.lengths:
            remedy = "It counts columns."
            raise refuse("threat", f"of norm 0 for method {self.method!r}", f"norm {threat.norm:g}", remedy)

    @contextmanager
    def _prepared(self, model: BinaryClassifier, x: Tensor) -> Iterator[Tensor]:
        """A block in which the model computes as it is certified to, with the checked inputs."""
        model = expect(model, self.kind, self.method)
        types = {getattr(weight, "dtype", "packed values") for weight in model.state_dict().values()}
        others = types - {torch.float32, torch.float64, torch.int64}  # whole numbers count the batches of training
        if others and (self.sound or "packed values" in others):
            remedy = "Deploy the model in one of them, or certify with sound=False."
            raise refuse("model", "deployed in float32 or float64", ", ".join(sorted(map(str, others))), remedy)
        with model.undisturbed(), torch.no_grad():
            yield model.checked(x)

    @abstractmethod
    def _certificates(self, model: Any, x: Tensor, threats: Threats) -> list[Certificate]:
        """What `certify` returns, for a model of this certifier's kind."""


def expect(model: object, kind: type[Kind], method: str) -> Kind:
    """Return `model` if it is a classifier of the kind that `method` certifies, and refuse it otherwise."""
    if not isinstance(model, kind):
        remedy = "Leave `method` out for the default of the model's own kind."
        raise refuse("model", f"a {kind.__name__} for method {method!r}", type(model).__name__, remedy)
    return model


def join(chunks: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """Concatenate the results of chunks, of which an empty batch has one, column by column."""
    return [torch.cat(parts) for parts in zip(*chunks, strict=True)]
