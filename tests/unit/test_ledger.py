"""The ledger: every transition is a row, every write is whole, and nothing identifying gets in."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import StateError
from coatcheck.ledger import (
    DeliveryState,
    Ledger,
    LedgerReader,
    Note,
    RefusalState,
    is_detail,
)
from coatcheck.model import Arrival, Fingerprint, Refusal, Staged
from coatcheck.reasons import Reason

TICKET = "7F3K9Q2MXA"
SECRET_PATH = "DOE_JANE/IM0001"
ARRIVAL = Arrival(project="lung", path=SECRET_PATH, fingerprint=Fingerprint(1, 2, 3, 4, 5))


def at(second: int) -> str:
    return f"2026-11-21T10:00:{second:02d}.000Z"


def staged(sop_uid: str, size: int = 100) -> Staged:
    return Staged(
        arrival=ARRIVAL,
        sop_uid=sop_uid,
        series_uid="2.25.20",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        digest=sop_uid.encode(),
        size=size,
    )


def refusal(reason: Reason = Reason.NEEDS_POLICY, detail: str = "(0040,A730)[3](0040,A160)") -> Refusal:
    return Refusal(arrival=ARRIVAL, reason=reason, detail=detail)


def opened(ledger: Ledger, ticket: str = TICKET, project: str = "lung", second: int = 0) -> int:
    return ledger.open_delivery(
        project=project,
        ticket=ticket,
        study_uid="2.25.10",
        subject="S-1",
        profile="research",
        profile_digest="abc",
        edition="2026d",
        tags={0x00100010},
        instances=4,
        now=at(second),
    )


def delivered(ledger: Ledger, *uids: str, ticket: str = TICKET) -> int:
    delivery = opened(ledger, ticket)
    ledger.stage(delivery, number=1, folder="S-1/2.25.10", staged=[staged(uid) for uid in uids], now=at(1))
    ledger.release(delivery, at(2))
    ledger.done(delivery, at(3))
    return delivery


def study_id(ledger: LedgerReader) -> int:
    study = ledger.study("lung", TICKET)
    assert study is not None
    return study.id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(path)
    yield ledger
    ledger.close()


# Deliveries


def test_a_delivery_goes_from_open_to_done_and_leaves_one_event_a_step(ledger: Ledger) -> None:
    delivery = delivered(ledger, "2.25.1", "2.25.2")
    events = [(row.at, row.from_state, row.to_state, row.delivery_id) for row in ledger.story("lung", TICKET)]
    assert events == [
        (at(0), None, "open", delivery),
        (at(1), "open", "staged", delivery),
        (at(2), "staged", "released", delivery),
        (at(3), "released", "done", delivery),
    ]


def test_a_delivery_row_tells_what_became_of_the_instances(ledger: Ledger) -> None:
    delivery = opened(ledger)
    both = [staged("2.25.1"), staged("2.25.2", 50)]
    ledger.stage(
        delivery, number=1, folder="S-1/2.25.10", staged=both, duplicates=both[:1], refused=[refusal()], now=at(1)
    )
    row = ledger.delivery(delivery)
    assert row is not None
    assert (row.ticket, row.subject, row.state, row.number, row.folder) == (
        *(TICKET, "S-1", DeliveryState.STAGED, 1),
        "S-1/2.25.10",
    )
    assert (row.instances, row.duplicates, row.refused, row.bytes, row.changed) == (4, 1, 1, 150, at(1))


def test_instances_are_known_by_digest_only_once_they_are_released(ledger: Ledger) -> None:
    delivery = opened(ledger)
    ledger.stage(delivery, number=1, folder="S-1/2.25.10", staged=[staged("2.25.1")], now=at(1))
    assert ledger.digests(study_id(ledger), ["2.25.1"]) == {}
    ledger.release(delivery, at(2))
    assert ledger.digests(study_id(ledger), ["2.25.1", "2.25.9"]) == {"2.25.1": b"2.25.1"}


def test_many_digests_are_asked_for_at_once(ledger: Ledger) -> None:
    uids = [f"2.25.{number}" for number in range(2000)]
    delivered(ledger, *uids)
    assert ledger.digests(study_id(ledger), uids) == {uid: uid.encode() for uid in uids}


def test_a_duplicate_is_recorded_and_changes_no_digest(ledger: Ledger, path: Path) -> None:
    delivered(ledger, "2.25.1")
    second = opened(ledger, second=10)
    again = staged("2.25.1")
    assert ledger.finish_empty(second, duplicates=[again, again], now=at(11)) == []
    row = ledger.delivery(second)
    assert row is not None
    assert (row.state, row.folder, row.number, row.duplicates) == (DeliveryState.DONE, None, None, 2)
    assert ledger.digests(study_id(ledger), ["2.25.1"]) == {"2.25.1": b"2.25.1"}
    assert ledger.counts("lung").instances == {"delivered": 1, "duplicate": 2}


def test_folders_of_a_study_are_numbered_by_what_is_staged_or_out(ledger: Ledger) -> None:
    first = opened(ledger)
    assert ledger.next_number(study_id(ledger)) == 1
    ledger.stage(first, number=1, folder="S-1/2.25.10", staged=[staged("2.25.1")], now=at(1))
    assert ledger.next_number(study_id(ledger)) == 2
    ledger.abandon(first, at(2), Note.FOUND_UNFINISHED)
    assert ledger.next_number(study_id(ledger)) == 1
    ledger.finish_empty(opened(ledger), duplicates=[staged("2.25.1")], now=at(3))
    assert ledger.next_number(study_id(ledger)) == 1


def test_abandoned_work_is_forgotten_so_that_it_can_be_repeated(ledger: Ledger) -> None:
    first = opened(ledger)
    ids = ledger.stage(first, number=1, folder="S-1/2.25.10", staged=[staged("2.25.1")], refused=[refusal()], now=at(1))
    ledger.abandon(first, at(2), Note.FILE_CHANGED)
    assert ledger.unfinished() == []
    assert ledger._db.conn.execute("SELECT COUNT(*) FROM instances").fetchone()[0] == 0
    dropped = ledger.refusal(ids[0])
    assert dropped is not None
    assert dropped.state is RefusalState.DROPPED
    assert ledger.story("lung", TICKET)[-2].note == Note.FILE_CHANGED
    again = opened(ledger)
    ledger.stage(again, number=1, folder="S-1/2.25.10", staged=[staged("2.25.1")], now=at(3))
    ledger.release(again, at(4))
    assert ledger.counts("lung").instances == {"delivered": 1}


def test_unfinished_names_open_staged_and_released_deliveries(ledger: Ledger) -> None:
    tickets = ["AAAAAAAAAA", "BBBBBBBBBB", "CCCCCCCCCC", "DDDDDDDDDD"]
    ids = [opened(ledger, ticket) for ticket in tickets]
    for delivery in ids[1:]:
        ledger.stage(delivery, number=1, folder="S-1/2.25.10", staged=[staged("2.25.1")], now=at(1))
    for delivery in ids[2:]:
        ledger.release(delivery, at(2))
    ledger.done(ids[3], at(3))
    other = opened(ledger, project="heart")
    assert [(row.id, row.state) for row in ledger.unfinished("lung")] == list(
        zip(ids[:3], ["open", "staged", "released"], strict=True)
    )
    assert [row.id for row in ledger.unfinished()] == [*ids[:3], other]
    assert [row.id for row in ledger.recent_deliveries("lung", 2)] == [ids[3], ids[2]]


def test_no_state_can_be_skipped_or_left_twice(ledger: Ledger) -> None:
    delivery = opened(ledger)
    with pytest.raises(StateError, match="is open and cannot become released"):
        ledger.release(delivery, at(1))
    ledger.abandon(delivery, at(1), Note.STOPPED)
    with pytest.raises(StateError, match="is abandoned and cannot become staged"):
        ledger.stage(delivery, number=1, folder="S-1/2.25.10", staged=[], now=at(1))
    with pytest.raises(StateError, match="not in the ledger"):
        ledger.done(99, at(1))


def test_a_study_that_comes_back_under_another_uid_stops_the_work(ledger: Ledger) -> None:
    opened(ledger)
    with pytest.raises(StateError, match="other identifiers") as caught:
        ledger.open_delivery(
            project="lung",
            ticket=TICKET,
            study_uid="2.25.11",
            subject="S-1",
            profile="p",
            profile_digest="d",
            edition="2026d",
            tags=(),
            instances=1,
            now=at(1),
        )
    assert "key" in caught.value.hint
    assert len(ledger.recent_deliveries()) == 1


def test_a_staging_that_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    delivery = opened(ledger)
    refused = [refusal(), refusal(detail="Doe^Jane")]
    with pytest.raises(ValueError, match="detail"):
        ledger.stage(delivery, number=1, folder="S-1/1", staged=[staged("2.25.1")], refused=refused, now=at(1))
    row = ledger.delivery(delivery)
    assert row is not None
    assert row.state is DeliveryState.OPEN
    assert ledger.refusals() == []
    assert len(ledger.story("lung", TICKET)) == 1


# Refusals


def test_refused_instances_are_set_aside_in_the_folder_of_reason_and_ticket(ledger: Ledger) -> None:
    delivery = opened(ledger)
    refused = [refusal(), refusal(Reason.PIXEL_RISK, "")]
    ids = ledger.stage(delivery, number=1, folder="S-1/2.25.10", staged=[staged("2.25.1")], refused=refused, now=at(1))
    rows = ledger.refusals("lung")
    assert [row.id for row in rows] == ids
    assert [(row.folder, row.state, row.ticket, row.files) for row in rows] == [
        ("needs-policy/7F3K9Q2MXA", RefusalState.PLANNED, TICKET, 1),
        ("pixel-risk/7F3K9Q2MXA", RefusalState.PLANNED, TICKET, 1),
    ]
    ledger.refusal_done(ids[0], at(5))
    assert ledger.story("lung", TICKET)[-1].to_state == "quarantined"
    assert [row.id for row in ledger.refusals(state=RefusalState.PLANNED)] == [ids[1]]
    assert [row.id for row in ledger.refusals(reason="pixel-risk", ticket=TICKET)] == [ids[1]]


def test_a_whole_study_is_quarantined_with_all_its_files(ledger: Ledger) -> None:
    delivery = opened(ledger)
    number = ledger.quarantine_study(
        delivery,
        reason=Reason.IDENTITY_FOUND,
        detail="(0008,1030)",
        files=4,
        folder=f"identity-found/{TICKET}",
        now=at(1),
    )
    row = ledger.refusal(number)
    assert row is not None
    assert (row.files, row.delivery_id, row.detail) == (4, delivery, "(0008,1030)")
    assert ledger.counts("lung").refusals == {"identity-found": 4}
    assert ledger.counts("lung").studies == 0
    assert ledger.unfinished() == []


def test_a_file_without_a_study_is_refused_under_the_id_that_was_foretold(ledger: Ledger) -> None:
    for _ in range(2):
        foretold = ledger.next_refusal_id()
        number = ledger.refuse_file(
            project="lung",
            reason=Reason.NOT_DICOM,
            folder="not-dicom/unassigned",
            now=at(1),
            refusal_id=foretold,
        )
        assert number == foretold
    assert [row.ticket for row in ledger.refusals("lung")] == [None, None]
    assert ledger.refusals("heart") == []


def test_a_refusal_can_be_retried_or_dropped_but_not_twice(ledger: Ledger) -> None:
    number = ledger.refuse_file(
        project="lung", reason=Reason.NOT_DICOM, detail="", folder="not-dicom/unassigned", now=at(1)
    )
    ledger.refusal_done(number, at(2))
    ledger.settle_refusal(number, RefusalState.RETRIED, at(3))
    with pytest.raises(StateError, match="is retried and cannot become dropped"):
        ledger.settle_refusal(number, RefusalState.DROPPED, at(4))
    assert ledger.counts("lung").refusals == {}


# Faults


def test_a_fault_that_repeats_counts_up_until_it_is_cleared(ledger: Ledger) -> None:
    for second in range(3):
        ledger.fault("lung", "inbox", "/srv/\udcff/inbox is absent", "mount it", at(second))
    ledger.fault("", "disk", "no room", "make some", at(4))
    [fault] = ledger.faults("lung")
    assert (fault.count, fault.at, fault.last_at, fault.what) == (3, at(0), at(2), "/srv/\\udcff/inbox is absent")
    assert len(ledger.faults()) == 2
    ledger.clear_fault("lung", "inbox", at(5))
    assert ledger.faults("lung") == []
    ledger.fault("lung", "inbox", "/srv/\udcff/inbox is absent", "mount it", at(6))
    assert [fault.count for fault in ledger.faults("lung")] == [4]


# No identity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(0010,0010)",
        "(0040,A730)[3](0040,A160)",
        "(0008,1030), (0010,4000)",
        "(60xx,3000)",
        "zlib.error in inflate:41",
        "RecursionError in elements.walk:120",
        "KeyError",
        "1024 of 2048 bytes",
        "pixel data: 1024 of 2048 bytes",
        "length past the end at (0009,1001)",
        "unknown transfer syntax 1.2.840.10008.1.2.99",
        "signal 11",
        "deflated Data Set",
        "StopIteration in <frozen importlib._bootstrap>:7",
        "struct.error in __init__:12",
        "(5200,9229)[12]" * 60 + "(0010,0010)",
    ],
)
def test_a_detail_may_name_tags_places_and_counts(text: str) -> None:
    assert is_detail(text)


@pytest.mark.parametrize(
    "text",
    [
        "Doe^Jane",
        "doe jane",
        "DOE",
        "Müller",
        "(0010,0010) Doe^Jane",
        "(0010,0010)=Doe",
        "4711",
        "19580412",
        "12345678 (0010,0020)",
        "1.2.826.0.1.42",
        "IM0001",
        SECRET_PATH,
        "/srv/inbox/x",
        "KeyError: 'Doe'",
        "a " * 400,
        "\n",
        "(0010,0010)\n",
        "at  end",
    ],
)
def test_a_detail_that_could_identify_is_refused_and_not_quoted(ledger: Ledger, text: str) -> None:
    assert not is_detail(text)
    with pytest.raises(ValueError, match="detail") as caught:
        ledger.refuse_file(project="lung", reason=Reason.FAILED, detail=text, folder="failed/unassigned", now=at(1))
    assert text.strip() not in str(caught.value) or text == "\n"
    assert ledger.refusals() == []


@given(st.from_regex(r"\A([A-Z][a-z]+\^[A-Z][a-z]+|[0-9]{4,10}|[A-Z]{2,3}[0-9]{2,6}|[0-9]+/[0-9]+)\Z"))
def test_names_and_numbers_are_no_detail(text: str) -> None:
    assert not is_detail(text)


@pytest.mark.parametrize("folder", ["not-dicom/DOE_JANE", "not-dicom", f"not-dicom/{TICKET}", "../x", ""])
def test_a_quarantine_folder_is_never_named_as_it_was_dropped(ledger: Ledger, folder: str) -> None:
    with pytest.raises(ValueError, match="never as it was dropped"):
        ledger.refuse_file(project="lung", reason=Reason.NOT_DICOM, folder=folder, now=at(1))


@pytest.mark.parametrize("folder", ["/S-1/2.25", "S-1/../2.25", "S-1//2", "Doe^Jane/1", "./x", "", "S-1/\n"])
def test_an_outbox_folder_is_relative_and_made_of_new_values(ledger: Ledger, folder: str) -> None:
    delivery = opened(ledger)
    with pytest.raises(ValueError, match="folder"):
        ledger.stage(delivery, number=1, folder=folder, staged=[], now=at(1))


@pytest.mark.parametrize("ticket", ["", "short", "7F3K9Q2MXI", "7f3k9q2mxa", "7F3K9Q2MXA\n"])
def test_only_a_ticket_is_a_ticket(ledger: Ledger, ticket: str) -> None:
    with pytest.raises(ValueError, match="ticket"):
        opened(ledger, ticket)


@pytest.mark.parametrize("now", ["", "2026-11-21", "2026-11-21 10:00:00", "2026-11-21T10:00:00+01:00"])
def test_only_utc_with_milliseconds_is_a_time(ledger: Ledger, now: str) -> None:
    delivery = opened(ledger)
    with pytest.raises(ValueError, match="time"):
        ledger.abandon(delivery, now, Note.STOPPED)
    with pytest.raises(ValueError, match="time"):
        ledger.refuse_file(project="lung", reason=Reason.FAILED, folder="failed/unassigned", now=now)


def test_a_note_is_one_of_the_fixed_sentences(ledger: Ledger) -> None:
    delivery = opened(ledger)
    with pytest.raises(ValueError, match="Note"):
        ledger.abandon(delivery, at(1), "Doe^Jane")  # type: ignore[arg-type]


def test_the_dropped_path_is_nowhere_in_the_files(ledger: Ledger, path: Path) -> None:
    delivery = opened(ledger)
    ledger.stage(delivery, number=1, folder="S-1/2.25.10", staged=[staged("2.25.1")], refused=[refusal()], now=at(1))
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"needs-policy" in content
    assert b"JANE" not in content
    assert b"IM0001" not in content


# The file


def test_the_ledger_is_readable_by_its_group_and_no_more_under_an_open_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = Ledger.open(path)
        opened(ledger)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    ledger.close()
    assert modes == {0o640}


def test_the_ledger_gets_its_group_bit_under_a_strict_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        Ledger.open(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_every_commit_is_made_durable(ledger: Ledger) -> None:
    pragmas = [ledger._db.conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]
    assert ledger._db.conn.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def applied(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name, applied_at FROM _sqlite_migrations ORDER BY id").fetchall()
    connection.close()
    return found


def test_migrations_run_once(path: Path) -> None:
    Ledger.open(path).close()
    first = applied(path)
    assert [name.split("_")[0] for name, _ in first] == [
        "m001",
        "m002",
        "m003",
        "m004",
        "m005",
        "m006",
        "m007",
        "m008",
        "m009",
    ]
    Ledger.open(path).close()
    assert applied(path) == first


def test_a_ledger_of_a_newer_coatcheck_is_refused(path: Path) -> None:
    Ledger.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('ledger', 'm999_later')")
    connection.commit()
    connection.close()
    for kind in (Ledger, LedgerReader):
        with pytest.raises(StateError, match="newer coatcheck"):
            kind.open(path)


def test_a_ledger_of_an_older_coatcheck_is_not_read_until_the_service_brought_it_up_to_date(path: Path) -> None:
    Ledger.open(path).close()
    connection = sqlite3.connect(path)
    connection.executescript("DELETE FROM _sqlite_migrations WHERE name LIKE 'm004%'; DROP TABLE errors")
    connection.close()
    with pytest.raises(StateError, match="older coatcheck"):
        LedgerReader.open(path)
    Ledger.open(path).close()
    LedgerReader.open(path).close()


def test_who_reads_while_the_service_brings_it_up_to_date_waits_a_moment(path: Path) -> None:
    Ledger.open(path).close()
    connection = sqlite3.connect(path)
    connection.executescript("DELETE FROM _sqlite_migrations WHERE name LIKE 'm004%'; DROP TABLE errors")
    connection.close()
    service = threading.Timer(0.1, lambda: Ledger.open(path).close())
    service.start()
    LedgerReader.open(path).close()
    service.join()


def test_another_database_is_not_taken_for_the_ledger(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE x (y)")
    connection.close()
    with pytest.raises(StateError, match="not coatcheck's ledger"):
        Ledger.open(path)


@pytest.mark.parametrize("kind", [Ledger, LedgerReader])
def test_a_damaged_ledger_is_a_clear_error(path: Path, kind: type[LedgerReader]) -> None:
    path.write_bytes(b"this is no database" * 500)
    with pytest.raises(StateError, match="SQLITE_NOTADB") as caught:
        kind.open(path)
    assert "restore" in caught.value.hint


def test_a_missing_ledger_is_a_clear_error_for_a_reader(path: Path) -> None:
    with pytest.raises(StateError, match="is not there"):
        LedgerReader.open(path)
    assert not path.exists()


def test_a_missing_state_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        Ledger.open(tmp_path / "absent" / "ledger.db")


def test_a_locked_ledger_is_a_clear_error(ledger: Ledger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger._db.conn.execute("PRAGMA busy_timeout=10")
    with pytest.raises(StateError, match="SQLITE_BUSY") as caught:
        opened(ledger)
    assert "another process" in caught.value.hint
    other.execute("ROLLBACK")
    other.close()
    opened(ledger)


def test_a_writer_waits_for_another_that_is_about_to_finish(ledger: Ledger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
    timer.start()
    opened(ledger)
    timer.join()
    other.close()


def test_a_reader_sees_the_last_commit_while_the_writer_holds_a_transaction(ledger: Ledger, path: Path) -> None:
    opened(ledger)
    reader = LedgerReader.open(path)
    connection = ledger._db.conn
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE deliveries SET state = 'abandoned'")
    assert [row.state for row in reader.unfinished()] == ["open"]
    connection.execute("COMMIT")
    assert reader.unfinished() == []
    reader.close()


def test_a_reader_cannot_write(ledger: Ledger, path: Path) -> None:
    reader = LedgerReader.open(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.conn.execute("DELETE FROM studies")
    reader.close()


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_user_who_may_only_read_can_look_while_no_service_runs() -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, whose parents are closed to other users
        state = Path(name)
        ledger = Ledger.open(state / "ledger.db")
        opened(ledger)
        ledger.close()
        state.chmod(0o755)
        (state / "ledger.db").chmod(0o644)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            os._exit(0 if len(LedgerReader.open(state / "ledger.db").unfinished()) == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert [file.name for file in state.iterdir()] == ["ledger.db"]


def test_commits_survive_a_kill_and_nothing_half_done_is_seen(path: Path) -> None:
    code = f"""
