"""A spam filter whose verdicts say how much a spammer would have to change.

Run: python examples/spam_filter.py path/to/spambase.csv.gz     (or set ASYMCERT_DATA; about 10 s)

Spambase (UCI) counts 57 words and characters in each e-mail. A spammer only ever wants spam to pass as ham, so spam is
the sensitive class: each flagged mail gets the least total change of its features that could un-flag it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from asymcert import ThreatModel, certify, train
from asymcert.datasets import load_table
from asymcert.evaluate import floor_percent, floor_significant


def main(path: Path) -> None:
    data = load_table(path, label="spam", sensitive="1")
    model = train(data, seed=0)
    x, spam = data.test.x, data.test.y
    flagged = model.predict(x)
    print(f"spam caught   {floor_percent(float(flagged[spam].double().mean()))}")
    print(f"ham let pass  {floor_percent(float((~flagged[~spam]).double().mean()))}")

    threat = ThreatModel(norm=1, lower=0.0, upper=1.0)
    certificate = certify(model, x, threat)
    radius = torch.where(flagged, certificate.radius, 0.0)[spam]
    print(f"half of all spam stays flagged under any change of total size {floor_significant(float(radius.median()))}")
    print("(a change of size 1 moves one feature over its whole training range)")

    weakest = int(torch.where(flagged & spam, certificate.radius, torch.inf).argmin())
    least = floor_significant(float(certificate.radius[weakest]))
    print(f"review first: test mail {weakest}, flagged with radius {least}")


if __name__ == "__main__":
    folder = Path(os.environ.get("ASYMCERT_DATA", "."))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "tables" / "spambase.csv.gz")
