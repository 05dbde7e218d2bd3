"""Reading ledger.db. Each method is one short look: a reader that stays would keep the WAL from being folded in."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from coatcheck import database
from coatcheck.database import CHUNK, marks
from coatcheck.ledger.migrations import migrations
from coatcheck.ledger.rows import (
    Counts,
    DeliveryRow,
    DeliveryState,
    EventRow,
    FaultRow,
    InstanceState,
    RefusalRow,
    RefusalState,
    StudyRow,
)
from coatcheck.steps import Database

_D = DeliveryState

_DELIVERIES = """
    SELECT deliveries.*, project, ticket, study_uid, subject
    FROM deliveries JOIN studies ON studies.id = deliveries.study_id
"""
_REFUSALS = "SELECT refusals.*, ticket FROM refusals LEFT JOIN studies ON studies.id = refusals.study_id"
_UNFINISHED = "deliveries.state IN ('open', 'staged', 'released')"
_NEXT_NUMBER = """
    SELECT 1 + COALESCE(MAX(number), 0) FROM deliveries
    WHERE study_id = ? AND folder IS NOT NULL AND state IN ('staged', 'released', 'done')
"""
_TAKEN = """
    SELECT 1 FROM deliveries JOIN studies ON studies.id = study_id
    WHERE folder = ? COLLATE NOCASE AND project = ? LIMIT 1
"""
_LAST_IDS = "SELECT name, seq FROM sqlite_sequence WHERE name IN ('deliveries', 'refusals')"
_LAST_SETTLED = """
    WHERE deliveries.state IN ('staged', 'released', 'done') AND instances > 0
    OR deliveries.state = 'quarantined' AND refused > 0 ORDER BY deliveries.id DESC LIMIT 1
"""
_DIGESTS = "SELECT sop_uid, digest FROM instances WHERE study_id = ? AND state = 'delivered' AND sop_uid IN ({marks})"
_BY_STATE = "SELECT * FROM delivery_totals WHERE project = ? AND deliveries > 0"
_BY_REASON = "SELECT reason, files FROM refusal_totals WHERE project = ? AND files > 0 ORDER BY reason"
_OF_PROJECT = "SELECT studies, last_delivery, dangling FROM project_totals WHERE project = ?"
_STORY = """
    SELECT events.* FROM events JOIN studies ON studies.id = events.study_id
    WHERE studies.project = ? AND studies.ticket = ? ORDER BY events.id
"""
_CALLED = """
    SELECT * FROM studies WHERE project = COALESCE(?, project) AND (
        ticket IN (?, ?) OR study_uid IN (?, ?) OR id IN (
            SELECT study_id FROM deliveries WHERE folder IS NOT NULL AND (
                folder = ? OR substr(folder, -length(?) - 1) = '/' || ?
                OR substr(?, -length(folder) - 1) = '/' || folder
    ))) ORDER BY project, id
