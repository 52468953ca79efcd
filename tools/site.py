"""Pages of the documentation site that are made from the code, as a hook of mkdocs (see mkdocs.yml).

- ``reference/command_line.md`` from the Typer application, so that it cannot go stale;
- ``reference/rows.md`` from the schemas in ``runs/rows.py`` and the comments beside their columns;
- ``examples/`` from the files in ``examples/``, notebooks with their stored outputs;
- change log, contributing, benchmarks: files of the repository as they are.

Links to files outside ``docs/`` lead to the pages that these files have in the site, or that are made from them.
"""

from __future__ import annotations

import ast
import base64
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from rich.text import Text

from asymcert.cli.app import app
from asymcert.runs import rows

ROOT = Path(__file__).parents[1]
INCLUDED = {  # pages that are files of the repository
    "reference/release_notes.md": "CHANGELOG.md",
    "reference/contributing.md": "CONTRIBUTING.md",
    "reference/benchmarks.md": "benchmarks/README.md",
}
MADE_FROM = {  # pages, and the file that each is made from, which pages link to
    "reference/command_line.md": "src/asymcert/cli/app.py",
    "reference/rows.md": "src/asymcert/runs/rows.py",
    "examples/index.md": "examples",
}
WIDE = "---\nhide: [navigation]\n---"  # code needs room
TABLES = {  # schemas of runs/rows.py, and what a row of them is
    "SCHEMA": ("certificates", "One sample under one threat model, by one method."),
    "AUDIT_SCHEMA": ("audit", "One attack on one certificate."),
    "TEXT_SCHEMA": ("audit of texts", "One attack by edited texts: the columns of `audit`, and these."),
    "GALLERY_SCHEMA": ("gallery", "Images of least and greatest radius, for the report."),
    "ALERT_SCHEMA": ("alerts", "Fragile alerts of a detector of texts, for the report."),
    "POINT_SCHEMA": ("points", "Thresholds at which the run was certified once more."),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links from a page to files outside ``docs/`` become links to their pages."""
    here = page.file.src_uri
    return relinked(markdown, here, INCLUDED.get(here, f"docs/{here}"))


def generated() -> dict[str, str | bytes]:
    """Path in the site and text of every generated page, and pictures in notebooks."""
    pages = {page: (ROOT / source).read_text(encoding="utf-8") for page, source in INCLUDED.items()}
    pages |= {"reference/command_line.md": command_line(), "reference/rows.md": row_schemas()}
    pages |= {example_page(path): example(path) for path in examples()}
    pictures = {name: data for path in notebooks() for name, data in pictures_of(path).items()}
    return pages | {"examples/index.md": example_list()} | pictures


def relinked(markdown: str, page: str, source: str) -> str:
    """The text of a page, whose links are those of its source, a file of the repository."""
    pages = {path: target for target, path in (INCLUDED | MADE_FROM).items()} | {"README.md": "index.md"}
    pages |= {path.relative_to(ROOT).as_posix(): example_page(path) for path in examples()}

    def link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        target = pages.get(path, path.removeprefix("docs/") if source in pages else None)
        return match[0] if target is None else f"]({posixpath.relpath(target, posixpath.dirname(page))})"

    return re.sub(r"\]\(([^)#\s:]+)\)", link, markdown)


# -- The command line


def command_line() -> str:
    """A section for each command: what it does, how it is called, its options by group."""
    lines = ["# Command line", "", "`asymcert COMMAND --help` says the same. Made from the program itself.", ""]
    lines += ["Exit codes: 0 success, 1 a broken certificate or a weaker model, 2 a mistake in what was asked,"]
    lines += ["3 rows or a table with something to decide, 130 an interrupt.", ""]
    for name, command in commands(typer.main.get_command(app)):
        lines += [f"## asymcert {name}", "", prose(command.help), "", *parameters(command)]
    return "\n".join(lines) + "\n"


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and commands, those of groups with the group's name before them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def prose(text: str | None) -> str:
    """A command's help as Markdown: the lines after ``Examples:`` as a block."""
    plain = Text.from_markup(text or "").plain
    said, _, examples = re.sub(r"\bExamples?:", "\0", plain, count=1).partition("\0")
    calls = [re.sub(r"\s+", " ", call).strip() for call in examples.split("·")]
    block = ["```text", *calls, "```"] if examples else []
    return "\n".join([escaped(said.strip()), "", *block])


def parameters(command: Any) -> list[str]:
    """Tables of a command's arguments and options, one for each group."""
    groups: dict[str, list[str]] = {}
    for each in command.params:
        if each.name in ("help", "install_completion", "show_completion"):
            continue
        argument = each.param_type_name == "argument"
        panel = "Arguments" if argument else (getattr(each, "rich_help_panel", None) or "Options")
        names = each.name.upper() if argument else ", ".join([*each.opts, *each.secondary_opts])
        groups.setdefault(panel, []).append(f"| `{names}` | {escaped(each.help or '')}{default_of(each)} |")
    lines = []
    for panel, options in groups.items():
        lines += [f"| {panel} | |", "| --- | --- |", *options, ""]
    return lines


def default_of(parameter: Any) -> str:
    """What is taken where a parameter is left out, if that says something."""
    value = parameter.default
    if parameter.required:
        return " **Required.**"
    if value is None or isinstance(value, bool) or callable(value) or not getattr(parameter, "show_default", True):
        return ""
    return f" Default `{value}`."


def escaped(text: str) -> str:
    """Text in which nothing is markup, for the cell of a table too."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


# -- Rows


def row_schemas() -> str:
    """A table of columns for each schema."""
    meanings = column_comments()
    lines = [
        "# Rows",
        "",
        "Results are rows: Parquet files in a run's folder, one folder a table, for any tool to read.",
        "",
    ]
    lines += ["`asymcert.runs.folder.RunFolder(path).read(table)` gives them as a polars frame.", ""]
    for name, (title, what) in TABLES.items():
        own = [column for column in getattr(rows, name) if name != "TEXT_SCHEMA" or column not in rows.AUDIT_SCHEMA]
        lines += [f"## {title}", "", what, "", "| column | type | |", "| --- | --- | --- |"]
        for column in own:
            kind = getattr(rows, name)[column]
            meaning = meanings.get((name, column)) or meanings.get(("SCHEMA", column), "")
            lines.append(f"| `{column}` | {kind} | {escaped(meaning)} |")
        lines.append("")
    return "\n".join(lines)


def column_comments() -> dict[tuple[str, str], str]:
    """Comments beside the columns of the schemas, by name of the schema and the column."""
    source = Path(rows.__file__).read_text(encoding="utf-8")
    found, lines = {}, source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            for line in lines[node.lineno - 1 : node.end_lineno]:
                match = re.match(r'\s+"(\w+)": pl\..*?,\s+# (.*)', line)
                if match:
                    found[node.targets[0].id, match[1]] = match[2]
    return found


# -- Examples


def examples() -> list[Path]:
    """Files that have a page."""
    return notebooks() + sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".toml"))


def notebooks() -> list[Path]:
    """Those of the files that are notebooks."""
    return sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def example_page(path: Path) -> str:
    """Where a file's page is."""
    return f"examples/{path.name.replace('.', '_')}.md"


def example(path: Path) -> str:
    """The page of a file."""
    if path.suffix == ".ipynb":
        return notebook(path)
    language = {".py": "python", ".toml": "toml"}[path.suffix]
    return f"# {path.name}\n\n```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"


def example_list() -> str:
    """All of them, each with the first line of its docstring, or the title of the notebook."""
    lines = [
        "# Examples",
        "",
        "Notebooks to read and to run; then files that run as they are.",
        "",
    ]
    for path in examples():
        lines.append(f"- [{path.name}]({Path(example_page(path)).name}): {said(path)}")
    return "\n".join(lines) + "\n"


def said(path: Path) -> str:
    """What an example is about, in a line."""
    if path.suffix == ".ipynb":
        return text_of(cells(path)[0]).splitlines()[0].removeprefix("# ")
    if path.suffix == ".toml":
        return "A threat model."
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").splitlines()[0]


# -- Notebooks


def cells(path: Path) -> list[dict[str, Any]]:
    """Cells of a notebook."""
    return json.loads(path.read_bytes())["cells"]


def text_of(holder: dict[str, Any], name: str = "source") -> str:
    """Text that a notebook holds in lines."""
    return "".join(holder[name])


def notebook(path: Path) -> str:
    """The page of a notebook: text as it is, code, and below it what it shows."""
    here, source = example_page(path), path.relative_to(ROOT).as_posix()
    parts = []
    for place, cell in enumerate(cells(path)):
        if cell["cell_type"] == "markdown":
            parts.append(relinked(text_of(cell), here, source))
            continue
        parts.append(f"```python\n{text_of(cell)}\n```")
        parts += [shown(output, picture_name(path, place)) for output in cell["outputs"]]
    return "\n\n".join([WIDE, *parts]) + "\n"


def shown(output: dict[str, Any], picture: str) -> str:
    """One output as Markdown: a picture, a table or a diagram, else its text."""
    data = output.get("data", {})
    if "image/png" in data:
        return f"![What the code above draws]({posixpath.basename(picture)})"
    if "text/html" in data:
        page = re.sub(r"\n\s*\n", "\n", text_of(data, "text/html"))  # an empty line ends HTML in Markdown
        return f'<div class="output">\n{page}\n</div>'
    text = text_of(data, "text/plain") if data else text_of(output, "text")
    return f"```text\n{text.rstrip()}\n```"


def pictures_of(path: Path) -> dict[str, bytes]:
    """Path in the site and content of the pictures in a notebook, one a cell."""
    return {
        picture_name(path, place): base64.b64decode(output["data"]["image/png"])
        for place, cell in enumerate(cells(path))
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", ())
    }


def picture_name(path: Path, place: int) -> str:
    """Where the picture of a cell is."""
    return f"examples/{path.stem}_{place}.png"
