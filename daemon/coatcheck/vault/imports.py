"""What people knew of patients before: maps of an earlier system, taken over whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from coatcheck.vault.audits import Audits
from coatcheck.vault.mappings import Mappings
from coatcheck.vault.rows import Kind

_ADD = "INSERT INTO imports (project, kind, pairs, at) VALUES (?, ?, ?, ?)"
_HAS = "SELECT 1 FROM imports WHERE project = ? AND kind = ? LIMIT 1"


class Imports(Mappings, Audits):
    """The part of the vault that takes maps over."""

    def take_over(
        self, project: str, pairs: Mapping[Kind, Mapping[str, str]], *, who: str, reason: str | None, now: str
    ) -> None:
        """Keep original → replacement of each kind, with the audit row, in one transaction.

        Raises StateError, and keeps nothing, if an original is known with another replacement.
        """
        with self._transaction() as connection:
            self._add_audit(connection, project, who, "mapping import", now, reason=reason)
            for kind, found in pairs.items():
                missing = self._missing(project, kind, list(found.items()))
                self._insert(connection, project, kind, missing, now)
                if missing:
                    connection.execute(_ADD, (project, kind, len(missing), now))

    def has_imported(self, project: str, kind: Kind) -> bool:
        """Whether anything of this kind was taken over."""
        return bool(self._rows(_HAS, (project, kind)))
