"""A deployed l_inf-distance net with one class that is sensitive."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import check_inputs, check_number, refuse
from asymcert.datasets.scaling import TableScaling
from asymcert.linf.net import FoldedDistanceNet, LinfDistanceNet

CHUNK_VALUES = 2**23  # values that one chunk of a batch may keep: 64 MB in float64


class DistanceClassifier(nn.Module):
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
    scaling
        How a table's columns became inputs, so that radii can be given in the user's units.
    info
        JSON-able facts about the model's origin.

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
        super().__init__()
        if len(classes) != net.classes:
            raise refuse("classes", f"{net.classes} names, one for each logit", f"{len(classes)} names")
        if not all(bool(value.isfinite().all()) for value in net.state_dict().values()):
            raise refuse("net", "of finite weights", "NaN or infinite ones", "Training has diverged: train again.")
        self.options = net.options() | {"p": net.p}
        self.net: FoldedDistanceNet = net.fold()
        self._set_up(_finite(threshold), classes, sensitive_class, scaling, info)

    def _set_up(
        self,
        threshold: float,
        classes: tuple[str, ...],
        sensitive_class: int,
        scaling: TableScaling | None,
        info: dict[str, Any] | None,
    ) -> None:
        self.threshold, self.classes = threshold, tuple(classes)
        self.sensitive_class = range(len(classes))[sensitive_class]
        self.scaling, self.info = scaling, dict(info or {})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.net.input_shape

    @property
    def sensitive(self) -> str:
        """Name of the sensitive class."""
        return self.classes[self.sensitive_class]

    @property
    def other(self) -> str:
        """Name of the other classes."""
        return "/".join(name for index, name in enumerate(self.classes) if index != self.sensitive_class)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type the classifier runs in."""
        return next(self.net.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Device the classifier runs on."""
        return next(self.net.parameters()).device

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch, differentiable by `x`: (n, *input_shape) -> (n,)."""
        logits = self.net(x)
        return logits[:, self.sensitive_class] - others(logits, self.sensitive_class) - self.threshold

    def chunks(self, x: Tensor) -> Iterator[Tensor]:
        """Checked inputs in the model's type and on its device, in pieces of bounded memory.

        Raises
        ------
        InputError
            `x` is not a finite tensor of shape (n, *input_shape).
        """
        x = check_inputs(x, self.input_shape)
        for chunk in x.split(max(1, CHUNK_VALUES // self.net.activations)):
            yield chunk.to(self.device, self.dtype)

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Logits for a batch of any size: (n, *input_shape) -> (n, classes) on the model's device."""
        parts = [self.net(chunk) for chunk in self.chunks(x)]
        return torch.cat(parts) if parts else torch.empty(0, len(self.classes), dtype=self.dtype, device=self.device)

    @torch.no_grad()
    def margin(self, x: Tensor) -> Tensor:
        """Margins for a batch of any size: (n, *input_shape) -> (n,) on the model's device."""
        parts = [self(chunk) for chunk in self.chunks(x)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=self.dtype, device=self.device)

    def predict(self, x: Tensor) -> Tensor:
        """Whether each sample is sensitive: (n, *input_shape) -> bool (n,)."""
        return self.margin(x) > 0

    def predict_class(self, x: Tensor) -> Tensor:
        """Class of the greatest logit, the threshold left out: (n, *input_shape) -> int64 (n,)."""
        return self.logits(x).argmax(1)

    def with_threshold(self, threshold: float) -> DistanceClassifier:
        """The same classifier with another threshold; the net is shared."""
        other = copy.copy(self)
        other.threshold = _finite(threshold)
        return other

    def contents(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that determines the classifier: float64 tensors, and JSON-able metadata."""
        tensors = {name: value.detach().cpu().double().contiguous() for name, value in self.state_dict().items()}
        metadata = {
            "kind": type(self).__name__,
            "net": self.options | {"p": float(self.options["p"]).hex()},
            "threshold": self.threshold.hex(),
            "classes": list(self.classes),
            "sensitive_class": self.sensitive_class,
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
            "info": self.info,
        }
        return tensors, json.loads(json.dumps(metadata))

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> DistanceClassifier:
        """The classifier that `contents` described.

        Raises
        ------
        InputError
            Options, weights or threshold are no valid classifier's.
        """
        options: dict[str, Any] = dict(metadata["net"])
        p = float.fromhex(options.pop("p"))
        options["input_shape"] = tuple(options["input_shape"])
        with torch.random.fork_rng(devices=[]):  # weights are drawn, then replaced: leave the generator alone
            net = LinfDistanceNet(**options)
        net.p = p
        scaling = metadata["scaling"]
        model = cls(
            net,
            float.fromhex(metadata["threshold"]),
            classes=tuple(metadata["classes"]),
            sensitive_class=metadata["sensitive_class"],
            scaling=None if scaling is None else TableScaling.from_dict(scaling),
            info=metadata["info"],
        )
        model.load_state_dict(tensors)
        if not all(bool(value.isfinite().all()) for value in tensors.values()):
            raise refuse("net", "of finite weights", "NaN or infinite ones")
        return model


def others(logits: Tensor, chosen: int | Tensor) -> Tensor:
    """Greatest logit (n,) of the classes that are not `chosen`, one for all or one per row."""
    index = torch.as_tensor(chosen, device=logits.device).expand(len(logits))
    return logits.scatter(1, index[:, None], -math.inf).amax(1)


def _finite(threshold: float) -> float:
    check_number("threshold", threshold)
    if math.isinf(threshold):
        raise refuse("threshold", "finite", threshold)
    return float(threshold)
