"""Small tables with the troubles of real exports, all of the same rows."""

import random
from datetime import datetime, timedelta
from pathlib import Path

ROWS = 300
START = datetime(2026, 3, 1, 8)


def rows() -> list[tuple[str, str, str, int]]:
    """Three numbers, of which two tell the class a little, and the class."""
    draw = random.Random(0)
    classes = [int(draw.random() < 0.45) for _ in range(ROWS)]
    return [
        (f"{draw.gauss(2 * y, 1):.4f}", f"{draw.gauss(0, 2 - y):.4f}", f"{draw.gauss(0, 1):.4f}", y) for y in classes
    ]


def text(header: str, lines, separator: str = ",") -> str:
    return "\n".join([header, *(separator.join(map(str, line)) for line in lines)]) + "\n"


def write_cases(folder: Path) -> Path:
    """Write one file for each trouble."""
    draw, table = random.Random(1), rows()
    clean = text("a,b,c,verdict", table)
    words = [("bad" if y else "good") for *_, y in table]
    numbered = sorted([*draw_row] for draw_row in zip(words, (r[0] for r in table), strict=True))
    noise = [(i, f"{draw.gauss(0, 1):.4f}", f"{draw.gauss(0, 1):.4f}", row[0]) for i, row in enumerate(numbered)]
    times = [START + timedelta(minutes=37 * i) for i in range(ROWS)]
    flows = text(
        "Flow ID, Source Port, Fwd Length,Flow Bytes/s, Fwd Length, Label",
        [
            (f"192.0.2.{i % 9}-{i}", draw.randrange(65536), n, rate, n, label)
            for i, (n, rate, label) in enumerate(
                (20 + i % 4, ("Infinity", "NaN", r[0], r[1])[i % 4], ("BENIGN", "DoS Hulk", "Web – XSS")[i % 3])
                for i, r in enumerate(table)
            )
        ],
    )
    odd = ["-1", "unknown", "1(1)", "_", "-1", "unknown"]
    pages = [odd[i] if i < len(odd) else 2 + i * i % 37 for i in range(ROWS)]
    short = clean.split("\n")
    short[50], short[100] = "1.5,2.5,1", "3"
    ways = {0: ("benign", "Benign"), 1: ("Malware", "malware", " MALWARE")}
    files = {
        "clean.csv": clean,
        "tabs.tsv": clean.replace(",", "\t"),
        "semicolons_decimal_commas.csv": clean.replace(",", ";").replace(".", ","),
        "title_above_header.csv": f"Export of 2026-03-01\n{clean}",
        "quoted_names.csv": clean.replace("a,b", '"a ""raw""","b, scaled"', 1),
        "no_header.csv": text(",".join(map(str, table[0])), table[1:]),
        "ragged.csv": "\n".join(short),
        "index_column.csv": text(",a,b,verdict", noise),
        "index_named.csv": text("Unnamed: 0,a,b,verdict", noise),
        "label_case.csv": text("a,b,c,verdict", [(*r, ways[y][i % len(ways[y])]) for i, (*r, y) in enumerate(table)]),
        "constant_and_empty.csv": text("a,always,word,nothing,verdict", [(a, 5, "tcp", "", y) for a, *_, y in table]),
        "numbers_with_marks.csv": text(
            "bytes,ratio,price,size,verdict",
            [
                (f'"{10000 + 7 * i:,}"', f"{i % 90 + 0.5}%", f"${i / 10:.2f}", f"{i + 1} {'KMG'[i % 3]}B", word)
                for i, word in enumerate(words)
            ],
        ),
        "dates_and_addresses.csv": text(
            "seen,us_date,source,port,a,verdict",
            [
                (f"{t:%Y-%m-%dT%H:%M:%S}", f"{t:%m/%d/%Y %H:%M}", f"192.0.{i % 5}.{i % 99}", 443 + i % 3, r[0], word)
                for i, (t, r, word) in enumerate(zip(times, table, words, strict=True))
            ],
        ),
        "some_words_among_numbers.csv": text(
            "a,b,pages,verdict",
            [(r[0], r[1], n, "Malicious" if r[3] else "ok") for r, n in zip(table, pages, strict=True)],
        ),
        "many_troubles.csv": text(
            ", a,b,b,when,size,empty,Class ",
            [
                (i, *r, f"{times[i]:%Y-%m-%d}", f"{i + 100} KB", "", (" yes", "Yes")[i % 2] if y else "No")
                for i, (*r, y) in enumerate(table)
            ],
        ),
        "new_rows_three_bad.csv": text("a,b,c", [r[:3] for r in table[:40]]) + ",1.0,1.0\nabc,1.0,1.0\n1e400,1.0,1.0\n",
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    lines = flows.split("\n")
    again = "\n".join([*lines[:150], lines[0], *lines[150:]])
    (folder / "flows_cp1252.csv").write_bytes(flows.encode("cp1252"))
    (folder / "flows_header_again.csv").write_text(again, encoding="utf-8")
    german = text("a,b,c,verdict", [(*r, ("gut", "schädlich")[y]) for *r, y in table])
    (folder / "utf16_bom.csv").write_bytes(german.encode("utf-16"))
    return folder
