"""Who asked the vault for what, and why: rows that are added and never changed, each chained to the one before it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Final

from coatcheck.errors import CoatcheckError, KeyFileError
from coatcheck.keys import SEALING_BYTES
from coatcheck.vault.base import Base
from coatcheck.vault.chain import GENESIS, SEALED_BY_ROW, Link, content, faults
from coatcheck.vault.rows import AuditRow
from coatcheck.vault.sealing import RowSeal, decode, encode

ROW_KEY: Final = "audit/key"
"""The place at which a row's key is sealed."""

_PAGE: Final = 1000
_MOST_FAULTS: Final = 20

_ADD = """
    INSERT INTO audit (id, at, project, who, action, subject, reason, key_number, row_key, format, content, digest)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_OF_PROJECT = "SELECT * FROM audit WHERE project = ? ORDER BY id"
_BETWEEN = "SELECT * FROM audit WHERE project = ? AND at >= ? AND at < ? ORDER BY id"
_LAST = "SELECT id, digest FROM audit ORDER BY id DESC LIMIT 1"
_AFTER = "SELECT * FROM audit WHERE id > ? ORDER BY id LIMIT ?"
_FENCE = "SELECT key_number FROM proofs WHERE project = ?"


class Audits(Base):
    """The part of the vault that remembers every look-up by a person."""

    def audit(
        self, project: str, *, who: str, action: str, subject: str | None = None, reason: str | None = None, now: str
    ) -> int:
        """Write down who asked for what; gives the row's id.

        ``subject`` and ``reason`` are sealed, for both may name a patient. ``who`` and ``action`` are not; a row
        without the other two needs no key. Raises KeyFileError where the project's key was rotated meanwhile.
        """
        with self._transaction() as connection:
            return self._add_audit(connection, project, who, action, now, subject=subject, reason=reason)

    def audits(self, project: str) -> list[AuditRow]:
        """Every audit row of a project, oldest first."""
        return [self._audit_row(row) for row in self._rows(_OF_PROJECT, (project,))]

    def audits_between(self, project: str, first: str, before: str) -> list[AuditRow]:
        """The audit rows of a project in a period, ``before`` left out. What no key opens is marked as sealed."""
        return [self._outline(row) for row in self._rows(_BETWEEN, (project, first, before))]

    def audit_head(self) -> tuple[int, bytes]:
        """The id and the digest of the last row; (0, GENESIS) where there is none."""
        found = self._rows(_LAST)
        return (found[0]["id"], found[0]["digest"]) if found else (0, GENESIS)

    def audit_digest(self, row: int) -> bytes | None:
        """The digest of a row, or None if there is no such row. That of row 0 is GENESIS."""
        found = self._rows("SELECT digest FROM audit WHERE id = ?", (row,))
        return found[0][0] if found else (None if row else GENESIS)

    def audit_faults(self, anchor: tuple[int, bytes] | None = None) -> list[str]:
        """Follows the chain through all rows, without any key. One plain sentence for each break, the first 20.

        ``anchor`` is what `LedgerReader.audit_anchor` said before; without it rows missing at the end are not noticed.
        """
        found = list(islice(faults(self._chain(), anchor), _MOST_FAULTS + 1))
        return found if len(found) <= _MOST_FAULTS else [*found[:_MOST_FAULTS], "and there are more breaks after that"]

    def _chain(self) -> Iterator[sqlite3.Row]:
        """Every row, by pages: a query that stays open would pin the WAL."""
        last = -(1 << 63)
        while page := self._rows(_AFTER, (last, _PAGE)):
            yield from page
            last = page[-1]["id"]

    def _add_audit(
        self,
        connection: sqlite3.Connection,
        project: str,
        who: str,
        action: str,
        now: str,
        *,
        subject: str | None = None,
        reason: str | None = None,
    ) -> int:
        """The row, inside a transaction, so that nobody else adds one between the last row and this one."""
        number, sealed_key = 0, None
        sealed: list[bytes | None] = [None, None]
        if (subject, reason) != (None, None):
            seal = self._seal(project)
            self._refuse_outdated(project, seal.current)
            row_key = secrets.token_bytes(SEALING_BYTES)
            number, sealed_key, row_seal = seal.current, seal.close(ROW_KEY, row_key), RowSeal(project, row_key)
            sealed = [
                None if text is None else row_seal.close(column, encode(text))
                for column, text in (("subject", subject), ("reason", reason))
            ]
        last, previous = self.audit_head()
        name = who.encode("utf-8", "backslashreplace").decode()
        link = Link(last + 1, SEALED_BY_ROW, now, project, name, action, content(*sealed))
        values = (*sealed, number, sealed_key, link.format, link.content, link.after(previous))
        connection.execute(_ADD, (link.id, now, project, name, action, *values))
        return link.id

    def _refuse_outdated(self, project: str, number: int) -> None:
        """What is sealed with a key that has just been rotated out could be opened by nobody."""
        if any(row[0] > number for row in self._rows(_FENCE, (project,))):
            raise KeyFileError(f"the key of project {project} was rotated meanwhile", "run this again")

    def _open(self, row: sqlite3.Row, column: str) -> str | None:
        if row[column] is None:
            return None
        seal, number = self._seal(row["project"]), row["key_number"]
        if row["row_key"] is None:
            return decode(seal.open(f"audit/{column}", number, row[column]))
        row_seal = RowSeal(row["project"], seal.open(ROW_KEY, number, row["row_key"]))
        return decode(row_seal.open(column, row[column]))

    def _outline(self, row: sqlite3.Row) -> AuditRow:
        try:
            return self._audit_row(row)
        except CoatcheckError:
            plain = {name: row[name] for name in ("id", "at", "project", "who", "action")}
            return AuditRow(**plain, subject=None, reason=None, sealed=True)

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
