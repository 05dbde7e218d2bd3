"""The totals of the ledger: kept by triggers, and always what counting all rows would give."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.errors import StateError
from coatcheck.ledger import Counts, Ledger, Note, RefusalState
from coatcheck.model import Arrival, Fingerprint, Refusal, Staged
from coatcheck.reasons import Reason

PROJECTS = ("lung", "heart")
ARRIVAL = Arrival(project="lung", path="a", fingerprint=Fingerprint(1, 2, 3, 4, 5))
BEFORE_TOTALS = """
    DELETE FROM _sqlite_migrations WHERE name LIKE 'm008%'; DROP INDEX refusals_planned;
    DROP TABLE delivery_totals; DROP TABLE refusal_totals; DROP TABLE project_totals;
    DROP TRIGGER delivery_made; DROP TRIGGER delivery_changed; DROP TRIGGER refusal_made;
    DROP TRIGGER refusal_changed; DROP TRIGGER dangling_made; DROP TRIGGER dangling_gone;
"""
BY_STATE = """
    SELECT state, COUNT(*), SUM(duplicates),
           SUM(CASE WHEN folder IS NULL THEN 0 ELSE instances - duplicates - refused END)
    FROM deliveries JOIN studies ON studies.id = study_id WHERE project = ? GROUP BY state
"""
OUT = """
    SELECT COUNT(DISTINCT study_id), COUNT(*), MAX(changed) FROM deliveries JOIN studies ON studies.id = study_id
    WHERE project = ? AND folder IS NOT NULL AND state IN ('released', 'done')
"""
REFUSED = """
    SELECT reason, SUM(files) FROM refusals
    WHERE project = ? AND state IN ('planned', 'quarantined') GROUP BY reason ORDER BY reason
"""
DANGLING = "SELECT COUNT(*) FROM dangling JOIN studies ON studies.id = study_id WHERE project = ?"

# project, Study, result, how far it goes, refused, duplicates, what it refers to
stories = st.lists(
    st.tuples(
        st.sampled_from(PROJECTS),
        st.integers(1, 3),
        st.integers(1, 6),
        st.sampled_from(("open", "staged", "abandoned", "released", "done", "empty", "quarantined", "retried")),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sets(st.integers(1, 6), max_size=2),
    ),
    max_size=8,
)


def counted(connection: sqlite3.Connection, project: str) -> Counts:
    """The same from all rows."""
    states = {state: values for state, *values in connection.execute(BY_STATE, (project,))}
    studies, folders, last = connection.execute(OUT, (project,)).fetchone()
    instances = {
        "staged": sum(states[one][2] for one in ("staged",) if one in states),
        "delivered": sum(states[one][2] for one in ("released", "done") if one in states),
        "duplicate": sum(values[1] for values in states.values()),
    }
    return Counts(
        studies=studies,
        folders=folders,
        deliveries={state: values[0] for state, values in states.items()},
        instances={state: number for state, number in instances.items() if number},
        refusals=dict(connection.execute(REFUSED, (project,))),
        last_delivery=last,
        references_unresolved=connection.execute(DANGLING, (project,)).fetchone()[0],
    )


def staged(number: int, wanted: set[int]) -> Staged:
    return Staged(
        arrival=ARRIVAL,
        sop_uid=f"2.25.{number}",
        series_uid="2.25.20",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        digest=b"digest",
        size=10,
        references=tuple(f"2.25.{one}" for one in sorted(wanted)),
    )


class Scribe:
    """Writes stories into a ledger, one second after the other."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.second = 0

    def now(self) -> str:
        self.second += 1
        return f"2026-11-21T10:{self.second // 60:02d}:{self.second % 60:02d}.000Z"

    def write(
        self, project: str, study: int, result: int, end: str, refused: int, again: int, wanted: set[int]
    ) -> None:
        ledger, ticket = self.ledger, f"{study:010d}"
        delivery = ledger.open_delivery(
            project=project,
            ticket=ticket,
            study_uid=f"2.25.{100 + study}",
            subject="S-1",
            profile="basic",
            profile_digest="0",
            edition="2026d",
            tags=(),
            instances=1,
            now=self.now(),
        )
        if end == "open":
            return
        if end == "quarantined":
            reason = Reason.IDENTITY_FOUND
            ledger.quarantine_study(delivery, reason=reason, files=3, folder=f"{reason}/{ticket}", now=self.now())
            return
        one = staged(result, wanted)
        refusals = [Refusal(arrival=ARRIVAL, reason=Reason.PIXEL_RISK)] * refused
        if end == "empty":
            ledger.finish_empty(delivery, duplicates=[one] * again, refused=refusals, now=self.now())
            return
        rows = ledger.stage(
            *(delivery,),
            number=delivery,
            folder=f"S-1/{delivery}",
            staged=[one],
            duplicates=[one] * again,
            refused=refusals,
            now=self.now(),
        )
        if end == "abandoned":
            ledger.abandon(delivery, self.now(), Note.FAULT)
        if end in ("released", "done", "retried"):
            ledger.release(delivery, self.now())
        if end in ("done", "retried"):
            ledger.done(delivery, self.now())
            for row in rows:
                ledger.refusal_done(row, self.now())
        if end == "retried":
            for row in rows:
                ledger.settle_refusal(row, RefusalState.RETRIED, self.now())


@settings(deadline=None, max_examples=25)
@given(stories)
def test_the_totals_are_what_counting_gives_and_an_older_ledger_is_counted_once(
    told: list[tuple[str, int, int, str, int, int, set[int]]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "ledger.db")
        ledger = Ledger.open(path)
        scribe = Scribe(ledger)
        for story in told:
            with suppress(StateError):
                scribe.write(*story)
        before = [counted(ledger._db.conn, project) for project in PROJECTS]
        assert [ledger.counts(project) for project in PROJECTS] == before
        ledger._db.conn.executescript(BEFORE_TOTALS)
        ledger.close()
        again = Ledger.open(path)
        assert [again.counts(project) for project in PROJECTS] == before
        again.close()
