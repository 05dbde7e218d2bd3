"""The vault under a new sealing key: row by row, a few at a time, while it is read and written beside that.

What is sealed with either key is found all the while (`Seal.candidates`), so it may stop anywhere and go on later. The
row in ``rotations`` says that it is under way; it goes when no row has an older key and the key file lacks that key.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from coatcheck.keys import SEALING_BYTES, ProjectKey
from coatcheck.vault.audits import ROW_KEY, Audits
from coatcheck.vault.sealing import RowSeal, Seal

ROTATED: Final = "key rotate"
"""The action of the audit row."""

_WINDOW: Final = 1000  # ids that are gone through in one transaction; it holds up the service for some 50 ms
_BEGIN = "INSERT INTO rotations (project, key_number) VALUES (?, ?)"
_ASK = "SELECT key_number FROM rotations WHERE project = ?"
_FENCE = "UPDATE proofs SET key_number = MAX(key_number, ?) WHERE project = ?"
_MAX = "SELECT COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM {table}"
_PART = "SELECT * FROM {table} WHERE id >= ? AND id < ? AND project = ? AND key_number <> ?"
_FILL = {
    "mappings": "UPDATE mappings SET original = ?, replacement = ?, key_number = ? WHERE id = ?",
    "files": "UPDATE files SET path = ?, destination = ?, key_number = ? WHERE id = ?",
    "audit": "UPDATE audit SET subject = ?, reason = ?, row_key = ?, key_number = ? WHERE id = ?",
}


class Span(NamedTuple):
    """The ids of one table that are still to be gone through, the last one not included."""

    table: str
    first: int
    last: int


class Resealing(Audits):
    """The part of the vault that follows a rotation of a key."""

    def rotation(self, project: str) -> int | None:
        """The number of the sealing key to which the project is being rotated, or None."""
        found = self._rows(_ASK, (project,))
        return int(found[0][0]) if found else None

    def begin_rotation(self, project: str, number: int, *, who: str, now: str) -> None:
        """Note that this is wanted, with its audit row, before anything is done."""
        with self._transaction() as connection:
            connection.execute(_BEGIN, (project, number))
            self._add_audit(connection, project, who, ROTATED, now, subject=f"sealing key {number}")

    def take_rotated(self, project: str, key: ProjectKey) -> list[Span]:
        """From now on all rows are sealed with this key's newest sealing key; gives what is to be sealed anew.

        Whoever still holds a copy of the older file is refused from now on, so nothing is added behind our back.
        """
        self.use_key(project, key)
        with self._transaction() as connection:
            connection.execute(_FENCE, (key.current, project))
        spans = []
        for table in _FILL:
            first, last = self._rows(_MAX.format(table=table))[0]
            spans.append(Span(table, first, last + 1))
        return spans

    def reseal(self, project: str, span: Span) -> Span | None:
        """Seal the first rows of a span anew; gives what is left of it."""
        seal, end = self._seal(project), min(span.first + _WINDOW, span.last)
        found = self._rows(_PART.format(table=span.table), (span.first, end, project, seal.current))
        rows = [_RESEAL[span.table](seal, row) for row in found]
        if rows:
            with self._transaction() as connection:
                connection.executemany(_FILL[span.table], rows)
        return span._replace(first=end) if end < span.last else None

    def end_rotation(self, project: str) -> None:
        """All of it is done, and the key file lacks the older keys."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM rotations WHERE project = ?", (project,))


def _again(seal: Seal, place: str, number: int, sealed: bytes) -> bytes:
    return seal.close(place, seal.open(place, number, sealed))


def _mapping(seal: Seal, row: sqlite3.Row) -> tuple[object, ...]:
    place = f"mappings/{row['kind']}"
    return _columns(seal, row, {"original": f"{place}/original", "replacement": f"{place}/replacement"})


def _file(seal: Seal, row: sqlite3.Row) -> tuple[object, ...]:
    return _columns(seal, row, {"path": "files/path", "destination": "files/destination"})


def _columns(seal: Seal, row: sqlite3.Row, places: Mapping[str, str]) -> tuple[object, ...]:
    sealed = (_again(seal, place, row["key_number"], row[name]) for name, place in places.items())
    return (*sealed, seal.current, row["id"])


def _audit(seal: Seal, row: sqlite3.Row) -> tuple[object, ...]:
    """A row's own key is sealed anew, and what it seals stays, for that is in the chain.

    A row from before the chain gets a key of its own now, unless it holds nothing that is sealed.
    """
    number, row_key, texts = row["key_number"], row["row_key"], [row["subject"], row["reason"]]
    if row_key is not None:
        row_key = _again(seal, ROW_KEY, number, row_key)
    elif texts != [None, None]:
        opened = secrets.token_bytes(SEALING_BYTES)
        row_seal, row_key = RowSeal(row["project"], opened), seal.close(ROW_KEY, opened)
        texts = [
            None if row[name] is None else row_seal.close(name, seal.open(f"audit/{name}", number, row[name]))
            for name in ("subject", "reason")
        ]
    return (*texts, row_key, seal.current, row["id"])


_RESEAL: Final[Mapping[str, Callable[[Seal, sqlite3.Row], tuple[object, ...]]]] = {
    "mappings": _mapping,
    "files": _file,
    "audit": _audit,
}
