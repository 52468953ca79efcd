"""Small classifiers of texts whose least price of a flip can be told by hand."""

import numpy as np
import torch

from asymcert.attacks.texts.problem import TextProblem
from asymcert.convex import ConvexMLP
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.text_columns import WindowsColumn
from asymcert.models.text import TextClassifier
from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.vocabulary import Vocabulary

WEIGHTS = {"cash": 4.0, "prize": 3.0, "claim": 2.0, "now": 1.0, "dear": -1.0, "lunch": -2.0, "home": -3.0, "the": 0.0}
SPAM = ("cash prize claim now", "Claim now: a cash prize!", "the prize is cash. claim home", "cash. prize. claim. now")
HARMLESS = ("dear, the lunch is at home", "home. lunch now?", "claim home the lunch is cold. dear dear")


def additive(windows="whole", threshold=1.5, counts=(), grams=()):
    """A model whose score adds up `WEIGHTS`, those of a word's second occurrence half as much, and its problem."""
    vocabulary = Vocabulary(tuple(WEIGHTS), often=tuple((word, 2) for word in counts), grams=grams)
    encoder = TextEncoder(CanonicalForm(), vocabulary, windows)
    score = ConvexMLP((len(vocabulary),), hidden=())
    weights = [*WEIGHTS.values(), *(WEIGHTS[word] / 2 for word in counts), *(-0.25 for _ in grams)]
    with torch.no_grad():
        score.first.weight.copy_(torch.tensor(weights)[None])
        score.first.bias.zero_()
    scaling = TableScaling((WindowsColumn("body", None, encoder, 8),))
    named = {"sensitive": "spam", "other": "harmless", "scaling": scaling}
    return TextClassifier(score, threshold, input_shape=(8,), **named)


def problem(windows="whole", **options):
    model = additive(windows, **options)
    return TextProblem(model, model.scaling.columns[0].encoder)


def exact_price(asked, text, kinds):
    """Least number of edits that undo an additive verdict on one window without counts: fillers, and words removed.

    A word may be there several times: all of them have to go. Replacing does both at once.
    """
    words = asked.words(text)
    assert set(kinds) <= {"add", "remove"}
    assert all(words.count(word) == 1 for word in words if WEIGHTS.get(word, 0) > 0)
    gains = {
        "add": [-WEIGHTS[word] for word in WEIGHTS if word not in words],
        "remove": [WEIGHTS.get(w, 0) for w in words],
    }
    order = np.cumsum(sorted((gain for kind in kinds for gain in gains[kind] if gain > 0), reverse=True))
    margin = float(asked.margins([text])[0])
    return 1 + int(np.searchsorted(order, margin)) if len(order) and order[-1] >= margin else None
