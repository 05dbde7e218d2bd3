"""What a person does with the quarantine: given back to be taken in anew, or thrown away; nothing is written over."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.keys import read_key
from coatcheck.model import Fingerprint
from coatcheck.vault import Vault
from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def quarantine(house: House, *words: str, expect: int = 0) -> str:
    """A command of the quarantine; gives what it printed."""
    done = house.command("quarantine", *words)
    assert done.returncode == expect, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def states(house: House) -> dict[int, str]:
    return dict(house.rows("SELECT id, state FROM refusals ORDER BY id"))


def events(house: House, refusal: int) -> list[str]:
    return [row[0] for row in house.rows("SELECT to_state FROM events WHERE refusal_id = ? ORDER BY id", refusal)]


def vault(house: House) -> Vault:
    return Vault.open(house.state / "vault.db", {"lung": read_key(house.root / "keys/lung.key", None)})


def mixed(house: House, study: int = 1) -> dict[str, bytes]:
    """A Study of two patients, which is refused as a whole."""
    files = {f"disc {study}/a/{number}": studies.instance(study, number, patient=f"P-{number}") for number in (1, 2)}
    for path, content in files.items():
        house.drop(path, content)
    return files


def test_a_retry_gives_files_back_as_they_were_dropped_and_they_are_taken_in_anew(house: House) -> None:
    files = mixed(house)
    house.deliver(expect=3)

    said = quarantine(house, "retry", "--project", "lung", "--reason", "patient-mismatch")

    assert "2 files were given back" in said
    assert tree(house.inbox) == files
    assert not tree(house.quarantine)  # the note too
    assert states(house) == {1: "retried"}
    assert events(house, 1) == ["planned", "quarantined", "retried"]
    house.deliver(expect=3)
    assert states(house) == {1: "retried", 2: "quarantined"}
    assert sorted(house.set_aside().values()) == sorted(files.values())


def test_a_mended_study_is_delivered_after_the_retry(house: House) -> None:
    mixed(house)
    house.deliver(expect=3)
    quarantine(house, "retry", "1")
    house.drop("disc 1/a/2", studies.instance(1, 2, patient="P-1"))
    house.deliver()
    assert len(house.delivered()) == 2
    assert not house.unfinished()


def test_a_running_service_gives_back_at_once(house: House) -> None:
    mixed(house)
    house.deliver(expect=3)
    with house.service():
        wait_until(house.said, "the service has begun")
        said = json.loads(quarantine(house, "retry", "--project", "lung", "--all", "--json"))
        assert said == {
            "version": 1,
            "refusals": [{"id": 1, "state": "retried", "files": 2, "found": 2, "problem": ""}],
        }
        wait_until(lambda: states(house) == {1: "retried", 2: "quarantined"}, "the files were taken in anew")
        assert quarantine(house, "drop", "2", "--yes").startswith("2 files were deleted")
        assert states(house)[2] == "dropped"
        assert not list((house.state / "requests").iterdir())
        assert (house.state / "requests").stat().st_mode & 0o777 == 0o700
    assert not house.set_aside()


def test_what_is_chosen_is_given_back_and_nothing_else(house: House) -> None:
    mixed(house, 1)
    mixed(house, 2)
    house.drop("text", b"text")
    house.drop("more text", b"more text")
    house.deliver(expect=3)
    tickets = {
        row[0]: row[1]
        for row in house.rows("SELECT refusals.id, ticket FROM refusals JOIN studies ON studies.id = study_id")
    }
    number, ticket = next(iter(tickets.items()))

    assert ticket in quarantine(house, "list", "--study", ticket)
    assert quarantine(house, "list", "--study", ticket).count("patient-mismatch") == 1
    assert ticket in quarantine(house, "show", ticket)
    quarantine(house, "retry", "--project", "lung", "--study", ticket)

    assert [one for one, state in states(house).items() if state == "retried"] == [number]
    assert len(tree(house.inbox)) == 2
    text = next(
        one
        for one, (reason,) in {row[0]: row[1:] for row in house.rows("SELECT id, reason FROM refusals")}.items()
        if reason == "not-dicom"
    )
    quarantine(house, "retry", str(text))
    assert len(tree(house.inbox)) == 3
    assert tree(house.quarantine)["not-dicom/unassigned/REASON.txt"]


def test_nothing_in_the_inbox_is_written_over(house: House) -> None:
    house.drop("same", b"first text")
    house.drop("folder/x", b"third text")
    house.deliver(expect=3)
    house.drop("same", b"second text")
    shutil.rmtree(house.inbox / "folder", ignore_errors=True)
    house.drop("folder", b"a file where a folder was")

    quarantine(house, "retry", "--project", "lung", "--all")

    assert tree(house.inbox) == {
        "same": b"second text",
        "same~2": b"first text",
        "folder": b"a file where a folder was",
        "folder~2/x": b"third text",
    }


def test_what_was_dropped_again_meanwhile_is_not_doubled(house: House) -> None:
    house.drop("same", b"text")
    house.deliver(expect=3)
    house.drop("same", b"text")
    quarantine(house, "retry", "1")
    assert tree(house.inbox) == {"same": b"text"}
    assert not tree(house.quarantine)


def test_files_of_one_name_are_told_apart(house: House) -> None:
    contents = (b"first text", b"second one", b"third text")
    for content in contents:
        house.drop("notes/x.txt", content)
        house.deliver(expect=3)

    quarantine(house, "retry", "2")
    assert tree(house.inbox) == {"notes/x.txt": b"second one"}
    quarantine(house, "retry", "3", "1")
    assert sorted(tree(house.inbox).values()) == sorted(contents)


@pytest.mark.parametrize("where", ["beside", "elsewhere"])
def test_files_of_one_name_size_and_time_are_all_given_back(
    house: House, where: str, request: pytest.FixtureRequest
) -> None:
    if where == "elsewhere":
        house.configure(quarantine=request.getfixturevalue("elsewhere"))
    for content in (b"text 1", b"text 2", b"text 3"):
        os.utime(house.drop("x", content), (10**9, 10**9))
        house.deliver(expect=3)

    quarantine(house, "retry", "2")
    if where == "beside":
        assert tree(house.inbox) == {"x": b"text 2"}
    quarantine(house, "retry", "--project", "lung", "--all")
    assert sorted(tree(house.inbox).values()) == [b"text 1", b"text 2", b"text 3"]
    assert not house.set_aside()


def test_one_file_that_lies_there_for_two_refusals_counts_for_both(house: House) -> None:
    for _ in range(2):
        house.drop("x.txt", b"text")
        house.deliver(expect=3)
    assert len(house.set_aside()) == 1
    quarantine(house, "retry", "--project", "lung", "--all")
    assert states(house) == {1: "retried", 2: "retried"}
    assert tree(house.inbox) == {"x.txt": b"text"}


def test_files_refused_with_a_delivery_belong_to_their_own_refusals(house: House) -> None:
    house.drop("good", studies.instance(1, 1))
    house.deliver()
    house.drop("new", studies.instance(1, 2))
    differing = {f"bad {number}": studies.instance(1, 1, side=number) for number in (16, 24)}
    for path, content in differing.items():
        house.drop(path, content)
    house.deliver(expect=3)
    assert len(house.delivered()) == 2
    assert set(states(house).values()) == {"quarantined"}

    quarantine(house, "drop", "2", "--yes")

    [left] = house.set_aside().values()
    quarantine(house, "retry", "1")
    assert list(tree(house.inbox).values()) == [left]


def test_a_quarantine_on_another_file_system_gives_back_whole_files(house: House, elsewhere: Path) -> None:
    house.configure(quarantine=elsewhere)
    files = mixed(house)
    source = house.inbox / next(iter(files))
    source.chmod(0o640)
    house.deliver(expect=3)

    quarantine(house, "retry", "1")

    assert tree(house.inbox) == files
    assert source.stat().st_mode & 0o777 == 0o640
    assert not tree(elsewhere)


@pytest.mark.parametrize("name", [b"R\xe4ntgen/\xff.dcm", b"REASON.txt", b"REASON.txt/x", b"n" * 255, b"line\nfeed"])
def test_any_name_comes_back(house: House, name: bytes) -> None:
    house.drop(name, b"text")
    house.deliver(expect=3)
    quarantine(house, "retry", "1")
    assert tree(house.inbox) == {os.fsdecode(name): b"text"}


def test_a_drop_asks_or_wants_yes_and_leaves_a_record(house: House) -> None:
    house.drop("text", b"text")
    house.deliver(expect=3)
    assert "--yes" in quarantine(house, "drop", "1", expect=2)
    assert states(house) == {1: "quarantined"}

    assert "1 files were deleted" in quarantine(house, "drop", "1", "--yes")

    assert not tree(house.quarantine)
    assert events(house, 1) == ["planned", "quarantined", "dropped"]
    with closing(vault(house)) as open_vault:
        [row] = open_vault.audits("lung")
    assert (row.action, row.reason) == ("quarantine drop", "1")
    assert row.who
    assert "does not lie in quarantine" in quarantine(house, "drop", "1", "--yes", expect=1)


def test_files_that_a_person_took_away_are_told_and_can_be_forgotten(house: House) -> None:
    mixed(house)
    house.deliver(expect=3)
    [first, _] = [path for path in house.quarantine.rglob("*") if path.name in ("1", "2")]
    first.unlink()
    assert "1 of 2 files did not lie there" in quarantine(house, "retry", "1")
    house.deliver()  # one Instance of one patient is no mismatch
    house.drop("text", b"text")
    house.deliver(expect=3)
    shutil.rmtree(house.quarantine / "not-dicom")
    assert "quarantine drop 2" in quarantine(house, "retry", "2", expect=1)
    quarantine(house, "drop", "2", "--yes")
    assert states(house)[2] == "dropped"


@pytest.mark.parametrize(
    "words",
    [
        ("retry",),
        ("retry", "--project", "lung"),
        ("retry", "--all"),
        ("retry", "1", "--all"),
        ("retry", "--project", "lnug", "--all"),
        ("drop", "--yes"),
        ("show", "xyz"),
        ("retry", "--project", "lung", "--reason", "bad-luck"),
    ],
)
def test_what_is_not_clear_is_a_wrong_usage(house: House, words: tuple[str, ...]) -> None:
    house.deliver()
    quarantine(house, *words, expect=2)


def test_nothing_to_do_is_no_failure_and_an_unknown_number_is(house: House) -> None:
    house.deliver()
    assert "nothing in quarantine" in quarantine(house, "retry", "--project", "lung", "--all")
    quarantine(house, "retry", "99", expect=1)
    quarantine(house, "show", "0000000000", expect=1)


def cut_off(house: House, after: str) -> None:
    """The journal and the files as a retry leaves them that was cut off right after one of its steps."""
    place = house.quarantine / "not-dicom/unassigned/folder/text"
    status = place.stat()
    mark = Fingerprint(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    path = place.relative_to(house.quarantine).as_posix()
    file = PlannedFile(path=path, fingerprint=mark, fate=Fate.RETRY, destination="folder/text")
    with closing(vault(house)) as open_vault:
        rows = open_vault.plan_returns("lung", [(1, file)])
        if after != "plan":
            (house.inbox / "folder").mkdir(exist_ok=True)
            os.rename(place, house.inbox / "folder/text")
        if after == "journal":
            open_vault.settle_fate(rows, FateState.DONE)


@pytest.mark.parametrize("after", ["plan", "move", "journal"])
@pytest.mark.parametrize("who", ["service", "command"])
def test_a_retry_that_was_cut_off_is_finished_by_whoever_comes_next(house: House, after: str, who: str) -> None:
    house.drop("folder/text", b"text")
    house.deliver(expect=3)
    cut_off(house, after)
    if who == "service":
        with house.service():
            wait_until(lambda: states(house) == {1: "retried", 2: "quarantined"}, "it was given back and refused anew")
        assert list(house.set_aside().values()) == [b"text"]
    else:
        assert "1 files were given back" in quarantine(house, "retry", "--project", "lung", "--all")
        assert states(house) == {1: "retried"}
        assert tree(house.inbox) == {"folder/text": b"text"}


def test_a_fault_of_the_inbox_is_told_and_the_files_come_back_when_it_is_mended(house: House) -> None:
    house.drop("text", b"text")
    house.deliver(expect=3)
    shutil.rmtree(house.inbox)

    said = quarantine(house, "retry", "1", expect=1)

    assert "cannot be moved" in said
    assert list(house.set_aside().values()) == [b"text"]
    house.inbox.mkdir()
    quarantine(house, "retry", "--project", "lung", "--all")
    assert tree(house.inbox) == {"text": b"text"}
    assert states(house) == {1: "retried"}


def test_no_file_name_is_said_or_logged(house: House) -> None:
    house.drop("Doe^Jane/text", b"text")
    house.deliver(expect=3)
    said = quarantine(house, "show", "1") + quarantine(house, "retry", "1")
    log: Any = house.log.read_text() if house.log.exists() else ""
    assert "Doe" not in said + log


def test_what_lies_there_is_chosen_by_its_age(house: House) -> None:
    house.drop("a", b"no DICOM")
    house.deliver(expect=3)
    with closing(sqlite3.connect(house.state / "ledger.db")) as db, db:
        db.execute("UPDATE refusals SET at = '2020-01-01T00:00:00.000Z'")
    house.drop("b", b"no DICOM either")
    house.deliver(expect=3)

    listed = json.loads(quarantine(house, "list", "--older-than", "30d", "--json"))["refusals"]
    shown = quarantine(house, "show", "--older-than", "30d")

    assert [one["id"] for one in listed] == [1]
    assert ("id:      1" in shown, "id:      2" in shown) == (True, False)
    assert "neither" not in quarantine(house, "show", "2")
    quarantine(house, "list", "--older-than", "30", expect=2)
    quarantine(house, "drop", "--older-than", "30d", "--yes", expect=2)  # of which project?
    quarantine(house, "drop", "--project", "lung", "--older-than", "30d", "--yes")
    assert states(house) == {1: "dropped", 2: "quarantined"}
