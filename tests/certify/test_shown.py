"""Certificates, runs and threat models show what they are in a few words; tensors are never dumped."""

import math
from html.parser import HTMLParser

import polars as pl
import pytest
import torch

from asymcert import ThreatModel
from asymcert.certify import Certificate
from asymcert.threats.shown import Shown, floored

HOSTILE = "<script>alert(1)</script>"


class Cells(HTMLParser):
    """The tags of a page, and the texts between them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def certificate(radius=(0.0, 0.2496, 0.5, math.inf), margin=(-1.0, 1.0, 2.0, 3.0), **parts):
    radii, margins = (torch.tensor(values, dtype=torch.float64) for values in (radius, margin))
    threat = parts.pop("threat", ThreatModel(1, 0, 1))
    return Certificate(radii, margins, torch.full_like(radii, math.nan), threat, "tangent", **parts)


def test_a_certificate_is_one_line():
    assert repr(certificate(sound=True)) == (
        "Certificate(method: tangent, threat: l1 box[0,1], samples: 4, sensitive: 3, "
        "radius of the sensitive: median 0.5, 10 % 0.249, 90 % 0.5, sound: yes)"
    )


def test_what_is_lacking_is_said():
    shown = repr(certificate(abstained=torch.tensor([True, False, False, False])))
    assert "without verdict: 1" in shown
    assert "sound: no" in shown
    assert "radius" not in repr(certificate((0.0,), (-1.0,)))
    assert "samples: 0" in repr(certificate((), ()))


def test_a_notebook_shows_the_same_facts_escaped():
    shown = certificate(threat=ThreatModel(2, name=HOSTILE))
    page = Cells(shown._repr_html_())
    assert page.tags == {"table", "caption", "tr", "th", "td"}
    assert any(HOSTILE in text for text in page.texts)
    assert all(part in page.texts for fact in shown._shown().items() for part in fact)


def test_a_threat_model_says_what_its_parts_are():
    box = ThreatModel(
        1, 0, torch.ones(3), direction=torch.tensor([1, 0, -1]), mutable=torch.tensor([True, True, False])
    )
    assert repr(box) == (
        "ThreatModel(size: l1, box: [0, per feature], mutable: 2 of 3, direction: 1 only up, 1 only down)"
    )
    counting = ThreatModel(0, cost=2.0, groups=torch.tensor([0, 0, 1]), name=HOSTILE)
    assert repr(counting) == f"ThreatModel(size: l0, name: {HOSTILE}, columns: 2, cost: 2)"
    assert HOSTILE in Cells(counting._repr_html_()).texts
    assert len(repr(ThreatModel(2, torch.zeros(5000)))) < 60


def test_large_certificates_are_shown_as_shortly():
    shown = certificate([1.0] * 5000, [1.0] * 5000, adversarial=torch.zeros(5000, 8))
    assert len(repr(shown)) < 200
    assert len(shown._repr_html_()) < 800


@pytest.mark.parametrize("value", [0.2496, 31.999, 1234.5, 1e-9, 0.0, 2.0, 123456789.0])
def test_shown_radii_are_rounded_down(value):
    assert value * 0.99 <= float(floored(value)) <= value


def test_frame():
    frame = certificate(upper=torch.tensor([0.0, 0.3, math.inf, math.inf], dtype=torch.float64)).to_frame()
    assert frame.schema == {
        "row": pl.Int64,
        "verdict": pl.Boolean,
        "margin": pl.Float64,
        "radius": pl.Float64,
        "upper": pl.Float64,
    }
    assert frame.row(1) == (1, True, 1.0, 0.2496, 0.3)
    assert frame["row"].to_list() == [0, 1, 2, 3]
    assert frame["verdict"].to_list() == [False, True, True, True]


def test_frame_without_upper_bounds_and_without_verdicts():
    frame = certificate(abstained=torch.tensor([True, False, False, False])).to_frame()
    assert frame.columns == ["row", "verdict", "margin", "radius"]
    assert frame["verdict"].to_list() == [None, True, True, True]
    assert certificate((), ()).to_frame().shape == (0, 4)


def test_facts_are_to_be_given():
    with pytest.raises(TypeError, match="_shown"):
        Shown()
