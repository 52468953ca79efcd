# %% [markdown]
"""From a pandas data frame to alerts that say what it takes to undo them, served without PyTorch.

Run: pip install "asymcert[export]" pandas onnxruntime
     python examples/detector_from_dataframe.py        (about 10 s; or cell by cell in a notebook)

Card payments: fraud is the sensitive class, for a fraudster wants his payment to pass and nobody wants the opposite.
"""

# %% A frame as it comes: numbers, categories, truth values, gaps.
from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from asymcert.estimator import FeatureConvexDetector

draw, rows = np.random.default_rng(0), 4000
fraud = draw.random(rows) < 0.2
payments = pd.DataFrame(
    {
        "amount": draw.lognormal(3.0 + 0.8 * fraud, 1.0).round(2),
        "minutes_since_last": draw.exponential(np.where(fraud, 150.0, 600.0)).round(),
        "country": np.where(draw.random(rows) < 0.3 + 0.4 * fraud, draw.choice(["BR", "US"], rows), "DE"),
        "channel": pd.Categorical(np.where(draw.random(rows) < 0.3 + 0.5 * fraud, "web", "chip")),
        "new_device": draw.random(rows) < 0.2 + 0.5 * fraud,
        "failed_codes": draw.poisson(0.3 + 1.2 * fraud),
        "hour": (draw.normal(np.where(fraud, 3.0, 14.0), 4.0) % 24).round(),
        "age_of_account": draw.lognormal(6.0 - 1.2 * fraud, 1.0).round(),
    }
)
payments.loc[draw.random(rows) < 0.05, "minutes_since_last"] = np.nan
label = np.where(fraud, "fraud", "fine")

# %% Training, as with any estimator of scikit-learn; at most 2 % of fine payments may be flagged.
train, test, y_train, y_test = train_test_split(payments, label, test_size=0.25, stratify=label, random_state=0)
robust = {"columns_weight": 0.5, "monotonic_cst": {"failed_codes": 1}}
detector = FeatureConvexDetector("fraud", max_fpr=0.02, random_state=0, **robust).fit(train, y_train)
flagged = detector.predict(test) == "fraud"
print(f"AUC            {roc_auc_score(y_test == 'fraud', detector.decision_function(test)):.3f}")
print(f"fraud caught   {100 * flagged[y_test == 'fraud'].mean():.0f} %")
print(f"false alarms   {100 * flagged[y_test == 'fine'].mean():.1f} %")

# %% How many columns must a fraudster change, by whatever amount? He cannot change how old the account is.
adversary = {"norm": 0, "immutable": ["age_of_account"]}
columns = detector.certify(test, threat=adversary)[flagged]
for count in (1, 2):
    print(
        f"still flagged under any change of {count} of the columns he controls: {100 * (columns >= count).mean():.0f} %"
    )

# %% One alert, column by column.
alert = test[flagged].iloc[[0]]
((safe, parts),) = detector.explain(alert, threat=adversary)
print(f"one alert: no change of {safe:.0f} columns undoes it")
for part in parts[:4]:
    becomes = "" if part.becomes is None else f", would have to become {part.becomes}"
    value = f"{part.value:.4g}" if isinstance(part.value, float) else part.value
    print(f"  {part.column} = {value}: can take {100 * part.share:.0f} % of the margin{becomes}")

# %% The whole detector in one file without pickle, and a graph that takes rows as they are.
folder = tempfile.TemporaryDirectory()
saved = Path(folder.name) / "payments.safetensors"
detector.save(saved)
assert (FeatureConvexDetector.load(saved).predict(test) == detector.predict(test)).all()
graph = detector.to_onnx(Path(folder.name) / "payments.onnx", threat=adversary)

# %% Served by onnxruntime: numbers as doubles with NaN for gaps, categories as strings. No PyTorch, no encoder.
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
texts = [entry.name for entry in session.get_inputs() if entry.type == "tensor(string)"]
row = {name: test[name].to_numpy(object if name in texts else np.float64) for name in test}
sensitive, radius = session.run(["sensitive", "radius"], row)
print(f"served: {len(sensitive)} rows, the same verdicts: {bool((sensitive == flagged).all())}")
print(f"the same radii: {bool((radius[flagged] == columns).all())}")
folder.cleanup()
