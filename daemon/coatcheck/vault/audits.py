"""Who asked the vault for what, and why."""

from __future__ import annotations

import sqlite3

from coatcheck.vault.base import Base
from coatcheck.vault.rows import AuditRow
from coatcheck.vault.sealing import decode, encode

_ADD = "INSERT INTO audit (at, project, who, action, subject, reason, key_number) VALUES (?, ?, ?, ?, ?, ?, ?)"
_OF_PROJECT = "SELECT * FROM audit WHERE project = ? ORDER BY id"


class Audits(Base):
    """The part of the vault that remembers every look-up by a person."""

    def audit(
        self, project: str, *, who: str, action: str, subject: str | None = None, reason: str | None = None, now: str
    ) -> int:
        """Write down who asked for what; gives the row's id.

        ``subject`` and ``reason`` are sealed, for both may name a patient. ``who`` and ``action`` are not.
        """
        sealed_subject = self._close(project, "subject", subject)
        sealed_reason = self._close(project, "reason", reason)
        name = who.encode("utf-8", "backslashreplace").decode()
        values = (now, project, name, action, sealed_subject, sealed_reason, self._seal(project).current)
        with self._transaction() as connection:
            return int(connection.execute(_ADD, values).lastrowid or 0)

    def audits(self, project: str) -> list[AuditRow]:
        """Every audit row of a project, oldest first."""
        return [self._audit_row(row) for row in self._rows(_OF_PROJECT, (project,))]

    def _close(self, project: str, column: str, text: str | None) -> bytes | None:
        return None if text is None else self._seal(project).close(f"audit/{column}", encode(text))

    def _open(self, row: sqlite3.Row, column: str) -> str | None:
        if row[column] is None:
            return None
        return decode(self._seal(row["project"]).open(f"audit/{column}", row["key_number"], row[column]))

    def _audit_row(self, row: sqlite3.Row) -> AuditRow:
        return AuditRow(
            id=row["id"],
            at=row["at"],
            project=row["project"],
            who=row["who"],
            action=row["action"],
            subject=self._open(row, "subject"),
            reason=self._open(row, "reason"),
        )
