"""A classifier of texts is the greatest margin of the convex one inside, on each window."""

import math

import pytest
import torch

from asymcert import certify
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.models.base import BinaryClassifier
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.texts.codes import packed
from asymcert.texts.options import TextOptions
from asymcert.threats.model import ThreatModel

TEXTS = ["free money now. call me!", "see you at home", "", "call now. call now. free", "home money. you me"]
ENCODER = TextOptions(windows="both", least_texts=1).fit(TEXTS)


def inputs(width=1):
    return torch.from_numpy(packed(ENCODER.encode(TEXTS), len(TEXTS), width))


def classifier(dtype):
    torch.manual_seed(0)
    score = ConvexMLP((len(ENCODER.vocabulary),), (8, 4), passthrough=True)
    for weight in score.nonnegative():
        weight[1].data.abs_()
    return TextClassifier(score, 0.1, input_shape=(inputs().shape[1],)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_margin_is_the_greatest_of_its_windows(dtype):
    model, x = classifier(dtype), inputs()
    codes = WindowCodes.of(x)
    inner = model.inner.margin(codes.dense(model.features, dtype))
    expected = torch.stack([inner[codes.owner == text].max() for text in range(len(x))])
    torch.testing.assert_close(model.margin(x), expected)
    torch.testing.assert_close(model.margin(inputs(50)), expected)  # padding says nothing
    assert model.predict(x).tolist() == (expected > 0).tolist()


def test_windows_are_what_texts_consist_of():
    assert WindowCodes.of(inputs()).kind.tolist() == [0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 1]
    windows = [words for _, words in ENCODER.windows_of("Do  YOU. Home")]
    assert windows == [["do", "you", ".", "home"], ["do", "you", "."], ["home"]]


def test_a_saved_classifier_is_itself(tmp_path):
    model = classifier(torch.float64)
    model.save(tmp_path / "m.safetensors")
    again = BinaryClassifier.load(tmp_path / "m.safetensors")
    assert isinstance(again, TextClassifier)
    assert again.digest == model.digest
    assert again.double().margin(inputs()).equal(model.margin(inputs()))


def test_features_that_the_model_lacks_are_refused():
    model = classifier(torch.float32)
    with pytest.raises(InputError, match="features of the model"):
        model.margin(torch.tensor([[1.0, (model.features + 1) / 2**24]]))


@pytest.mark.parametrize("norm", [0, 1, 2, math.inf])
def test_an_adversary_who_does_not_edit_words_is_refused(norm):
    with pytest.raises(InputError, match=r"of edited words for a classifier of texts.*norm 'words'"):
        certify(classifier(torch.float32), inputs(), ThreatModel(norm, lower=0, upper=1))
