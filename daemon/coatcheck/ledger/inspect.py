"""Reading all of ledger.db, however large: in pages, each of them one short look, so that no WAL is pinned."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from coatcheck import database, integrity
from coatcheck.database import CHUNK, marks
from coatcheck.integrity import Soundness
from coatcheck.ledger.reader import LedgerReader
from coatcheck.ledger.rows import DeliveryRow, RefusalRow, StudyRow

T = TypeVar("T")

PAGE: Final = 200  # deliveries, refusals or studies in one look
_EVENT_PAGE: Final = 5000
_FILE_PAGE: Final = 2000

_EVENTS = """
    SELECT id, project, delivery_id, refusal_id, from_state, to_state FROM events WHERE id > ? ORDER BY id LIMIT ?
"""
_COUNTS = """
    SELECT delivery_id, state, COUNT(*) AS number FROM instances WHERE study_id IN ({marks}) GROUP BY delivery_id, state
"""
_FILES = """
    SELECT series_uid, sop_uid, size FROM instances JOIN series ON series.id = series_id
    WHERE instances.study_id = ? AND delivery_id = ? AND state IN ('staged', 'delivered') AND sop_uid > ?
    ORDER BY sop_uid LIMIT ?
"""
_STUDIES = "SELECT * FROM studies WHERE id > ? ORDER BY id LIMIT ?"
_LONELY = """
    SELECT project, ticket FROM studies WHERE id IN ({marks})
    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE study_id = studies.id)
"""
_SOP_UIDS = """
    SELECT DISTINCT sop_uid FROM instances WHERE study_id = ? AND state = 'delivered' AND sop_uid > ?
    ORDER BY sop_uid LIMIT ?
"""
_FOLDERS = """
    SELECT folder FROM deliveries JOIN studies ON studies.id = study_id
    WHERE folder COLLATE NOCASE IN ({marks}) AND project = ?
"""
_BELOW = """
    SELECT 1 FROM deliveries JOIN studies ON studies.id = study_id
    WHERE folder COLLATE NOCASE > ? AND folder COLLATE NOCASE < ? AND project = ? LIMIT 1
"""
_TICKETS = "SELECT ticket FROM studies WHERE ticket IN ({marks}) AND project = ?"
_OF_DELIVERIES = """
    SELECT deliveries.id, project FROM deliveries JOIN studies ON studies.id = study_id WHERE deliveries.id IN ({marks})
"""
_OF_REFUSALS = "SELECT id, project FROM refusals WHERE id IN ({marks})"


class LedgerInspection(LedgerReader):
    """An open ledger.db, to be looked through as a whole."""

    def soundness(self, *, thorough: bool, patience: float | None, clock: Callable[[], float]) -> Soundness:
        """Whether the file is sound; see :mod:`coatcheck.integrity`."""
        return integrity.soundness(self._db, self._path, thorough=thorough, patience=patience, clock=clock)

    @contextmanager
    def moment(self) -> Iterator[None]:
        """What is read within is of one moment. Keep it short: it pins the WAL."""
        with database.translated(self._path):
            self._db.conn.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.conn.in_transaction:
                    self._db.conn.execute("ROLLBACK")

    def events_after(self, last: int) -> list[sqlite3.Row]:
        """The next events in their order."""
        return self._rows(_EVENTS, (last, _EVENT_PAGE))

    def deliveries_after(self, last: int) -> list[DeliveryRow]:
        """The next deliveries of all projects."""
        return self._deliveries("WHERE deliveries.id > ? ORDER BY deliveries.id LIMIT ?", (last, PAGE))

    def refusals_after(self, last: int) -> list[RefusalRow]:
        """The next refusals of all projects."""
        # _refusals orders by id itself, so the limit is a range: numbers are given one after the other.
        first = self._rows("SELECT MIN(id) AS id FROM refusals WHERE id > ?", (last,))[0]["id"]
        return self._refusals("refusals.id BETWEEN ? AND ?", [first, first + PAGE]) if first is not None else []

    def studies_after(self, last: int) -> list[StudyRow]:
        """The next Studies of all projects."""
        return [StudyRow(**dict(row)) for row in self._rows(_STUDIES, (last, PAGE))]

    def without_delivery(self, studies: Sequence[int]) -> list[tuple[str, str]]:
        """Those of some Studies for which no work was ever begun, as project and ticket."""
        return [tuple(row) for row in self._rows(_LONELY.format(marks=marks(studies)), studies)]

    def instance_counts(self, studies: Collection[int]) -> dict[tuple[int, str], int]:
        """How many Instances the deliveries of some Studies have, by delivery and state."""
        sql = _COUNTS.format(marks=marks(list(studies)))
        return {(row["delivery_id"], row["state"]): row["number"] for row in self._rows(sql, list(studies))}

    def files_of(self, delivery: DeliveryRow) -> Iterator[tuple[str, int]]:
        """Every result of a delivery: its path in the Study's folder as it is made, and its size."""
        last = ""
        while page := self._rows(_FILES, (delivery.study_id, delivery.id, last, _FILE_PAGE)):
            for row in page:
                yield f"{row['series_uid']}/{row['sop_uid']}.dcm", row["size"]
            last = page[-1]["sop_uid"]

    def sop_uids(self, study: StudyRow, limit: int | None) -> Iterator[list[str]]:
        """The delivered Instances of a Study, in pages; of the first ``limit`` only, if it is given."""
        last = ""
        while page := self._rows(_SOP_UIDS, (study.id, last, limit or CHUNK)):
            yield [row["sop_uid"] for row in page]
            last = page[-1]["sop_uid"]
            if limit is not None:
                return

    def folders_known(self, project: str, names: Sequence[str]) -> set[str]:
        """Those of some folders, relative to the outbox, that a delivery of the project has or had."""
        found: set[str] = set()
        for part in _parts(names):
            found.update(row["folder"] for row in self._rows(_FOLDERS.format(marks=marks(part)), (*part, project)))
        return found & set(names)

    def is_above_deliveries(self, project: str, name: str) -> bool:
        """Whether a delivery of the project has or had its folder below this one."""
        return bool(self._rows(_BELOW, (f"{name}/", f"{name}0", project)))  # 0 follows the slash in ASCII

    def tickets_known(self, project: str, tickets: Sequence[str]) -> set[str]:
        """Those of some tickets for which the project has a Study."""
        found: set[str] = set()
        for part in _parts(tickets):
            found.update(row["ticket"] for row in self._rows(_TICKETS.format(marks=marks(part)), (*part, project)))
        return found

    def projects_of_deliveries(self, ids: Collection[int]) -> dict[int, str]:
        """The project of each of these deliveries that is in the ledger."""
        return self._projects(_OF_DELIVERIES, ids)

    def projects_of_refusals(self, ids: Collection[int]) -> dict[int, str]:
        """The project of each of these refusals that is in the ledger."""
        return self._projects(_OF_REFUSALS, ids)

    def _projects(self, sql: str, ids: Collection[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        for part in _parts(sorted(ids)):
            found.update((row["id"], row["project"]) for row in self._rows(sql.format(marks=marks(part)), part))
        return found


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
