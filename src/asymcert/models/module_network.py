"""Networks of one's own as base of randomized smoothing: nothing is asked of them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import Owner, check_count, check_given, output_of, refuse


class ModuleNetwork(Owner):
    """Any module as base of a `SmoothedClassifier` or `SplitClassifier`: a copy, with one margin for each sample.

    Certificates by votes hold for whatever network is voted on, so nothing is declared; one that was not trained on
    noisy inputs will mostly abstain. Model files hold no code, so classifiers of it cannot be saved.

    Parameters
    ----------
    module
        (n, *input_shape) -> margins or logits (n,) or (n, 1), positive where it says sensitive; or scores of K classes
        (n, K), of which the greatest is its verdict. Run in eval mode, in which samples must not depend on each other.
    x
        One input at least, (n, *input_shape), of which the shape is taken.
    sensitive_class
        Number of the sensitive class among K: the margin is its score minus the greatest other one.

    Raises
    ------
    InputError
        The module cannot run on `x` in float32, or gives values of another shape.

    Examples
    --------
    >>> network = ModuleNetwork(nn.Linear(4, 3), torch.rand(1, 4), sensitive_class=2)
    >>> network(torch.rand(5, 4)).shape
    torch.Size([5])
    """

    def __init__(self, module: nn.Module, x: Tensor, sensitive_class: int | None = None):
        super().__init__()
        check_given(module, x)
        self.module = copy.deepcopy(module).float().eval()
        self.input_shape, self.sensitive_class = tuple(x.shape[1:]), sensitive_class
        found = self._measured(x[:1].detach().float())
        if sensitive_class is not None:
            check_count("sensitive_class", sensitive_class, 0)
            if len(found) != 2 or not sensitive_class < found[1] > 1:
                raise refuse("module", f"of scores (n, K), K > {max(1, sensitive_class)}", f"shape {found}")
        elif found not in ((1,), (1, 1)):
            raise refuse("module", "of one margin for each sample", f"shape {found}", "Name the sensitive_class.")

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch: (n, *input_shape) -> (n,)."""
        values = self.module(x)
        if self.sensitive_class is None:
            return values.flatten()
        own = values[:, self.sensitive_class]
        others = torch.cat((values[:, : self.sensitive_class], values[:, self.sensitive_class + 1 :]), dim=1)
        return own - others.amax(1)

    def options(self) -> dict[str, Any]:
        """None that a file could hold."""
        remedy = "Keep the code that builds it, or train one of the package's: asymcert.train(data, model='smoothing')."
        raise refuse("base", "one of the package's own, to be saved", "a module", remedy)

    def _measured(self, x: Tensor) -> tuple[int, ...]:
        """Shape of the module's values for one sample; counts what its layers put out, to size batches."""
        sizes = [x.numel()]
        layers = [layer for layer in self.module.modules() if not any(layer.children())]
        handles = [layer.register_forward_hook(lambda *call: sizes.append(_size(call[2]))) for layer in layers]
        found = output_of(self.module, x)
        for handle in handles:
            handle.remove()
        self.activations = sum(sizes)
        return tuple(found.shape)


def _size(values: Any) -> int:
    return values.numel() if isinstance(values, Tensor) else 0
