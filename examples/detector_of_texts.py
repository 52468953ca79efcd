# %% [markdown]
"""From a list of messages to alerts that say how many words it takes to silence them.

Run: python examples/detector_of_texts.py [path/to/sms-spam.csv.gz]     (about 1 min; or set ASYMCERT_DATA)

Spam is the sensitive class: a spammer pads his messages with harmless words until the score falls, or misspells.
"""

# %% Texts and labels, as lists.
from __future__ import annotations

import os
import sys
from pathlib import Path

import polars as pl
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from asymcert.estimator import TextDetector

file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(os.environ["ASYMCERT_DATA"], "tables", "sms-spam.csv.gz")
table = pl.read_csv(file)
texts, labels = table["text"].to_list(), table["label"].to_numpy()
train, test, y_train, y_test = train_test_split(texts, labels, test_size=0.2, stratify=labels, random_state=0)

# %% Training, as with any estimator of scikit-learn; the scores of sentences count, too.
detector = TextDetector("spam", windows="both", random_state=0).fit(train, y_train)
spam, flagged = y_test == "spam", detector.predict(test) == "spam"
print(f"AUC                        {roc_auc_score(spam, detector.decision_function(test)):.3f}")
print(f"spam caught                {100 * flagged[spam].mean():.1f} %")
print(f"false alarms               {100 * flagged[~spam].mean():.1f} %")

# %% How much of the spam stays flagged, whatever words are added, and whatever whole sentences?
# Where sentences are scored, the marks between them are taken to stay as they are: marks_stay=False drops that.
caught = [text for text, is_spam in zip(test, spam, strict=True) if is_spam]
added = detector.certify(caught, edits="add")
for count in (1, 3, 10):
    print(f"under any {count:2d} added words   {100 * (added >= count).mean():.1f} %")
sentences = detector.certify(caught, edits=(), sentences=True)
print(f"under any added sentences  {100 * (sentences > 0).mean():.1f} %")

# %% One alert: what is promised, which words carry it, and what would undo it.
(found,) = detector.explain(["WINNER!! You have won a fr\u0435e prize. Call 09061701461 now to claim."])
print(f"\n{found.promise}")
print("carried by", ", ".join(f"{each.word} ({100 * each.share:.0f} %)" for each in found.words[:5]))
print("undone by", "; ".join(found.edits) or "nothing that is known")
