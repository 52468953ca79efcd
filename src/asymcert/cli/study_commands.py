"""Sweeps, ablations and many-class constructions; tables and figures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from asymcert import datasets
from asymcert._checks import check_count, check_number, refuse
from asymcert.cli import show
from asymcert.cli.inputs import load_data
from asymcert.cli.options import parse_norm, with_fields_of
from asymcert.cli.parameters import Json, PublishedData, Quiet, Sensitive
from asymcert.cli.steps import output_file
from asymcert.cli.summaries import rounded
from asymcert.datasets.table_options import TableOptions

Many = Annotated[str, typer.Argument(help="mnist, fashion, cifar10 or digits.")]
Seed = Annotated[int, typer.Option(help="Of splits and training.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training data.")]
Class = Annotated[int, typer.Option("--class", help="Position of the sensitive class.")]
Each = Annotated[int | None, typer.Option(help="Only the first samples of each class and split.", show_default=False)]
Preset = Annotated[str | None, typer.Option(help="Recipe, such as mnist-small.", show_default=False)]
Method = Annotated[str | None, typer.Option(help="Of certificates, such as tangent.", show_default=False)]
Norm = Annotated[str, typer.Option(help="1, 2, inf or any p of at least 1.")]
SHOWN = (  # of what there is; tables count columns
    *("variant", "accuracy_balanced", "spread_balanced", "median_l1", "median_l2", "median_linf", "lipschitz_l2"),
    "median_columns",
)

app = typer.Typer(no_args_is_help=True)


@app.command()
def pairs(
    data: Many = "mnist",
    out: Annotated[Path, typer.Option(help="Folder to make, or to continue.")] = Path("runs/pairs"),
    classes: Annotated[
        list[int] | None, typer.Option("--class", help="Position; repeat for more; all ten by default.")
    ] = None,
    epochs: Epochs = 8,
    points: Annotated[int, typer.Option(help="Sensitive test samples whose hull distance is found.")] = 50,
    workers: Annotated[int, typer.Option(help="Processes of one thread each.")] = 1,
    preset: Preset = None,
    method: Method = None,
    seed: Seed = 0,
    data_dir: PublishedData = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Median radii for every ordered pair of classes, and which characteristics of the classes go with them.

    Writes pairs.parquet, correlations.parquet and pairs.png. Example: asymcert study pairs digits --class 3 --class 8
    """
    from asymcert.studies.pairs import PairOptions, correlations, sweep
    from asymcert.studies.pictures import write_pairs_picture

    chosen = tuple(range(10)) if classes is None else tuple(classes)
    options = PairOptions(data, chosen, epochs, points, seed=seed, preset=preset, method=method)
    start = time.perf_counter()
    with show.progress("pairs", len(options.pairs), quiet) as update:
        rows = sweep(options, out, workers=workers, data_dir=data_dir, progress=_counted(update))
    found = correlations(rows)
    rows.write_parquet(out / "pairs.parquet")
    found.write_parquet(out / "correlations.parquet")
    write_pairs_picture(rows, out / "pairs.png")
    title = f"{data}: rank correlation of the median radius over {len(rows)} pairs, {time.perf_counter() - start:.0f} s"
    show.table(title, [rounded(row, as_json) for row in found.iter_rows(named=True)], as_json)
    show.console.print(f"[green]figure:[/green] {out / 'pairs.png'}")


@app.command()
@with_fields_of(TableOptions, panel="Of a table", into="table")
def ablation(
    name: Annotated[str, typer.Argument(help="feature-map, regularisation, augmentation, target or sigma.")],
    data: Annotated[str, typer.Argument(help="Name of a data set, see `asymcert datasets`, or a table's file.")],
    out: Annotated[Path | None, typer.Option(help="Folder to make, or to continue; runs/NAME-DATA by default.")] = None,
    sensitive: Sensitive = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each variant.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Instead of the preset's.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the splits of data without a test set.")] = 0,
    data_dir: PublishedData = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    table: dict[str, Any],
) -> None:
    """Accuracy and median radius of variants of a recipe, averaged over seeds.

    Writes rows.parquet and variants.png. Example: asymcert study ablation feature-map digits-3-8 --epochs 20
    """
    from asymcert.studies.ablations import ablate, study_of, summarise
    from asymcert.studies.pictures import write_variants_picture

    loaded = load_data(data, data_dir, sensitive or [], seed, table)
    study = study_of(name, loaded, **({} if epochs is None else {"epochs": epochs}))
    folder = out if out is not None else Path("runs") / f"{name}-{loaded.name}"
    with show.progress(name, len(study.variants) * seeds, quiet) as update:
        rows = ablate(loaded, study, range(seeds), folder=folder, progress=_counted(update))
    rows.write_parquet(folder / "rows.parquet")
    write_variants_picture(rows, folder / "variants.png")
    found = summarise(rows)
    found = found if as_json else found.select(name for name in SHOWN if name in found.columns)
    shown = [rounded(row, as_json) for row in found.iter_rows(named=True)]
    show.table(f"{loaded.name}: {name}, means over {seeds} seed{'s' * (seeds > 1)}", shown, as_json)
    show.console.print(f"[green]figure:[/green] {folder / 'variants.png'}")


