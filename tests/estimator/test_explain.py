"""What an explanation says undoes the verdict does, and no column takes more from the margin than it says."""

import pandas as pd
import pytest

from asymcert.errors import InputError


@pytest.fixture(scope="module")
def told(fitted, bought):
    frame = bought[0].head(60)
    return frame, fitted.explain(frame)


def test_changes_undo_the_verdict(fitted, told):
    frame, explanations = told
    undone = 0
    for row, (columns, parts) in enumerate(explanations):
        becomes = {part.column: part.becomes for part in parts if part.becomes is not None}
        if not becomes:
            continue
        changed = frame.iloc[[row]].astype({"age": float, "visits": float, "new": float}).assign(**becomes)
        assert fitted.predict(changed)[0] == "fine"
        assert len(becomes) > columns
        undone += 1
    assert undone > 10


def test_each_verdict_is_told_as_it_is(fitted, told):
    frame, explanations = told
    assert [columns for columns, _ in explanations] == fitted.certify(frame, norm=0).tolist()
    alarms = fitted.predict(frame) == "fraud"
    for row, (_, parts) in enumerate(explanations):
        assert {part.column for part in parts} == (set(frame.columns) if alarms[row] else set())
        for part in parts:
            known = frame[part.column].iloc[row]
            assert pd.isna(known) or part.value in (str(known), pytest.approx(known))


def test_what_one_column_takes_from_the_margin_is_bounded(fitted, told):
    frame, explanations = told
    margin = fitted.decision_function(frame)  # "fraud" comes after "fine"
    shares = [{part.column: part.share for part in parts} for _, parts in explanations]
    for name in ("country", "age"):
        for value in frame[name].unique()[:8]:
            moved = fitted.decision_function(frame.assign(**{name: value}))
            for before, after, share in zip(margin, moved, shares, strict=True):
                assert not share or before - after <= share[name] * before


def test_immutable_columns_carry_nothing(fitted, told):
    frame, _ = told
    for _, parts in fitted.explain(frame.head(20), threat={"norm": 0, "immutable": ["country", "new"]}):
        shares = {part.column: (part.share, part.becomes) for part in parts}
        assert not shares or shares["country"] == shares["new"] == (0.0, None)
    with pytest.raises(InputError, match="`threat` must be of norm 0"):
        fitted.explain(frame, threat={"norm": 1})
