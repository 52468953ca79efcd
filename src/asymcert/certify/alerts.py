"""Work on the sensitive samples of a batch alone: the radius of all others is 0."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


def alerts(model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel) -> tuple[Tensor, Tensor]:
    """Margins of the classifier that is run, float64 (n,), and which are positive; refuses inputs outside the box."""
    threat.check(x)
    margin = model.margin(x).double()
    return margin, margin > 0


def at_alerts(
    sensitive: Tensor, x: Tensor, cuts: int, search: Callable[[Tensor], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """Radii, upper bounds, changed inputs, anchors and weights of the sensitive samples, among all samples.

    Others have radii and bounds of 0, and as changed input and only anchor themselves. `search` finds those of the
    sensitive ones, with so many `cuts`; it is left out where there is none, since it takes as long for none as for one.
    """
    nothing, only = x.new_zeros(len(x)), x.new_zeros(len(x), cuts)
    only[:, 0] = 1.0
    rest = (nothing, nothing, x, torch.stack([x] * cuts, dim=1), only)
    if not bool(sensitive.any()):
        return rest
    return tuple(whole.index_put((sensitive,), part) for whole, part in zip(rest, search(x[sensitive]), strict=True))
