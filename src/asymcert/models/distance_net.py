"""A deployed l_inf-distance net with one class that is sensitive."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor

from asymcert._checks import check_weights, refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.linf.net import FoldedDistanceNet, LinfDistanceNet
from asymcert.models.base import BinaryClassifier, described
from asymcert.models.parts import filled


class DistanceClassifier(BinaryClassifier):
    """Says *sensitive* when ``margin(x) = o_sensitive - max of the other logits - threshold > 0``.

    The net is folded, frozen and held in float64, as what is saved, run and certified; call ``.float()`` to run it in
    single precision. Without a head the margin changes by at most twice an l_inf change of the input.

    Parameters
    ----------
    net
        As trained; at p = inf, or it has no certificate.
    threshold
        Finite; in units of the folded logits, which without a head are those of the input.
    classes
        Names of the classes, one for each logit.
    sensitive_class
        Position of the sensitive class, by default the last: labels are 1 for sensitive where there are two classes.
    scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        Weights or threshold are not finite, or names do not fit the logits.

    Source: Zhang, Cai, Lu, He, Wang, ICML 2021; the asymmetric reading is this package's.
    """

    def __init__(
        self,
        net: LinfDistanceNet,
        threshold: float = 0.0,
        *,
        classes: tuple[str, ...] = ("other", "sensitive"),
        sensitive_class: int = -1,
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        if len(classes) != net.classes:
            raise refuse("classes", f"{net.classes} names, one for each logit", f"{len(classes)} names")
        check_weights("net", net)
        chosen = range(len(classes))[sensitive_class]
        other = "/".join(name for index, name in enumerate(classes) if index != chosen)
        sensitive = classes[chosen]
        super().__init__(net.input_shape, threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        self.classes, self.sensitive_class = tuple(classes), chosen
        self.options = net.options() | {"p": net.p}
        self.net: FoldedDistanceNet = net.fold()

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        logits = self.net(x)
        return logits[:, self.sensitive_class] - others(logits, self.sensitive_class) - self.threshold

    @property
    def activations(self) -> int:
        """Values that one sample's forward pass keeps."""
        return self.net.activations

    def logits(self, x: Tensor) -> Tensor:
        """Logits for a batch of any size: (n, *input_shape) -> (n, classes) on the model's device."""
        return self.over_chunks(self.net, x)

    def predict_class(self, x: Tensor) -> Tensor:
        """Class of the greatest logit, the threshold left out: (n, *input_shape) -> int64 (n,)."""
        return self.logits(x).argmax(1)

    def with_sensitive(self, chosen: int) -> Self:
        """The same net with the class at that position the sensitive one, and threshold 0."""
        other = self.with_threshold(0.0)
        other.sensitive_class = range(len(self.classes))[chosen]
        other.sensitive = self.classes[chosen]
        other.other = "/".join(name for name in self.classes if name != other.sensitive)
        return other

    def parts(self) -> dict[str, Any]:
        """The net's options, the classes' names, and which of them is sensitive."""
        return {
            "net": self.options | {"p": float(self.options["p"]).hex()},
            "names": self.classes,
            "sensitive_class": self.sensitive_class,
        }

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        options: dict[str, Any] = dict(metadata["net"])
        p = float.fromhex(options.pop("p"))
        common = {name: described(metadata)[name] for name in ("threshold", "scaling", "info")}
        common |= {"classes": tuple(metadata["names"]), "sensitive_class": metadata["sensitive_class"]}
        model = filled(lambda: cls(LinfDistanceNet(**options), **common), tensors)
        model.options["p"] = p
        for layer in model.net.distance_layers():
            layer.p = p
        return model


def others(logits: Tensor, chosen: int | Tensor) -> Tensor:
    """Greatest logit (n,) of the classes that are not `chosen`, one for all or one per row."""
    index = torch.as_tensor(chosen, device=logits.device).expand(len(logits))
    return logits.scatter(1, index[:, None], -math.inf).amax(1)
