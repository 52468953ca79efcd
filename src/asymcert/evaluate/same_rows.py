"""The same samples as two models take them in, none of which either was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from asymcert._checks import refuse
from asymcert.certify import Certifier, certifier_for, default_method
from asymcert.datasets import BinaryData, load_rows
from asymcert.datasets.source import DataSource
from asymcert.errors import DataError, RunError
from asymcert.models.base import BinaryClassifier
from asymcert.runs.rows import Origin, make_rows, options_text
from asymcert.runs.run import Run
from asymcert.threats.model import ThreatModel

CHUNK = 256  # samples certified at a time
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SameRows:
    """Samples that two runs are to be compared on.

    Parameters
    ----------
    new, old
        Inputs of either model: sample i of both, of shape (n, *input_shape), is the same.
    y
        Bool (n,): which are sensitive.
    left_out
        How many more there were that one of the models was trained on, or had its threshold set by.
    unknown
        Whether a run's data are gone, so that this could not be told of it.
    same_inputs
        Whether both models take in the same numbers, so that sizes of changes mean the same.
    """

    new: Tensor
    old: Tensor
    y: Tensor
    left_out: int
    unknown: bool
    same_inputs: bool


def same_rows(new: Run, old: Run, table: str | Path | None = None) -> SameRows:
    """The test samples of the new run, or rows of a table, as both runs' models take them in.

    Parameters
    ----------
    new, old
        The runs.
    table
        A file with labelled rows, with the columns that training had.

    Raises
    ------
    InputError
        The runs tell other classes apart, take in other kinds of data or images of another shape; `table` is given for
        images; or no rows of a class are left that no model was trained on.
    DataError
        The table lacks a column that a model needs, or has rows that it cannot read.
    RunError
        The new run's data are gone.
    """
    _check_alike(new.model, old.model)
    x, others, y = _inputs(new, old, table)
    own = None if table is not None else new.facts.data_digest  # of data whose test rows no training saw
    seen = [_trained_on(run, inputs) for run, inputs in ((new, x), (old, others)) if run.facts.data_digest != own]
    return _unseen(x, others, y, seen, _scaling_of(new.model) == _scaling_of(old.model))


def _unseen(new: Tensor, old: Tensor, y: Tensor, seen: Sequence[Bools | None], same_inputs: bool) -> SameRows:
    """The rows that no training saw, as far as is known."""
    known = [each for each in seen if each is not None]
    kept = torch.from_numpy(~np.logical_or.reduce([np.zeros(len(y), np.bool_), *known]))
    if not 0 < int(y[kept].sum()) < int(kept.sum()):
        got = f"only {int(kept.sum())} of {len(y)} that no model was trained on, of one class or none"
        raise refuse("rows", "of both classes", got, "Give new ones by --table FILE.")
    return SameRows(new[kept], old[kept], y[kept], int((~kept).sum()), len(known) < len(seen), same_inputs)


def new_rows(run: Run, table: str | Path) -> SameRows:
    """Labelled rows of a table as a run's model takes them in, without those that it was trained on.

    Raises
    ------
    InputError
        The run is on images, or no rows of a class are left.
    DataError
        The table lacks the label or a column, or has rows that cannot be read.
    """
    if run.model.scaling is None:
        raise refuse("--table", "left out for runs on images", table, "Evaluate a split of their own data.")
    frame, label = load_rows(_source(run), table, run.data_dir)
    x, y = _encoded(run, frame), torch.from_numpy(label)
    return _unseen(x, x, y, [_trained_on(run, x)], same_inputs=True)


def certified(
    model: BinaryClassifier,
    x: Tensor,
    y: Tensor,
    threats: Sequence[ThreatModel],
    progress: Callable[[int], None] | None = None,
    certifier: Certifier | None = None,
) -> list[pl.DataFrame]:
    """Evaluation rows of samples for each adversary; kept nowhere.

    Parameters
    ----------
    model
        The classifier.
    x, y
        Inputs (n, *input_shape), and bool (n,): which are sensitive.
    threats
        The adversaries.
    progress
        Called with the number of samples done after every chunk.
    certifier
        By default the model's default method.
    """
    certifier = certifier or certifier_for(default_method(model, threats))
    origin = Origin("table", model.digest, "", 0, options_text(certifier))
    parts: list[list[pl.DataFrame]] = []
    for index in torch.arange(len(x)).split(CHUNK):
        certificates = certifier.certify(model, x[index], threats)
        parts.append([make_rows(each, index, y[index], origin, np.nan) for each in certificates])
        if progress is not None:
            progress(int(index[-1]) + 1)
    return [pl.concat(each) for each in zip(*parts, strict=True)]


def _inputs(new: Run, old: Run, table: str | Path | None) -> tuple[Tensor, Tensor, Tensor]:
    """Samples as the new and as the old model take them in, and their labels."""
    if table is not None:
        if new.model.scaling is None:
            raise refuse("--table", "left out for runs on images", table, "They are compared on test samples.")
        frame, label = load_rows(_source(new), table, new.data_dir)
        return _encoded(new, frame), _encoded(old, frame), torch.from_numpy(label)
    test = new.data.test
    if _scaling_of(new.model) == _scaling_of(old.model):
        return test.x, test.x, test.y
    assert test.rows is not None  # a table's
    frame, _ = load_rows(_source(new), data_dir=new.data_dir)
    return test.x, _encoded(old, frame[test.rows.numpy()]), test.y


def _check_alike(new: BinaryClassifier, old: BinaryClassifier) -> None:
    """Refuse models that answer different questions."""
    classes = [f"{model.sensitive!r} against {model.other!r}" for model in (new, old)]
    if classes[0] != classes[1]:
        remedy = "Compare runs that tell the same classes apart."
        raise refuse("--against", f"a run of {classes[0]}", classes[1], remedy)
    kinds = [
        f"inputs of shape {model.input_shape}" if model.scaling is None else "a table's columns" for model in (new, old)
    ]
    if kinds[0] != kinds[1]:
        raise refuse("--against", f"a run on {kinds[0]}", kinds[1], "Compare runs on the same kind of data.")


def _scaling_of(model: BinaryClassifier) -> Any:
    return None if model.scaling is None else model.scaling.to_dict()


def _source(run: Run) -> DataSource:
    if run.facts.source is None:
        what = "its data was made by hand. Compare evaluation rows by asymcert.evaluate.drops"
        raise RunError(f"{run.folder.path}: {what}.")
    return DataSource.from_dict(run.facts.source)


def _encoded(run: Run, frame: pl.DataFrame) -> Tensor:
    """Rows of a table as the run's model takes them in."""
    assert run.model.scaling is not None  # a table's
    try:
        return run.model.scaling.transform(frame)
    except DataError as error:
        raise DataError(f"{run.folder.path}: its model cannot judge these rows. {error}") from None


def _trained_on(run: Run, x: Tensor) -> Bools | None:
    """Which inputs (n, ...) a run was trained or validated on; None where its data are gone."""
    try:
        data: BinaryData = run.data
    except (DataError, RunError):
        return None
    known = {_key(row) for split in (data.train, data.val) for row in split.x.numpy()}
    return np.array([_key(row) in known for row in x.numpy()], np.bool_)


def _key(row: NDArray[np.float32]) -> bytes:
    """What tells an input from others, small also where it is an image."""
    return hashlib.sha256(row.tobytes()).digest()
