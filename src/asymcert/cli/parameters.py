"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunPath = Annotated[Path, typer.Argument(help="Run folder that `asymcert train` made.")]
Norms = Annotated[
    list[str] | None,
    typer.Option(
        "--norm",
        help="1, 2, inf, any p of at least 1; how many columns (0) change or words are edited; repeat.",
    ),
]
Edits = Annotated[
    str | None,
    typer.Option(
        help="With --norm words: kinds of edits among add, remove and replace, with prices: add,remove=2.5; "
        "with sentences, whole ones are added freely. All three by default.",
        show_default=False,
    ),
]
ThreatFiles = Annotated[
    list[Path] | None,
    typer.Option("--threat", help="TOML or JSON file with a threat model, see docs/threat_models.md; repeat for more."),
]
MethodName = Annotated[
    str | None,
    typer.Option(
        help="Feature-convex: closed-form (fastest, default of images), tangent (default of tables), refined or exact "
        "(slowest), on distances enclosure (default) or closed-form; l_inf-distance net: interval (default) or "
        "lipschitz.",
        show_default=False,
    ),
]
Limit = Annotated[int | None, typer.Option(help="Only the first samples of the split.", show_default=False)]
SplitName = Annotated[str, typer.Option("--split", help="train, val or test.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder with the data, where it is not where training found it.")]
MaxBytes = Annotated[
    int | None, typer.Option(help="Table: most bytes that a packed file may unpack to.", show_default=False)
]
Sensitive = Annotated[
    list[str] | None,
    typer.Option(help="The class that an adversary wants to escape from; table: repeat for more."),
]
TestFile = Annotated[Path | None, typer.Option("--test", help="Table: file with the test rows.")]
PublishedData = Annotated[
    Path | None, typer.Option(help="Folder with published data; else $ASYMCERT_DATA, cache, download.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
Box = Annotated[bool, typer.Option(help="With --norm: keep changed inputs in [0, 1], the range of scaled inputs.")]
