"""The documentation site: it builds without a warning, fetches nothing from elsewhere, and its code runs."""

import importlib.util
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.cli.overview import GROUPS
from contracts.pages import ROOT, Block, Desk, blanked, blocks
from contracts.tools import tool

NO_MKDOCS = importlib.util.find_spec("mkdocs") is None  # the extra `docs` is not installed
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
INCLUDED = ["CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"]
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
OTHERS = {  # blocks of pages whose text is not to be touched, that are not run: their first lines, and why
    "asymcert compare mnist-3-8 --out runs/compare": "an hour; tests/cli/test_cli_compare.py runs it small",
    "asymcert compare mnist-3-8 --points 5 --at 98 --at 99 --out runs/fronts": "hours; tests/compare runs it small",
    "asymcert train mnist-3-8 --model linf-net --out runs/distance": "minutes; test_cli_linf.py runs it small",
}


def reason(block: Block) -> str:
    """Why a block is not run; empty for one that is."""
    return block.notes.get("not run", "") or OTHERS.get(block.text.partition("\n")[0], "")


@pytest.mark.parametrize("page", [*PAGES, *INCLUDED])
def test_code_of_a_page(page, tmp_path):
    """Every block runs, in order, and prints what the page says up to the numbers."""
    with Desk(tmp_path) as desk:
        for block in blocks(page):
            if not reason(block):
                desk.run(block)


def test_blocks_that_are_not_run():
    """They are few, each says why, and commands in them and their options exist."""
    every = [block for page in [*PAGES, *INCLUDED] for block in blocks(page)]
    left_out = [block for block in every if reason(block)]
    for block in left_out:
        print(f"{block}: {reason(block)}")
        assert len(reason(block).split()) >= 2
        for line in block.commands:
            assert known(line), f"{block}: {line}"
    assert set(OTHERS) <= {block.text.partition("\n")[0] for block in left_out}
    assert 5 * len(left_out) < 2 * sum(block.kind in ("python", "commands", "file") for block in every)


def known(line: str) -> bool:
    """Whether a command line names a real command and real options."""
    if not line.startswith("asymcert "):
        return True
    words = line.split()[1:]
    if words[0].startswith("-"):
        return words[0] in help_of("")
    command = " ".join(words[:2]) if words[0] in GROUPS else words[0]
    return all(option.partition("=")[0] in help_of(command) for option in words if option.startswith("--"))


