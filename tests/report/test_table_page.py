"""The page of a table before training, as a browser lays it out."""

import re

import pytest

from asymcert.cli.table_commands import write_look
from asymcert.datasets.look import look_at
from asymcert.datasets.table_options import TableOptions

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
MEASURED = """<script>
const rows = (cell) => { const range = document.createRange(); range.selectNodeContents(cell); return range; };
const heads = [...document.querySelectorAll("th")].map((head) => rows(head).getBoundingClientRect());
const lines = [...document.querySelectorAll("td:nth-child(2)")].map((cell) => rows(cell).getClientRects().length);
const gaps = heads.slice(1).map((head, place) => head.left - heads[place].right);
document.body.dataset.lines = Math.max(...lines);
document.body.dataset.gap = Math.min(...gaps);
document.body.dataset.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    lines = [
        f"{i * i},{'de' if i % 2 else 'fr'},{'yes' if i % 5 else 'no'},{'bad' if i % 3 else 'ok'}" for i in range(90)
    ]
    (folder / "t.csv").write_text("\n".join(["price,country_of_the_sender,repeat_visitor,class", *lines]))
    look = look_at(folder / "t.csv", TableOptions(label="class"), ["bad"], None)
    write_look(look, "t.csv", folder / "t.html")
    return (folder / "t.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [420, 1180])
def test_kinds_stand_on_one_line_and_headers_apart(page, browse, tmp_path, width):
    laid_out = POLICY.sub("", page).replace("<body>", f'<body style="width: {width}px">')
    (tmp_path / "page.html").write_text(laid_out.replace("</body>", f"{MEASURED}</body>"), encoding="utf-8")
    document, console = browse(tmp_path / "page.html")
    assert console == []
    found = dict(re.findall(r'data-(\w+)="([^"]*)"', document))
    assert found["lines"] == "1"
    assert float(found["gap"]) >= 8
    assert found["wide"] == "false"  # where there is no room the table scrolls, not the page
