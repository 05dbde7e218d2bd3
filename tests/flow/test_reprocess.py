"""A Study delivered anew out of the archive: whole, under the same identifiers, every original left in its place."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coatcheck.keys import read_key
from coatcheck.vault import Vault
from tests.acceptance import studies
from tests.acceptance.house import House, tree


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("delivered") / "house", profile="research")
    for number in (1, 2):
        house.drop(f"Doe^Jane/{number}", studies.instance(1, number, StudyDescription="knee"))
    house.drop("again/1", studies.instance(1, 1, StudyDescription="knee"))
    house.deliver()
    return house


@pytest.fixture
def house(delivered: House, tmp_path: Path) -> House:
    return delivered.copy(tmp_path / "house")


def ticket(house: House) -> str:
    [(found,)] = house.rows("SELECT ticket FROM studies")
    return str(found)


def reprocess(house: House, *words: str, expect: int = 0) -> dict[str, Any]:
    done = house.command("reprocess", ticket(house), "--json", *words)
    assert done.returncode == expect, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert "Doe" not in done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def is_sound(house: House) -> bool:
    return house.command("doctor", "--thorough").returncode == 0


@pytest.mark.parametrize("runs", [False, True])
def test_it_comes_out_by_another_profile_under_the_same_identifiers(house: House, runs: bool) -> None:
    archived, before = tree(house.archive), house.deliveries()[0]
    if runs:
        with house.service():
            said = reprocess(house, "--profile", "basic")
    else:
        said = reprocess(house, "--profile", "basic")

    assert said["folder"] == before["folder"] + ".2"
    assert (said["instances"], said["problem"]) == (2, "")
    first, second = (tree(house.outbox / folder) for folder in (before["folder"], said["folder"]))
    assert set(first) == set(second)
    one, other = (studies.read(found[min(found)]) for found in (first, second))
    assert (one.PatientID, one.StudyInstanceUID) == (other.PatientID, other.StudyInstanceUID)
    assert ("StudyDescription" in one, one.StudyDate != "") == (True, True)
    assert ("StudyDescription" in other, other.StudyDate) == (False, "")
    assert tree(house.archive) == archived
    digests = dict(house.rows("SELECT profile, profile_digest FROM deliveries"))
    assert digests == {"research": digests["research"], "basic": said["profile_digest"]}
    assert is_sound(house)
    with closing(Vault.open(house.state / "vault.db", {"lung": read_key(house.root / "keys/lung.key", None)})) as vault:
        [audit] = [row for row in vault.audits("lung") if row.action == "reprocess"]
        assert said["profile_digest"] in str(audit.reason)


def test_what_comes_again_afterwards_is_still_a_duplicate(house: House) -> None:
    reprocess(house)
    house.drop("late/1", studies.instance(1, 1, StudyDescription="knee"))
    house.deliver()

    assert [row["number"] for row in house.deliveries()] == [1, 2, None]
    assert house.deliveries()[2]["duplicates"] == 1
    assert is_sound(house)


def test_deleted_and_missing_originals_are_told_and_nothing_comes_out(house: House) -> None:
    kept = next(house.archive.rglob("2"))
    kept.rename(house.root / "taken")
    assert reprocess(house, expect=1)["problem"] == "1 of its 2 originals are not in the archive"
    shutil.rmtree(house.archive / ticket(house))
    assert reprocess(house, expect=1)["problem"] == "its originals left the archive"
    with closing(sqlite3.connect(house.state / "vault.db")) as db, db:
        db.execute("UPDATE files SET fate = 'delete'")
    assert reprocess(house, expect=1)["problem"] == "its originals were deleted after delivery"
    assert len(house.deliveries()) == 1


def test_what_came_packed_is_told_where_it_lies(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    with zipfile.ZipFile(house.root / "Doe^Jane.zip", "w") as packed:
        packed.writestr("Doe/1", studies.instance(1, 1))
    house.drop("Doe^Jane.zip", (house.root / "Doe^Jane.zip").read_bytes())
    house.deliver()

    problem = reprocess(house, expect=1)["problem"]

    [folder] = (house.archive / "unpacked").iterdir()
    assert problem == f"its originals lie packed in unpacked/{folder.name} of the archive: drop that again"


def test_an_original_that_is_not_what_was_delivered_ends_it(house: House) -> None:
    path = next(house.archive.rglob("2"))
    path.write_bytes(studies.instance(1, 2, StudyDescription="hips"))

    assert "not what was delivered" in reprocess(house, expect=1)["problem"]

    assert [row["number"] for row in house.deliveries()] == [1]
    assert not [one for one in (house.outbox / ".coatcheck").iterdir() if one.is_dir()]
    [(note,)] = house.rows("SELECT note FROM events WHERE to_state = 'abandoned'")
    assert "anew" in note
    assert is_sound(house)


def test_a_profile_that_refuses_one_original_ends_it_and_moves_nothing(house: House, tmp_path: Path) -> None:
    archived = tree(house.archive)
    house.configure(subjects={"kind": "list", "file": "none.csv"})
    (house.root / "none.csv").write_text("patient_id,subject\nP-9,S-9\n")

    assert "lookup-miss" in reprocess(house, expect=1)["problem"]

    assert tree(house.archive) == archived
    assert not tree(house.quarantine)
    assert not house.rows("SELECT * FROM refusals")


def test_identifiers_that_would_change_are_refused(house: House) -> None:
    profile = "extends: research\noptions: [retain-uids]\n"
    (house.root / "own.yaml").write_text(profile)

    assert "another Study Instance UID" in reprocess(house, "--profile", "own.yaml", expect=1)["problem"]