@cache
def help_of(command: str) -> str:
    done = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, f"no command {command!r}"
    return done.output


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise ValueError\n```\n",
        "```bash\nasymcert doctor --nonsense\n```\n",
        "```bash\nasymcert doctor --json\n```\n\n<!-- output -->\n```text\nsomething else\n```\n",
        "```toml\nnorm = \n```\n",
        "```text\nneither code nor output\n```\n",
        "```bash\npip install something\n```\n",
    ],
)
def test_a_wrong_block_is_noticed(text, tmp_path):
    desk = Desk(tmp_path)
    *first, last = blocks("page.md", text)
    for block in first:
        desk.run(block)
    with pytest.raises((AssertionError, ValueError)):
        desk.run(last)


def test_outputs_are_compared_up_to_numbers():
    assert blanked("caught  97.5 %\n━━━") == blanked("caught 9.25 %\n━━━━━")
    assert blanked("caught 97.5 %") != blanked("missed 97.5 %")


# -- The built site


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the built site; strict: a warning, such as one about a link, is an error."""
    if NO_MKDOCS:
        pytest.skip("mkdocs is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class Elements(HTMLParser):
    """What a page fetches, where it links to, and the anchors that it has."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.links, self.anchors, self.styles = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        if tag in FETCHED and FETCHED[tag] in values and values.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(values[FETCHED[tag]])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.styles.append(values.get("style", ""))

    def handle_data(self, data):
        if self.lasttag == "style":
            self.styles.append(data)


@pytest.fixture(scope="module")
def pages(built):
    return {path: Elements(path.read_text(encoding="utf-8")) for path in sorted(built.rglob("*.html"))}


def is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_nothing_is_fetched_from_elsewhere(built, pages):
    assert len(pages) > 30
    for path, page in pages.items():
        assert [each for each in page.fetched if is_elsewhere(each)] == [], path
        assert not any(re.search(r"@import|url\(['\"]?(https?:)?//", style) for style in page.styles), path
    for sheet in built.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_fetching_from_elsewhere_is_noticed():
    page = Elements('<script src="//cdn/x.js"></script><link rel="preconnect" href="https://fonts"><img src="a.png">')
    assert list(map(is_elsewhere, page.fetched)) == [True, True, False]


def test_links_lead_somewhere(built, pages):
    """Within the site, anchors included."""
    for path, page in pages.items():
        for address in filter(lambda each: not is_elsewhere(each), page.links):
            parts = urlsplit(address)
            if path.name == "404.html" or parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.relative_to(built)}: {address}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.relative_to(built)}: {address}"


def test_every_page_is_found_by_the_search(built):
    index = (built / "search" / "search_index.json").read_text(encoding="utf-8")
    for page in PAGES:
        assert f'"{page.removeprefix("docs/").removesuffix(".md")}.html"' in index, page


# -- Generated pages


@pytest.fixture(scope="module")
def site():
    if NO_MKDOCS:
        pytest.skip("mkdocs is not installed")
    return tool("site")


def test_command_line_page_is_complete(site):
    page = site.command_line()
    for name, command in site.commands(typer.main.get_command(app)):
        section = page.split(f"\n## asymcert {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option == "--help" or f"`{option}" in section or f", {option}" in section, f"{name} {option}"
    for block in blocks("command_line.md", page):
        assert all(known(line) for line in block.text.splitlines()), block


def test_rows_page_explains_every_column(site):
    page = site.row_schemas()
    lines = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", page, re.M)
    assert len(lines) > 50
    assert [name for name, _, meaning in lines if not meaning] == []


def test_examples_have_pages(site):
    listed = site.example_list()
    for path in (ROOT / "examples").glob("*.py"):
        assert path.name in listed


def test_notebooks_have_pages_with_their_pictures(site):
    pages, listed = site.generated(), site.example_list()
    for path in site.notebooks():
        page = pages[site.example_page(path)]
        drawn = re.findall(r"!\[.*?\]\((\S+)\)", page)
        assert drawn
        assert all(pages[f"examples/{name}"].startswith(b"\x89PNG") for name in drawn)
        assert path.name in listed
    assert "](../text.md)" in pages["examples/spam_ipynb.md"]
    assert "](append_only_py.md)" in pages["examples/intrusion_ipynb.md"]
    assert "sk-estimator" in pages["examples/spam_ipynb.md"]


def test_links_to_other_files_lead_to_their_pages(site):
    assert (
        site.relinked("[x](../examples/append_only.toml)", "a/b.md", "docs/c.md")
        == "[x](../examples/append_only_toml.md)"
    )
    assert site.relinked("[x](docs/text.md)", "index.md", "README.md") == "[x](text.md)"
    assert site.relinked("[x](other.md#here)", "a/b.md", "docs/a/b.md") == "[x](other.md#here)"


def test_links_lead_somewhere_without_the_site():
    """On disk, and where the repository is browsed: each names a file that is there."""
    for page in [*PAGES, *INCLUDED, "README.md"]:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(
            r"\]\(([^)#\s:]+)(?:#[^)\s]*)?\)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        ):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_pictures_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pictures.py", "--out", str(tmp_path)])
    tool("pictures").main()
    for name in ("slope.png", "columns.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (ROOT / "docs" / "understand" / name).exists()


def test_pictures_of_pages_exist_and_are_shown():
    shown = {target for page in PAGES for target in pictures_of(page)}
    assert shown <= {path.resolve() for path in (ROOT / "docs").rglob("*.png")}


def pictures_of(page: str) -> list[Path]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(ROOT / page).parent.joinpath(name).resolve() for name in re.findall(r"!\[.*?\]\((.*?)\)", text)]
