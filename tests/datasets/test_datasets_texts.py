"""Texts as data: from CSV, JSON lines and folders, alone as windows, beside others as features, as older runs had."""

import json

import polars as pl
import pytest
import torch

from asymcert.certify import Certificate
from asymcert.convex import ConvexMLP
from asymcert.datasets import BinaryData, DataSource, Split, load_source, load_table
from asymcert.datasets.columns import WordColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.table_files import read_raw
from asymcert.datasets.text_columns import LONGEST, TextColumn, WindowsColumn
from asymcert.datasets.text_folders import html_text, mail_text
from asymcert.errors import DataError, InputError
from asymcert.evaluate.scoring import score_table
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.threats.model import ThreatModel
from contracts.readers import ReaderContract

SPAM, HAM = "Win free money {}, now. Call!", "See you at home, {}. Fine?"
HASHED = "53aa23b34624dab21e646a9ae040b3447f940c90d8e670f71d20873a46190362"
ROWS = [{"label": "spam" if n % 2 else "ham", "body": (SPAM if n % 2 else HAM).format(f"w{n}")} for n in range(60)]


def write(path, rows=ROWS):
    if path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    elif path.suffix:
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        for number, row in enumerate(rows):
            (path / row["label"]).mkdir(parents=True, exist_ok=True)
            (path / row["label"] / f"{number:03}.txt").write_text(row["body"])
    return path


def loaded(path, **options) -> BinaryData:
    return load_table(path, "label", "spam", **options)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "folder"])
def test_texts_alone_become_windows(tmp_path, name):
    data = loaded(write(tmp_path / name), windows="both", word_parts="3-4", word_counts=2)
    assert data.scaling is not None
    column = data.scaling.windows
    assert isinstance(column, WindowsColumn)
    for split in (data.train, data.val, data.test):
        assert split.texts is not None
        assert split.x.shape == (len(split.texts), column.width)
        encoded = data.scaling.encode(pl.DataFrame({column.name: split.texts}))
        assert encoded.equal(split.x)
        assert [text.startswith("Win") for text in split.texts] == split.y.tolist()
    assert data.train.x[:, -1].any() or data.val.x[:, -1].any() or data.test.x[:, -1].any()
    assert {0, 1} == set(WindowCodes.of(data.train.x).kind.tolist())
    stored = json.loads(json.dumps(data.source.to_dict()))
    again = load_source(DataSource.from_dict(stored))
    assert again.digest == data.digest
    assert again.scaling == data.scaling == TableScaling.from_dict(json.loads(json.dumps(data.scaling.to_dict())))


def test_each_option_of_texts_changes_the_inputs(tmp_path):
    more = [f" n o w s33 co{'o' * (n % 3)}l now now" for n in range(len(ROWS))]
    more = [f"{end} {'bcdfghjk'[n // 8]}a{'lmnprstv'[n % 8]}e" for n, end in enumerate(more)]  # w7 is read as w8 is
    path = write(tmp_path / "t.csv", [row | {"body": row["body"] + end} for row, end in zip(ROWS, more, strict=True)])
    changes = {
        **{"windows": "sentences", "word_counts": 3, "word_pairs": False, "word_parts": "3", "fold_digits": False},
        **{"fold_spacing": False, "fold_repeats": False, "vocabulary": 3, "least_texts": 1},
    }
    digests = {loaded(path).digest, *(loaded(path, **{name: value}).digest for name, value in changes.items())}
    assert len(digests) == len(changes) + 1


@pytest.mark.parametrize(
    "options", [{"windows": "words"}, {"word_parts": "4-3"}, {"word_parts": "x"}, {"word_counts": 0}, {"vocabulary": 0}]
)
def test_options_that_make_no_sense_are_refused(tmp_path, options):
    with pytest.raises(InputError, match=next(iter(options))):
        loaded(write(tmp_path / "t.csv"), **options)


