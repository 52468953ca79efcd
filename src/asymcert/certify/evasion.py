"""Changed inputs that undo the verdict, from the adversary's best answer to a plane, where columns are counted."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert.attacks.base import score
from asymcert.certify.cuts import Cuts
from asymcert.models.feature_convex import FeatureConvexClassifier

FARTHEST = 1e15  # change of one input where nothing limits it
TRIES = 6  # numbers of columns that are tried: one more than is certified, then more and more


def fewest_columns(
    model: FeatureConvexClassifier, cuts: Cuts, weights: Tensor, radius: Tensor
) -> tuple[Tensor, Tensor]:
    """Size of a change that undoes the verdict, and the changed input, beside a radius that an average of cuts proves.

    Parameters
    ----------
    model
        The classifier that is run, for which `cuts` are.
    weights
        (n, K), of the cuts.
    radius
        (n,): what they prove for samples that are all sensitive.

    Returns
    -------
    tuple
        Sizes (n,), inf where no answer undoes the verdict, and where words are edited; and the inputs
        (n, *input_shape), where none does the last that was tried.
    """
    unlimited = torch.full_like(radius, torch.inf)
    if cuts.threat.edits is not None:  # no text may have the features of the answer: it proves nothing
        return unlimited, cuts.x + cuts.radius(weights).change
    drops, amount = cuts.column_drops(weights)
    size, adversarial, shape = unlimited, cuts.x, (-1, *[1] * (cuts.x.ndim - 1))
    count = drops.needed(amount)
    for step in range(TRIES):
        left = size.isinf()
        if not bool(left.any()):
            break
        change = drops.answer(count + (2**step >> 1)).clamp(-FARTHEST, FARTHEST)
        found = score(model, cuts.x, change.view_as(cuts.x), cuts.threat, unlimited)
        size = torch.where(left & found.success, found.size, size)
        adversarial = torch.where(left.view(shape), found.adversarial, adversarial)
    if cuts.rounding is None:  # rounding may then put a flip inside; otherwise it is a fault
        size = torch.maximum(size, radius)
    return size, adversarial
