"""Detectors of texts: accuracy, and the shares of all sensitive texts that stay flagged under any edits of a few words.

    python benchmarks/text.py DATA_DIR
    python benchmarks/text.py DATA_DIR --seeds 0 --fronts --picture docs/words.png

DATA_DIR holds `sms-spam.csv.gz` and `prompt-injection.csv.gz`. Medians of several seeds on test data, each with its own
split of distinct texts; thresholds are balanced on validation data. Sensitive texts that are missed count as lost.
Rivals have the same words and pairs, rows and splits; see `text_rivals.py` for their certificates.

`--fronts` varies what training counts, for ours and for the linear model trained the same way, whose weight of
sensitive texts and weight decay are chosen anew for each on validation data.

Last results, one thread of two busy cores: AUC, caught at 1 % false alarms, balanced accuracy; shares that outlast any
1, 3, 10 words added, then added or removed, then any number of sentences; CPU seconds of training. Missed: AUC of SMS
by 0.0006; of prompts all goals, AUC by 0.003, caught by 0.003, 3 and 10 added words by 0.01 and 0.04, 3 edits by 0.007.

    sms, seeds [0, 1, 2]: 3568 training texts
                                      AUC    caught bal.   +1    +3    +10   +-1   +-3   +-10  sent. CPU s
    ours                              0.9934 0.987 0.976 0.987 0.980 0.960 0.980 0.919 0.450 -     4.5
    ours, monotone                    0.9944 0.966 0.973 0.980 0.980 0.973 0.966 0.872 0.342 -     4.0
    linear, trained as ours           0.9936 0.980 0.982 0.987 0.973 0.866 0.966 0.872 0.490 -     2.2
    nonnegative logistic regression   0.9968 0.966 0.980 0.987 0.980 0.980 0.960 0.819 0.161 -     0.8
    TF-IDF, logistic regression       0.9981 0.993 0.987 0.980 0.933 0.470 0.966 0.799 0.007 -     0.0
    deletion of words, 5 % kept       0.9401 0.812 0.902 0.779 0.644 0.007 0.779 0.644 0.007 -     0.2
    deletion of words, 20 % kept      0.9977 0.973 0.980 0.973 0.221 0.000 0.973 0.221 0.000 -     0.3
    vote of 9 parts of the vocabulary 0.9959 0.946 0.970 0.940 0.718 0.000 0.940 0.718 0.000 -     0.0
    vote of 25 parts                  0.9953 0.940 0.961 0.946 0.859 0.047 0.946 0.859 0.047 -     0.1
    goals                             0.9940 0.950 -     -     0.950 0.900 -     0.850 -     -     -
    prompt, seeds [0, 1, 2]: 5853 training texts
                                      AUC    caught bal.   +1    +3    +10   +-1   +-3   +-10  sent. CPU s
    ours                              0.9928 0.927 0.966 0.954 0.939 0.862 0.943 0.843 0.287 -     5.2
    ours, monotone                    0.9901 0.847 0.959 0.939 0.926 0.919 0.921 0.806 0.257 -     3.8
    linear, trained as ours           0.9917 0.920 0.969 0.954 0.921 0.750 0.944 0.852 0.339 -     3.4
    nonnegative logistic regression   0.9897 0.889 0.962 0.941 0.922 0.892 0.917 0.757 0.187 -     1.0
    TF-IDF, logistic regression       0.9980 0.955 0.976 0.797 0.259 0.011 0.797 0.259 0.011 -     0.3
    deletion of words, 5 % kept       0.8192 0.340 0.781 0.535 0.453 0.169 0.535 0.453 0.169 -     0.6
    deletion of words, 20 % kept      0.9895 0.850 0.953 0.890 0.311 0.000 0.890 0.311 0.000 -     0.8
    vote of 9 parts of the vocabulary 0.9871 0.782 0.948 0.900 0.598 0.000 0.900 0.598 0.000 -     0.3
    vote of 25 parts                  0.9745 0.362 0.941 0.899 0.764 0.111 0.899 0.764 0.111 -     0.3
    goals                             0.9960 0.930 -     -     0.950 0.900 -     0.850 -     -     -
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from text_rivals import Found, Judge, convex, deletion, parts, tfidf

from asymcert.datasets import BinaryData, Split, load_table
from asymcert.evaluate.detection import detection

TABLES = {"sms": ("sms-spam.csv.gz", "spam"), "prompt": ("prompt-injection.csv.gz", "injection")}
GOALS = {
    "sms": (0.994, 0.95, np.nan, np.nan, 0.95, 0.90, np.nan, 0.85, np.nan, np.nan, np.nan),
    "prompt": (0.996, 0.93, np.nan, np.nan, 0.95, 0.90, np.nan, 0.85, np.nan, np.nan, np.nan),
}
WORDS = (1, 3, 10)
HEADER = f"{'':34}AUC    caught bal.   +1    +3    +10   +-1   +-3   +-10  sent. CPU s"
STRENGTHS = ((0, 0), (3, 0), (10, 3), (0, 3), (10, 10))  # added and edited words that training counts
TUNED = tuple(itertools.product((0.15, 0.5), (0.03, 0.3)))  # weight of sensitive texts, weight decay
Method = Callable[[BinaryData, int], Judge]
METHODS: dict[str, Method] = {
    "ours": convex,
    "ours, monotone": partial(convex, preset="text-monotone"),
    "linear, trained as ours": partial(convex, hidden=()),
    "nonnegative logistic regression": partial(convex, preset="text-plain", hidden=(), rising="all"),
    "TF-IDF, logistic regression": tfidf,
    "deletion of words, 5 % kept": partial(deletion, kept=0.05),
    "deletion of words, 20 % kept": partial(deletion, kept=0.2),
    "vote of 9 parts of the vocabulary": partial(parts, count=9),
    "vote of 25 parts": partial(parts, count=25),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--data", nargs="*", choices=tuple(TABLES), default=list(TABLES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", default=[""], help="parts of the names of what is run")
    parser.add_argument("--fronts", action="store_true", help="fronts in place of the table")
    parser.add_argument("--picture", type=Path, help="file for a picture of what is run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    drawn = {}
    for name in arguments.data:
        splits = [loaded(arguments.data_dir, name, seed) for seed in arguments.seeds]
        print(f"{name}, seeds {arguments.seeds}: {len(splits[0].train)} training texts\n{HEADER}")
        chosen = fronts() if arguments.fronts else METHODS
        methods = {label: own for label, own in chosen.items() if any(part in label for part in arguments.only)}
        drawn[name] = {label: median(splits, arguments.seeds, label, own) for label, own in methods.items()}
        print(line("goals", GOALS[name]), flush=True)
    if arguments.picture is not None:
        draw(drawn, arguments.picture)


def loaded(folder: Path, name: str, seed: int, **options: Any) -> BinaryData:
    file, sensitive = TABLES[name]
    return load_table(folder / file, "label", sensitive, text=("text",), seed=seed, **options)


def median(splits: Sequence[BinaryData], seeds: Sequence[int], label: str, method: Method) -> tuple[float, ...]:
    """Figures of a method, printed."""
    found = [figures(data, seed, method) for data, seed in zip(splits, seeds, strict=True)]
    middle = tuple(np.median(found, axis=0).tolist())
    print(line(label, middle), flush=True)
    return middle


def line(label: str, values: Sequence[float]) -> str:
    digits = (4, *(3,) * 9, 1)
    shown = ["-" if np.isnan(value) else f"{value:.{own}f}" for value, own in zip(values, digits, strict=True)]
    return f"{label:34}{shown[0]:7}{''.join(f'{each:6}' for each in shown[1:])}"


def figures(data: BinaryData, seed: int, method: Method) -> tuple[float, ...]:
    """Those of `figures_of` on test data, and seconds of training."""
    start = time.process_time()
    judge = method(data, seed)
    seconds = time.process_time() - start
    return *figures_of(judge(data.test), data.test), seconds


def figures_of(found: Found, split: Split) -> tuple[float, ...]:
    """AUC, caught, balanced accuracy, shares that outlast each number of added words, of edits, and sentences."""
    sensitive, flagged = split.y, found.margin > 0
    told = detection(sensitive.numpy(), found.margin.numpy(), resamples=1)
    balanced = float(flagged[sensitive].double().mean() + (~flagged)[~sensitive].double().mean()) / 2
    kept = [
        float((flagged & (radius >= count))[sensitive].double().mean())
        for radius in (found.added, found.edited)
        for count in WORDS
    ]
    sentences = np.nan if found.sentences is None else float((flagged & found.sentences)[sensitive].double().mean())
    return told["roc_auc"].value, told["tpr_at_fpr_0.01"].value, balanced, *kept, sentences


def fronts() -> dict[str, Method]:
    """Ours and the linear model, by what training counts."""
    methods: dict[str, Method] = {}
    for words, edits in STRENGTHS:
        recipe = {"target_words": words, "target_edits": edits}
        methods[f"ours, {words} added, {edits} edited"] = partial(convex, **recipe)
        methods[f"linear, {words} added, {edits} edited"] = partial(tuned, **recipe)
    return methods


def tuned(data: BinaryData, seed: int, **recipe: Any) -> Judge:
    """The best linear model on validation data: balanced accuracy, and survival of 10 added and 3 edited words."""
    judges = []
    for weight, decay in TUNED:
        options = {"hidden": (), "sensitive_weight": weight, "weight_decay": decay, **recipe}
        judges.append(convex(data, seed, **options))
    worth = [sum(figures_of(judge(data.val), data.val)[place] for place in (2, 5, 7)) for judge in judges]
    return judges[int(np.argmax(worth))]


def draw(drawn: dict[str, dict[str, tuple[float, ...]]], path: Path) -> None:
    """Balanced accuracy against survival, of added and of edited words, by how many of both training counts."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(drawn), 2, figsize=(8, 3.2 * len(drawn)), dpi=150, squeeze=False)
    for row, (table, found) in zip(axes, drawn.items(), strict=True):
        for axis, (place, edits) in zip(
            row, ((5, "any 10 words added"), (7, "any 3 words added or removed")), strict=True
        ):
            for kind, colour, marker in (("ours", "#0072b2", "o"), ("linear", "#d55e00", "s")):
                shown = {label: values for label, values in found.items() if label.startswith(kind)}
                points = 100 * np.array([(values[2], values[place]) for values in shown.values()])
                axis.scatter(*points.T, label=kind, color=colour, marker=marker, s=24)
                for label, point in zip(shown, points, strict=True):
                    words = "+".join(word for word in label.split() if word.isdigit())
                    axis.annotate(words, point, (4, 3), textcoords="offset points", fontsize=7, color=colour)
            axis.set(xlabel="balanced accuracy, %", ylabel=f"{table}: stay caught, %", title=edits)
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