def test_texts_beside_other_columns_become_features(tmp_path):
    rows = [row | {"title": f"{row['label']} title {n}", "size": n % 7} for n, row in enumerate(ROWS)]
    data = loaded(write(tmp_path / "t.csv", rows), text=["body", "title"])
    assert data.scaling is not None
    assert [type(column) for column in data.scaling.columns][:2] == [TextColumn] * 2
    assert data.train.texts is None
    names = data.scaling.feature_names
    assert data.train.x.shape[1] == len(names)
    assert {"body: money", "body: win fre", "title: spam"} <= set(names)
    assert data.train.x[:, names.index("body: money")].bool().equal(data.train.y)
    column = data.scaling.columns[0]
    rows_of = column.encode(pl.Series(["win money", "win home"]))
    assert set(column.difference(*rows_of).split()[:2]) == {"-money", "+home"}


def test_texts_of_one_form_are_one_text(tmp_path):
    twice = [row | {"body": row["body"].upper().replace("O", "О")} for row in ROWS]  # a Cyrillic letter
    data = loaded(write(tmp_path / "t.csv", ROWS + twice))
    forms = [{text.upper().replace("О", "O") for text in split.texts} for split in (data.train, data.val, data.test)]
    assert sum(map(len, forms)) == len(set.union(*forms)) == len(ROWS)


def test_runs_with_hashed_words_load_as_they_did(tmp_path):
    path = str(write(tmp_path / "t.csv"))
    old = {"label": "label", "text": "body", "words": 32, "clean": True, "ragged": "refuse"}
    data = load_source(DataSource(path, "spam", 0, old))
    assert data.scaling is not None
    assert data.scaling.columns == (WordColumn("body", None, 32, 4),)
    assert data.digest == HASHED  # what 0.1.0 and later made of it
    assert load_source(DataSource(path, "spam", 0, old | {"text": None})).digest == HASHED
    assert loaded(path, words=32).digest == HASHED
    oldest = {"label": "label"}  # before most options were there
    assert load_source(DataSource(path, "spam", 0, oldest)).input_shape == (1024,)


