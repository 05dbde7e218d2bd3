"""The steps by which a database came to its tables. sqlite-utils keeps the book of them, in the database itself.

It is imported only where a step is to be done: commands that look something up are quick.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

BOOK: Final = "_sqlite_migrations"
"""The table in which sqlite-utils keeps it."""


@dataclass(slots=True)
class Database:
    """An open SQLite file."""

    conn: sqlite3.Connection

    def close(self) -> None:
        """Close it. What was committed stays."""
        self.conn.close()


Step = Callable[[Database], None]


class Migrations:
    """The steps of one kind of database, by the names of their functions, in their order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._steps: list[Step] = []

    def __call__(self) -> Callable[[Step], Step]:
        """A decorator: the function is the next step."""

        def add(step: Step) -> Step:
            self._steps.append(step)
            return step

        return add

    @property
    def names(self) -> list[str]:
        """All of them; never one less than in an earlier version."""
        return [step.__name__ for step in self._steps]

    def done(self, db: Database) -> list[tuple[str, str]]:
        """The kind and the name of each step that the database's book has; none where it has no book."""
        if not db.conn.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", [BOOK]).fetchone():
            return []
        return db.conn.execute(f"SELECT migration_set, name FROM {BOOK} ORDER BY rowid").fetchall()

    def pending(self, db: Database) -> bool:
        """Whether a step was not done yet."""
        return not {(self.name, name) for name in self.names} <= set(self.done(db))

    def apply(self, db: Database, *, stop_before: str | None = None) -> None:
        """Do what was not done yet, in one transaction: an update is done whole, and waits for the disk once."""
        if not self.pending(db):
            return
        import sqlite_utils

        book = sqlite_utils.Migrations(self.name)
        for step in self._steps:
            book(name=step.__name__)(lambda known, step=step: step(Database(known.conn)))
        known = sqlite_utils.Database(db.conn, execute_plugins=False, recursive_triggers=False)
        with known.atomic():
            book.apply(known, stop_before=stop_before)
