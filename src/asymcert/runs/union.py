"""A run that is the union of others: sensitive if any of their models says so."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from asymcert._checks import refuse
from asymcert.datasets import BinaryData
from asymcert.errors import RunError
from asymcert.models.base import BinaryClassifier
from asymcert.models.thresholds import BALANCED, accuracies, check_resolution
from asymcert.models.union import UnionClassifier
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.run import Run
from asymcert.runs.threshold import RATE


def unite_runs(runs: Sequence[Run], out: RunFolder, max_fpr: float = BALANCED) -> UnionClassifier:
    """Make a run of the union of runs on the same data and split, with `united` thresholds.

    Raises
    ------
    InputError
        Fewer than two runs, models that make no union, or validation data too few to show the rate.
    RunError
        The runs are of different data, or the folder holds something.
    """
    if len(runs) < 2:
        raise refuse("runs", "at least two", len(runs))
    data = runs[0].data
    for run in runs[1:]:
        if run.facts.data_digest != data.digest:
            raise RunError(
                f"{run.folder.path}: trained on other data than {runs[0].folder.path}. Unite runs of one split."
            )
    model = united([run.model for run in runs], data, max_fpr)
    members = [run.digest for run in runs]
    out.create(RunFacts.of(data, {"model": "union", "members": members, RATE: max_fpr}, runs[0].facts.seed))
    out.save_model(model)
    return model


def united(members: Sequence[BinaryClassifier], data: BinaryData, max_fpr: float = BALANCED) -> UnionClassifier:
    """The union in which each member has as many false alarms on validation data as the others.

    So many that both classes are recognised equally often, or, for a rate that is not negative, as many as keep the
    union's false alarms at or below it. Margins of different kinds have different units, but false alarms have one.
    """
    check_resolution(max_fpr, data.val.y)
    scores = torch.stack([member.scores(data.val.x) for member in members])
    thresholds = scores[:, ~data.val.y].sort(dim=1, descending=True).values.T  # each of one false alarm more
    margins = [(scores - each[:, None]).amax(0) for each in thresholds]
    hits, rejections = zip(*(accuracies(margin, data.val.y, 0.0).values() for margin in margins), strict=True)
    if max_fpr < 0:
        best = int((torch.tensor(hits) - torch.tensor(rejections)).abs().argmin())
    else:
        best = max(count for count, share in enumerate(rejections) if 1.0 - share <= max_fpr + 1e-12)
    placed = [member.with_threshold(float(value)) for member, value in zip(members, thresholds[best], strict=True)]
    info = {"members": [member.digest for member in members], RATE: max_fpr, "data_digest": data.digest}
    return UnionClassifier(placed, info=info)
