"""What an explanation says undoes the verdict does, and no column takes more from the margin than it says."""

import pytest

from asymcert.errors import InputError
from estimator.frames import detector


@pytest.fixture(scope="module")
def told(fitted, bought):
    return bought[0].head(120), fitted.explain(bought[0].head(120))


def test_changes_undo_the_verdict(fitted, told):
    frame, explanations = told
    undone = 0
    for row, explanation in enumerate(explanations):
        if not explanation.changes:
            continue
        changed = frame.iloc[[row]].astype({"age": float, "visits": float, "new": float}).copy()
        for name, (before, after) in explanation.changes.items():
            value = frame[name].iloc[row]
            assert (
                str(before) == str(value) or float(before) == pytest.approx(float(value), nan_ok=True) or value != value
            )
            changed[name] = after
        assert fitted.predict(changed)[0] == "fine"
        assert len(explanation.changes) > explanation.columns
        undone += 1
    assert undone > 10


def test_each_verdict_is_told_as_it_is(fitted, told):
    frame, explanations = told
    margins = [explanation.margin for explanation in explanations]
    assert (
        margins
        == (
            -fitted.decision_function(frame) if fitted.classes_[1] == "fine" else fitted.decision_function(frame)
        ).tolist()
    )
    assert [explanation.columns for explanation in explanations] == fitted.certify(frame, norm=0).tolist()
    for explanation in explanations:
        assert bool(explanation.carries) == (explanation.margin > 0)
        assert list(explanation.carries.values()) == sorted(explanation.carries.values(), reverse=True)


def test_what_one_column_takes_from_the_margin_is_bounded(fitted, told):
    frame, explanations = told
    for name in ("country", "age"):
        for value in frame[name].unique()[:8]:
            moved = fitted.decision_function(frame.assign(**{name: value}))
            for explanation, margin in zip(explanations, moved, strict=True):
                if explanation.carries:
                    assert explanation.margin - margin <= explanation.carries[name]


def test_immutable_columns_carry_nothing(fitted, told):
    frame, _ = told
    for explanation in fitted.explain(frame.head(20), threat={"norm": 0, "immutable": ["country", "new"]}):
        assert explanation.carries.get("country", 0.0) == 0.0
        assert not {"country", "new"} & set(explanation.changes)
    with pytest.raises(InputError, match="`threat` must be of norm 0"):
        fitted.explain(frame, threat={"norm": 1})


def test_running_text_is_not_explained(bought):
    frame, y = bought
    with pytest.raises(InputError, match="numbers and categories"):
        detector().fit(frame[["country"]], y).explain(frame[["country"]])
