"""Pages of the documentation site that are made from the code, as a hook of mkdocs (see mkdocs.yml).

- ``reference/command_line.md`` from the Typer application, so that it cannot go stale;
- ``reference/rows.md`` from the schemas in ``runs/rows.py`` and the comments beside their columns;
- ``examples/`` from the files in ``examples/``;
- change log, contributing, benchmarks: files of the repository as they are.

Links to files outside ``docs/`` lead to the pages that these files have in the site.
"""

from __future__ import annotations

import ast
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


def generated() -> dict[str, str]:
    """Path in the site and text of every generated page."""
    pages = {page: (ROOT / source).read_text(encoding="utf-8") for page, source in INCLUDED.items()}
    pages |= {"reference/command_line.md": command_line(), "reference/rows.md": row_schemas()}
    pages |= {example_page(path): example(path) for path in examples()}
    return pages | {"examples/index.md": example_list()}


def relinked(markdown: str, page: str, source: str) -> str:
    """The text of a page, whose links are those of its source, a file of the repository."""
    pages = {path: target for target, path in INCLUDED.items()} | {"README.md": "index.md"}
    pages |= {f"examples/{path.name}": example_page(path) for path in examples()}

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
    return sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".toml"))


def example_page(path: Path) -> str:
    """Where a file's page is."""
    return f"examples/{path.name.replace('.', '_')}.md"


def example(path: Path) -> str:
    """The page of a file."""
    language = {".py": "python", ".toml": "toml"}[path.suffix]
    return f"# {path.name}\n\n```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"


def example_list() -> str:
    """All of them, each with the first line of its docstring."""
    lines = ["# Examples", "", "Each is one file that runs as it is.", ""]
    for path in examples():
        said = ast.get_docstring(ast.parse(path.read_text("utf-8"))) if path.suffix == ".py" else "A threat model."
        lines.append(f"- [{path.name}]({Path(example_page(path)).name}): {(said or '').splitlines()[0]}")
    return "\n".join(lines) + "\n"
