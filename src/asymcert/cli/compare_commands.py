"""The comparison of methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asymcert.cli import show
from asymcert.cli.inputs import load_data
from asymcert.cli.options import with_fields_of
from asymcert.cli.parameters import Json, MaxBytes, PublishedData, Quiet, Sensitive, TestFile
from asymcert.cli.summaries import rounded
from asymcert.datasets.tables import TableOptions

if TYPE_CHECKING:
    from asymcert.compare.run import Result


@with_fields_of(TableOptions, panel="Of a table", into="table")
def compare(
    data: Annotated[
        str, typer.Argument(help="Name of a data set (see `asymcert datasets`), or a CSV or Parquet file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to make, or to continue.")] = Path("runs/compare"),
    methods: Annotated[str, typer.Option(help="Names by commas, or `all` that are for such data.")] = "all",
    sensitive: Sensitive = None,
    test: TestFile = None,
    max_bytes: MaxBytes = None,
    budget: Annotated[str, typer.Option(help="`cpu`, or `gpu` for the published base networks.")] = "cpu",
    samples: Annotated[int, typer.Option(help="First test samples to certify.")] = 1000,
    points: Annotated[int, typer.Option(help="Settings of every method, for fronts; 1 takes methods as they are.")] = 1,
    at: Annotated[
        list[float] | None, typer.Option(help="Balanced accuracy in percent to compare fronts at; repeat it for more.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Certifier to leave out, such as branch-and-bound; repeat for more.", show_default=False),
    ] = None,
    audited: Annotated[int, typer.Option(help="Certified samples of each curve and norm to attack; 0 for none.")] = 50,
    published: Annotated[
        Path | None, typer.Option(help="JSON file of published curves, to be laid over ours.", show_default=False)
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of split and training, 0 by default; repeat it for several.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device to train on, such as `cpu` or `cuda`.")] = "cpu",
    data_dir: PublishedData = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    table: dict[str, Any],
) -> None:
    """Train and certify every method on the same data; one page, pictures and a file. Continues what was interrupted.

    Each seed has its own folder; the page shows the first in full, and the radii of all.

    Examples: asymcert compare digits-3-8 --methods feature-convex,linf-net,cayley --samples 60 --seed 0 --seed 1
    · asymcert compare spam.csv --label class --sensitive spam --out runs/spam
    """
    from asymcert.compare import CompareOptions
    from asymcert.compare import compare as run_comparison
    from asymcert.compare.estimate import minutes_left
    from asymcert.compare.outcome import read_published
    from asymcert.compare.page import write_comparison

    named = (name.strip() for name in methods.split(","))
    names = None if methods == "all" else tuple(dict.fromkeys(name for name in named if name))
    levels, left_out = tuple(level / 100 for level in at or []), tuple(without or ())
    base = CompareOptions(names, budget, samples, audited, points=points, levels=levels, without=left_out)
    runs = [replace(base, seed=number, device=device) for number in dict.fromkeys(seed or [0])]
    overlay = None if published is None else read_published(published, data)
    described = {**table, "test": test, "max_bytes": max_bytes}
    loaded = [load_data(data, data_dir, sensitive or [], options.seed, described) for options in runs]
    if not quiet:
        pairs = zip(loaded, runs, strict=True)
        show.console.print(_expected([minutes_left(part, out / f"seed-{o.seed}", o) for part, o in pairs]))
    with show.progress("compare", 1, quiet) as update:
        found = [
            run_comparison(split, out / f"seed-{options.seed}", options, _noted(update, options.seed))
            for split, options in zip(loaded, runs, strict=True)
        ]
    page = write_comparison(loaded[0], found[0], out, runs[0], overlay, found[1:])
    show.table(f"{loaded[0].name}: {loaded[0].sensitive} against {loaded[0].other}", _rows(found, as_json), as_json)
    show.console.print(f"[green]page:[/green] {page}")
    raise typer.Exit(1 if any(r.audit["success"].any() for part in found for r in part if len(r.audit)) else 0)


def _expected(seeds: Sequence[dict[str, float]]) -> str:
    """How long all seeds will take together, from minutes by method; the greatest first."""
    totals = {name: sum(part[name] for part in seeds) for name in seeds[0]}
    slowest = sorted(totals, key=lambda name: -totals[name])
    parts = [f"{name} {_duration(totals[name])}" for name in slowest if totals[name] >= 1]
    if not parts:
        return "Expected: minutes; for data of a family without figures nothing is known."
    return f"Expected on two cores, besides attacks: {_duration(sum(totals.values()))} ({', '.join(parts)})."


def _duration(minutes: float) -> str:
    hours, rest = divmod(math.ceil(minutes), 60)
    return f"{hours} h {rest:02} min" if hours else f"{rest} min"


def _noted(update: Callable[..., None], seed: int) -> Callable[[str, int, int], None]:
    return lambda what, done, of: update(done, f"seed {seed}, {what}", max(done, of))


def _rows(found: Sequence[Sequence[Result]], as_json: bool) -> list[dict[str, Any]]:
    """One row for each certifier, seed and norm: numbers as they are for JSON, rounded outward for people."""
    from asymcert.compare.outcome import lines_of
    from asymcert.evaluate.labels import COLUMNS

    rows = [
        {
            "certifier": line.series.label,
            "seed": line.seed,
            "norm": line.norm if as_json or line.norm else COLUMNS,
            "own_norm": line.own,
            "balanced_accuracy": line.series.summary["accuracy_balanced"],
            "half_certified_to": line.half,
            "seconds": line.series.summary["seconds"],
        }
        for results in found
        for line in lines_of(results)
    ]
    return [rounded(row, as_json) for row in rows]
