"""What years of history and large inboxes cost: nothing that stays. Work is counted by steps, never by time."""

from __future__ import annotations

import gc
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coatcheck import line, pieces, reader
from coatcheck.config import load
from coatcheck.deid import pseudonyms
from coatcheck.keys import key_path, read_key
from coatcheck.ledger import LedgerReader
from coatcheck.pairing import reconcile
from coatcheck.vault import Kind, Vault
from coatcheck.workload import BATCH
from scripts import make_history
from tests.acceptance import studies
from tests.acceptance.house import House
from tests.faults.clockwork import Clockwork

YOUNG, OLD = 100, 500  # Studies
FILES = 10
SMALL = 50  # Studies
NOW = "2026-11-21T10:00:00.000Z"
# `deliveries` is gone through from its end, for one row; the others have a few rows, however long the service runs.
HARMLESS = frozenset(
    {"CONSTANT", "deliveries", "errors", "audit", "audit_anchor", "sqlite_sequence", "restored", "imports"}
)

# pytest undoes what Doorbell sets for the process, between the set-up and the test.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, House]:
    """One that has seen little, and one with five times as much of everything."""
    young, old = (House(tmp_path_factory.mktemp(name) / "house", make_history.PROJECT) for name in ("young", "old"))
    for house, studies_before in ((young, YOUNG), (old, OLD)):
        make_history.fill_ledger(house.root, make_history.Past(studies=studies_before, instances=6))
        make_history.fill_vault(house.root, make_history.Past(studies=studies_before, instances=6))
    for house in (young, old):  # what only the first Study makes is there
        next_study(house, 1)
    return young, old


def scans(path: Path, asked: set[str]) -> set[str]:
    """Statements that go through all of a table, or of an index, which grows with the years."""
    found = set()
    with closing(sqlite3.connect(path)) as connection:  # without foreign keys, whose checks are planned and not done
        for sql in asked:
            if sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                steps = [row[3].split() for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
                found |= {f"{step}: {sql}" for step in steps if step[0] == "SCAN" and step[1] not in HARMLESS}
    return found


class Asked:
    """What is asked of some databases meanwhile, and how often SQLite went round one of its loops for it."""

    def __init__(self, *databases: LedgerReader | Vault) -> None:
        self.rounds = 0
        self._asked = {database._path: set[str]() for database in databases}
        for database in databases:
            database._db.conn.set_progress_handler(self._one, 1)
            database._db.conn.set_trace_callback(self._asked[database._path].add)

    def _one(self) -> int:
        self.rounds += 1
        return 0

    def scans(self) -> set[str]:
        """See above."""
        return {scan for path, asked in self._asked.items() for scan in scans(path, asked)}


def next_study(house: House, number: int) -> Asked:
    """A start of the service, and one Study."""
    for one in range(FILES):
        house.drop(f"new/IM{one}", studies.instance(number, one, series=one % 2))
    work = Clockwork(house)
    asked = Asked(work.ledger, work.vault)
    reconcile(work.ledger, work.vault, NOW)
    work.pass_time(60, lambda: work.line.finished == FILES)
    assert work.line.finished == FILES
    work.stop()
    return asked


def looked_up(house: House, original: str) -> Asked:
    """What `redeem` looks for, and the row that it leaves."""
    config = load(house.config)
    key = read_key(key_path(config.key_dir, house.project, None), None)
    new = pseudonyms.uid(key.pseudonym_secret, original)
    with closing(Vault.open(config.state_dir / "vault.db", {house.project: key})) as vault:
        asked = Asked(vault)
        vault.audit(house.project, who="me", action="redeem", subject=new, reason="a test", now=NOW)
        assert vault.originals(house.project, Kind.UID, new) == [original]
        assert vault.originals(house.project, Kind.PATIENT, new) == []
        vault.vouch(house.project, key)
    return asked


def told(house: House) -> Asked:
    """What `status` reads of the ledger."""
    with closing(LedgerReader.open(load(house.config).state_dir / "ledger.db")) as ledger:
        asked = Asked(ledger)
        assert ledger.counts(house.project).studies
        ledger.faults(house.project)
    return asked


def test_a_start_and_the_next_study_cost_what_the_first_one_did(houses: tuple[House, House]) -> None:
    young, old = houses
    early, late = next_study(young, 2), next_study(old, 2)
    assert early.scans() | late.scans() == set()
    assert late.rounds <= 1.1 * early.rounds


def test_status_and_redeem_cost_what_they_did_on_the_first_day(houses: tuple[House, House]) -> None:
    young, old = houses
    for look in (told, lambda house: looked_up(house, studies.sop_uid(1, 1))):
        early, late = look(young), look(old)
        assert early.scans() | late.scans() == set()
        assert late.rounds <= 1.1 * early.rounds + 2


def drop_studies(house: House, *files: int) -> None:
    """Studies of so many files each, each of a patient of its own."""
    for study, many in enumerate(files):
        for number in range(many):
            house.drop(f"{study:02}/IM{number}", studies.instance(study, number, patient=f"P{study}"))


def test_small_studies_are_held_up_by_one_batch_of_a_large_one(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    for number in range(6 * BATCH):
        house.drop(f"a-large-one/IM{number}", studies.instance(1, number))
    for study in range(SMALL):
        for number in range(2):
            house.drop(f"small/{study}/IM{number}", studies.instance(100 + study, number, patient=f"P{study}"))
    work = Clockwork(house)
    work.pass_time(600, lambda: work.ledger.counts("lung").studies == SMALL)
    [large] = [job for job in work.line._pieces.jobs if job.instances > 2]
    assert work.ledger.counts("lung").studies == SMALL
    assert len(large.results.staged) <= BATCH
    work.pass_time(600, lambda: not work.line.pending)
    assert work.ledger.counts("lung").studies == SMALL + 1
    work.stop()


def test_studies_begin_beside_others_only_where_there_is_room_for_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "house")
    size = len(studies.instance(1, 1))
    drop_studies(house, 9, *[1] * 6)  # the first is larger than the limit, and goes on alone
    monkeypatch.setattr(pieces, "STAGED", 3 * size)
    work = Clockwork(house)
    most, largest = 0, 0

    def delivered() -> bool:
        nonlocal most, largest
        at_once = [job.instances for job in work.line._pieces._begun if job.phase in pieces._HOLDING]
        most, largest = max(most, *at_once, 0), max(largest, *(sum(at_once) for _ in at_once if max(at_once) == 1), 0)
        assert len(at_once) == 1 or sum(at_once) <= 3
        return work.ledger.counts("lung").studies == 7

    work.pass_time(600, delivered)
    assert (most, largest) == (9, 3)
    work.stop()


def test_of_a_large_inbox_only_some_studies_are_at_hand_and_small_ones_go_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "house")
    drop_studies(house, *[8] * 12, 1, 1)
    monkeypatch.setattr(pieces, "BATCH", 2)
    house.configure(note="beside")
    work = Clockwork(house)
    most = pieces._PLACES * 2 * work.pool.depth  # and one more, and the largest, and the small ones
    at_hand = list[int]()

    def delivered() -> bool:
        at_hand.append(sum(job.instances for job in work.line._pieces.jobs))
        return work.ledger.counts("lung").studies >= 2

    work.pass_time(600, delivered)
    assert work.ledger.counts("lung").instances == {"delivered": 2}
    assert "waits for its turn" in {row.when for row in work.line._noting._compose(work.now).waiting}
    work.pass_time(600, lambda: delivered() and not work.line.pending)
    assert work.ledger.counts("lung").studies == 14
    assert most < max(at_hand) <= most + 8 + 2
    work.stop()


