"""One detector of several: sensitive if any of them says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.models.base import BinaryClassifier, described
from asymcert.models.distance_net import DistanceClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.lipschitz import LipschitzClassifier
from asymcert.models.parts import grouped

KINDS: dict[str, type[BinaryClassifier]] = {
    kind.__name__: kind for kind in (FeatureConvexClassifier, DistanceClassifier, LipschitzClassifier)
}


class UnionClassifier(BinaryClassifier):
    """Says *sensitive* when any of several classifiers of the same inputs does: ``max_i margin_i(x) > threshold``.

    An attacker must undo all of their alerts, so the union outlasts what any member outlasts: its certified radius is
    the greatest of theirs, in each norm that of the member made for it. Harmless samples pay: its false alarms are
    those of all members together, which is what its threshold is for.

    Parameters
    ----------
    members
        At least two classifiers of the kinds `KINDS`, of the same inputs, classes and floating-point type.
    threshold
        Of the greatest margin; 0 leaves every member's alerts as they are.
    info
        As in `BinaryClassifier`; the rest is the members' own.

    Raises
    ------
    InputError
        Fewer than two members, one of another kind, or members of different inputs, classes, columns or types.
    """

    members: nn.ModuleList

    def __init__(
        self, members: Sequence[BinaryClassifier], threshold: float = 0.0, *, info: dict[str, Any] | None = None
    ):
        if not isinstance(members, Sequence) or len(members) < 2:
            got = f"{len(members)}" if isinstance(members, Sequence) else type(members).__name__
            raise refuse("members", "a list of at least two classifiers", got)
        for member in members:
            if not isinstance(member, tuple(KINDS.values())):
                raise refuse("members", f"of the kinds {', '.join(KINDS)}", type(member).__name__)
        first, *rest = (_inputs(member) for member in members)
        if any(other != first for other in rest):
            what = "of the same input shape, classes, columns and floating-point type"
            raise refuse("members", what, "different ones", "Train them on the same data.")
        one = members[0]
        options: dict[str, Any] = {"sensitive": one.sensitive, "other": one.other, "scaling": one.scaling}
        super().__init__(one.input_shape, threshold, info=info, **options)
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        return torch.stack([member(x) for member in self.members]).amax(0) - self.threshold

    def deciding(self) -> list[BinaryClassifier]:
        """The members with thresholds so high that an alert of one is an alert of the union, in the type that is run.

        A member's computed margin is that of exact arithmetic, rounded, which keeps order: where its score exceeds its
        own threshold by the next number after the union's, the margin exceeds the union's.
        """
        return [member.with_threshold(self._raised(member.threshold)) for member in self._each()]

    def _raised(self, threshold: float) -> float:
        own, top = (torch.tensor(value, dtype=self.dtype) for value in (self.threshold, math.inf))
        if not own:
            return threshold
        total = own.nextafter(top).double() + torch.tensor(threshold, dtype=self.dtype).double()
        above = total.nextafter(top.double()).to(self.dtype)
        return float(above if above.double() >= total.nextafter(top.double()) else above.nextafter(top))

    def _each(self) -> list[BinaryClassifier]:
        return [member for member in self.members if isinstance(member, BinaryClassifier)]

    @property
    def activations(self) -> int:
        """Values that one sample's forward and backward pass keeps: that of all members."""
        return sum(member.activations for member in self._each())

    def bends(self) -> Tensor:
        """Of all members."""
        return torch.cat([member.bends() for member in self._each()])

    def parts(self) -> dict[str, Any]:
        """What determines each member."""
        return {"members": [member.description() | member.parts() for member in self._each()]}

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        own = grouped(grouped(tensors)["members"])
        members = [
            KINDS[part["kind"]].from_contents(own[str(position)], part)
            for position, part in enumerate(metadata["members"])
        ]
        told = described(metadata)
        return cls(members, told["threshold"], info=told["info"])


def _inputs(member: BinaryClassifier) -> tuple[Any, ...]:
    """What members must agree in."""
    scaling: TableScaling | None = member.scaling
    columns = None if scaling is None else scaling.to_dict()
    return member.input_shape, member.sensitive, member.other, columns, member.dtype, member.device
