"""TrainInto into a run folder, continuing what an interruption left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asymcert._files import locked
from asymcert.errors import RunError
from asymcert.models.base import BinaryClassifier
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.training.models import with_defaults
from asymcert.training.trainer import OnEpoch

TrainInto = Callable[[Path, OnEpoch], BinaryClassifier]  # takes the checkpoint's path


def fit_run(run: RunFolder, facts: RunFacts, train: TrainInto, on_epoch: OnEpoch | None = None) -> BinaryClassifier:
    """The run's model: trained, or continued from its checkpoint, or as it was stored.

    Raises
    ------
    RunError
        The folder holds another run, or other files, or another process trains there.
    """
    was_there = run.path.exists()
    if run.exists:
        check_same(run, facts)
    else:
        run.create(facts)
    with locked(run.path):
        if run.model_path.exists():
            model = run.load_model()
        else:
            model = _trained(run, train, on_epoch, was_there)
            run.save_model(model)
        run.checkpoint_path.unlink(missing_ok=True)  # also one that an end just after saving the model has left
        return model


def _trained(run: RunFolder, train: TrainInto, on_epoch: OnEpoch | None, was_there: bool) -> BinaryClassifier:
    """What training gives; where it did not begin, the folder is as it was."""

    def logged(record: dict[str, Any]) -> None:
        run.append_log(record)
        if on_epoch is not None:
            on_epoch(record)

    try:
        return train(run.checkpoint_path, logged)
    except BaseException:
        _leave(run, was_there)
        raise


def check_same(run: RunFolder, facts: RunFacts) -> None:
    """Refuse to continue a run that was begun on other data, with another seed or another recipe."""
    begun = run.facts()
    same = {"data": begun.data_digest == facts.data_digest, "seed": begun.seed == facts.seed}
    differing = [name for name, equal in same.items() if not equal]
    before, now = (json.loads(json.dumps(with_defaults(each.config))) for each in (begun, facts))
    options = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if options:
        differing.append(f"config ({', '.join(f'{name} {before.get(name)}, not {now.get(name)}' for name in options)})")
    if differing:
        what = ", ".join(differing)
        raise RunError(f"{run.path}: was begun with another {what}. Choose another --out, or delete it first.")


def _leave(run: RunFolder, was_there: bool) -> None:
    """Give the folder free again if nothing but its claim is in it, so that a mistake can be corrected."""
    if [path.name for path in run.path.iterdir()] != ["run.json"]:
        return
    (run.path / "run.json").unlink()
    if not was_there:
        run.path.rmdir()
