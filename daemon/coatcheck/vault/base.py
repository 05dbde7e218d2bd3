"""What every part of the vault needs: the open database and each project's seal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from coatcheck import database
from coatcheck.errors import KeyFileError
from coatcheck.keys import ProjectKey
from coatcheck.steps import Database
from coatcheck.vault.schema import migrations
from coatcheck.vault.sealing import Seal

MODE = 0o600


class Base:
    """An open vault.db with the keys that open its rows, one key for each project."""

    def __init__(self, db: Database, path: Path, keys: Mapping[str, ProjectKey]) -> None:
        self._db = db
        self._path = path
        self._seals: dict[str, Seal] = {}
        self.use_keys(keys)

    @classmethod
    def open(
        cls, path: Path, keys: Mapping[str, ProjectKey], *, readonly: bool = False, look_through: bool = True
    ) -> Self:
        """Open, and unless ``readonly`` make, the vault. Raises StateError where that cannot be done.

        ``look_through``: whether all of it is looked at for damage, as the service does at its start.
        """
        if readonly:
            return cls(database.open_reader(path, migrations=migrations), path, keys)
        return cls(database.open_writer(path, mode=MODE, migrations=migrations, look_through=look_through), path, keys)

    def close(self) -> None:
        """Close the database. What was written is durable already."""
        self._db.close()

    def fold_in(self, above: int) -> database.Log:
        """Folds in the write-ahead log if it is larger than ``above`` bytes; gives what is left of it."""
        return database.fold_in(self._db, self._path, above)

    def use_keys(self, keys: Mapping[str, ProjectKey], *, keep: Iterable[str] = ()) -> None:
        """Take these keys from now on, as when the configuration was read again.

        Projects of ``keep`` that have none among them go on with what they had.
        """
        kept = {project: self._seals[project] for project in keep if project in self._seals}
        self._seals = kept | {project: Seal(project, key) for project, key in keys.items()}

    def use_key(self, project: str, key: ProjectKey) -> None:
        """Take this key of one project from now on."""
        self._seals[project] = Seal(project, key)

    def _seal(self, project: str) -> Seal:
        try:
            return self._seals[project]
        except KeyError:
            hint = f"name the project in the configuration, or run `coatcheck key new --project {project}`"
            raise KeyFileError(f"there is no key for project {project}", hint) from None

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        return database.rows(self._db, self._path, sql, values)

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return database.transaction(self._db, self._path)