@app.command()
def cascade(
    data: Many = "mnist",
    sensitive: Class = 3,
    epochs: Epochs = 10,
    rate: Annotated[float, typer.Option(help="False-positive rate of the first stage on validation data.")] = 0.01,
    norm: Norm = "2",
    preset: Preset = None,
    method: Method = None,
    each: Each = None,
    seed: Seed = 0,
    data_dir: PublishedData = None,
    as_json: Json = False,
) -> None:
    """All classes by a certified first stage for one of them and a plain second stage for the others.

    Example: asymcert study cascade digits --class 3
    """
    from asymcert.studies.cascade import (
        Cascade,
        evaluate_cascade,
        one_against_rest,
        train_second,
    )
    from asymcert.threats.model import ThreatModel
    from asymcert.training import train

    check_number("--rate", rate, 0.0, 1.0)
    threat = ThreatModel(parse_norm(norm))
    loaded = _loaded(data, data_dir, seed, sensitive, each)
    binary = one_against_rest(loaded, sensitive)
    every: dict[str, Any] = {"epochs": epochs, "validate_every": epochs, "false_positive_rate": rate}
    first = train(binary, preset=preset, seed=seed, **every)
    built = Cascade(first, train_second(loaded, epochs=epochs, seed=seed), loaded.classes, sensitive)
    outcome = evaluate_cascade(built, loaded.test, threat, method)
    others = [share for name, share in outcome.accuracy_by_class.items() if name != built.classes[sensitive]]
    row = {
        "sensitive": built.classes[sensitive],
        "accuracy": outcome.accuracy,
        "accuracy_sensitive": outcome.accuracy_by_class[built.classes[sensitive]],
        "accuracy_least_other": min(others),
        "norm": norm,
        "median_radius": float(outcome.certificate.radius.median()),
    }
    show.table(f"{data}: cascade on {len(loaded.test[0])} test samples", [rounded(row, as_json)], as_json)


@app.command(name="convex-concave")
def convex_concave(
    data: Many = "mnist",
    sensitive: Class = 3,
    epochs: Epochs = 10,
    norm: Norm = "2",
    each: Each = None,
    out: Annotated[Path | None, typer.Option(help="Model file to write.", show_default=False)] = None,
    seed: Seed = 0,
    data_dir: PublishedData = None,
    as_json: Json = False,
) -> None:
    """One convex logit against concave ones: accuracy, and radii by three certificates.

    Example: asymcert study convex-concave digits --class 3
    """
    from asymcert.certify import certify
    from asymcert.certify.convex_concave import PAIRWISE
    from asymcert.studies.convex_concave import train_convex_concave
    from asymcert.threats.model import ThreatModel

    threat = ThreatModel(parse_norm(norm))
    target = None if out is None else output_file("--out", out)
    loaded = _loaded(data, data_dir, seed, sensitive, each)
    model = train_convex_concave(loaded, sensitive, epochs=epochs, seed=seed)
    if target is not None:
        model.save(target)
    x, own = loaded.test[0], loaded.test[1] == sensitive
    right = model.predict(x) == own
    rows = []
    for pairwise in PAIRWISE:
        radius = certify(model, x[own], threat, pairwise=pairwise).radius
        rows.append(
            {
                "pairwise": pairwise,
                "accuracy_sensitive": float(right[own].double().mean()),
                "accuracy_other": float(right[~own].double().mean()),
                "norm": norm,
                "median_radius": float(radius.median()),
            }
        )
    title = f"{data}: {model.sensitive} against {model.other}"
    show.table(title, [rounded(row, as_json) for row in rows], as_json)


def _loaded(data: str, data_dir: Path | None, seed: int, sensitive: int, each: int | None) -> datasets.ManyClasses:
    """Data of many classes, after checking what picks from them."""
    from asymcert.studies.cascade import first_samples

    if each is not None:
        check_count("--each", each)
    loaded = datasets.load_many(data, data_dir, seed)
    if not 0 <= sensitive < len(loaded.classes):
        raise refuse("--class", f"from 0 to {len(loaded.classes) - 1}", sensitive)
    return first_samples(loaded, each)


def _counted(update: Any) -> Any:
    return lambda done, total: update(done, total=total)
