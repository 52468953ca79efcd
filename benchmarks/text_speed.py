"""Encoding short messages against scikit-learn's HashingVectorizer, and the memory of a stream of them.

    python benchmarks/text_speed.py [--texts 100000] [--stream 1000000]

1. Canonical form, words, and features of a vocabulary of words and pairs of the SMS collection, drawn again and again,
   as lists of codes; against `HashingVectorizer(ngram_range=(1, 2), binary=True, norm=None)` on the same texts, in one
   process, one thread. Each figure is the median of repeated runs, taken alternately.
2. Greatest resident size while a stream of messages is encoded in portions of 10,000, after a tenth and after all.

Last results, one thread of two shared cores (load 8), scikit-learn 1.9.1: 100,000 texts 6.6 s, scikit-learn 4.8 s,
ratio 1.37 (goal 1.5); greatest resident size 459 MiB after 100,000 texts, 460 MiB after 1,000,000.
"""

from __future__ import annotations

import argparse
import os
import resource
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import HashingVectorizer
from timing import alternate

from asymcert.texts.codes import packed
from asymcert.texts.options import TextOptions

PORTION = 10_000  # texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--stream", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    table = Path(os.environ.get("ASYMCERT_DATA", "data")) / "tables" / "sms-spam.csv.gz"
    messages = pl.read_csv(table)["text"].to_list()
    encoder = TextOptions(vocabulary=2**14).fit(messages)
    stream = drawn(messages)
    for start in range(0, arguments.stream, PORTION):
        portion = list(islice(stream, PORTION))
        packed(encoder.encode(portion), len(portion))
        done = start + PORTION
        if done in (arguments.stream // 10, arguments.stream):
            print(f"{done} texts streamed: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")

    texts = list(islice(drawn(messages), arguments.texts))
    rival = HashingVectorizer(ngram_range=(1, 2), binary=True, norm=None)
    tasks = (lambda: packed(encoder.encode(texts), len(texts)), lambda: rival.transform(texts))
    ours, theirs = alternate(tasks, arguments.repeats)
    print(f"{len(texts)} texts: ours {ours:.2f} s, scikit-learn {theirs:.2f} s, ratio {ours / theirs:.2f}")


def drawn(messages: list[str]) -> Iterator[str]:
    """Messages in a random order, again and again."""
    generator = np.random.default_rng(0)
    while True:
        for place in generator.permutation(len(messages)):
            yield messages[place]


if __name__ == "__main__":
    main()
