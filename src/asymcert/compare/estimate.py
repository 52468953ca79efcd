"""How long a comparison will take, said before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asymcert.compare.methods import Method, Minutes
from asymcert.compare.run import CompareOptions, chosen_methods, samples_of, threats
from asymcert.datasets import BinaryData
from asymcert.runs.folder import RunFolder
from asymcert.runs.tables import CERTIFICATES


def minutes_left(
    data: BinaryData, out: Path, options: CompareOptions, known: Mapping[str, Method] | None = None
) -> dict[str, float]:
    """Minutes on two shared cores, besides attacks, of what a folder does not hold yet.

    Parameters
    ----------
    data, out, options, known
        As for `compare`.

    Returns
    -------
    dict
        By method; those whose times on such data are not known are left out.
    """
    family = data.name.partition("-")[0]
    return {
        name: sum(
            _left(data, setting.folder(out / name), method, method.minutes[family], options)
            for setting in method.knob[: options.points]
        )
        for name, method in chosen_methods(data, options, known).items()
        if family in method.minutes
    }


def _left(data: BinaryData, folder: Path, method: Method, minutes: Minutes, options: CompareOptions) -> float:
    """Of one setting: no training where there is a model, and the share of rows that it lacks at its own threshold."""
    run = RunFolder(folder)
    trained = run.exists and run.model_path.exists()
    wanted = sum(samples_of(data, curve, options) * len(threats(data, curve.norms)) for curve in method.curves)
    stored = len(run.read(CERTIFICATES).filter(run.own)) if trained else 0
    share = max(0.0, 1.0 - stored / wanted) * min(options.samples, len(data.test)) / 1000
    return (0.0 if trained else minutes.train) + share * minutes.certify