def test_texts_that_are_too_long_are_said(tmp_path):
    rows = [*ROWS, {"label": "ham", "body": "a " * (LONGEST // 2 + 1)}]
    with pytest.raises(DataError, match="1000002 characters"):
        loaded(write(tmp_path / "t.csv", rows), limit=61, test=write(tmp_path / "u.csv"))
    data = loaded(write(tmp_path / "t.csv"))
    _, problems = data.scaling.read(pl.DataFrame({"body": ["a", rows[-1]["body"], None]}))
    assert problems.to_list() == [None, f"a text of 1000002 characters, more than {LONGEST}", "body: no value"]


def test_texts_belong_to_their_samples():
    x, y = torch.zeros(2, 1), torch.tensor([True, False])
    assert Split(x, y, texts=("a", "b")).chosen([1]).texts == ("b",)
    with pytest.raises(InputError, match="texts"):
        Split(x, y, texts=("a",))


class Margins:
    """Certifies nothing, and remembers the shapes of its inputs."""

    method = "margins"

    def __init__(self):
        self.shapes = []

    def certify(self, model, x, threats):
        self.shapes.append(tuple(x.shape))
        margin = model.margin(x).double()
        zero = torch.zeros_like(margin)
        return [Certificate(zero, margin, zero, threat, "margins") for threat in threats]


def test_other_texts_are_scored_in_portions_of_bounded_size(tmp_path):
    data = loaded(write(tmp_path / "t.csv"))
    assert data.scaling is not None
    score = ConvexMLP((len(data.scaling.windows.encoder.vocabulary),), (4,))
    for _, weight in score.nonnegative():
        weight.data.abs_()
    model = TextClassifier(score, input_shape=data.input_shape, scaling=data.scaling)
    texts = ["win money", "x " * LONGEST, *["see you " * 100_000] * 9, None, "", "call! call"] + ["now"] * 300
    certifier, threat = Margins(), ThreatModel(norm=1, lower=0.0, upper=1.0)
    model = model.double()
    rows = score_table(model, pl.DataFrame({"body": texts}), [threat], certifier, 256)
    assert rows["problem"].is_not_null().arg_true().to_list() == [1, 11]
    assert max(n for n, _ in certifier.shapes) == 256
    assert max(n * width for n, width in certifier.shapes) < 256 * 100
    alone = [text for text, problem in zip(texts, rows["problem"], strict=True) if problem is None]
    expected = model.margin(data.scaling.encode(pl.DataFrame({"body": alone})))
    torch.testing.assert_close(rows["margin"].drop_nulls().to_torch(), expected)


class TestJsonLines(ReaderContract):
    def good(self, folder):
        return write(folder / "good.jsonl")

    def read(self, path):
        return load_table(path, "label", "spam")

    def hostile(self, folder):
        cases = {
            "a list": "[1, 2]\n" * 9,
            "lists inside": '{"label": "spam", "body": ["a"]}\n' * 9,
            "deep": '{"label": ' + "[" * 10**6,
            "many keys": "\n".join(f'{{"k{n}": 1}}' for n in range(10**5)),
            "one line of many keys": "{" + ",".join(f'"{n}": 1' for n in range(10**6)) + "}",
            "long integers": '{"label": ' + "9" * 10**5 + "}\n",
            "NUL": '{"label": "\0"}\n',
            "nothing": "\n\n",
            "empty objects": "{}\n" * 9,
        }
        for number, content in enumerate(cases.values()):
            (folder / f"{number}.jsonl").write_text(content)
        (folder / "latin.jsonl").write_bytes(b'{"label": "\x81"}\n' * 9)
        return {what: folder / f"{n}.jsonl" for n, what in enumerate(cases)} | {"no UTF-8": folder / "latin.jsonl"}


def test_lines_may_lack_keys_and_mix_kinds(tmp_path):
    lines = ['{"a": "\\ud800x", "b\\udc00": 1, "b\\ud800": 2, "c": 1}', "", '{"a": 2, "c": 1e999, "d": true}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    frame = read_raw(tmp_path / "t.jsonl").frame
    assert frame.to_dict(as_series=False) == {
        **{"a": ["\ufffdx", "2"], "b\ufffd": [2.0, None], "c": [1.0, float("inf")], "d": [None, True]}
    }


class TestTextFolder(ReaderContract):
    def good(self, folder):
        path = write(folder / "set")
        (path / "spam" / "mail.eml").write_text(MAIL)
        return path

    def target(self, path):
        return path / "spam" / "mail.eml"

    def read(self, path):
        return load_table(path, "label", "spam")

    def hostile(self, folder):
        deep = "".join(f"Content-Type: multipart/mixed; boundary=a{n}\n\n--a{n}\n" for n in range(3000))
        cases = {"deep": deep, "parameters": f"Content-Type: text/plain{';a' * 10**6}\n\nx"}
        for what, content in cases.items():
            (self.good(folder / what) / "spam" / "hostile.eml").write_text(content)
        return {what: folder / what / "set" for what in cases} | {"no texts": folder}


MAIL = """Subject: =?utf-8?q?Fr=65e?= money
Content-Type: multipart/alternative; boundary=cut

--cut
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9
--cut
Content-Type: text/html; charset=no-such

<p>Call <b>n</b>ow<!-- not <b>seen</b> --> &amp; here<style>p {}</style><br>bye
--cut
Content-Type: image/png

xx
--cut--
"""


def test_a_mail_is_its_subject_and_texts(tmp_path):
    assert mail_text(tmp_path, MAIL.encode()) == "Free money\ncafé\nCall now & here\nbye"


@pytest.mark.parametrize("part", ["<", "<a ", "<!--", "<![", "<a b='", "<script>", "&", "</p", "<p>"])
def test_pages_that_never_end_are_read_in_time(part):
    html_text(part * (10**6 // len(part)))


def test_what_a_script_says_is_not_seen():
    assert html_text("a<script>if (x < y) '</style>' </script>b<style>p</style>c<STYLE>unclosed") == "abc"
