"""`coatcheck doctor`: each thing that it promises to notice, broken on purpose once, and no alarm where all is well."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coatcheck.config import load
from coatcheck.doctor import Finding, Level, examine
from coatcheck.doctor.visit import Limits, Settings
from coatcheck.keys import new_key, write_key
from coatcheck.ledger import Ledger, Note
from tests.acceptance import studies
from tests.acceptance.house import House, coatcheck, wait_until

PATIENT = "Vandermeulen"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with something of everything: deliveries, a late one, duplicates, and refused files of each kind."""
    house = House(tmp_path_factory.mktemp("healthy") / "house")
    for number in range(3):
        house.drop(f"{PATIENT}/{number}", studies.instance(1, number))
    house.drop("two", studies.instance(2, 1, patient="PAT-2"))
    for number in range(2):
        house.drop(f"mixed/{number}", studies.instance(3, number, patient=f"MIX-{number}"))
    house.drop("text", b"no DICOM")
    house.deliver(expect=3)
    house.drop("late", studies.instance(1, 7))
    house.drop("again", studies.instance(1, 1))
    house.drop("differs", studies.instance(1, 2, side=16))
    house.deliver(expect=3)
    assert (
        house.command("redeem", "--project", "lung", house.folders()[0].split("/")[0], "--reason", "x").returncode == 0
    )
    return house


@pytest.fixture
def house(healthy: House, tmp_path: Path) -> House:
    """The same house once more, to be broken."""
    return healthy.copy(tmp_path / "house")


def look(house: House, *, mend: bool = False, later: float = 0, **how: Any) -> list[Finding]:  # noqa: ANN401
    """What an examination finds, ``later`` seconds from now."""
    config = load(house.config)
    now = datetime.now(UTC) + timedelta(seconds=later)
    settings = Settings(config=config, projects=config.projects, credentials=None, now=now, clock=time.monotonic, **how)
    return list(examine(settings, mend=mend))


def grave(findings: list[Finding]) -> list[str]:
    """All but what is well."""
    return [f"{one.level} {one.check}: {one.what}" for one in findings if one.level is not Level.OK]


def change(house: House, sql: str, *values: object, database: str = "ledger") -> None:
    """Writes into a database behind everybody's back."""
    with closing(sqlite3.connect(house.state / f"{database}.db", isolation_level=None)) as db:
        assert db.execute(sql, values).rowcount != 0, "nothing was broken"


def vault(house: House, sql: str, *values: object) -> None:
    change(house, sql, *values, database="vault")


def results(house: House) -> list[Path]:
    return sorted(house.outbox.glob("[!.]*/*/*/*.dcm"))


def test_all_is_well_in_a_house_where_it_is(house: House) -> None:
    for thorough in (False, True):
        assert grave(look(house, thorough=thorough)) == []

    done = house.command("doctor")
    assert done.returncode == 0, done.stdout
    assert all(line.startswith("ok: ") for line in done.stdout.splitlines())
    assert "3 deliveries lie whole in the outbox, 0 were collected" in done.stdout
    assert "all is well" in done.stderr


def test_a_house_in_which_nothing_ran_yet_is_well(tmp_path: Path) -> None:
    done = House(tmp_path / "new").command("doctor")

    assert done.returncode == 0, done.stdout
    assert "no records yet" in done.stdout


