"""Whether a database file is sound, as SQLite judges it: table by table, within a time where a service writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coatcheck import database
from coatcheck.errors import StateError
from coatcheck.steps import Database

_STEPS: Final = 20_000  # of SQLite's machine between two looks at the clock: some milliseconds
_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
_WHOLE: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Soundness:
    """What was found: ``faults`` in SQLite's words, which quote no value, and the tables that took too long to read."""

    faults: tuple[str, ...]
    unread: tuple[str, ...]


def soundness(
    db: Database, path: Path, *, thorough: bool, patience: float | None, clock: Callable[[], float]
) -> Soundness:
    """Reads the whole file, or with ``patience`` each table for at most so many seconds.

    One statement is one long look, which pins the WAL while it lasts; so it must end soon where somebody writes.
    ``thorough`` compares each index with its table. Raises StateError for a file that cannot be read at all.
    """
    check = "integrity_check" if thorough else "quick_check"
    tables = [str(row[0]) for row in database.rows(db, path, _TABLES)]
    faults: list[str] = []
    unread = []
    for table in tables if patience is not None else [_WHOLE]:
        try:
            with _limited(db.conn, patience, clock):
                faults += _faults(db, path, f"PRAGMA {check}{_about(table)}")
                faults += [
                    f"a row of {row[0]} refers to none of {row[2]}"
                    for row in database.rows(db, path, f"PRAGMA foreign_key_check{_about(table)}")
                ]
        except _TooLongError:
            unread.append(table)
    return Soundness(faults=tuple(faults), unread=tuple(unread))


class _TooLongError(Exception):
    pass


@contextmanager
def _limited(connection: sqlite3.Connection, patience: float | None, clock: Callable[[], float]) -> Iterator[None]:
    """Breaks a statement off that takes longer than ``patience``."""
    if patience is None:
        yield
        return
    end = clock() + patience
    late = False

    def is_late() -> bool:
        nonlocal late
        late = clock() > end
        return late

    connection.set_progress_handler(is_late, _STEPS)
    try:
        yield
    except StateError:
        if late:
            raise _TooLongError from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _faults(db: Database, path: Path, sql: str) -> list[str]:
    return [str(row[0]) for row in database.rows(db, path, sql) if row[0] != "ok"]


def _about(table: str) -> str:
    return f"('{table}')" if table != _WHOLE else ""
