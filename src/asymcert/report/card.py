"""A robustness card: what a model is, what is proved of it and what is not, in Markdown and JSON to put beside it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from asymcert._files import jsonable, parse_json, replacing
from asymcert.certify import certifier_for
from asymcert.certify.registry import METHODS
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.evaluate.curves import certified_accuracy_at
from asymcert.evaluate.text_audit import BEYOND
from asymcert.report.detector import figures_table
from asymcert.report.page import TEMPLATES, environment
from asymcert.report.series import ReportData, Series, listed_sizes, read_report_data, unit_title
from asymcert.report.tables import Table, accuracy_table, audit_table, summary_table
from asymcert.report.texts import attacks_table
from asymcert.runs.rows import options_text, threat_key
from asymcert.runs.run import Run
from asymcert.runs.threshold import RATE
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat
from asymcert.threats.words import WordEdits

NAMES = ("card.md", "card.json")
SCHEMA = {"schema": "asymcert.card", "version": 1}
AUTHOR = ("intended_use", "not_for", "limits", "contact")  # what only the author knows
MARKED = re.compile(r"([\\`*_{}\[\]<>|#~&])")  # what Markdown gives a meaning


def write_card(run: Run, out: str | Path | None = None) -> tuple[Path, Path]:
    """Write ``card.md`` and ``card.json`` from the rows of a run; the model is not run.

    What the author has filled in under ``author`` in a ``card.json`` that is there already is kept.

    Parameters
    ----------
    run
        A run with certificates.
    out
        An existing folder, by default the run's.

    Returns
    -------
    tuple
        Their paths.

    Raises
    ------
    RunError
        The folder holds no certificates, or is damaged.
    InputError
        ``card.json`` is there and is no card.
    DependencyError
        jinja2 is not installed.
    """
    page, record = (Path(run.folder.path if out is None else out) / name for name in NAMES)
    data = read_report_data(run.folder)
    content = describe(run, data) | {"author": _author(record)}
    templates = environment(TEMPLATES, autoescape=False, finalize=escaped)
    templates.filters["escaped"] = escaped
    tables = {unit_title(unit): accuracy_table(panel) for unit, panel in data.panels.items()}
    detector = figures_table(data.detectors[0][1], data.facts) if data.detectors else None
    summary = summary_table(data.series, data.facts)
    text = templates.get_template("card.md").render(
        card=content, summary=summary, tables=tables, detector=detector, audit=_attacked(data)
    )
    for path, written in ((page, text), (record, json.dumps(jsonable(content), indent=2, allow_nan=False) + "\n")):
        with replacing(path) as partial:
            partial.write_text(written, encoding="utf-8")
    return page, record


def describe(run: Run, data: ReportData) -> dict[str, Any]:
    """All that ``card.json`` says, but for what the author fills in; see docs/gate.md."""
    facts, line = data.facts, data.series[0].summary
    judged = data.detectors[0][1].to_dict() if data.detectors else {}
    return SCHEMA | {
        "model": _model(run),
        "data": {
            "name": facts.name,
            "digest": facts.data_digest,
            "split": line["split"],
            "split_seed": None if facts.source is None else facts.source["seed"],
            "samples": {"sensitive": line["n_sensitive"], "other": line["n_other"]},
        },
        "clean": {name: judged.get(name) for name in ("detection", "confusion", "calibration")},
        "certified": [_certified(item, data) for item in data.series],
        "attacks": _attacks(data),
        "reproduce": _commands(data),
    }


def escaped(value: Any) -> Any:
    """A value as Markdown shows it as it is, on one line; what is marked as safe stays."""
    if hasattr(value, "__html__"):
        return value
    return MARKED.sub(r"\\\1", " ".join(str(value).split()))


def _model(run: Run) -> dict[str, Any]:
    model, facts = run.model, run.facts
    columns = [] if model.scaling is None else [column.to_dict()["kind"] for column in model.scaling.columns]
    rate = facts.config.get(RATE)
    rule = "as training left it"
    if rate is not None:
        rule = f"at most {100 * rate:g} % false alarms on validation data"
        rule = rule if rate >= 0 else "both classes recognised equally often on validation data"
    return {
        "kind": type(model).__name__,
        "digest": run.digest,
        "sensitive": facts.sensitive,
        "other": facts.other,
        "input_shape": list(model.input_shape),
        "columns": dict(Counter(columns)),
        "threshold": model.threshold,
        "threshold_rule": rule,
        "seed": facts.seed,
        "versions": facts.versions,
        "created": facts.created,
    }


def _certified(item: Series, data: ReportData) -> dict[str, Any]:
    """One curve: against whom, by what, how far, and how surely."""
    line, norm = item.summary, item.norm
    sizes = listed_sizes([each for each in data.series if each.unit == item.unit])
    shares = certified_accuracy_at(item.rows, sizes).rename({"radius": "size", "accuracy": "value"})
    judged = next((found.to_dict() for each, found in data.detectors if each is item), {})
    return {name: line[name] for name in ("threat", "norm", "method", "options", "median_radius", "mean_radius")} | {
        "adversary": item.adversary,
        "may": adversary_text(norm, item.threat),
        "rounding_included": "sound=False" not in line["options"],
        "wrong_with_probability": _chance(line["options"]),
        "recall_under_change": shares.to_dicts(),
        "at_max_fpr": judged.get("at_max_fpr", []),
        "over_all_thresholds": judged.get("certified", []),
    }


def adversary_text(norm: float, threat: ThreatModel | None) -> str:
    """What an adversary may do and how his changes are measured, in plain words."""
    if threat is not None and threat.edits is not None:
        return edits_text(threat.edits)
    if norm == 0:
        text = "may change some columns, each to any value; the size of a change is the number of columns"
    else:
        name = "greatest change of an input" if np.isinf(norm) else f"l{norm:g} norm over all inputs"
        text = f"may change every input; the size of a change is the {name}, as the model takes them in"
    if threat is None:
        return text
    parts = {
        "cost": "each times a price of its own",
        "mutable": "some inputs cannot change",
        "direction": "some inputs change in one direction only",
        "limits": "how far an input may go depends on the sample's own values",
    }
    told = [said for part, said in parts.items() if getattr(threat, part) is not None]
    boxed = ["inputs stay within their range"] if threat.lower is not None or threat.upper is not None else []
    return "; ".join([text, *told, *boxed])


def edits_text(edits: WordEdits) -> str:
    """What an adversary may do to the words of a text."""
    verbs = [
        f"{kind} words" if price == 1 else f"{kind} words at {price:g} each" for kind, price in edits.kinds.items()
    ]
    verbs += ["add any number of whole sentences"] if edits.sentences else []
    parts = {
        "some words cannot be removed": edits.protected is not None,
        "marks that end sentences stay as they are": edits.marks_stay or edits.sentences,
    }
    told = f"may {' or '.join(verbs)}; the size of a change is the number of edited words, or their price"
    free = "look-alike letters, case, spacing and invisible characters are free, as they change no word"
    return "; ".join([told, free, *(part for part, there in parts.items() if there)])


def _chance(options: str) -> float:
    """That one sample's radius is wrong: 0 but for methods that draw noise."""
    return next((float(pair.removeprefix("alpha=")) for pair in options.split(", ") if pair.startswith("alpha=")), 0.0)


