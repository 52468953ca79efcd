"""What each model of the zoo is, what it was trained on, by which command, and what its card says it reaches."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from asymcert._checks import refuse
from asymcert.models.zoo.places import MODELS, check_own, resolve

CARD, PAGE = "card.json", "card.md"
FPR = "tpr_at_fpr_0.01"


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Parameters
    ----------
    name
        What ``zoo:NAME`` calls it.
    title
        What it tells apart, in a line.
    data, licence
        What it was trained on, by whom, and the licence that the data's publisher states.
    command
        Options of `asymcert` that made it.
    norms
        Options of `asymcert audit` that it was attacked with.
    method
        Of its certificates; None for its kind's default.
    """

    name: str
    title: str
    data: str
    licence: str
    command: str
    norms: str
    method: str | None = None

    @property
    def folder(self) -> Path:
        """Its run folder in the package."""
        return MODELS / self.name

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    @cached_property
    def card(self) -> dict[str, Any]:
        """What ``card.json`` says of its test data; see docs/gate.md."""
        return json.loads((self.folder / CARD).read_bytes())

    def figures(self) -> dict[str, float | None]:
        """Shares in [0, 1] on test data: balanced accuracy, area under the ROC curve, caught at 1 % false alarms.

        The last is None where there are fewer than 100 harmless samples.
        """
        clean = self.card["clean"]["detection"]
        values = {name: clean[name]["value"] for name in ("recall", "false_positive_rate", "roc_auc", FPR)}
        balanced = (values["recall"] + 1.0 - values["false_positive_rate"]) / 2
        return {"balanced accuracy": balanced, "AUC": values["roc_auc"], "caught at 1 % false alarms": values[FPR]}

    def radii(self) -> dict[str, float]:
        """Median certified radius of all sensitive test samples, missed ones counting 0, by adversary."""
        return {each["adversary"]: float(each["median_radius"]) for each in self.card["certified"]}


def entry(name: str) -> Entry:
    """The model of that name.

    Raises
    ------
    InputError
        There is none.
    """
    path = resolve(f"zoo:{name}") / "entry.toml"
    return Entry(name, **tomllib.loads(path.read_text(encoding="utf-8")))


def copy(name: str, out: str | Path) -> Path:
    """Copy a model to a run folder of one's own, to certify, audit and report on.

    Raises
    ------
    InputError
        The zoo has no such model, something is there already, or the place is the zoo itself.
    """
    source, out = resolve(f"zoo:{name}"), Path(out)
    check_own("out", out)
    if out.exists():
        raise refuse("out", "a new folder", f"{out}, which is there already", "Choose another name.")
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("entry.toml", "card.*", "examples.*"))
    return out
