"""Commands that make models: demo, train, datasets."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from asymcert import datasets as data_sets
from asymcert._checks import check_choice, refuse
from asymcert.certify import certifier_for
from asymcert.cli import show
from asymcert.cli.inputs import load_data
from asymcert.cli.options import with_fields_of
from asymcert.cli.parameters import Json, MaxBytes, PublishedData, Quiet, Sensitive, TestFile
from asymcert.cli.steps import audit_run, certify_run, report_run, threats_for
from asymcert.cli.summaries import summary_rows, table_remarks, validation_facts
from asymcert.cli.zoo_commands import demonstrate
from asymcert.datasets import BinaryData
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import RunError
from asymcert.evaluate import RunFacts, RunFolder
from asymcert.models.base import BinaryClassifier
from asymcert.models.thresholds import check_resolution
from asymcert.models.zoo import check_own
from asymcert.runs.fitting import fit_run
from asymcert.runs.run import Run
from asymcert.training.models import MODELS, kind_of, model_for
from asymcert.training.models import train as train_model
from asymcert.training.recipe import Recipe
from asymcert.training.trainer import OnEpoch

RECIPES = ("asymcert", "published")
DEFAULT = "feature-convex"


def demo(
    out: Annotated[Path | None, typer.Option(help="Run folder to make.", show_default="runs/demo")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of split and training.", show_default="0")] = None,
    zoo: Annotated[
        str | None, typer.Option(help="Instead, what a trained model of `asymcert zoo` says.", show_default=False)
    ] = None,
    text: Annotated[str | None, typer.Option(help="With --zoo: a text for it.", show_default=False)] = None,
    table: Annotated[Path | None, typer.Option(help="With --zoo: a file of rows for it.", show_default=False)] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The whole way on data that ships with scikit-learn: train, certify, attack, report.

    With --zoo, verdicts of a trained model, and what would undo them. Examples: asymcert demo --out runs/demo ·
    asymcert demo --zoo spam-sms --text "You have won a free prize, call now" · asymcert demo --zoo spam-mail
    """
    if zoo is not None:
        _refuse_for_zoo({"--out": out, "--seed": seed})
        demonstrate(zoo, text, table, as_json)
        return
    if text is not None or table is not None:
        raise refuse("--text" if table is None else "--table", "given with --zoo", "no --zoo", "`asymcert zoo` lists.")
    seed, folder = seed or 0, _new_folder(out or Path("runs/demo"))
    data = data_sets.load("digits-3-8", seed=seed)
    recipe = kind_of(DEFAULT).recipe(data)
    threats = threats_for(fit(folder, data, DEFAULT, recipe, seed, "cpu", quiet))
    run = Run(folder.path)
    rows = certify_run(run, threats, certifier_for("closed-form"), quiet=quiet)
    successes = int(audit_run(run, threats, "test", quiet)["success"].sum())
    page = report_run(run)
    show.table(f"{data.name}: {data.sensitive} against {data.other}, test data", summary_rows(rows, as_json), as_json)
    show.console.print(f"[green]page:[/green] {page}")
    raise typer.Exit(1 if successes else 0)


