"""How long a comparison will take, said before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asymcert.compare.methods import Curve, Method
from asymcert.compare.run import CompareOptions, chosen_methods, samples_of, threats
from asymcert.datasets import BinaryData
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import SCHEMA
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
    whole = chosen_methods(data, replace(options, without=()), known)
    return {
        name: sum(
            _left(data, setting.folder(out / name), method, whole[name].curves, options)
            for setting in method.knob[: options.points]
        )
        for name, method in chosen_methods(data, options, known).items()
        if family in method.minutes
    }


def _left(data: BinaryData, folder: Path, method: Method, every: Sequence[Curve], options: CompareOptions) -> float:
    """Of one setting: no training where there is a model, and certificates that it lacks at its own threshold.

    `every` are the method's certifiers, with those that are left out: its minutes are of all of them.
    """
    run, minutes = RunFolder(folder), method.minutes[data.name.partition("-")[0]]
    trained = run.exists and run.model_path.exists()
    stored = run.read(CERTIFICATES).filter(run.own) if trained else SCHEMA.to_frame()

    def rows(curve: Curve) -> int:
        return samples_of(data, curve, options) * len(threats(data, curve.norms))

    lacking = [max(0, rows(each) - len(stored.filter(method=each.certifier.method))) for each in method.curves]
    left = sum(count * curve.weight for count, curve in zip(lacking, method.curves, strict=True))
    share = left / sum(rows(curve) * curve.weight for curve in every) * min(options.samples, len(data.test)) / 1000
    return (0.0 if trained else minutes.train) + share * minutes.certify
