"""Training on texts: falls by edits of words, signs of features, sparse sums, the empty text, where it is refused."""

import itertools

import numpy as np
import pytest
import torch

from asymcert import train
from asymcert.convex import ConvexMLP
from asymcert.datasets import BinaryData, Split
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.text_columns import WindowsColumn
from asymcert.errors import InputError
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.codes import packed
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.vocabulary import Vocabulary
from asymcert.threats.table_words import word_edits
from asymcert.threats.words import GRAM, PAIR, WORD
from asymcert.training.models import kind_of, model_for
from asymcert.training.text import TextScore
from asymcert.training.text_config import TextConfig
from asymcert.training.words import WordFalls

ANIMALS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
PAIRS = (("ant", "bee"), ("bee", "cat"), ("elk", "fox"))
VOCABULARY = Vocabulary(tuple(ANIMALS), (("ant", 2),), PAIRS, (" an", " be", " el", " fo"))
COLUMN = WindowsColumn("text", "", TextEncoder(CanonicalForm(), VOCABULARY, "both"), 64)
SMALL = {"hidden": (6,), "epochs": 12, "batch_size": 32, "dropout": 0.1, "learning_rate": 0.03}
FREE = {**SMALL, "rising": "none", "learning_rate": 0.1, "weight_decay": 0.0, "sensitive_weight": 1.0}


def draw(rows, seed):
    """Texts of a few sentences; sensitive ones have one with more of the first animals."""
    generator, y = np.random.default_rng(seed), torch.arange(rows) % 2 == 0
    texts = []
    for sensitive in y.tolist():
        sentences = [generator.choice(ANIMALS[4:], 3) for _ in range(2)]
        sentences.insert(1, generator.choice(ANIMALS[:4] if sensitive else ANIMALS[2:], 4))
        texts.append(". ".join(" ".join(sentence) for sentence in sentences))
    return Split(torch.from_numpy(packed(COLUMN.encoder.encode(texts), rows, 64)), y)


@pytest.fixture(scope="module")
def data():
    parts = [draw(rows, seed) for seed, rows in enumerate((160, 60, 60))]
    return BinaryData("toy", *parts, sensitive="bad", other="good", scaling=TableScaling((COLUMN,)))


def objective(data, **fields):
    torch.manual_seed(0)
    return TextScore(TextConfig(**fields), data.train.x).meet(data)


def score(hidden=(5, 4)):
    torch.manual_seed(0)
    network = ConvexMLP((len(VOCABULARY),), hidden).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    network.project_()
    return network


def test_sums_of_sets_are_those_of_dense_rows(data):
    windows, network = WindowCodes.of(data.test.x), score()
    dense = network(windows.dense(len(VOCABULARY), torch.float64))
    torch.testing.assert_close(network.of_sets(windows.feature, windows.starts), dense)


def test_windows_are_chosen_and_thinned(data):
    windows = WindowCodes.of(data.test.x)
    dense = windows.dense(len(VOCABULARY), torch.float64)
    values = score()(dense)
    best = windows.best(values)
    torch.testing.assert_close(values[best], windows.greatest(values, len(data.test)))
    assert torch.equal(windows.owner[best], torch.arange(len(data.test)))
    assert torch.equal(windows.only(best).dense(len(VOCABULARY), torch.float64), dense[best])
    without = windows.thinned(windows.feature != 2).dense(len(VOCABULARY), torch.float64)
    dense[:, 2] = 0.0
    assert torch.equal(without, dense)
    assert torch.equal(
        windows.best(torch.zeros(len(windows.owner))), windows.owner.diff(prepend=torch.tensor([-1])).nonzero()[:, 0]
    )


def brute(slope, present, kinds, count, rises):
    """Greatest fall over all choices of words that are put in and taken out, and all plans, of one text."""
    families, ends, worst = VOCABULARY.families, VOCABULARY.ends, 0.0
    owner = [*range(8), 0]  # of the inputs of words
    value = np.where(present, slope, np.where(rises, 0.0, -slope)).clip(min=0.0)

    def greatest(family, lost, room):
        return np.sort(value[(families == family) & (present == lost)])[::-1][:room].sum()

    with_pairs = np.zeros(8)
    for feature in np.nonzero(present & (families < GRAM))[0]:
        for word in [owner[feature]] if families[feature] == WORD else ends[feature - 9]:
            with_pairs[word] += value[feature]
    for plan in itertools.product(kinds, repeat=count):
        put, taken = (sum(kind in own for kind in plan) for own in (("add", "replace"), ("remove", "replace")))
        gained = greatest(WORD, False, put) + greatest(PAIR, False, 2 * put + plan.count("remove"))
        lost = np.sort(with_pairs)[::-1][:taken].sum() + greatest(PAIR, True, plan.count("add"))
        grams = greatest(GRAM, False, 20 * put) + greatest(GRAM, True, 20 * taken)
        worst = max(worst, gained + lost + grams)
    return worst


