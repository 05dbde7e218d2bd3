"""Weather over ledger and vault, which all projects share: nothing leaves without records, and nothing is given up."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from coatcheck.errors import StateError
from coatcheck.ledger import Ledger
from coatcheck.reasons import Reason
from coatcheck.wal import LARGE
from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until
from tests.faults.conftest import Report
from tests.faults.crash import attach
from tests.faults.need import needs_strace
from tests.faults.storm import HEALTHY, STRUCK, Storm, storm

DATABASES = ("ledger.db", "vault.db")
PAGE = 4096
NOW = "2026-11-21T10:00:00.000Z"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", STRUCK, HEALTHY)


def begin_well(weather: Storm) -> None:
    """One delivery before the weather comes, so that the databases have something in them."""
    weather.house.drop("first", studies.instance(1, 1))
    weather.house.wait_until_done(studies=1)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A transaction of another process that writes, and stays."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_another_writer_locks_pauses_all_and_nothing_is_lost(
    house: House, tmp_path: Path, name: str, sweep: bool, report: Report
) -> None:
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    with storm(house, tmp_path, WATCHDOG_USEC="16000000") as weather:
        begin_well(weather)
        with locked(house.state / name):
            for number in range(30):
                house.drop(f"dropped {number}", b"text %d" % number)
            house.drop("dropped", studies.instance(2, 1))
            weather.shows(f"{name} cannot be used", "SQLITE_BUSY")
            beats = weather.beats()
            # Were each of them to wait as long as the first, the loop would turn once in minutes.
            wait_until(lambda: weather.beats() >= beats + 2, "the watchdog is fed")
            assert len(tree(house.inbox)) == 31
            assert len(house.folders()) == 1
        weather.is_over()
        assert len(house.folders()) == 2
        assert len(house.set_aside()) == 30

    report(f"{name}: locked by another writer", fired=1)


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("name", DATABASES)
def test_a_database_whose_disk_fails_pauses_all_and_nothing_leaves_without_records(
    house: House, tmp_path: Path, name: str, call: str, sweep: bool, report: Report
) -> None:
    needs_strace()
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    with storm(house, tmp_path) as weather:
        begin_well(weather)
        wal = house.state / f"{name}-wal"
        inject = ["-e", f"trace={call}", "-P", os.fspath(wal), "-e", f"inject={call}:error=EIO"]
        record = tmp_path / "record"
        with attach(weather.service, inject, record):
            house.drop("dropped", studies.instance(2, 1))
            weather.shows(f"{name} cannot be used", "SQLITE_IOERR")
            wait_until(lambda: record.read_text().count("INJECTED") >= 2, "it is tried again")
            assert len(tree(house.inbox)) == 1
            assert len(house.folders()) == 1
        weather.is_over()
        assert len(house.folders()) == 2

    assert len(house.kept()) == 2
    report(f"{name}: EIO at {call}", fired=record.read_text().count("INJECTED"))


def test_a_reader_that_stays_is_told_of_and_the_log_is_folded_in_when_it_has_gone(
    house: House, tmp_path: Path, sweep: bool, report: Report
) -> None:
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    log = house.state / "ledger.db-wal"
    with storm(house, tmp_path) as weather:
        begin_well(weather)
        with closing(sqlite3.connect(f"file:{house.state / 'ledger.db'}?mode=ro", uri=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM events").fetchall()
            number = 0
            while log.stat().st_size <= LARGE:
                number += 1
                for one in range(100):
                    house.drop(f"dropped {number} {one}", b"text %d %d" % (number, one))
                house.wait_until_done(seconds=120)
            wait_until(lambda: house.status()["service"]["faults"], "the fault is shown")
            [fault] = house.status()["service"]["faults"]
            assert fault["what"] == f"{log} has grown beyond 32 MiB"
            assert "FAULT since" in house.command("status").stdout
            assert "has grown beyond 32 MiB" in weather.service.said()
            weather.others_go_on()
            reader.execute("ROLLBACK")
        wait_until(lambda: not house.rows("SELECT 1 FROM errors WHERE cleared IS NULL"), "the fault is over")
        assert log.stat().st_size < LARGE
        assert len(house.set_aside()) == number * 100

    report("ledger.db: its WAL pinned by a reader that stays", fired=1)


def damage(path: Path) -> None:
    """Overwrite what lies in the file behind its first page."""
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(os.urandom(path.stat().st_size - PAGE))


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_was_damaged_is_refused_at_the_start_and_a_backup_helps(
    house: House, tmp_path: Path, name: str, sweep: bool, report: Report
) -> None:
    if not sweep and name == "vault.db":
        pytest.skip("the whole of it runs with scripts/faults")
    house.drop("first", studies.instance(1, 1))
    house.deliver()
    backup = shutil.copytree(house.state, tmp_path / "backup")
    damage(house.state / name)
    house.drop("second", studies.instance(2, 1))

    done = house.once()

    assert done.returncode == 1
    assert name in done.stderr
    assert "damaged" in done.stderr
    assert "restore ledger.db and vault.db of one backup" in done.stderr
    assert len(house.folders()) == 1
    assert len(tree(house.inbox)) == 1
    shutil.rmtree(house.state)
    shutil.copytree(backup, house.state)
    house.deliver()
    assert len(house.folders()) == 2
    report(f"{name}: damaged while nothing ran", fired=1)


def test_one_page_that_is_damaged_among_many_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path)
    for _ in range(300):
        ledger.refuse_file(project="lung", reason=Reason.NOT_DICOM, folder="not-dicom/unassigned", now=NOW)
    ledger.close()
    middle = path.stat().st_size // PAGE // 2 * PAGE
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes(PAGE))

    with pytest.raises(StateError, match=r"ledger\.db is damaged"):
        Ledger.open(path)


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_is_damaged_while_it_is_used_lets_nothing_leave_without_records(
    house: House, tmp_path: Path, name: str, sweep: bool, report: Report
) -> None:
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    with storm(house, tmp_path) as weather:
        begin_well(weather)
        backup = shutil.copytree(house.state, tmp_path / "backup")
        with closing(sqlite3.connect(house.state / name)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(house.state / name)
        for number in range(2, 12):
            house.drop(f"{number}", studies.instance(number, 1))
        wait_until(lambda: f"{name} cannot be used (SQLITE_CORRUPT" in weather.fault(), "the fault is shown")
        wait_until(lambda: "SQLITE_CORRUPT" in weather.systemd(), "systemd hears of it")
        said = house.command("status")
        assert f"{name} cannot be used (SQLITE_CORRUPT" in said.stdout + said.stderr
        assert "restore ledger.db and vault.db of one backup" in weather.service.said()
        assert len(house.folders()) == 1
        assert len(tree(house.inbox)) == 10

    refused = house.once()

    assert refused.returncode == 1
    assert f"{name}" in refused.stderr
    assert "restore ledger.db and vault.db of one backup" in refused.stderr
    shutil.rmtree(house.state)
    shutil.copytree(backup, house.state)
    done = house.once()
    assert done.returncode in (0, 3), done.stderr
    assert not tree(house.inbox)
    assert len(house.delivered()) == 11
    report(f"{name}: damaged while the service ran", fired=1)
