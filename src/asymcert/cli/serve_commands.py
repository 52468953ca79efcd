"""The command that answers over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asymcert.certify import Certifier, certifier_for, default_method
from asymcert.cli.options import with_fields_of
from asymcert.cli.parameters import Box, Edits, MethodName, Norms, RunPath, ThreatFiles
from asymcert.cli.steps import threats_for
from asymcert.errors import DependencyError
from asymcert.models.base import BinaryClassifier
from asymcert.serve.options import ServeOptions
from asymcert.threats.model import ThreatModel

if TYPE_CHECKING:
    from asymcert.serve.served import Source


@with_fields_of(ServeOptions, panel="Limits")
def serve(
    run: RunPath,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines ask.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    norm: Norms = None,
    edits: Edits = None,
    threat: ThreatFiles = None,
    method: MethodName = None,
    engine: Annotated[
        str, typer.Option(help="model, or onnx: graphs where they are faster, with radii that are never greater.")
    ] = "model",
    box: Box = True,
    *,
    overrides: dict[str, Any],
) -> None:
    """Answer over HTTP: verdicts, margins and certified radii, and a page for people at /.

    Requests choose among the threats named here; the first is asked about by default. Where $ASYMCERT_TOKEN is set,
    requests must carry it. SIGHUP reads the run's model anew.

    Examples: asymcert serve runs/a · asymcert serve runs/a --port 8080 --norm columns --norm 1
    """
    try:
        from asymcert.serve.server import serve as run_server
    except ImportError as error:
        what = f"`asymcert serve` needs the package {error.name}. Install it: pip install 'asymcert[serve]'."
        raise DependencyError(what) from None
    run_server(
        source_for(run, norm, edits, threat, method, box, engine), ServeOptions(**overrides), host, port, workers
    )


def source_for(
    run: Path,
    norm: list[str] | None = None,
    edits: str | None = None,
    threat: list[Path] | None = None,
    method: str | None = None,
    box: bool = True,
    engine: str = "model",
) -> Source:
    """Where the model comes from, and against whom it is certified; see `Source`."""
    from asymcert.serve.served import Source

    threats = partial(_threats, method=method, norm=norm, edits=edits, files=threat, box=box)
    return Source(run, threats, partial(_certifier, method=method), engine)


def _threats(
    model: BinaryClassifier,
    method: str | None,
    norm: list[str] | None,
    edits: str | None,
    files: list[Path] | None,
    box: bool,
) -> list[ThreatModel]:
    """The threat models that were named; or all that the model's method certifies, of tables columns first."""
    threats = threats_for(model, norm, files, box, edits)
    if norm or edits or files:
        return threats
    certifier = _certifier(model, threats, method)
    if model.scaling is None or model.scaling.windows is not None or not certifier.counts:
        return threats
    return threats_for(model, ["0"]) + (threats if certifier.lengths else [])


def _certifier(model: BinaryClassifier, threats: Sequence[ThreatModel], method: str | None) -> Certifier:
    return certifier_for(method or default_method(model, threats))
