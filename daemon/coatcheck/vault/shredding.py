"""The end of a project's key. What it has sealed stays, and is unreadable for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coatcheck.vault.audits import Audits
from coatcheck.vault.proofs import Proofs
from coatcheck.vault.rows import Kind

DESTROYED: Final = "key destroy"
"""The action of the audit row."""

_ADD = "INSERT OR IGNORE INTO destroyed (project, at) VALUES (?, ?)"
_MAPPINGS = "SELECT COUNT(*) FROM mappings WHERE project = ?"
_PATIENTS = "SELECT COUNT(*) FROM mappings WHERE project = ? AND kind = ?"
_PATHS = "SELECT COUNT(*) FROM files WHERE project = ?"
_PLANNED = "SELECT COUNT(*) FROM files WHERE project = ? AND state = 'planned'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What a project's key can open, counted without it. ``planned`` of the ``paths`` are not where they belong yet."""

    mappings: int
    patients: int
    paths: int
    planned: int


class Shredding(Audits, Proofs):
    """The part of the vault that outlives keys."""

    def remains(self, project: str) -> Remains:
        """What becomes unreadable with the project's key."""

        def count(sql: str, *values: object) -> int:
            return int(self._rows(sql, (project, *values))[0][0])

        return Remains(
            mappings=count(_MAPPINGS),
            patients=count(_PATIENTS, Kind.SUBJECT),
            paths=count(_PATHS),
            planned=count(_PLANNED),
        )

    def note_destroyed(self, project: str, *, who: str, now: str) -> str:
        """Record that the key is destroyed, with an audit row, before that is done; gives the time of the first record.

        The row holds nothing that is sealed, so it can be read afterwards.
        """
        with self._transaction() as connection:
            if connection.execute(_ADD, (project, now)).rowcount:
                self._add_audit(connection, project, who, DESTROYED, now)
        return self.destroyed(project) or now