def test_what_settled_together_goes_together_also_without_a_study_settle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "READ_BATCH", 4)
    house = House(tmp_path / "house", study_settle="0s")
    for number in range(10):  # only the last one says who the operator was; the first ones say it elsewhere
        says: dict[str, Any] = {"OperatorsName": "Zanzibar^Q"} if number == 9 else {"BodyPartExamined": "ZANZIBAR"}
        house.drop(f"IM{number}", studies.instance(1, number, **says))
    work = Clockwork(house)
    work.pass_time(60)
    assert work.line.pending == 0
    assert (house.delivered(), house.refusals()) == ({}, {"identity-found": 10})
    work.stop()


def test_studies_that_cannot_go_yet_are_not_looked_for_at_each_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "house")
    drop_studies(house, *[3] * 40)
    monkeypatch.setattr(pieces, "BATCH", 2)
    monkeypatch.setattr(line, "_HELD_BACK", 5.0)
    work = Clockwork(house)
    looked, due = 0, work.line._assembly.due

    def counted(now: float, may_go: Callable[[str, int], bool]) -> Iterator[str]:
        nonlocal looked
        looked += 1
        return due(now, may_go)

    monkeypatch.setattr(work.line._assembly, "due", counted)
    work.pass_time(600, lambda: bool(work.line._pieces.jobs))
    begun, looked = work.now, 0
    work.pass_time(600, lambda: work.ledger.counts("lung").studies == 40)
    assert work.ledger.counts("lung").studies == 40
    turns = 4 * (work.now - begun)
    assert looked < turns / 2
    work.stop()


def test_a_study_that_is_done_leaves_nothing_in_memory(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    house.drop("IM1", studies.instance(1, 1))
    work = Clockwork(house)
    gc.disable()  # what is freed at once needs no search for garbage, which is rare in a service
    try:
        work.pass_time(600, lambda: bool(work.line._pieces.jobs))
        [job] = map(weakref.ref, work.line._pieces.jobs)
        work.pass_time(600, lambda: not work.line.pending)
        assert work.ledger.counts("lung").studies == 1
        assert job() is None
    finally:
        gc.enable()
        work.stop()
