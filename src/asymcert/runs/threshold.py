"""The threshold of a trained run, moved without training."""

from __future__ import annotations

from dataclasses import replace

from asymcert._files import locked
from asymcert.datasets import BinaryData
from asymcert.models.base import BinaryClassifier
from asymcert.models.thresholds import check_resolution, choose_threshold
from asymcert.runs.folder import RunFolder

RATE = "false_positive_rate"  # of the recipe


def move_threshold(run: RunFolder, data: BinaryData, max_fpr: float) -> BinaryClassifier:
    """Put the threshold where training would have put it with this false-positive rate; negative ones balance.

    Model file and ``run.json`` are then those of such a training. Rows, proofs and audits of the threshold before
    name another model: they count again when the threshold comes back.

    Raises
    ------
    InputError
        The validation data are too few to show the rate.
    RunError
        The folder holds no model, is read only, or another process works in it.
    """
    check_resolution(max_fpr, data.val.y)
    run.check_writable()
    with locked(run.path):
        model = run.load_model()
        moved = model.placed_at(choose_threshold(max_fpr, model.scores(data.val.x), data.val.y))
        moved.info = model.info | {"config": {**model.info.get("config", {}), RATE: max_fpr}}
        facts = run.facts()
        run.change(replace(facts, config={**facts.config, RATE: max_fpr}), moved)
    return moved
