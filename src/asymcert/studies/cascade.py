"""A multiclass cascade: a certified first stage finds one sensitive class, any second stage tells the others apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import check_inputs, refuse
from asymcert.certify import Certificate, certify
from asymcert.datasets.binary import BinaryData, Split
from asymcert.datasets.many import Labelled, ManyClasses
from asymcert.models.base import BinaryClassifier
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.threats.model import ThreatModel
from asymcert.training.perceptron import Perceptron, PerceptronRecipe
from asymcert.training.trainer import train_classes_by


class Cascade:
    """The sensitive class where the first stage says sensitive, else the second stage's class.

    The second stage is never asked about inputs that the first one calls sensitive, so no change inside the first
    stage's radius changes the cascade's answer from the sensitive class, whatever the second stage is. Nothing is
    certified about the other classes.

    Parameters
    ----------
    first
        The certified classifier; its certificate must be about its own verdict, which a smoothed one's is not.
    second
        Logits of all classes, (n, *input_shape) -> (n, classes); the one of the sensitive class is ignored.
        Gets inputs in the first stage's floating-point type and on its device.
    classes
        Names, one for each logit.
    sensitive_class
        Position of the class that the first stage looks for.

    Raises
    ------
    InputError
        Fewer than two classes, a position that is none of theirs, or a smoothed first stage.
    """

    def __init__(
        self, first: BinaryClassifier, second: Callable[[Tensor], Tensor], classes: Sequence[str], sensitive_class: int
    ):
        if len(classes) < 2:
            raise refuse("classes", "at least two names", f"{len(classes)}")
        check_class(sensitive_class, len(classes))
        if isinstance(first, SmoothedClassifier):  # `predict` is its base's, which nothing is certified about
            remedy = "Use SplitClassifier, whose votes are counted exactly."
            raise refuse("first", "a classifier that answers what is certified", type(first).__name__, remedy)
        self.first, self.second, self.classes = first, second, tuple(classes)
        self.sensitive_class = sensitive_class

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Class of each sample: (n, *input_shape) -> int64 (n,) on the first stage's device.

        Raises
        ------
        InputError
            `x` is not finite or of another shape, or the second stage gives no (n, classes).
        """
        x = check_inputs(x, self.first.input_shape)
        answer = torch.full((len(x),), self.sensitive_class, device=self.first.device)
        left = ~self.first.predict(x)
        if bool(left.any()):
            answer[left] = self._others(x[left.to(x.device)]).to(answer.device)
        return answer

    def certify(
        self, x: Tensor, threat: ThreatModel | None = None, method: str | None = None, **options: Any
    ) -> Certificate:
        """Certificate of the first stage; arguments and errors of `asymcert.certify`.

        No admissible change of size less than ``radius[i]`` makes the cascade answer anything but the sensitive class
        to sample i.

        Sound when the first stage's method is.
        """
        return certify(self.first, x, threat, method, **options)

    def _others(self, x: Tensor) -> Tensor:
        """The second stage's choice among the other classes, in chunks: (n,)."""
        parts = []
        for chunk in self.first.chunks(x):
            logits = self.second(chunk)
            if logits.shape != (len(chunk), len(self.classes)):
                raise refuse("second", f"a map to (n, {len(self.classes)})", f"outputs of {tuple(logits.shape)}")
            parts.append(others_argmax(logits, self.sensitive_class))
        return torch.cat(parts)


@dataclass(frozen=True)
class CascadeOutcome:
    """How a cascade does on labelled samples.

    Parameters
    ----------
    accuracy
        Share of samples of all classes that get their own class.
    accuracy_by_class
        The same for each class, by its name; classes without samples are left out.
    certificate
        Of the samples of the sensitive class, in their order.
    """

    accuracy: float
    accuracy_by_class: dict[str, float]
    certificate: Certificate

    def certified_accuracy(self, radius: float) -> float:
        """Share of the sensitive class's samples whose answer is right and provably stays so up to `radius`.

        A change of exactly `radius` is included.
        """
        return float((self.certificate.radius > radius).double().mean()) if len(self.certificate) else 0.0


def evaluate_cascade(
    cascade: Cascade, samples: Labelled, threat: ThreatModel | None = None, method: str | None = None, **options: Any
) -> CascadeOutcome:
    """Accuracy over all classes, and radii of the sensitive class.

    Parameters
    ----------
    samples
        Inputs (n, *input_shape) and int64 labels (n,).
    threat, method, options
        Of `asymcert.certify`.

    Raises
    ------
    InputError
        No samples, or labels that are no classes of the cascade.
    """
    x, labels = samples
    if len(x) == 0 or int(labels.min()) < 0 or int(labels.max()) >= len(cascade.classes):
        raise refuse("samples", f"at least one, with labels from 0 to {len(cascade.classes) - 1}", f"{len(x)} samples")
    right = (cascade.predict(x).cpu() == labels.cpu()).double()
    by_class = {
        name: float(right[labels == index].mean())
        for index, name in enumerate(cascade.classes)
        if bool((labels == index).any())
    }
    own = x[labels == cascade.sensitive_class]
    return CascadeOutcome(float(right.mean()), by_class, cascade.certify(own, threat, method, **options))


def one_against_rest(data: ManyClasses, sensitive_class: int) -> BinaryData:
    """Data for a first stage: one class is sensitive, all the others are not.

    Raises
    ------
    InputError
        A position that is no class's.
    """
    check_class(sensitive_class, len(data.classes))
    train, val, test = (Split(x, labels == sensitive_class) for x, labels in (data.train, data.val, data.test))
    sensitive = data.classes[sensitive_class]
    return BinaryData(f"{data.name}-{sensitive}-rest", train, val, test, sensitive, "rest")


def train_second(data: ManyClasses, width: int = 128, epochs: int = 20, seed: int = 0, **options: Any) -> nn.Module:
    """A plain perceptron for the second stage, trained by cross-entropy on all classes; float64, frozen.

    Parameters
    ----------
    width, epochs
        Hidden units, and passes over the training data.
    seed, options
        ``device``, ``checkpoint``, ``on_epoch`` of `train_classes_by`, and other fields of `PerceptronRecipe`.

    Returns
    -------
    torch.nn.Module
        (n, *input_shape) -> (n, classes).
    """
    recipe = PerceptronRecipe(width=width, epochs=epochs)
    return train_classes_by(Perceptron, recipe, data.train, data.val, data.classes, seed=seed, **options)


def first_samples(data: ManyClasses, each: int | None) -> ManyClasses:
    """The same data with at most the first `each` samples of every class in every split; None keeps all."""
    if each is None:
        return data
    splits = {name: _first(getattr(data, name), len(data.classes), each) for name in ("train", "val", "test")}
    return replace(data, **splits)


def others_argmax(logits: Tensor, chosen: int) -> Tensor:
    """Position of the greatest logit that is not `chosen`: (n, classes) -> int64 (n,)."""
    rest = torch.cat((logits[:, :chosen], logits[:, chosen + 1 :]), dim=1).argmax(1)
    return rest + (rest >= chosen)


def check_class(position: int, classes: int) -> None:
    """Refuse what is no class's position."""
    if not 0 <= position < classes:
        raise refuse("sensitive_class", f"from 0 to {classes - 1}", position)


def _first(samples: Labelled, classes: int, each: int) -> Labelled:
    x, labels = samples
    kept = torch.cat([(labels == index).nonzero()[:each, 0] for index in range(classes)]).sort().values
    return x[kept], labels[kept]
