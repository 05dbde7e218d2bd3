"""What the ledger's page says works: its commands run over a real ledger, and its tables are those that there are."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sqlite_utils.cli import cli as sqlite_utils

from tests.acceptance import studies
from tests.acceptance.house import House

DAEMON = Path(__file__).resolve().parents[2] / "daemon"
PAGE = (DAEMON / "LEDGER.md").read_text()
COPY, *QUESTIONS = (shlex.split(one) for one in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S))
DATASETTE = yaml.safe_load((DAEMON / "datasette.yaml").read_text())
CANNED: dict[str, dict[str, Any]] = DATASETTE["databases"]["ledger"]["queries"]
EMPTY_HERE = {"in_parts", "unresolved", "faults"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a ledger, made as the page says."""
    house = House(tmp_path_factory.mktemp("recipes") / "house")
    house.drop("a", studies.instance(1, 1, PatientAge="030Y"))
    house.drop("b", studies.instance(2, 1))
    house.drop("c", b"nothing")
    house.deliver(expect=3)
    folder = tmp_path_factory.mktemp("copy")
    run([one.replace("/var/lib/coatcheck", str(house.state)) for one in COPY], folder)
    return folder / "ledger.db"


def run(command: list[str], folder: Path) -> str:
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(sqlite_utils, command[1:], catch_exceptions=False)
    finally:
        os.chdir(before)
    assert command[0] == "sqlite-utils" and done.exit_code == 0, done.output
    return done.output


def parameters(copied: Path) -> dict[str, str]:
    with closing(sqlite3.connect(copied)) as db:
        return {"ticket": db.execute("SELECT ticket FROM studies").fetchone()[0], "tag": "00101010"}


def sql_of(command: list[str]) -> str:
    return " ".join(command[3].split())


@pytest.mark.parametrize("name", CANNED)
def test_every_canned_query_of_datasette_gives_its_answer(name: str, copied: Path) -> None:
    with closing(sqlite3.connect(f"{copied.as_uri()}?mode=ro", uri=True)) as db:
        found = db.execute(CANNED[name]["sql"], parameters(copied)).fetchall()

    assert CANNED[name]["title"] and CANNED[name]["description"]
    assert bool(found) is (name not in EMPTY_HERE)


@pytest.mark.parametrize("command", QUESTIONS, ids=[str(number) for number in range(1, len(QUESTIONS) + 1)])
def test_every_question_of_the_page_prints_a_table(command: list[str], copied: Path) -> None:
    ticket = parameters(copied)["ticket"]
    printed = run([one.replace("7F3K9Q2MXA", ticket) for one in command], copied.parent)
    (name,) = [name for name, canned in CANNED.items() if " ".join(canned["sql"].split()) == sql_of(command)]

    assert (len(printed.splitlines()) > 2) is (name not in EMPTY_HERE)


def test_the_page_and_datasette_ask_the_same_questions() -> None:
    assert [" ".join(canned["sql"].split()) for canned in CANNED.values()] == [sql_of(one) for one in QUESTIONS]
    assert len(QUESTIONS) == len(re.findall(r"^\*\*", PAGE, re.M)) == 11


def test_an_attribute_is_found_in_the_studies_that_had_it(copied: Path) -> None:
    with closing(sqlite3.connect(copied)) as db:
        age, name = (
            db.execute(CANNED["had_attribute"]["sql"], {"tag": tag}).fetchall() for tag in ("00101010", "00100010")
        )

    assert (len(age), len(name)) == (1, 2)


def test_every_table_and_column_is_told_and_no_other(copied: Path) -> None:
    with closing(sqlite3.connect(copied)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
        ours = [name for name in names if not name.startswith(("_", "sqlite_"))]
        there = {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in ours}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]
    told = {name.strip("`"): re.findall(r"`(\w+)`", columns) for name, columns, _ in rows}

    assert told == there
