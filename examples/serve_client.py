"""Ask a service for verdicts and radii of the rows of a CSV file.

Run: pip install httpx
     asymcert serve runs/mail &
     python examples/serve_client.py rows.csv --url http://127.0.0.1:8000

Prints a JSON line for each row. Columns that the model does not know are left out; where the service asks for a token,
it is taken from ASYMCERT_TOKEN.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import httpx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--threat", action="append", default=[], help="by the name that /v1/model gives it; repeat")
    parser.add_argument("--evasions", action="store_true", help="also the cheapest changed row")
    arguments = parser.parse_args()
    token = os.environ.get("ASYMCERT_TOKEN")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    asked = {"threats": arguments.threat, "evasions": arguments.evasions}
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=60) as client:
        model = client.get("/v1/model").raise_for_status().json()
        for rows in parts(arguments.rows, model):
            for answer in answers(client, rows, asked):
                print(json.dumps(answer))


def parts(path: str, model: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Rows of the file, as many at a time as the service takes; empty cells are missing values."""
    columns = [column["name"] for column in model["asks"]]
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file)
        while part := list(islice(lines, model["limits"]["max_rows"])):
            yield [{name: line[name] or None for name in columns} for line in part]


def answers(client: httpx.Client, rows: list[dict[str, Any]], asked: dict[str, Any]) -> list[dict[str, Any]]:
    """One answer a row; exits with the service's own line where it refuses."""
    response = client.post("/v1/certify", json={"rows": rows, **asked})
    if response.headers["content-type"] == "application/problem+json":
        sys.exit(response.json()["detail"])
    return response.raise_for_status().json()["answers"]


if __name__ == "__main__":
    main()