from tests.unit.test_ledger import *
ledger = Ledger.open(Path({str(path)!r}))
for number in range(1, 100000):
    delivery = opened(ledger)
    both = [staged(f"2.25.{{number}}.{{copy}}") for copy in (1, 2)]
    ledger.stage(delivery, number=number, folder=f"S-1/2.25.10.{{number}}", staged=both, now=at(1))
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    seen = 0
    while seen < 20:
        seen = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read().split(b"\n")[:-1]
    process.wait()
    process.stdout.close()
    last = int(rest[-1]) if rest else seen
    ledger = Ledger.open(path)
    done = [row for row in ledger.unfinished() if row.state is DeliveryState.STAGED]
    assert len(done) in (last, last + 1)
    assert ledger.counts("lung").instances == {"staged": 2 * len(done)}
    assert ledger._db.conn.execute("SELECT COUNT(*) FROM instances").fetchone()[0] == 2 * len(done)
    ledger.close()


def test_an_instance_takes_little_room(ledger: Ledger, path: Path) -> None:
    uids = [f"2.25.{10**38 + number}" for number in range(5000)]
    delivery = opened(ledger)
    many = [Staged(**{**{f: getattr(staged(uid), f) for f in Staged.__slots__}, "digest": b"d" * 16}) for uid in uids]
    ledger.stage(delivery, number=1, folder="S-1/2.25.10", staged=many, now=at(1))
    ledger.close()
    assert path.stat().st_size / 5000 < 130
