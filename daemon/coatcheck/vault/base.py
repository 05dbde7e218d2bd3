"""What every part of the vault needs: the open database and each project's seal."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from sqlite_utils import Database

from coatcheck import database
from coatcheck.errors import KeyFileError
from coatcheck.keys import ProjectKey
from coatcheck.vault.schema import migrations
from coatcheck.vault.sealing import Seal

MODE = 0o600


class Base:
    """An open vault.db with the keys that open its rows, one key for each project."""

    def __init__(self, db: Database, path: Path, keys: Mapping[str, ProjectKey]) -> None:
        self._db = db
        self._path = path
        self.use_keys(keys)

    @classmethod
    def open(cls, path: Path, keys: Mapping[str, ProjectKey], *, readonly: bool = False) -> Self:
        """Open, and unless ``readonly`` make, the vault. Raises StateError where that cannot be done."""
        if readonly:
            return cls(database.open_reader(path, migrations=migrations), path, keys)
        return cls(database.open_writer(path, mode=MODE, migrations=migrations), path, keys)

    def close(self) -> None:
        """Close the database. What was written is durable already."""
        self._db.close()

    def use_keys(self, keys: Mapping[str, ProjectKey]) -> None:
        """Take these keys from now on, as when the configuration was read again."""
        self._seals = {project: Seal(project, key) for project, key in keys.items()}

    def _seal(self, project: str) -> Seal:
        try:
            return self._seals[project]
        except KeyError:
            hint = f"name the project in the configuration, or run `coatcheck init --project {project}`"
            raise KeyFileError(f"there is no key for project {project}", hint) from None

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        return database.rows(self._db, self._path, sql, values)

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return database.transaction(self._db, self._path)