"""


class LedgerReader:
    """An open ledger.db, to look at. Every method raises StateError where the database cannot be used."""

    def __init__(self, db: Database, path: Path) -> None:
        self._db = db
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing ledger only to read, also while the service writes."""
        return cls(database.open_reader(path, migrations=migrations), path)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def study(self, project: str, ticket: str) -> StudyRow | None:
        """The Study of a ticket, or None."""
        found = self._rows("SELECT * FROM studies WHERE project = ? AND ticket = ?", (project, ticket))
        return StudyRow(**dict(found[0])) if found else None

    def studies_called(self, names: Sequence[str], path: str, project: str | None = None) -> list[StudyRow]:
        """The Studies with one of these two tickets or new UIDs, or a folder of that name or path in the outbox."""
        first, last = names[0], names[-1]
        values = (project, first, last, first, last, first, first, first, path)
        return [StudyRow(**dict(row)) for row in self._rows(_CALLED, values)]

    def deliveries_of(self, study_id: int) -> list[DeliveryRow]:
        """All deliveries of a Study, oldest first."""
        return self._deliveries("WHERE study_id = ? ORDER BY deliveries.id", (study_id,))

    def delivery(self, delivery_id: int) -> DeliveryRow | None:
        """One delivery, or None."""
        return next(iter(self._deliveries("WHERE deliveries.id = ?", (delivery_id,))), None)

    def unfinished(self, project: str | None = None) -> list[DeliveryRow]:
        """Deliveries that are open, staged or released, oldest first; of all projects where none is named."""
        sql = f"WHERE {_UNFINISHED} AND project = COALESCE(?, project) ORDER BY deliveries.id"
        return self._deliveries(sql, (project,))

    def recent_deliveries(self, project: str | None = None, limit: int = 20) -> list[DeliveryRow]:
        """The deliveries that were opened last, newest first."""
        sql = "WHERE project = COALESCE(?, project) ORDER BY deliveries.id DESC LIMIT ?"
        return self._deliveries(sql, (project, limit))

    def commands_left(self, project: str) -> list[DeliveryRow]:
        """The deliveries after which a command is still to be run, or has failed, oldest first."""
        sql = """WHERE project = ? AND deliveries.id IN (SELECT delivery_id FROM commands WHERE state != 'done')
                 ORDER BY deliveries.id"""
        return self._deliveries(sql, (project,))

    def next_number(self, study_id: int) -> int:
        """The number of the Study's next folder in the outbox: 1, or one more than any that is staged or out."""
        return int(self._rows(_NEXT_NUMBER, (study_id,))[0][0])

    def is_taken(self, project: str, folder: str) -> bool:
        """Whether a delivery of the project has or had this folder in the outbox, in whatever case of its letters."""
        return bool(self._rows(_TAKEN, (folder, project)))

    def digests(self, study_id: int, sop_uids: Sequence[str]) -> dict[str, bytes]:
        """New SOP Instance UID → keyed digest of the original, for those that were delivered."""
        found: dict[str, bytes] = {}
        for start in range(0, len(sop_uids), CHUNK):
            part = sop_uids[start : start + CHUNK]
            found.update(map(tuple, self._rows(_DIGESTS.format(marks=marks(part)), (study_id, *part))))
        return found

    def delivered_uids(self, study_id: int) -> set[str]:
        """The new SOP Instance UIDs of all that was ever delivered of a Study."""
        sql = "SELECT DISTINCT sop_uid FROM instances WHERE study_id = ? AND state = 'delivered'"
        return {row[0] for row in self._rows(sql, (study_id,))}

    def audit_anchor(self) -> tuple[int, bytes] | None:
        """The id and the digest of the last row of the vault's audit that was seen, or None if none was yet."""
        found = self._rows("SELECT last, head FROM audit_anchor")
        return (found[0]["last"], found[0]["head"]) if found else None

    def refusal(self, refusal_id: int) -> RefusalRow | None:
        """One refusal, or None."""
        return next(iter(self._refusals("refusals.id = ?", [refusal_id])), None)

    def next_refusal_id(self) -> int:
        """The id that the next refusal will get, for fates that must be journalled in the vault before it."""
        found = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'refusals'")
        return 1 + (int(found[0][0]) if found else 0)

    def last_ids(self) -> tuple[int, int]:
        """The highest numbers that were ever given to a delivery and to a refusal."""
        found = {row["name"]: int(row["seq"]) for row in self._rows(_LAST_IDS)}
        return found.get("deliveries", 0), found.get("refusals", 0)

    def last_settled(self) -> DeliveryRow | None:
        """The newest delivery that has an outcome for some original."""
        return next(iter(self._deliveries(_LAST_SETTLED, ())), None)

    def refusals(
        self,
        project: str | None = None,
        reason: str | None = None,
        *,
        ticket: str | None = None,
        delivery_id: int | None = None,
        state: RefusalState | None = None,
    ) -> list[RefusalRow]:
        """Refusals that match all that is given, oldest first."""
        asked = {
            "refusals.project": project,
            "reason": reason,
            "ticket": ticket,
            "delivery_id": delivery_id,
        }
        given = {column: value for column, value in asked.items() if value is not None}
        conditions = [f"{column} = ?" for column in given]
        if state is not None:  # Not bound: for `planned` there is an index, which holds those alone.
            conditions.append(f"state = '{RefusalState(state).value}'")
        return self._refusals(" AND ".join(conditions) or "TRUE", list(given.values()))

    def counts(self, project: str) -> Counts:
        """A project's totals: as quick after millions of Instances as at the beginning."""
        states = {_D(row["state"]): row for row in self._rows(_BY_STATE, (project,))}
        out = [states[state] for state in (_D.RELEASED, _D.DONE) if state in states]
        instances = {
            InstanceState.STAGED: sum(states[state]["sent"] for state in (_D.STAGED,) if state in states),
            InstanceState.DELIVERED: sum(row["sent"] for row in out),
            InstanceState.DUPLICATE: sum(row["duplicates"] for row in states.values()),
        }
        found = self._rows(_OF_PROJECT, (project,))
        studies, last_delivery, dangling = found[0] if found else (0, None, 0)
        return Counts(
            studies=studies,
            folders=sum(row["folders"] for row in out),
            deliveries={state.value: row["deliveries"] for state, row in states.items()},
            instances={state.value: number for state, number in instances.items() if number},
            refusals=dict(map(tuple, self._rows(_BY_REASON, (project,)))),
            last_delivery=last_delivery,
            references_unresolved=dangling,
        )

    def faults(self, project: str | None = None) -> list[FaultRow]:
        """Faults that last, oldest first; of all projects and the service where none is named."""
        sql = """SELECT id, at, project, kind, what, hint, count, last_at FROM errors
                 WHERE cleared IS NULL AND project = COALESCE(?, project) ORDER BY id"""
        return [FaultRow(**dict(row)) for row in self._rows(sql, (project,))]

    def story(self, project: str, ticket: str) -> list[EventRow]:
        """Every transition of a Study's deliveries and refusals, in order."""
        return [EventRow(**dict(row)) for row in self._rows(_STORY, (project, ticket))]

    def _deliveries(self, sql: str, values: Sequence[object]) -> list[DeliveryRow]:
        return [_delivery(row) for row in self._rows(f"{_DELIVERIES} {sql}", values)]

    def _refusals(self, condition: str, values: Sequence[object]) -> list[RefusalRow]:
        found = self._rows(f"{_REFUSALS} WHERE {condition} ORDER BY refusals.id", values)
        return [RefusalRow(**{**dict(row), "state": RefusalState(row["state"])}) for row in found]

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        return database.rows(self._db, self._path, sql, values)


def _delivery(row: sqlite3.Row) -> DeliveryRow:
    return DeliveryRow(**{**dict(row), "state": DeliveryState(row["state"])})
