"""Which alerts could an intruder really talk away? Prices and append-only columns in a table of network attacks.

Run: python examples/append_only.py path/to/nsl-kdd-train20.csv.gz     (or set ASYMCERT_DATA; about 20 s)

An analyst reviews the alerts of an intrusion detector that could have been undone, the easiest first. The plain radius,
for which every column may move by the same share of its range, sends the analyst to the wrong ones: much of what it
calls fragile hangs on columns that an intruder cannot change. `append_only.toml` says what an intruder can do, and at
what price; the certificate under that threat model says which alerts need no review at all.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from asymcert import Certificate, FeatureConvexClassifier, ThreatModel, certify, train
from asymcert.certify import Refined
from asymcert.datasets import load_table
from asymcert.evaluate import floor_percent, floor_significant
from asymcert.evaluate.explain import ColumnRoom, explain
from asymcert.evaluate.formatting import ceil_significant
from asymcert.threats.file import read_threat
from asymcert.training import preset_for

PLAIN = ThreatModel(norm=1, lower=0.0, upper=1.0)
INTRUDER = Path(__file__).with_name("append_only.toml")


def main(path: Path) -> None:
    data = load_table(path, label="attack", sensitive="1", drop=("attack_type", "difficulty"))
    config = replace(preset_for(data, "image"), epochs=8, batch_size=128, validate_every=8)
    model = train(data, config=config, seed=0)
    flagged = model.predict(data.test.x)
    print(f"attacks caught           {floor_percent(float(flagged[data.test.y].double().mean()))}")
    print(f"normal traffic let pass  {floor_percent(float((~flagged[~data.test.y]).double().mean()))}")

    alerts, threat = data.test.x[flagged], read_threat(INTRUDER, model)
    plain = certify(model, alerts, PLAIN, method="refined")
    intruder = certify(model, alerts, threat, method="refined")
    compare(plain, intruder)
    show_first(model, alerts, intruder)
    show_misjudged(model, alerts, plain, intruder)


def compare(plain: Certificate, intruder: Certificate) -> None:
    """What an analyst reads who goes by the plain radius, and who goes by the intruder's price."""
    fragile, doubtful = plain.radius.argsort(), intruder.radius < math.inf
    count = int(doubtful.sum())
    print(f"{len(fragile)} alerts: the intruder cannot undo {len(fragile) - count} at any price, {count} perhaps")
    wasted = int((~doubtful[fragile[:count]]).sum())
    print(f"of the {count} alerts with the smallest plain radius, {wasted} need no review; as many are missing")
    last = int(doubtful[fragile].nonzero().max()) + 1
    print(f"to see all {count}, an analyst who goes by plain radius reads {last}")


def show_first(model: FeatureConvexClassifier, alerts: Tensor, intruder: Certificate) -> None:
    """The alert that is undone at the least price, and the columns that alone can do it."""
    first = int(intruder.radius.argmin())
    bounds = f"at least {floor_significant(float(intruder.radius[first]))}"
    if intruder.upper is not None and intruder.upper[first] < math.inf:
        bounds += f" and at most {ceil_significant(float(intruder.upper[first]))}"
    print(f"first to review: alert {first}, undone at a price of {bounds}")
    print("  it stands while one column alone may")
    for room in limited(model, alerts[first], intruder.threat):
        print(f"  {room.column:<18} {describe(room)}")


def show_misjudged(model: FeatureConvexClassifier, alerts: Tensor, plain: Certificate, intruder: Certificate) -> None:
    """The alert of smallest plain radius among those that the intruder cannot undo, and what its radius hangs on."""
    alert = next(int(i) for i in plain.radius.argsort() if intruder.radius[i] == math.inf)
    size = floor_significant(float(plain.radius[alert]))
    columns = ", ".join(room.column for room in limited(model, alerts[alert], plain.threat))
    print(f"no review: alert {alert}, of plain radius {size}, which hangs on columns out of reach: {columns}")


def limited(model: FeatureConvexClassifier, alert: Tensor, threat: ThreatModel) -> list[ColumnRoom]:
    """The columns of one alert that may undo it alone."""
    _, rooms = explain(model, alert, threat, Refined())
    return [
        room for room in rooms if min(math.inf if end is None else end for end in (room.fall, room.rise)) < math.inf
    ]


def describe(room: ColumnRoom) -> str:
    """How far a column may fall and rise."""
    ends = []
    for name, amount in (("fall", room.fall), ("rise", room.rise)):
        if amount is not None:
            ends.append(f"{name} freely" if amount == math.inf else f"{name} by {floor_significant(amount)}")
    return ", ".join(ends)


if __name__ == "__main__":
    folder = Path(os.environ.get("ASYMCERT_DATA", "."))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "tables" / "nsl-kdd-train20.csv.gz")
