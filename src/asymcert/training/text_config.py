"""The recipe of classifiers of texts, and its presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asymcert._checks import check_number, option, refuse
from asymcert.datasets import BinaryData
from asymcert.threats.words import KINDS, STEPS
from asymcert.training.recipe import Recipe, instead

FEW = 1000  # texts of the rarer class, below which features are held back more
UPDATES = 400  # of the optimiser, about, for few texts
LEAST_EPOCHS = 6  # passes over many texts
RISING = ("none", "parts", "all")  # features that only raise the score: parts are all but those of plain words


@dataclass(frozen=True)
class TextConfig(Recipe):
    """A recipe for one classifier of texts."""

    optimizer: str = instead("optimizer", "adamw")
    learning_rate: float = instead("learning_rate", 0.02)
    weight_decay: float = instead("weight_decay", 0.03)
    batch_size: int = instead("batch_size", 256)
    schedule: str = instead("schedule", "linear")
    epochs: int = instead("epochs", LEAST_EPOCHS)
    hidden: tuple[int, ...] = option((32,), "mlp: widths of the hidden layers.")
    target_words: int = option(0, "text: added words whose worst choice counts in the loss; 0 for none.")
    target_edits: int = option(0, "text: edits of words whose worst choice counts in the loss; 0 for none.")
    edits: Sequence[str] = option(
        ("add", "remove"), "target_edits: kind, one of add, remove, replace; repeat for more."
    )
    words_weight: float = option(1.0, "text: share of the loss of sensitive texts that is of texts so edited.")
    edits_weight: float = option(0.25, "text: share of that part that target_edits has, target_words the rest.")
    rising: str = option("parts", "text: features that never lower the score,", RISING)
    label_smoothing: float = option(0.0, "Share of every label that is spread over both classes.")
    sensitive_weight: float = option(0.15, "text: weight in the loss of all sensitive texts together, others have 1.")
    dropout: float = option(0.2, "Share of features that training leaves out at random.")
    warmup: float = option(0.3, "Part of training over which the gradient terms grow to full weight.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("warmup", "words_weight", "edits_weight", "label_smoothing"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        check_number("dropout", self.dropout, 0.0, 0.99)
        if not 0 < len(set(self.edits) & set(KINDS)) == len(self.edits):
            raise refuse("edits", f"some of {', '.join(KINDS)}", ", ".join(self.edits) or "none")
        check_number("sensitive_weight", self.sensitive_weight, 0.0, open_low=True)
        for name, kinds in (("target_words", 1), ("target_edits", len(self.edits))):
            if getattr(self, name) > STEPS[kinds]:
                raise refuse(name, f"at most {STEPS[kinds]}", getattr(self, name))
        for name in ("crop", "flip"):
            if getattr(self, name):
                raise refuse(name, "left out for texts", getattr(self, name))

    @property
    def adversaries(self) -> list[tuple[Sequence[str], int, float]]:
        """Kinds of edits that training counts, how many of them, and their share of the loss of edited texts."""
        share = self.edits_weight if self.target_words and self.target_edits else float(self.target_edits > 0)
        both = ((("add",), self.target_words, 1.0 - share), (self.edits, self.target_edits, share))
        return [(kinds, count, weight) for kinds, count, weight in both if count]


PRESETS: dict[str, TextConfig] = {  # the first one balances what the next two go further in
    "text": TextConfig(target_words=10, target_edits=3, words_weight=0.9, edits_weight=0.4),
    "text-words": TextConfig(target_words=10, target_edits=3, words_weight=0.9, edits_weight=0.1),
    "text-edits": TextConfig(target_edits=3),
    "text-monotone": TextConfig(target_edits=3, rising="all"),
    "text-plain": TextConfig(),
}


def for_texts(recipe: TextConfig, preset: str, data: BinaryData) -> TextConfig:
    """The recipe with decay, dropout and epochs for so many training texts, validated at the end."""
    rows, sensitive = len(data.train), int(data.train.y.sum())
    batch = max(1, min(recipe.batch_size, rows // 8))
    if min(sensitive, rows - sensitive) < FEW:
        batch = min(batch, 128)
        epochs = max(LEAST_EPOCHS, round(UPDATES * batch / rows))
        recipe = replace(recipe, weight_decay=1.0, dropout=0.4, learning_rate=0.01, epochs=epochs)
    return replace(recipe, batch_size=batch, validate_every=recipe.epochs)
