"""Pages come from templates that escape every value; no HTML is glued together in Python."""

import ast
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes

import asymcert
from asymcert.report.page import TEMPLATES, environment, write_page

SOURCE = Path(asymcert.__file__).parent
PAGES = sorted(SOURCE.glob("*/templates/*.html"))
TAGS = "html head body header main footer section h1 h2 h3 p a b i em div span table tr td th dl dt dd img figure"
TAG = re.compile(rf"</?(?:{'|'.join(TAGS.split())}|style|script)\b|&(?:lt|gt|amp|quot);", re.IGNORECASE)


def unescaped(source):
    """Places of a template that put out a value as it is."""
    tree = environment(TEMPLATES).parse(source)
    filters = [node.name for node in tree.find_all(nodes.Filter) if node.name == "safe"]
    return filters + ["autoescape" for _ in tree.find_all(nodes.EvalContextModifier)]


def glued(source):
    """Texts of a Python file that hold HTML, docstrings too."""
    constants = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str) and TAG.search(value)]


def test_only_the_plotting_library_is_put_out_as_it_is():
    found = {path.name: unescaped(path.read_text(encoding="utf-8")) for path in PAGES}
    assert {name: filters for name, filters in found.items() if filters} == {"base.html": ["safe"]}
    assert "table.html" in found
    assert "{{ library | safe }}" in (TEMPLATES / "base.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", ["{{ x | safe }}", "{% autoescape false %}{{ x }}{% endautoescape %}"])
def test_the_rule_for_templates_catches(source):
    assert len(unescaped(source)) == 1


def test_no_html_stands_in_python():
    files = {path: glued(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    assert {path: texts for path, texts in files.items() if texts} == {}


@pytest.mark.parametrize("source", ["x = f'<div class={1}>'", "x = '</td>'", "x = '<B>'", "x = '&lt;'"])
def test_the_rule_for_python_catches(source):
    assert len(glued(source)) == 1


@pytest.mark.parametrize("name", ["page.html", "page.txt", "page"])
def test_values_are_escaped_whatever_the_template_is_called(tmp_path, name):
    (tmp_path / name).write_text('<i title="{{ x }}">{{ x }}</i>{{ x | tojson }}', encoding="utf-8")
    shown = environment(tmp_path).get_template(name).render(x="\"'<script>&")
    escaped = "&#34;&#39;&lt;script&gt;&amp;"
    assert shown == f'<i title="{escaped}">{escaped}</i>' + r'"\"\u0027\u003cscript\u003e\u0026"'


def test_a_value_that_is_not_given_fails_and_writes_nothing(tmp_path):
    template, target = tmp_path / "page.html", tmp_path / "out.html"
    blocks = [f"{{% block {name} %}}{{{{ {name} }}}}{{% endblock %}}" for name in ("title", "lead", "main", "footer")]
    template.write_text('{% extends "base.html" %}' + "".join(blocks), encoding="utf-8")
    given = {"title": "<t>", "lead": 1, "main": 2, "footer": 3}
    write_page(target, template, {}, **given)
    assert "<title>&lt;t&gt;</title>" in target.read_text(encoding="utf-8")
    target.unlink()
    for name in given:
        with pytest.raises(jinja2.UndefinedError, match=f"'{name}' is undefined"):
            write_page(target, template, {}, **{key: value for key, value in given.items() if key != name})
    assert list(tmp_path.iterdir()) == [template]


def test_no_infinite_number_reaches_the_script(tmp_path):
    (tmp_path / "page.html").write_text("{{ x | tojson }}", encoding="utf-8")
    with pytest.raises(ValueError, match="not JSON compliant"):
        environment(tmp_path).get_template("page.html").render(x=float("inf"))


def test_every_template_is_installed():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["asymcert"]
    for path in SOURCE.glob("**/templates/*"):
        assert any(fnmatch(path.relative_to(SOURCE).as_posix(), pattern) for pattern in patterns), path
