"""The journal of what becomes of each dropped file. Written before an outcome is committed, carried out after it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence

from coatcheck.fates import LEAVING, Fate, FateState, PlannedFile
from coatcheck.model import Fingerprint
from coatcheck.vault.base import Base
from coatcheck.vault.rows import FateRow

_PATH = "files/path"
_DESTINATION = "files/destination"

_PLAN = """
    INSERT INTO files (project, delivery_id, refusal_id, path, device, inode, size, mtime_ns, ctime_ns, fate,
                       destination, key_number)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
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
        with self._transaction() as connection:
            connection.executemany(_SETTLE, values)

    def drop_plans(self, *, delivery_ids: Iterable[int] = (), refusal_ids: Iterable[int] = ()) -> None:
        """Supersede what is planned for deliveries and refusals that were never committed."""
        with self._transaction() as connection:
            connection.executemany(_SUPERSEDE + "delivery_id = ?", [(row,) for row in delivery_ids])
            connection.executemany(_SUPERSEDE + "refusal_id = ?", [(row,) for row in refusal_ids])

    def _plan(self, project: str, files: Sequence[tuple[int | None, int | None, PlannedFile]]) -> list[int]:
        values = [self._values(project, *owned) for owned in files]
        paths = [(project, sealed, file.fate in LEAVING) for *_, file in files for sealed in self._paths(project, file)]
        with self._transaction() as connection:
            connection.executemany(_SUPERSEDE + _SAME_PLACE, paths)
            return [_insert(connection, row) for row in values]

    def _paths(self, project: str, file: PlannedFile) -> list[bytes]:
        return self._seal(project).candidates(_PATH, os.fsencode(file.path))

    def _values(
        self, project: str, delivery_id: int | None, refusal_id: int | None, file: PlannedFile
    ) -> tuple[object, ...]:
        seal = self._seal(project)
        path = seal.close(_PATH, os.fsencode(file.path))
        destination = seal.close(_DESTINATION, os.fsencode(file.destination))
        device, inode, *rest = file.fingerprint
        stat = (_signed(device), _signed(inode), *map(_bindable, rest))
        return (project, delivery_id, refusal_id, path, *stat, Fate(file.fate), destination, seal.current)

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


def _insert(connection: sqlite3.Connection, row: Sequence[object]) -> int:
    return int(connection.execute(_PLAN, row).lastrowid or 0)


def _signed(number: int) -> int:
    """Inode numbers of network and FUSE file systems use all 64 bits; SQLite's integers have a sign."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _unsigned(number: int) -> int:
    return number + (1 << 64) if number < 0 else number


def _bindable(number: int) -> int | bytes:
    """A time of a file may be of any year. Nanoseconds beyond the year 2262 do not fit SQLite: they stand as digits."""
    return number if -(1 << 63) <= number < 1 << 63 else b"%d" % number