@with_fields_of(TableOptions, panel="Of a table", into="table")
@with_fields_of(*dict.fromkeys(kind.config for kind in MODELS.values()), panel="Recipe (defaults come from the preset)")
def train(
    data: Annotated[
        str,
        typer.Argument(
            help="Name of a data set (see `asymcert datasets`), a table's file, or a folder with one of files a class."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run folder to make, or to continue after an interruption.")],
    sensitive: Sensitive = None,
    test: TestFile = None,
    max_bytes: MaxBytes = None,
    image_size: Annotated[
        int | None, typer.Option(help="Folder of images: pixels of a side.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(MODELS)}; by default text for texts, else {DEFAULT}.", show_default=False),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Recipe of another data set.")] = None,
    recipe: Annotated[str, typer.Option(help="`asymcert`, or `published` as in Pfrommer et al. 2023.")] = "asymcert",
    seed: Annotated[int, typer.Option(help="Seed of split and training.")] = 0,
    device: Annotated[str, typer.Option(help="Device to train on, such as `cpu` or `cuda`.")] = "cpu",
    data_dir: PublishedData = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    table: dict[str, Any],
    overrides: dict[str, Any],
) -> None:
    """Train a classifier into a run folder; an interrupted training continues.

    What an interruption loses is at most the epoch in work and the 15 seconds before it.

    Examples: asymcert train mnist-3-8 --out runs/a · asymcert train mnist-3-8 --model linf-net --out runs/c
    · asymcert train spam.csv --label class --sensitive spam --out runs/b --epochs 30
    """
    check_choice("recipe", recipe, RECIPES)
    _refuse_several_processes()
    folder = _new_folder(out)
    options = {**table, "test": test, "max_bytes": max_bytes, "image_size": image_size}
    loaded = load_data(data, data_dir, sensitive or [], seed, options)
    model = model or model_for(loaded)
    if recipe == "published":
        preset = _published_preset(model, preset or loaded.name.split("-")[0])
    chosen = kind_of(model).recipe(loaded, preset, **overrides)
    run = _unfinished(folder)
    if not quiet:
        for line in table_remarks(loaded):
            show.console.print(line, soft_wrap=True, markup=False)
    trained = fit(run, loaded, model, chosen, seed, device, quiet)
    if loaded.scaling is not None and loaded.scaling.plan is not None:
        run.write_plan(loaded.scaling.plan)
    facts = {"run": str(out), "model_digest": trained.digest, "threshold": trained.threshold}
    show.result(facts | validation_facts(trained, loaded.val, as_json), as_json)


def datasets(as_json: Json = False) -> None:
    """List the data sets that go by name; any CSV or Parquet file works as well.

    Example: asymcert datasets --json
    """
    show.table("Data sets", [{"name": name, "what": what} for name, what in data_sets.names()], as_json)


def fit(
    run: RunFolder, data: BinaryData, model: str, recipe: Recipe, seed: int, device: str, quiet: bool
) -> BinaryClassifier:
    """Train into a run folder, continuing what is there if it is the same run."""
    if recipe.false_positive_rate > 0:
        check_resolution(recipe.false_positive_rate, data.val.y)
    with show.progress("train", recipe.passes, quiet) as update:

        def trained(checkpoint: Path, on_epoch: OnEpoch) -> BinaryClassifier:
            options: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint}
            return train_model(data, model, config=recipe, on_epoch=on_epoch, **options)

        def shown(record: dict[str, Any]) -> None:
            update(record["epoch"], show.epoch_note(record))

        return fit_run(run, RunFacts.of(data, {"model": model, **asdict(recipe)}, seed), trained, shown)


def _new_folder(out: Path) -> RunFolder:
    """The folder of a run to make, or to continue; refused in the zoo before any work is spent."""
    check_own("--out", out)
    return RunFolder(out)


def _refuse_for_zoo(given: dict[str, Any]) -> None:
    """Refuse options of a training where a trained model is asked."""
    for name, value in given.items():
        if value is not None:
            raise refuse(name, "left out with --zoo", value, "`asymcert zoo NAME --out FOLDER` copies a model.")


def _unfinished(run: RunFolder) -> RunFolder:
    """Refuse a folder with a model, unless its checkpoint says that the end was cut off."""
    if run.exists and run.model_path.exists() and not run.checkpoint_path.exists():
        raise RunError(f"{run.path}: already holds a trained model. Choose another --out, or delete it first.")
    return run


def _refuse_several_processes() -> None:
    """Each of them would write the run folder."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        remedy = "Train from Python, as examples/linf_distributed.py does."
        raise refuse("WORLD_SIZE", "1 on the command line", os.environ["WORLD_SIZE"], remedy)


def _published_preset(model: str, family: str) -> str:
    if model != DEFAULT:
        raise refuse("--recipe", "left out for this model", "published", "Name a preset, such as mnist-0.3.")
    preset = f"{family}-published"
    presets = kind_of(model).presets
    if preset not in presets:
        published = ", ".join(name for name in presets if name.endswith("-published"))
        raise refuse("--recipe", f"left out for data without a published one ({published})", "published")
    return preset
