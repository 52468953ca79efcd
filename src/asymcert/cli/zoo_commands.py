"""Commands on the models that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from asymcert._checks import refuse
from asymcert.certify import certifier_for, default_method
from asymcert.cli import show
from asymcert.cli.explain_commands import explain
from asymcert.cli.parameters import Json
from asymcert.cli.steps import threats_for
from asymcert.datasets.table_batches import read_batches
from asymcert.evaluate.formatting import floor_percent, floor_significant
from asymcert.evaluate.labels import threat_labels
from asymcert.evaluate.scoring import score_table
from asymcert.models import zoo as models
from asymcert.models.base import BinaryClassifier
from asymcert.runs.rows import threat_key

MOST_ROWS = 20  # of a table, in a demonstration
UNSHIPPED = "Its data may not be shipped, so it has no examples"


def zoo(
    name: Annotated[str | None, typer.Argument(help="A model: what it is, and what its card says.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Copy the model to this run folder, to evaluate or report on.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the trained models that come with the package; every command takes them as zoo:NAME.

    Examples: asymcert zoo · asymcert zoo spam-sms · asymcert explain zoo:spam-sms --text "You have won" · asymcert
    serve zoo:spam-sms · asymcert zoo spam-mail --out runs/mail
    """
    if name is None:
        if out is not None:
            raise refuse("--out", "given with a model's name", out, "`asymcert zoo` lists them.")
        lines = [(_facts if as_json else _line)(models.entry(each)) for each in models.names()]
        show.table("Models, and what they reach on test data", lines, as_json)
        return
    facts = _facts(models.entry(name))
    if out is not None:
        facts["run"] = str(models.copy(name, out))
    show.result(facts, as_json)


def demonstrate(name: str, text: str | None, table: Path | None, as_json: bool) -> None:
    """Verdicts of one model of the zoo, what each promises and what would undo it: on a text, rows, or examples."""
    entry = models.entry(name)
    model = BinaryClassifier.load(entry.folder)
    examples = {path.suffix: path for path in entry.folder.glob("examples.*")}
    if not as_json:
        show.console.print(f"zoo:{name}: {entry.title}", markup=False, soft_wrap=True)
    if model.scaling is not None and model.scaling.windows is not None and table is None:
        given = examples[".txt"].read_text(encoding="utf-8").strip() if text is None else text
        explain(Path(f"zoo:{name}"), text=given, as_json=as_json)
    elif text is not None:
        raise refuse("--text", "given with a model of texts, and without --table", f"zoo:{name}")
    elif model.scaling is not None:
        _rows(model, table or _own_rows(examples.get(".csv"), name), as_json)
    elif table is not None:
        raise refuse("--table", "given with a model of a table or of texts", f"zoo:{name}")
    else:
        _images(model, entry, _pictures(examples.get(".npy"), name), as_json)


def _rows(model: BinaryClassifier, table: Path, as_json: bool) -> None:
    """Of the first rows of a table: how many columns, or words, must change, and what would do."""
    assert model.scaling is not None
    texts = model.scaling.windows is not None
    threats = threats_for(model, ["words" if texts else "columns"])
    frame = next(iter(read_batches(table, model.scaling.plan, None).frames)).head(MOST_ROWS)
    rows = score_table(model, frame, threats, certifier_for(default_method(model, threats)), evasions=not texts)
    lines = rows.to_dicts() if as_json else [_shown(row) for row in rows.to_dicts()]
    show.table(f"First rows of {table.name}", lines, as_json)


def _images(model: BinaryClassifier, entry: models.Entry, path: Path, as_json: bool) -> None:
    """Of a few test images: verdict, and the radii that its card speaks of."""
    import torch

    x, threats = torch.from_numpy(np.load(path, allow_pickle=False)).float() / 255, threats_for(model)
    certificates = certifier_for(entry.method or default_method(model)).certify(model, x, threats)
    labels = threat_labels([threat_key(threat) for threat in threats])
    lines: list[dict[str, Any]] = []
    for row in range(len(x)):
        radii = {label: each.radius[row].item() for label, each in zip(labels, certificates, strict=True)}
        verdict = model.sensitive if certificates[0].sensitive[row] else model.other
        shown = radii if as_json else {label: floor_significant(radius, 3) for label, radius in radii.items()}
        lines.append({"image": row, "verdict": verdict, **shown})
    show.table("Test images that come with the model", lines, as_json)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: margins shortened, nothing where there is nothing."""
    margin = None if row["margin"] is None else floor_significant(row["margin"], 3)
    return {name: "" if value is None else value for name, value in (row | {"margin": margin}).items()}


def _own_rows(path: Path | None, name: str) -> Path:
    """The rows that come with a model of a table."""
    if path is None:
        raise refuse("--table", f"given for zoo:{name}", "nothing", f"{UNSHIPPED}.")
    return path


def _pictures(path: Path | None, name: str) -> Path:
    """The pictures that come with a model of images."""
    if path is None:
        call = f"asymcert.certify(asymcert.load('zoo:{name}'), x)"
        remedy = f"{UNSHIPPED}. Certify pictures x of your own in Python: {call}."
        raise refuse("--zoo", "a model with pictures to show, or one of rows or texts", name, remedy)
    return path


def _line(entry: models.Entry) -> dict[str, Any]:
    return {"name": entry.name, "what": entry.title, **_shares(entry)}


def _facts(entry: models.Entry) -> dict[str, Any]:
    """All that is to be known of a model, for people and for scripts."""
    model, samples, attacks = entry.card["model"], entry.card["data"]["samples"], entry.card["attacks"]
    tried, broken = (sum(each[name] for each in attacks) for name in ("tried", "broken"))
    return {
        "name": f"zoo:{entry.name}",
        "what": entry.title,
        "kind": model["kind"],
        "data": entry.data,
        "licence of the data": entry.licence,
        "test data": ", ".join(f"{count} of class {model[name]}" for name, count in samples.items()),
        **_shares(entry),
        **{f"median radius, {adversary}": floor_significant(radius, 4) for adversary, radius in entry.radii().items()},
        "attacks that succeeded": f"{broken} of {tried}",
        "made by": f"asymcert {entry.command}",
        "digest": model["digest"],
        "bytes": entry.size,
        "card": str(entry.folder / models.PAGE),
    }


def _shares(entry: models.Entry) -> dict[str, str]:
    return {name: "–" if share is None else floor_percent(share) for name, share in entry.figures().items()}
