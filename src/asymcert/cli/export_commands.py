"""Command for other tools: export."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Annotated

import typer

from asymcert._checks import refuse
from asymcert._floats import norm_name
from asymcert.cli import show
from asymcert.cli.parameters import Box, DataDir, Edits, Json, Limit, RunPath, SplitName
from asymcert.cli.steps import chosen_split, output_file, threats_for
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier
from asymcert.runs.run import Run
from asymcert.threats.model import ThreatModel

MEANING = {"hour": " (5.25 is 05:15)", "weekday": " (1 is Monday)", "days": " (since 1970)"}  # of parts of dates


def export(
    run: RunPath,
    onnx: Annotated[Path | None, typer.Option(help="File for the graph of margin and verdict.")] = None,
    onnx_certified: Annotated[
        Path | None, typer.Option(help="File for the graph that also returns the certified radius.")
    ] = None,
    vnnlib: Annotated[
        Path | None, typer.Option(help="Folder for a VNN-LIB property of each sensitive sample; needs --radius.")
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(help="Of the certified graph: 1, 2, inf; by default 2, for l_inf-distance nets and --vnnlib inf."),
    ] = None,
    edits: Edits = None,
    threat: Annotated[Path | None, typer.Option(help="File with the threat model, instead of a norm.")] = None,
    radius: Annotated[float | None, typer.Option(help="Of the properties, in the units of the threat model.")] = None,
    float32: Annotated[bool, typer.Option("--float32", help="--onnx and --vnnlib in single precision.")] = False,
    raw: Annotated[
        bool | None,
        typer.Option("--raw/--scaled", help="Of a table: graphs take its own columns (default), or scaled inputs."),
    ] = None,
    split: SplitName = "test",
    limit: Limit = None,
    box: Box = True,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write the model of a run for other tools: ONNX, ONNX with certified radii, VNN-LIB.

    Examples: asymcert export runs/a --onnx model.onnx · asymcert export runs/a --onnx-certified certified.onnx --norm 1
    · asymcert export runs/a --vnnlib properties --radius 0.02 --limit 100
    """
    from asymcert.export.certified_graph import to_certified_onnx
    from asymcert.export.onnx_graph import save_encoder, save_onnx, to_onnx
    from asymcert.export.vnnlib import write_properties

    _check_complete(onnx, onnx_certified, vnnlib, radius)
    opened, written = Run(run, data_dir), {}
    model = opened.model
    folders = {path.parent: None for path in (onnx, onnx_certified) if path is not None}
    deployed = copy.deepcopy(model).float() if float32 else model
    if onnx is not None:
        path = output_file("--onnx", onnx, opened.folder.own_files)
        written["onnx"] = str(save_onnx(to_onnx(deployed, raw=raw), path))
    if onnx_certified is not None:
        usual = "inf" if isinstance(model, DistanceClassifier) else "2"
        adversary = _threat(model, norm or usual, threat, box, edits)
        path = output_file("--onnx-certified", onnx_certified, opened.folder.own_files)
        written["onnx_certified"] = str(save_onnx(to_certified_onnx(model, adversary, raw), path))
        written["threat"] = adversary.describe()
    files = [str(path) for folder in folders for path in save_encoder(model, folder)]
    written |= {"features": files} if files else {}
    if vnnlib is not None and radius is not None:
        samples = chosen_split(opened.data, split, limit)
        adversary = _threat(model, norm or norm_name(math.inf), threat, box, edits)
        written["properties"] = len(write_properties(deployed, samples.x, adversary, radius, vnnlib))
        written["vnnlib"] = str(vnnlib)
    for line in _to_prepare(model) if raw is not False and folders else ():
        show.console.print(line, soft_wrap=True, markup=False)
    show.result(written, as_json)


def _to_prepare(model: BinaryClassifier) -> list[str]:
    """What the graph of a table is given in place of columns that it holds no rule for."""
    plan = None if model.scaling is None else model.scaling.plan
    split = [column for column in (plan.used if plan else ()) if column.parts]
    return [
        f"{column.kind}: the graph takes '{column.name}' as "
        + ", ".join(f"'{column.name}: {part}'{MEANING.get(part, '')}" for part in column.parts)
        for column in split
    ]


def _check_complete(onnx: Path | None, onnx_certified: Path | None, vnnlib: Path | None, radius: float | None) -> None:
    if onnx is None and onnx_certified is None and vnnlib is None:
        raise refuse("--onnx, --onnx-certified or --vnnlib", "given", "none of them")
    if vnnlib is not None and radius is None:
        raise refuse("--radius", "given with --vnnlib", "none", "Example: --radius 0.02")


def _threat(model: BinaryClassifier, norm: str, threat: Path | None, box: bool, edits: str | None) -> ThreatModel:
    """The threat model of a file, or else that of a norm."""
    return threats_for(model, None if threat else [norm], [threat] if threat else None, box, edits)[0]
