"""The page in a real browser: every plot is drawn, nothing fails, nothing is fetched."""

import re

import pytest

PLOTS = 5 * 3 + 6 + 1  # curves, at a rate, surfaces, radii, training; ROC, precision; calibration


@pytest.fixture(scope="session")
def drawn(browse, page):
    return browse(page)


def plots_of(document):
    """HTML of each plot by the id of its element."""
    body = document[document.rindex("</header>") :]
    pieces = re.split(r'<div class="plot[^"]*" id="([a-z]+-\d+)"', body)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_nothing_fails_in_the_browser(drawn):
    _, console = drawn
    assert console == []


def test_every_plot_is_drawn(drawn):
    document, _ = drawn
    plots = plots_of(document)
    assert len(plots) == PLOTS
    for name, content in plots.items():
        assert 'data-drawn="yes"' in content, name
        assert 'class="main-svg"' in content, name
    for name in ("curve-0", "curve-1", "curve-2"):
        lines = re.findall(r'class="js-line"[^>]*d="(M[^"]{20,})"', plots[name])
        assert len(lines) >= 1, name
        assert re.search(r'class="js-fill"[^>]*d="M', plots[name]), name
    for name in (name for name in plots if name.startswith("surface")):
        assert "<image" in plots[name], name
        assert len(re.findall(r'class="js-line"', plots[name])) >= 2, name
    for name in ("radii-0", "training-0"):
        assert 'class="js-line"' in plots[name], name


def test_overlay_is_drawn_as_a_curve_of_its_own(drawn):
    document, _ = drawn
    plots = plots_of(document)
    traces = [len(re.findall(r'class="trace scatter', plots[f"curve-{panel}"])) for panel in range(3)]
    assert traces == [3 + 1, 2 * 3, 3]  # band of two and line; l1 has the overlay too, l2 two methods


def test_hostile_names_run_nothing(browse, hostile_page):
    document, console = browse(hostile_page)
    assert console == []
    assert "<title>taken" not in document
    assert document.count('data-drawn="yes"') == PLOTS
