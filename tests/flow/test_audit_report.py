"""The audit report: who asked for what and why, what was delivered, and whether the audit is whole; no identity."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coatcheck.keys import read_key
from coatcheck.vault import Vault
from tests.acceptance import studies
from tests.acceptance.house import House
from tests.tools.inside import Done, inside

WHY = "=incidental finding, vote 12/26"


def today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("audit") / "house")
    house.configure(profile="basic")
    house.drop("Zwetschke", studies.instance(1, 1, PatientName="Zwetschke^Philomena"))
    house.drop("b", studies.instance(2, 1, PatientName="Zwetschke^Philomena"))
    house.drop("no dicom.txt", b"nothing")
    house.deliver(expect=3)
    return house


@pytest.fixture
def house(made: House, tmp_path: Path) -> House:
    return made.copy(tmp_path / "house")


def command(house: House, *arguments: str) -> Done:
    return inside("--config", house.root / "coatcheck.yaml", *arguments)


def report(house: House, *arguments: str, code: int = 0, since: str = "2020-01-01") -> str:
    done = command(house, "audit", "report", "--from", since, "--to", today(), *arguments)
    assert done.code == code, done.err
    return done.out


def as_json(house: House, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report(house, "--format", "json", code=code))
    return found


def looked_up(house: House) -> str:
    """Some look-ups of one subject; gives the subject."""
    ds = studies.read(next(iter(house.delivered().values())))
    for value in (ds.PatientID, ds.SOPInstanceUID, ds.SeriesInstanceUID, "PAT-0815"):
        command(house, "redeem", "--project", "lung", str(value), "--reason", WHY)
    assert command(house, "mapping", "export", "--project", "lung", "--kind", "uid").code == 0
    return str(ds.PatientID)


def test_it_tells_who_asked_for_what_and_why(house: House) -> None:
    subject = looked_up(house)
    found = as_json(house)
    tickets = {one["ticket"] for one in found["deliveries"]}

    asked = [(one["action"], one["why"]) for one in found["asked"]]
    assert asked == [("redeem", WHY)] * 4 + [("mapping export uid", "")]
    of_subject, of_instance, of_series, of_nobody, _ = (one["what"] for one in found["asked"])
    assert of_subject.startswith(f"subject {subject}, study ") and of_subject.rsplit(" ", 1)[1] in tickets
    assert of_instance.removeprefix("an instance of study ") in tickets
    assert of_series.removeprefix("a series of study ") in tickets
    assert of_nobody == "a value that no delivered Study has"
    assert all(one["who"] for one in found["asked"])


def test_no_form_of_it_has_an_original(house: House) -> None:
    looked_up(house)
    for form in ("text", "html", "csv", "json"):
        said = report(house, "--format", form)

        assert "vote 12/26" in said
        names = ("Zwetschke", "Philomena", "PAT-0815", studies.study_uid(1), "no dicom")
        assert not [one for one in names if one in said]
        assert "vote" not in report(house, "--format", form, "--without-reasons")


def test_it_tells_what_was_delivered_under_which_profile(house: House) -> None:
    found = as_json(house)
    (sums,) = found["delivered_by_profile"]
    first = found["deliveries"][0]

    assert (sums["profile"], sums["studies"], sums["deliveries"], sums["instances"]) == ("basic", 2, 2, 2)
    assert (first["digest"], first["edition"]) == (sums["digest"], sums["edition"])
    assert found["set_aside"] == [{"project": "lung", "reason": "not-dicom", "state": "quarantined", "files": 1}]


def test_a_period_has_what_was_in_it_and_its_last_day_counts(house: House) -> None:
    looked_up(house)
    done = command(house, "audit", "report", "--from", "2020-01-01", "--to", "2020-03-31", "--format", "json")
    before = json.loads(done.out)

    assert before["asked"] == before["deliveries"] == before["set_aside"] == []
    assert before["integrity"]["whole"] and before["integrity"]["rows"] == 5
    assert len(as_json(house)["deliveries"]) == 2
    assert command(house, "audit", "report", "--from", "2020-01-02", "--to", "2020-01-01").code == 2


def test_a_report_leaves_a_row_itself(house: House) -> None:
    report(house)

    assert [one["action"] for one in as_json(house)["asked"]] == ["audit report"]


def test_a_broken_chain_is_said_first_and_in_the_exit_code(house: House) -> None:
    looked_up(house)
    with closing(sqlite3.connect(house.state / "vault.db")) as db, db:
        db.execute("UPDATE audit SET who = 'nobody' WHERE id = 2")

    found = as_json(house, code=1)
    assert not found["integrity"]["whole"] and "audit row 2 was changed" in found["integrity"]["faults"][0]
    assert "BROKEN" in report(house, code=1)


def test_rows_that_are_gone_from_the_end_are_found_by_the_anchor(house: House) -> None:
    looked_up(house)
    with closing(sqlite3.connect(house.state / "vault.db")) as db, db:
        db.execute("DELETE FROM audit WHERE id >= 4")

    assert "which ledger.db remembers, is gone" in " ".join(as_json(house, code=1)["integrity"]["faults"])


def test_without_the_key_it_tells_that_somebody_asked(house: House) -> None:
    looked_up(house)
    (house.root / "keys" / "lung.key").unlink()
    found = as_json(house)

    assert found["integrity"]["whole"]
    assert [one["action"] for one in found["asked"]][:2] == ["redeem", "redeem"]
    assert {one["why"] for one in found["asked"]} == {"sealed: the key is not at hand", ""}


def test_a_cell_is_no_formula_for_a_spreadsheet(house: House, tmp_path: Path) -> None:
    looked_up(house)
    report(house, "--output", str(tmp_path / "quarter.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "quarter.csv").read_text())))

    assert {row["kind"] for row in rows} == {"asked", "delivered", "set-aside"}
    assert [row["why"] for row in rows if row["why"]] == [f"'{WHY}"] * 4


def test_what_coatcheck_notes_itself_is_no_reason_of_a_person(house: House) -> None:
    assert command(house, "quarantine", "drop", "--project", "lung", "--all", "--yes").code == 0

    (row,) = as_json(house)["asked"]
    assert (row["action"], row["what"], row["why"]) == ("quarantine drop", "1", "")


def test_what_is_sealed_of_other_rows_is_never_told(house: House) -> None:
    """A path is the subject of the row that a deleted DICOMDIR leaves."""
    key = read_key(house.root / "keys" / "lung.key", None)
    with closing(Vault.open(house.state / "vault.db", {"lung": key})) as vault:
        now = f"{today()}T00:00:00.000Z"
        vault.audit("lung", who="service", action="deleted a DICOMDIR", subject="Zwetschke/DICOMDIR", now=now)

    (row,) = as_json(house)["asked"]
    assert (row["action"], row["what"]) == ("deleted a DICOMDIR", "")
