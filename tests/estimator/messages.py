"""Made-up messages, and a quick detector of them."""

import numpy as np

from asymcert.estimator import TextDetector

QUICK = {"epochs": 6, "batch_size": 16, "hidden": (8,), "random_state": 0}
SPAM = ["win", "cash", "prize", "claim", "urgent", "offer"]
BOTH = ["call", "now", "the", "a", "you", "is", "in", "at", "to"]
HAM = ["lunch", "home", "dinner", "meeting", "later", "thanks"]


def messages(n=160, seed=0):
    """Texts (n,) and labels, half of them spam."""
    draw = np.random.default_rng(seed)
    spam = np.arange(n) % 2 == 0
    texts = [" ".join([*draw.choice(SPAM if own else HAM, 3), *draw.choice(BOTH, 4)]) for own in spam]
    return texts, np.where(spam, "spam", "ham")


def detector(**options):
    return TextDetector("spam", **QUICK | options)
