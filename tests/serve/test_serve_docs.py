"""What docs/serving.md shows is asked of a service, and its commands and options exist."""

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from asymcert.cli.app import app
from serve.hostile import bodies

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def block(kind):
    return json.loads(re.search(rf"```json {kind}\n(.*?)```", PAGE, re.S)[1])


def test_the_request_is_answered_as_shown(table):
    shown = block("answer")
    response = table.post("/v1/certify", json=block("request"))
    found = response.json()
    assert response.status_code == 200
    assert set(found) == set(shown)
    for one, other in zip(found["answers"], shown["answers"], strict=True):
        assert one["verdict"] == other["verdict"]
        assert set(one) == set(other)
        assert set(one["radii"]) == set(other["radii"])
        assert one["problem"] == other["problem"]
    assert set(found["answers"][0]["reasons"][0]) == set(shown["answers"][0]["reasons"][0])
    assert found["answers"][0]["evasion"]


def test_commands_and_options_exist():
    commands = re.findall(r"^asymcert (\S+)(.*)$", PAGE, re.M)
    assert {name for name, _ in commands} == {"serve", "export"}
    for name, rest in commands:
        told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in told, option
    told = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).output
    for option in re.findall(r"`(--[a-z-]+)", PAGE):
        assert option in told, option


def test_every_status_of_the_interface_is_explained(table):
    paths = table.get("/openapi.json").json()["paths"]
    statuses = {status for path in paths.values() for route in path.values() for status in route["responses"]}
    table_of = PAGE.partition("| status |")[2].partition("## Running")[0]
    for status in statuses - {"200"}:
        assert status in table_of, status


def test_the_number_of_hostile_bodies_is_right():
    count = len(dict(bodies({"size": 1, "rate": 1, "gaps": 1, "kind": "a"}, [0.5] * 9)))
    stated = int(re.search(r"(\d+) kinds of hostile bodies", PAGE)[1])
    assert stated <= count < stated + 20
