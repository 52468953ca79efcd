"""Graphs that take rows as they are give the estimator's verdicts and, but for rounding, its radii."""

import math

import numpy as np
import onnxruntime
import pytest

from asymcert.errors import InputError
from asymcert.estimator import LinfDistanceDetector
from estimator.frames import QUICK, detector

TEXTS = ["country", "kind", "note"]


def served(path, frame):
    """Verdicts and radii of rows of pandas, as a service would send them: no types or encodings of the package."""
    texts = [name for name in TEXTS if name in frame]
    filled = {name: frame[name].astype(object).where(frame[name].notna(), "") for name in texts}
    rows = {name: values.astype(str).to_numpy(object) for name, values in filled.items()}
    rows |= {name: frame[name].to_numpy(np.float64, na_value=np.nan) for name in frame if name not in texts}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["sensitive", "radius"], rows)


@pytest.mark.parametrize("how", [{"norm": 0}, {"norm": 1}, {"norm": 2}, {"norm": math.inf}], ids=str)
def test_rows_with_gaps_and_categories(fitted, bought, how, tmp_path):
    frame, _ = bought
    verdicts, radii = served(fitted.to_onnx(tmp_path / "a.onnx", **how), frame)
    expected = fitted.certify(frame, **how)
    assert np.array_equal(verdicts, fitted.predict(frame) == "fraud")
    assert (radii <= expected).all()
    assert radii == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert (radii > 0).sum() > 20


def test_threats_by_name_and_values_never_seen(fitted, bought, tmp_path):
    frame = bought[0].head(50).assign(country="XX", amount=1e9, age=-5.0)
    threat = {"norm": 1, "immutable": ["country", "kind", "note", "new"], "cost": {"amount": 0.01}}
    verdicts, radii = served(fitted.to_onnx(tmp_path / "a.onnx", threat=threat), frame)
    assert np.array_equal(verdicts, fitted.predict(frame) == "fraud")
    assert radii == pytest.approx(fitted.certify(frame, threat=threat), rel=1e-6, abs=1e-9)


def test_ranges_of_many_sizes(bought, tmp_path):
    """Where one column's range is 10^12 times another's, rounding of the great one must not pass for radius."""
    frame, y = bought
    frame = frame[["amount", "age"]].fillna(20.0).assign(big=frame["age"] * 1e12, small=frame["amount"].fillna(1) / 1e6)
    model = detector(feature_map="centre").fit(frame, y)
    radii = served(model.to_onnx(tmp_path / "a.onnx", norm=2), frame)[1]
    assert (radii <= model.certify(frame, norm=2)).all()


def test_distance_nets_too(bought, tmp_path):
    frame, y = bought[0][["amount", "age", "country"]], bought[1]
    options = {key: value for key, value in QUICK.items() if key != "hidden"}
    net = LinfDistanceDetector(**options, width=16).fit(frame, y)
    verdicts, radii = served(net.to_onnx(tmp_path / "a.onnx"), frame)
    assert np.array_equal(verdicts, net.predict(frame) == "fraud")
    assert (radii <= net.certify(frame, method="lipschitz") * (1 + 1e-9)).all()


def test_running_text_has_no_graph(bought, tmp_path):
    frame, y = bought
    words = detector(min_steps=5, epochs=1).fit(frame[["country"]], y)
    with pytest.raises(InputError, match="of numbers and categories"):
        words.to_onnx(tmp_path / "a.onnx")
