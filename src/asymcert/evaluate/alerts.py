"""Texts that were called sensitive, kept in a run with the words that carry their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from asymcert.attacks.texts.problem import TextProblem
from asymcert.evaluate.words import word_shares
from asymcert.models.base import BinaryClassifier
from asymcert.models.text import TextClassifier
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import ALERT_KEY, ALERT_SCHEMA
from asymcert.runs.tables import ALERTS

LONGEST = 400  # characters kept of a text
KEPT = 12  # words


def store_alerts(run: RunFolder, model: BinaryClassifier, texts: Sequence[str], rows: pl.DataFrame) -> None:
    """Keep the texts of the run's own evaluation rows that are called sensitive, unless the folder has them already."""
    if not isinstance(model, TextClassifier) or model.scaling is None or model.scaling.windows is None:
        return
    problem = TextProblem(model, model.scaling.windows.encoder)
    alerts = rows.filter("prediction", *run.own).unique(ALERT_KEY, maintain_order=True)
    fresh = alerts.join(run.read(ALERTS), on=ALERT_KEY, how="anti")
    words = [
        word_shares(problem, str(texts[index]), margin)[:KEPT] for index, margin in fresh["index", "margin"].rows()
    ]
    kept = {
        "text": pl.Series([texts[index][:LONGEST] for index in fresh["index"]], dtype=pl.String),
        "words": pl.Series([[each.word for each in own] for own in words], dtype=pl.List(pl.String)),
        "shares": pl.Series([[each.share for each in own] for own in words], dtype=pl.List(pl.Float64)),
    }
    run.append(ALERTS, fresh.with_columns(**kept).select(list(ALERT_SCHEMA)))
