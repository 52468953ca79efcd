import json
import re
import sys
from html.parser import HTMLParser

import polars as pl
import pytest
from PIL import Image

from asymcert.errors import DependencyError, InputError, RunError
from asymcert.report import write_report
from asymcert.report.libraries import optional
from asymcert.runs.folder import RunFolder

# The drawing library is one script of five megabytes; what is looked for here stands outside it.


class Page(HTMLParser):
    """Elements with attributes, and the text outside scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.words, self.scripts, self._inside = [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style", "title") else ""

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        (self.scripts if self._inside == "script" else self.words if not self._inside else []).append(data)


@pytest.fixture(scope="session")
def parsed(page):
    return Page(page)


def test_page_refers_to_no_other_place(parsed):
    for tag, attributes in parsed.elements:
        assert tag not in ("link", "iframe", "base", "object", "embed")
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    policies = [a["content"] for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "http" not in policies[0]


def test_every_figure_has_its_place(parsed):
    figures = json.loads(parsed.scripts[1])
    places = [a["id"] for _, a in parsed.elements if a.get("class", "").startswith("plot")]
    assert sorted(figures) == sorted(places)
    assert {name.partition("-")[0] for name in figures} == {
        *("curve", "rate", "ranking", "calibration", "surface", "radii", "training")
    }
    assert sum(name.startswith("curve") for name in figures) == 3
    assert sum(name.startswith("surface") for name in figures) == 3  # not for the method that is not closed-form


def test_page_tells_what_was_run(parsed):
    for words in (
        "toy: certified robustness",
        "malware",
        "halved",
        "ℓ∞ box[0,1]",
        "It does not say",
        "None of 48 attacks",
        "20 samples, 4 with radius 0",
    ):
        assert words in parsed.text, words


def test_gallery_shows_the_stored_pixels(run, parsed):
    images = [a for tag, a in parsed.elements if tag == "img"]
    assert len(images) == len(run.read("gallery").filter(run.own)) == 4 * 16
    assert all(a["src"].startswith("data:image/png;base64,") for a in images)


def test_numbers_are_rounded_down(run, parsed):
    radius = run.read("certificates").filter(pl.col("norm") == 1, "label", *run.own)["radius"].median()
    shown = float(re.search(r"([\d.]+) median radius, ℓ₁", parsed.text)[1])
    assert radius * 0.99 < shown <= radius


def test_a_broken_certificate_is_said_in_red(tmp_path, run):
    broken = RunFolder(tmp_path / "run")
    broken.create(run.facts())
    broken.append("certificates", run.read("certificates"))
    audit = run.read("audit")
    broken.append("audit", audit.with_columns(success=pl.int_range(len(audit)) == 3))
    page = Page(write_report(broken))
    assert ("p", {"class": "bad"}) in page.elements
    assert "1 of 48 attacks broke a certificate" in page.text
    assert "Least and most robust" not in page.text  # no gallery, no training log
    assert "Training" not in page.text
    assert not (broken.path / "report" / "gallery.png").exists()


def test_names_cannot_become_markup(hostile_page):
    parsed = Page(hostile_page)
    assert sum(tag == "script" for tag, _ in parsed.elements) == 3
    assert "<script>document.title='taken'</script>$x_1$: certified robustness" in parsed.text
    assert "<" not in parsed.scripts[1]


def test_pictures_are_drawn(page):
    for name in ("certified_accuracy", "surface", "radii", "gallery"):
        with Image.open(page.with_name(f"{name}.png")) as image:
            assert min(image.size) > 400
            assert len(image.convert("RGB").getcolors(2**24)) > 20, name


def test_a_report_can_be_written_again(run, page, overlay):
    before = page.read_bytes()
    assert write_report(run, overlay).read_bytes() == before
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "certified_accuracy.png",
        "gallery.png",
        "index.html",
        "radii.png",
        "surface.png",
    ]


def test_a_run_without_certificates_is_refused(tmp_path, run):
    empty = RunFolder(tmp_path / "run")
    empty.create(run.facts())
    with pytest.raises(RunError, match="asymcert certify"):
        write_report(empty)
    rows = run.read("certificates")
    empty.append("certificates", rows.with_columns(data_digest=pl.lit("another data set")))
    with pytest.raises(RunError, match="no certificates of its model and data set"):
        write_report(empty)
    empty.append("certificates", rows.filter(~pl.col("label")))
    with pytest.raises(RunError, match="no sensitive sample"):
        write_report(empty)


def test_an_overlay_without_its_columns_is_refused(run):
    with pytest.raises(InputError, match="overlay"):
        write_report(run, {"other": pl.DataFrame({"radius": [1.0]})})


@pytest.mark.parametrize("module", ["jinja2", "plotly.offline", "matplotlib.figure"])
def test_a_missing_library_is_named_with_its_remedy(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DependencyError, match=r'pip install "asymcert\[report\]"'):
        optional(module)
