"""The journal of what becomes of each dropped file. Written before an outcome is committed, carried out after it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache, partial

from coatcheck.fates import LEAVING, Fate, FateState, PlannedFile
from coatcheck.model import Fingerprint
from coatcheck.vault.base import Base
from coatcheck.vault.rows import FateRow

_PATH = "files/path"
_DESTINATION = "files/destination"

_PLAN = """
    INSERT INTO files (id, project, delivery_id, refusal_id, path, device, inode, size, mtime_ns, ctime_ns, fate,
                       destination, key_number)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_LAST = "SELECT COALESCE(MAX(id), 0) FROM files"
_ANY_PLANNED = "SELECT EXISTS (SELECT 1 FROM files WHERE project = ? AND state = 'planned')"
_SUPERSEDE = "UPDATE files SET state = 'superseded' WHERE state = 'planned' AND "
# A path of the quarantine may be called like one of the inbox.
_SAME_PLACE = "project = ? AND path = ? AND (fate IN ('retry', 'drop')) = ?"
_SETTLE = "UPDATE files SET state = ? WHERE id = ?"
_PLANNED = """
    SELECT * FROM files WHERE project = ? AND state = 'planned' AND (fate IN ('retry', 'drop')) = ? ORDER BY id
"""
_OF_DELIVERY = "SELECT * FROM files WHERE project = ? AND delivery_id = ? ORDER BY id"
_RETURNED = """
    SELECT DISTINCT refusal_id, fate FROM files WHERE project = ? AND fate IN ('retry', 'drop') AND state = 'done'
"""
_OF_REFUSAL = "SELECT * FROM files WHERE project = ? AND refusal_id = ? ORDER BY id"


class Fates(Base):
    """The part of the vault that knows where dropped files went, or are to go."""

    def plan(
        self,
        project: str,
        *,
        delivery_id: int | None = None,
        refusal_id: int | None = None,
        files: Iterable[PlannedFile],
    ) -> list[int]:
        """Journal what is to become of these files. Gives the rows' ids in the order of ``files``.

        They belong to one delivery or to one refusal. An older plan for the same path is superseded: it was made for
        a file that is gone, or for work that is being repeated.
        """
        if (delivery_id is None) == (refusal_id is None):
            raise ValueError("planned files belong to a delivery or to a refusal")
        return self._plan(project, [(delivery_id, refusal_id, file) for file in files])

    def plan_returns(self, project: str, files: Iterable[tuple[int, PlannedFile]]) -> list[int]:
        """Journal that files leave the quarantine, each with its refusal's id; gives the rows' ids."""
        return self._plan(project, [(None, refusal_id, file) for refusal_id, file in files])

    def returned(self, project: str) -> dict[int, Fate]:
        """The refusals of which files have left the quarantine, by id."""
        return {row["refusal_id"]: Fate(row["fate"]) for row in self._rows(_RETURNED, (project,))}

    def planned(self, project: str) -> list[FateRow]:
        """Every fate of the inbox's files that is still to be carried out, in the order of planning."""
        return [self._fate(row) for row in self._rows(_PLANNED, (project, False))]

    def planned_returns(self, project: str) -> list[FateRow]:
        """The same for files that are to leave the quarantine."""
        return [self._fate(row) for row in self._rows(_PLANNED, (project, True))]

    def fates(self, project: str, *, delivery_id: int | None = None, refusal_id: int | None = None) -> list[FateRow]:
        """Every fate that belongs to a delivery or to a refusal, in any state."""
        if (delivery_id is None) == (refusal_id is None):
            raise ValueError("fates belong to a delivery or to a refusal")
        sql, owner = (_OF_DELIVERY, delivery_id) if delivery_id is not None else (_OF_REFUSAL, refusal_id)
        return [self._fate(row) for row in self._rows(sql, (project, owner))]

    def settle_fate(self, ids: Iterable[int], state: FateState) -> None:
        """Mark fates as done or superseded, in one transaction."""
        values = [(FateState(state), row) for row in ids]
        if not values:
            return
        with self._transaction() as connection:
            connection.executemany(_SETTLE, values)

    def drop_plans(self, *, delivery_ids: Iterable[int] = (), refusal_ids: Iterable[int] = ()) -> None:
        """Supersede what is planned for deliveries and refusals that were never committed."""
        with self._transaction() as connection:
            connection.executemany(_SUPERSEDE + "delivery_id = ?", [(row,) for row in delivery_ids])
            connection.executemany(_SUPERSEDE + "refusal_id = ?", [(row,) for row in refusal_ids])

    def _plan(self, project: str, files: Sequence[tuple[int | None, int | None, PlannedFile]]) -> list[int]:
        seal = self._seal(project)
        number = seal.current
        paths = [seal.candidates(_PATH, os.fsencode(file.path)) for *_, file in files]
        close = cache(partial(seal.close, _DESTINATION))  # Many have the same one, or none.
        with self._transaction() as connection:
            if connection.execute(_ANY_PLANNED, (project,)).fetchone()[0]:
                for (*_, file), path in zip(files, paths, strict=True):
                    places = [(project, one, file.fate in LEAVING) for one in path]
                    connection.executemany(_SUPERSEDE + _SAME_PLACE, places)
            first = 1 + connection.execute(_LAST).fetchone()[0]
            ids = range(first, first + len(files))
            rows = (
                (row, project, *owner, path[0], *_stat(file), file.fate, close(os.fsencode(file.destination)), number)
                for row, path, (*owner, file) in zip(ids, paths, files, strict=True)
            )
            connection.executemany(_PLAN, rows)
        return list(ids)

    def _fate(self, row: sqlite3.Row) -> FateRow:
        seal = self._seal(row["project"])
        number = row["key_number"]
        file = PlannedFile(
            path=os.fsdecode(seal.open(_PATH, number, row["path"])),
            fingerprint=Fingerprint(
                _unsigned(row["device"]),
                _unsigned(row["inode"]),
                *(int(row[column]) for column in ("size", "mtime_ns", "ctime_ns")),
            ),
            fate=Fate(row["fate"]),
            destination=os.fsdecode(seal.open(_DESTINATION, number, row["destination"])),
        )
        return FateRow(
            id=row["id"],
            project=row["project"],
            delivery_id=row["delivery_id"],
            refusal_id=row["refusal_id"],
            file=file,
            state=FateState(row["state"]),
        )


def _stat(file: PlannedFile) -> tuple[int | bytes, ...]:
    device, inode, *rest = file.fingerprint
    return (_signed(device), _signed(inode), *map(_bindable, rest))


def _signed(number: int) -> int:
    """Inode numbers of network and FUSE file systems use all 64 bits; SQLite's integers have a sign."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _unsigned(number: int) -> int:
    return number + (1 << 64) if number < 0 else number


def _bindable(number: int) -> int | bytes:
    """A time of a file may be of any year. Nanoseconds beyond the year 2262 do not fit SQLite: they stand as digits."""
    return number if -(1 << 63) <= number < 1 << 63 else b"%d" % number