@pytest.mark.parametrize("rise", [False, True])
@pytest.mark.parametrize(("kinds", "count"), [(("add",), 2), (("remove",), 1), (("add", "remove", "replace"), 3)])
def test_falls_are_the_greatest_over_all_choices_of_edits(data, kinds, count, rise):
    generator = torch.Generator().manual_seed(0)
    rises = torch.from_numpy(VOCABULARY.families > WORD) & rise
    windows = WindowCodes.of(data.test.x)
    slope = torch.randn(len(windows.owner), 3, generator=generator)
    table = torch.randn(len(VOCABULARY), 3, generator=generator)
    (fall,) = WordFalls([(word_edits([COLUMN], kinds), count)], rises)(slope, table, windows)
    present = windows.dense(len(VOCABULARY), torch.float32) == 1
    for row in range(0, len(fall), 9):
        expected = brute((slope @ table.T)[row].numpy(), present[row].numpy(), kinds, count, rises.numpy())
        assert float(fall[row]) == pytest.approx(expected, rel=1e-4)


def test_the_fall_is_that_of_the_window_with_the_greatest_score(data):
    own = objective(data, hidden=(5,), target_words=2, rising="none").double()
    own.score = score((5,))
    windows, chosen = WindowCodes.of(data.test.x), torch.arange(len(data.test)) % 3 == 0
    scores, (fall,) = own.planes(windows, chosen)
    dense = windows.dense(len(VOCABULARY), torch.float64).requires_grad_(True)
    values = own.score(dense)
    (slope,) = torch.autograd.grad(values.sum(), dense)
    best = windows.best(values.detach())
    assert own.falls is not None
    units = torch.eye(len(VOCABULARY), dtype=torch.float64)
    (expected,) = own.falls(slope[best][chosen], units, windows.only(best[chosen]))
    torch.testing.assert_close(fall, expected)
    torch.testing.assert_close(scores, values[best])
    own.share = 1.0
    loss = own(data.test.x, data.test.y, torch.Generator().manual_seed(0))
    assert loss.requires_grad


def test_a_batch_without_sensitive_texts_has_no_falls(data):
    own, harmless = objective(data, target_words=2, target_edits=1), data.train.x[~data.train.y][:8]
    own.share = 1.0
    loss = own(harmless, torch.zeros(8, dtype=torch.int64), torch.Generator().manual_seed(0))
    plain = objective(data)(harmless, torch.zeros(8, dtype=torch.int64), torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss, plain)


def test_it_learns_and_the_words_outlast_more_edits_when_trained_for_them(data):
    losses, outlasting = [], []
    for target in (0, 3):
        records = []
        model = train(data, preset="text-plain", **FREE, target_words=target, words_weight=1.0, on_epoch=records.append)
        losses.append([record["loss"] for record in records])
        verdicts = model.predict(data.test.x)
        assert float((verdicts == data.test.y).double().mean()) > 0.9
        judge = objective(data, target_words=3, rising="none")
        judge.score = model.score.requires_grad_(True)
        scores, (fall,) = judge.planes(WindowCodes.of(data.test.x), data.test.y)
        outlasting.append(float((scores[data.test.y] - fall > model.threshold).double().mean()))
    assert losses[0][-1] < losses[0][0] / 2
    assert outlasting[1] > outlasting[0] + 0.5


@pytest.mark.parametrize("rising", ["parts", "all"])
def test_features_that_rise_never_lower_the_score_also_after_loading(data, tmp_path, rising):
    train(data, **SMALL, rising=rising, target_edits=1).save(tmp_path / "model.safetensors")
    model = TextClassifier.load(tmp_path / "model.safetensors")
    rises = torch.tensor(VOCABULARY.families >= (1 if rising == "parts" else 0))
    assert all(bool((weight[:, rises] >= 0).all()) for _, weight in model.score.from_input())
    if rising == "parts":
        assert any(bool((weight[:, ~rises] < 0).any()) for _, weight in model.score.from_input())


def test_the_empty_text_is_never_sensitive(data):
    empty = torch.from_numpy(packed(COLUMN.encoder.encode(["", "unheard of"]), 2))
    model = train(data, **SMALL, false_positive_rate=1.0)
    assert model.predict(empty).tolist() == [False, False]
    assert model.threshold == model.least_threshold
    assert not bool(model.placed_at(-100.0).predict(empty).any())
    assert bool(model.with_threshold(-100.0).predict(empty).all())


def test_texts_have_a_kind_of_their_own(data):
    table = BinaryData(
        "t", *(Split(part.x[:, :4], part.y) for part in (data.train, data.val, data.test)), sensitive="a", other="b"
    )
    assert (model_for(data), model_for(table)) == ("text", "feature-convex")
    with pytest.raises(InputError, match="`model` must be 'text' for texts, got 'feature-convex'"):
        train(data, "feature-convex")
    with pytest.raises(InputError, match="`model` must be another for data without texts, got 'text'"):
        kind_of("text").recipe(table)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edits": ()}, "`edits` must be some of add, remove, replace, got none"),
        ({"edits": ("swap",)}, "`edits` must be some of add, remove, replace, got swap"),
        ({"edits": ("add", "add")}, "`edits` must be some of"),
        ({"target_edits": 65}, "`target_edits` must be at most 64, got 65"),
        ({"rising": "some"}, "`rising` must be one of .*none"),
        ({"words_weight": 1.5}, "`words_weight` must be"),
        ({"dropout": 1.0}, "`dropout` must be"),
        ({"flip": True}, "`flip` must be left out for texts"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        TextConfig(**fields)