def _damage(house: House) -> None:
    """Swaps two pages of an index, which no reader would notice."""
    with closing(sqlite3.connect(house.state / "ledger.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events_study'").fetchone()
    with (house.state / "ledger.db").open("r+b") as file:
        file.seek((page - 1) * 4096 + 3)
        file.write(b"\0\0")  # It has no cells any more.


def _other_key(house: House) -> None:
    (house.root / "keys/lung.key").unlink()
    write_key(house.root / "keys/lung.key", new_key(os.urandom))


def _older_ledger(house: House) -> None:
    with closing(sqlite3.connect(house.state / "ledger.db", isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys=OFF")
        last = db.execute("SELECT MAX(id) FROM deliveries").fetchone()[0]
        for table in ("events", "refusals", "instances"):
            db.execute(f"DELETE FROM {table} WHERE delivery_id = ?", (last,))
        db.execute("DELETE FROM deliveries WHERE id = ?", (last,))


def _link_in_place(house: House) -> None:
    folder = results(house)[0].parents[1]
    folder.rename(house.root / "moved")
    folder.symlink_to(house.root / "moved")


def _lose_originals(house: House) -> None:
    for path in house.quarantine.glob("not-dicom/unassigned/*"):
        if path.name != "REASON.txt":
            path.unlink()


def _flip_original(house: House) -> None:
    flipped = "CAST(substr(original, 1, 20) || x'00' || substr(original, 22) AS BLOB)"
    vault(house, f"UPDATE mappings SET original = {flipped} WHERE id = 1")


def _link_the_lock(house: House) -> None:
    (house.state / "lock").unlink()
    (house.state / "lock").symlink_to("elsewhere")


def _older_delivery(house: House) -> None:
    change(house, "UPDATE deliveries SET changed = '2020-01-01T00:00:00.000Z', state = 'released' WHERE id = 1")
    change(house, "DELETE FROM events WHERE delivery_id = 1 AND refusal_id IS NULL AND to_state = 'done'")


DELIVERY = "(SELECT MIN(id) FROM deliveries WHERE folder IS NOT NULL)"
BROKEN: dict[str, tuple[Callable[[House], object], str]] = {
    "a damaged database": (_damage, "problem databases: ledger.db is damaged"),
    "a row that refers to nothing": (
        lambda house: change(house, "UPDATE refusals SET study_id = 999 WHERE study_id IS NOT NULL"),
        "problem databases: ledger.db is damaged (a row of refusals refers to none of studies",
    ),
    "only one database": (
        lambda house: (house.state / "vault.db").rename(house.root / "vault.db"),
        "problem records: of ledger.db and vault.db, only ledger.db is there",
    ),
    "another journal": (
        lambda house: change(house, "PRAGMA journal_mode=DELETE", database="vault"),
        "note files: vault.db is not in WAL mode",
    ),
    "an event that is gone": (
        lambda house: change(house, "DELETE FROM events WHERE delivery_id = 1 AND to_state = 'released'"),
        "problem history: these events are steps that nothing can take",
    ),
    "a last event that is gone": (
        lambda house: change(house, "DELETE FROM events WHERE refusal_id = 1 AND to_state = 'quarantined'"),
        "problem history: the last event of these does not lead to the state that they have: refusal 1",
    ),
    "a state that nothing led to": (
        lambda house: change(house, "UPDATE deliveries SET state = 'abandoned' WHERE id = 1"),
        "problem history: the last event of these does not lead to the state that they have: delivery 1",
    ),
    "an instance that is gone": (
        lambda house: change(house, f"DELETE FROM instances WHERE delivery_id = {DELIVERY} AND copy = 0"),
        "problem history: these deliveries have not the instances that they count",
    ),
    "a study without work": (
        lambda house: change(house, "INSERT INTO studies VALUES (99, 'lung', '0123456789', '2.25.1', 'S', 'x')"),
        "problem history: for these studies no work was ever begun: 0123456789",
    ),
    "work that was left": (_older_delivery, "note work: work is unfinished and no service runs: delivery 1 (released)"),
    "a result that is gone": (
        lambda house: next(one for one in results(house) if len(list(one.parent.iterdir())) > 1).unlink(),
        "problem outbox: 1 deliveries lack files in the outbox",
    ),
    "a result that was cut": (
        lambda house: os.truncate(results(house)[0], 100),
        "problem outbox: 1 deliveries have files in the outbox whose size is not what was delivered",
    ),
    "a file that was added": (
        lambda house: results(house)[0].with_name("seen.txt").touch(),
        "note outbox: 1 deliveries have files beside their own in the outbox",
    ),
    "a link in place of a delivery": (_link_in_place, "problem outbox: 1 deliveries have a link or something else"),
    "a delivery that is unknown": (
        lambda house: (house.outbox / "S1" / "2.25.1").mkdir(parents=True),
        "note outbox: 1 folders lie in the outbox that no delivery knows",
    ),
    "staging that is nobody's": (
        lambda house: (house.outbox / ".coatcheck" / "0123456789-7777").mkdir(),
        "note staging: 1 things lie in the outbox's .coatcheck that belong to no work",
    ),
    "a ledger that is older": (
        _older_ledger,
        "problem pair: the vault knows 3 originals of which the ledger knows nothing",
    ),
    "a vault that is older": (
        lambda house: vault(house, "DELETE FROM files WHERE delivery_id = (SELECT MAX(delivery_id) FROM files)"),
        "problem pair: the vault does not know what became of the originals of 1: delivery",
    ),
    "a refusal without its file": (
        lambda house: vault(house, "DELETE FROM files WHERE refusal_id IS NOT NULL"),
        "problem pair: the vault does not know what became of the originals of 1: refusal",
    ),
    "mappings that are lost": (
        lambda house: vault(house, "DELETE FROM mappings WHERE kind = 'uid'"),
        "problem pair: the vault has no original for",
    ),
    "a plan that was not carried out": (
        lambda house: vault(house, "UPDATE files SET state = 'planned' WHERE id = 1"),
        "note originals: 1 originals are still to be put away, and 0 belong to work that is to be repeated",
    ),
    "an archive that was emptied": (
        lambda house: shutil.rmtree(next(house.archive.iterdir())),
        "do not lie in the archive any more",
    ),
    "an archive of another ledger": (
        lambda house: (house.archive / "0123456789").mkdir(),
        "note archive: the archive holds originals of 1 studies that the ledger does not know",
    ),
    "an original that is gone": (
        _lose_originals,
        "problem quarantine: files of 1 refusals lie in the quarantine no more",
    ),
    "a file that nobody refused": (
        lambda house: (house.quarantine / "not-dicom" / "unassigned" / "new").touch(),
        "note quarantine: 1 files lie in the quarantine that no refusal knows",
    ),
    "another key": (_other_key, "problem keys: the key of project lung is not the one that it began with"),
    "no key": (lambda house: (house.root / "keys/lung.key").unlink(), "problem keys: the key file"),
    "a sealed value that was changed": (_flip_original, "problem keys: a sealed value of project lung"),
    "an audit row that was changed": (
        lambda house: vault(house, "UPDATE audit SET who = 'nobody' WHERE id = 1"),
        "problem audit: the audit was changed by something else",
    ),
    "an audit row that is gone": (
        lambda house: vault(house, "DELETE FROM audit WHERE id = (SELECT MAX(id) FROM audit)"),
        "problem audit: the audit was changed by something else",
    ),
    "an outbox that is gone": (
        lambda house: house.outbox.rename(house.root / "away"),
        "problem disks: the outbox of lung cannot be looked at",
    ),
    "a lock that is a link": (
        _link_the_lock,
        "is not what it should be",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_is_found(house: House, kind: str) -> None:
    destroy, words = BROKEN[kind]
    destroy(house)

    found = grave(look(house, thorough=True))

    assert [one for one in found if words in one], found
    assert not [one for one in found if PATIENT in one or "unexpected" in one]


def test_a_wrong_key_is_one_finding_and_no_word_against_the_records(house: House) -> None:
    _other_key(house)

    found = grave(look(house, thorough=True))

    assert len(found) == 1, found


def test_what_was_collected_is_no_fault(house: House) -> None:
    shutil.rmtree(results(house)[0].parents[1])
    for path in results(house)[1].parents[1].rglob("*.dcm"):
        path.unlink()  # as rsync --remove-source-files leaves it

    found = look(house)

    assert grave(found) == []
    assert any("1 deliveries lie whole in the outbox, 2 were collected" in one.what for one in found)


def test_rights_and_leftovers_are_mended_where_no_service_runs_and_nowhere_else(house: House) -> None:
    given_up = house.outbox / ".coatcheck" / _ticket_of_a_refused_study(house)
    (given_up / "results").mkdir(parents=True)
    (house.state / "status.tmp").touch()
    half = house.quarantine / "not-dicom" / ".coatcheck-0123456789abcdef.tmp"
    half.write_bytes(b"half")
    open_ones = {house.state / "vault.db": 0o600, house.state / "ledger.db": 0o640}
    for path in open_ones:
        path.chmod(0o666)

    looked = house.command("doctor", "--only-look")

    assert looked.returncode == 1
    assert "`coatcheck doctor`, run by the owner of state_dir while no service runs, mends it" in looked.stdout
    assert given_up.exists() and half.exists()
    assert {path.stat().st_mode & 0o777 for path in open_ones} == {0o666}

    mended = house.command("doctor", "--json")

    said = json.loads(mended.stdout)
    assert mended.returncode == 0, said
    assert sum(one["level"] == "mended" for one in said["findings"]) >= 5
    assert not given_up.exists() and not half.exists() and not (house.state / "status.tmp").exists()
    assert {path: path.stat().st_mode & 0o777 for path in open_ones} == open_ones
    assert grave(look(house)) == []


def test_a_key_that_others_can_read_is_mended_and_looked_at_the_next_time(house: House) -> None:
    key = house.root / "keys/lung.key"
    key.chmod(0o640)

    found = grave(look(house, mend=True))

    assert any(one.startswith(f"mended files: {key} is open to other users") for one in found)
    assert not any(one.startswith("problem") for one in found)
    assert key.stat().st_mode & 0o777 == 0o600
    assert grave(look(house)) == []


def _ticket_of_a_refused_study(house: House) -> str:
    sql = (
        "SELECT ticket, deliveries.id FROM deliveries JOIN studies ON studies.id = study_id WHERE state = 'quarantined'"
    )
    return "-".join(map(str, house.rows(sql)[0]))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_another_user_is_found(house: House) -> None:
    os.chown(house.state / "ledger.db", 65534, 65534)

    assert any("ledger.db belongs to another user than its folder" in one for one in grave(look(house)))


def test_a_disk_without_room_is_found(house: House) -> None:
    found = grave(look(house, limits=Limits(room=1 << 60)))

    assert [one for one in found if "problem disks: the disk of the outbox of lung is full" in one]


def test_a_reader_that_stays_is_found_by_the_wal_that_grows(running: House) -> None:
    house = running
    with closing(sqlite3.connect(house.state / "ledger.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM studies").fetchall()
        for number in range(300):
            change(house, "INSERT INTO errors VALUES (NULL, 't', 'lung', ?, 'w', 'h', 1, 't', 't')", f"kind {number}")

        found = grave(look(house, limits=Limits(wal=1 << 20)))

    assert [one for one in found if "problem databases: the WAL of ledger.db has grown to" in one]


@pytest.fixture
def running(house: House) -> Iterator[House]:
    with house.service():
        wait_until(lambda: house.said().get("projects", {}).get("lung"), "the service speaks of its project")
        yield house


def test_beside_a_running_service_nothing_is_mended(running: House) -> None:
    (running.state / "vault.db").chmod(0o644)

    found = look(running, mend=True)

    assert [one.what for one in found if one.level is Level.PROBLEM] == [
        f"{running.state / 'vault.db'} is open to other users (0644)"
    ]
    assert (running.state / "vault.db").stat().st_mode & 0o777 == 0o644
    (running.state / "vault.db").chmod(0o600)


def test_work_that_a_running_service_has_forgotten_is_found(running: House) -> None:
    change(
        running,
        "INSERT INTO deliveries SELECT 900, study_id, NULL, 'open', profile, profile_digest, NULL, 1, 0, 0, 0,"
        " '2020-01-01T00:00:00.000Z', '2020-01-01T00:00:00.000Z', edition, NULL, '' FROM deliveries WHERE id = 1",
    )
    change(
        running,
        "INSERT INTO events SELECT 900, at, project, study_id, 900, NULL, NULL, 'open', '' FROM events WHERE id = 1",
    )
    vault(running, "UPDATE files SET state = 'planned', delivery_id = 900 WHERE delivery_id = 1")

    found = grave(look(running))

    assert "problem work: work is unfinished and the running service does not speak of it: delivery 900 (open)" in found
    assert [one for one in found if one.startswith("problem originals: ")]


def test_a_service_whose_loop_stands_still_is_found(house: House) -> None:
    service = house.start()
    try:
        wait_until(lambda: house.said().get("updated"), "the service speaks of itself")
        service.process.send_signal(signal.SIGSTOP)

        assert [one for one in grave(look(house, later=600)) if "has said nothing since" in one]
    finally:
        service.kill()


def test_a_killed_service_leaves_notes_and_no_problem(house: House) -> None:
    service = house.start()
    for study in range(10, 22):
        house.drop(f"{study}", studies.instance(study, 1, patient=f"P{study}", side=300))
    wait_until(lambda: house.rows("SELECT 1 FROM deliveries WHERE id > 6 AND folder IS NOT NULL"), "it delivers")
    service.kill()

    found = look(house, later=600, mend=True)

    assert [one for one in found if one.level is Level.PROBLEM] == []
    house.deliver(expect=0)
    assert grave(look(house)) == []


def test_a_service_under_load_gives_no_alarm(running: House) -> None:
    rounds = 0
    for study in range(100, 112):
        for number in range(4):
            running.drop(f"{study}/{number}", studies.instance(study, number, patient=f"P{study}"))
        running.drop(f"{study}.txt", b"text %d" % study)
        problems = [one for one in look(running, thorough=True) if one.level is Level.PROBLEM]
        assert problems == []
        rounds += 1
    running.wait_until_done(studies=3 + 12)

    assert rounds == 12
    assert grave(look(running, thorough=True)) == []


def test_a_ledger_that_is_written_to_all_the_time_gives_no_alarm(house: House) -> None:
    """Each page is read with its newest events in one moment, so nothing can come in between."""
    over = threading.Event()
    written: list[int] = []

    def write() -> None:
        with closing(Ledger.open(house.state / "ledger.db")) as ledger:
            (study,) = ledger.recent_deliveries("lung", 1)
            while not over.is_set():
                now = "2026-11-21T10:00:00.000Z"
                number = ledger.open_delivery(
                    project="lung",
                    ticket=study.ticket,
                    study_uid=study.study_uid,
                    subject=study.subject,
                    profile="basic",
                    profile_digest="x",
                    edition="2026d",
                    tags=(),
                    instances=1,
                    now=now,
                )
                ledger.abandon(number, now, Note.STOPPED)
                written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [one for _ in range(15) for one in look(house) if one.check == "history"]
    finally:
        over.set()
        writer.join()

    assert len(written) > 15
    assert {one.level for one in found} == {Level.OK}, found


def test_a_project_is_looked_at_alone(tmp_path: Path) -> None:
    house = House(tmp_path / "house", "lung", "heart")
    for project in house.projects:
        house.drop("one", studies.instance(1, 1), project=project)
    house.deliver()
    heart = next((house.root / "heart/outbox").glob("[!.]*/*/*/*.dcm"))
    heart.write_bytes(b"")

    assert house.command("doctor", "--project", "lung").returncode == 0
    done = house.command("doctor", "--project", "heart", "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert [one["project"] for one in said["findings"] if one["level"] == "problem"] == ["heart"]
    assert (said["version"], said["running"], said["problems"]) == (1, False, 1)
    assert house.command("doctor", "--project", "hart").returncode == 2


def test_a_wrong_configuration_ends_with_78(house: House) -> None:
    house.config.write_text("projects: []\n")

    assert house.command("doctor").returncode == 78
    assert coatcheck("doctor", "--help").returncode == 0