def _attacks(data: ReportData) -> list[dict[str, Any]]:
    """Attacks by kind, method and adversary: how many were tried inside certificates, and how many broke one."""
    keys = ["attack", "threat", "method", "options"]
    of_texts = _inside(data.attacked).group_by(keys).agg(tried=pl.col("attempts").sum(), broken=pl.col("success").sum())
    if data.audit.is_empty():
        return of_texts.sort(keys).to_dicts()
    counts = data.audit.group_by(keys).agg(tried=pl.len(), broken=pl.col("success").sum())
    return counts.sort(keys).to_dicts() + of_texts.sort(keys).to_dicts()


def _attacked(data: ReportData) -> tuple[Table, int, int] | None:
    """The same as a table, with how many were broken and tried."""
    if not data.attacked.is_empty():
        return attacks_table(_inside(data.attacked))
    return None if data.audit.is_empty() else audit_table(data.audit)


def _inside(attacked: pl.DataFrame) -> pl.DataFrame:
    """Attacks on texts that kept to a certificate's size."""
    return attacked.filter(pl.col("attack") != BEYOND)


def _commands(data: ReportData) -> dict[str, Any]:
    """The commands that give each part again; RUN is the run's folder."""
    split = data.series[0].summary["split"]
    rest = " --json" if split == "test" else f" --split {split} --json"
    columns = data.facts.scaling
    scaling = None if columns is None else TableScaling.from_dict(columns)
    threats = {item.summary["threat"]: _adversary(item.summary["threat"], item.norm, scaling) for item in data.series}
    methods = [(item.summary["threat"], item.summary["method"], item.summary["options"]) for item in data.series]
    tried = {each["threat"] for each in _attacks(data)}
    attacked = [key for key in threats if not tried or key in tried]
    return {
        "clean": f"asymcert evaluate RUN{rest}",
        "certified": [
            f"asymcert certify RUN{threats[key]} --method {method}{_changed(method, options)}{rest}"
            for key, method, options in methods
        ],
        "attacks": [f"asymcert audit RUN{threats[key]}{rest}" for key in attacked],
    }


def _adversary(key: str, norm: float, scaling: TableScaling | None) -> str:
    """A threat model as an option."""
    if norm == 0:
        plain = {} if scaling is None else {threat_key(TableThreat(scaling).counting()): "columns"}
    else:
        name = "inf" if np.isinf(norm) else f"{norm:g}"
        plain = {
            threat_key(ThreatModel(norm, lower=0, upper=1)): name,
            threat_key(ThreatModel(norm)): f"{name} --no-box",
        }
    return f" --norm {plain[key]}" if key in plain else " --threat THREAT.toml"


def _changed(method: str, options: str) -> str:
    """A method's settings that are not its defaults, as options."""
    usual = options_text(certifier_for(method)).split(", ") if method in METHODS else []
    pairs = [item.split("=", 1) for item in options.split(", ") if "=" in item and item not in usual]
    flags = {"True": "--{}", "False": "--no-{}"}
    return "".join(f" {flags.get(value, '--{} ' + value).format(name.replace('_', '-'))}" for name, value in pairs)


def _author(path: Path) -> dict[str, str | None]:
    """What the author has filled in in an earlier card."""
    if not path.exists():
        return dict.fromkeys(AUTHOR)
    try:
        author = parse_json(path.read_bytes())["author"]
        if set(author) != set(AUTHOR) or not all(text is None or isinstance(text, str) for text in author.values()):
            raise ValueError(f"its `author` must have texts or null for {', '.join(AUTHOR)}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: not a card that can be written anew ({error}). Mend it, or move it away.") from None
    return author
