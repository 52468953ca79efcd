"""What classifiers that decide by a share of votes have in common."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from torch import Tensor

from asymcert._checks import refuse
from asymcert.models.base import BinaryClassifier

MOST = 0.5  # the published rule


class VotingClassifier(BinaryClassifier):
    """Says *sensitive* when more than a share of votes do, by default most.

    Two things move such a classifier between fewer alarms and larger radii: the base network's threshold, and the
    share. Votes are counted once for every share, so `remembering` makes many shares as cheap as one.
    """

    share: float = MOST
    least_share: float = 0.0  # to choose for use: smaller ones are not worth it
    _known: dict[tuple[Any, ...], Any] | None = None

    @abstractmethod
    def shares(self, x: Tensor, count: int) -> Tensor:
        """Sensitive ones among about `count` votes: (n, *input_shape) -> float64 (n,) on the CPU."""

    def with_share(self, share: float) -> Self:
        """The same classifier by another share of the votes, above 0 and below 1; weights are shared.

        Raises
        ------
        InputError
            The share is 0 or less, or 1 or more.
        """
        if not 0.0 < share < 1.0:
            raise refuse("share", "a number above 0 and below 1", share)
        other = copy.copy(self)
        other.share = float(share)
        return other

    def remembering(self) -> Self:
        """The same classifier, which counts the votes of an input once, for itself and for others made from it.

        Neither its weights nor their type should change from then on.
        """
        other = copy.copy(self)
        other._known = {}
        return other

    @property
    def remembers(self) -> bool:
        """Whether votes are counted once, and then all of them."""
        return self._known is not None

    def _once(self, count: Callable[[], Any], sample: Tensor, *what: Any) -> Any:
        """What `count` returns, or what it returned for the same input, threshold and `what`."""
        if self._known is None:
            return count()
        values: np.ndarray = sample.detach().cpu().contiguous().numpy()
        key = (self.threshold, *what, str(values.dtype), values.tobytes())
        if key not in self._known:
            self._known[key] = count()
        return self._known[key]

    def _share_part(self) -> dict[str, Any]:
        """The share as metadata, where it is not the published one."""
        return {} if self.share == MOST else {"share": self.share.hex()}

    def _shared_as(self, metadata: dict[str, Any]) -> Self:
        """The same classifier by the share that metadata tell."""
        return self.with_share(float.fromhex(metadata["share"])) if "share" in metadata else self


def exceeded(margins: Tensor, fewer: int) -> Tensor:
    """What more than `fewer` of some margins (m,) exceed, if anything does that is below it: a scalar.

    Examples
    --------
    >>> import torch
    >>> exceeded(torch.tensor([3.0, 1.0, 2.0]), 1)
    tensor(2.)
    """
    return margins.sort(descending=True).values[fewer]
