"""The ledger counts what is referred to and was never delivered, through every order of events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.ledger import Ledger, Note
from coatcheck.model import Arrival, Fingerprint, Staged
from coatcheck.reasons import Reason
from tests.unit.test_ledger_totals import BEFORE_TOTALS

NOW = "2026-11-21T10:00:00.000Z"
ARRIVAL = Arrival(project="lung", path="a", fingerprint=Fingerprint(1, 2, 3, 4, 5))


def staged(sop_uid: str, *references: str) -> Staged:
    return Staged(
        arrival=ARRIVAL,
        sop_uid=sop_uid,
        series_uid="2.25.20",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        digest=b"d",
        size=1,
        references=references,
    )


def study_uid(study: int) -> str:
    return f"2.25.9000{study}"


def opened(ledger: Ledger, study: int, project: str = "lung") -> int:
    return ledger.open_delivery(
        project=project,
        ticket=f"7F3K9Q2MX{study}",
        study_uid=study_uid(study),
        subject="S-1",
        profile="research",
        profile_digest="abc",
        edition="2026d",
        tags={0x00100010},
        instances=1,
        now=NOW,
    )


def stage(ledger: Ledger, study: int, *results: Staged, project: str = "lung") -> int:
    delivery = opened(ledger, study, project)
    ledger.stage(delivery, number=1, folder=f"S-1/{study_uid(study)}", staged=results, now=NOW)
    return delivery


def deliver(ledger: Ledger, study: int, *results: Staged, project: str = "lung") -> None:
    delivery = stage(ledger, study, *results, project=project)
    ledger.release(delivery, NOW)
    ledger.done(delivery, NOW)


def unresolved(ledger: Ledger, project: str = "lung") -> int:
    return ledger.counts(project).references_unresolved


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def test_a_reference_to_what_was_delivered_before_is_none_to_count(ledger: Ledger) -> None:
    deliver(ledger, 1, staged("2.25.1"))
    deliver(ledger, 2, staged("2.25.2", "2.25.1"))
    assert unresolved(ledger) == 0


def test_a_reference_counts_until_its_target_is_delivered(ledger: Ledger) -> None:
    deliver(ledger, 2, staged("2.25.2", "2.25.1", "2.25.3"))
    assert unresolved(ledger) == 2
    delivery = stage(ledger, 1, staged("2.25.1"))
    assert unresolved(ledger) == 2
    ledger.release(delivery, NOW)
    assert unresolved(ledger) == 1


def test_what_a_delivery_brings_itself_is_there(ledger: Ledger) -> None:
    delivery = stage(ledger, 1, staged("2.25.1", "2.25.2", "2.25.1"), staged("2.25.2", "2.25.1", study_uid(1)))
    assert unresolved(ledger) == 0
    ledger.release(delivery, NOW)
    assert unresolved(ledger) == 0


def test_a_study_that_is_referred_to_counts_until_something_of_it_is_delivered(ledger: Ledger) -> None:
    deliver(ledger, 1, staged("2.25.1", study_uid(2)))
    opened(ledger, 2)
    deliver(ledger, 3, staged("2.25.3", study_uid(2)))
    assert unresolved(ledger) == 2
    deliver(ledger, 2, staged("2.25.2"))
    assert unresolved(ledger) == 0
    deliver(ledger, 4, staged("2.25.4", study_uid(2)))
    assert unresolved(ledger) == 0


def test_a_target_in_another_project_is_no_target(ledger: Ledger) -> None:
    deliver(ledger, 1, staged("2.25.1"), project="heart")
    deliver(ledger, 2, staged("2.25.2", "2.25.1"))
    deliver(ledger, 3, staged("2.25.1"), project="heart")
    assert (unresolved(ledger), unresolved(ledger, "heart")) == (1, 0)


def test_what_is_staged_and_not_released_is_no_target(ledger: Ledger) -> None:
    first = stage(ledger, 1, staged("2.25.1"))
    deliver(ledger, 2, staged("2.25.2", "2.25.1"))
    assert unresolved(ledger) == 1
    ledger.release(first, NOW)
    assert unresolved(ledger) == 0


def test_work_that_is_abandoned_refers_to_nothing_and_its_repetition_counts_once(ledger: Ledger) -> None:
    ledger.abandon(stage(ledger, 1, staged("2.25.1", "2.25.7")), NOW, Note.FOUND_UNFINISHED)
    assert unresolved(ledger) == 0
    deliver(ledger, 1, staged("2.25.1", "2.25.7"))
    assert unresolved(ledger) == 1


def test_an_abandoned_second_delivery_leaves_what_the_first_refers_to(ledger: Ledger) -> None:
    deliver(ledger, 1, staged("2.25.1", "2.25.7"))
    ledger.abandon(stage(ledger, 1, staged("2.25.2", "2.25.7", "2.25.8")), NOW, Note.FOUND_UNFINISHED)
    assert unresolved(ledger) == 1


def test_a_study_counts_a_target_once_however_often_it_refers_to_it(ledger: Ledger) -> None:
    deliver(ledger, 1, staged("2.25.1", "2.25.7"), staged("2.25.2", "2.25.7"))
    deliver(ledger, 1, staged("2.25.3", "2.25.7"))
    assert unresolved(ledger) == 1


def test_duplicates_and_a_quarantined_study_refer_to_nothing(ledger: Ledger) -> None:
    ledger.finish_empty(opened(ledger, 1), duplicates=[staged("2.25.1", "2.25.7")], now=NOW)
    delivery = opened(ledger, 2)
    ledger.quarantine_study(
        delivery, reason=Reason.IDENTITY_FOUND, files=1, folder="identity-found/7F3K9Q2MX2", now=NOW
    )
    assert unresolved(ledger) == 0


def test_the_view_counts_for_each_study(ledger: Ledger) -> None:
    deliver(ledger, 1, staged("2.25.1", "2.25.7", "2.25.8"))
    deliver(ledger, 2, staged("2.25.2", "2.25.7"))
    deliver(ledger, 3, staged("2.25.3"))
    sql = "SELECT project, ticket, study_uid, missing FROM references_unresolved ORDER BY ticket"
    assert [tuple(row) for row in ledger._db.conn.execute(sql)] == [
        ("lung", "7F3K9Q2MX1", study_uid(1), 2),
        ("lung", "7F3K9Q2MX2", study_uid(2), 1),
    ]


def test_thousands_of_references_of_one_object_are_recorded(ledger: Ledger) -> None:
    deliver(ledger, 1, *(staged(f"2.25.1{number:05d}") for number in range(2500)))
    deliver(ledger, 2, staged("2.25.2", *(f"2.25.1{number:05d}" for number in range(5000))))
    assert unresolved(ledger) == 2500


def test_a_reference_that_is_no_uid_is_refused_at_the_door(ledger: Ledger) -> None:
    delivery = opened(ledger, 1)
    with pytest.raises(ValueError, match="UID"):
        ledger.stage(delivery, number=1, folder="S-1/2.25.1", staged=[staged("2.25.1", "DOE^JANE")], now=NOW)
    assert ledger.unfinished()[0].state == "open"
    assert unresolved(ledger) == 0


def test_a_ledger_that_was_made_before_knows_its_deliveries_as_targets(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path)
    deliver(ledger, 1, staged("2.25.1"))
    ledger.close()
    connection = sqlite3.connect(path)
    connection.executescript(
        BEFORE_TOTALS
        + """DELETE FROM _sqlite_migrations WHERE name LIKE 'm005%'; DROP VIEW references_unresolved;
           DROP TABLE dangling; DROP INDEX instances_delivered; DROP INDEX studies_uid"""
    )
    connection.close()
    ledger = Ledger.open(path)
    deliver(ledger, 2, staged("2.25.2", "2.25.1", study_uid(1), "2.25.3"))
    assert unresolved(ledger) == 1
    ledger.close()


def test_targets_are_sought_by_an_index_and_never_by_looking_at_all(ledger: Ledger) -> None:
    from coatcheck.ledger import references

    about = {"study": 1, "uid": "2.25.1", "delivery": 1, "project": "lung"}
    for sql in (references._ADD, references._RESOLVE):
        steps = [row[3] for row in ledger._db.conn.execute(f"EXPLAIN QUERY PLAN {sql}", about)]
        assert not [step for step in steps if step.startswith("SCAN") and step != "SCAN CONSTANT ROW"]


# A delivery: its Study, whether it is abandoned, and what each of its Instances (by number) refers to.
deliveries = st.lists(
    st.tuples(st.integers(1, 3), st.booleans(), st.dictionaries(st.integers(1, 6), st.sets(st.integers(1, 6)))),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(deliveries)
def test_in_every_order_it_counts_what_is_referred_to_and_not_there(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, bool, dict[int, set[int]]]]
) -> None:
    ledger = Ledger.open(tmp_path_factory.mktemp("house") / "ledger.db")
    there: set[str] = set()
    wanted: set[tuple[int, str]] = set()
    for study, abandoned, content in events:
        results = [staged(f"2.25.{number}", *(f"2.25.{one}" for one in to)) for number, to in content.items()]
        delivery = stage(ledger, study, *results)
        if abandoned:
            ledger.abandon(delivery, NOW, Note.STOPPED)
            continue
        ledger.release(delivery, NOW)
        there |= {one.sop_uid for one in results}
        wanted |= {(study, uid) for one in results for uid in one.references}
    assert unresolved(ledger) == len([one for one in wanted if one[1] not in there])
    ledger.close()
