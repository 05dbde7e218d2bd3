"""Reading all of vault.db, however large: in pages, each of them one short look, so that no WAL is pinned."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck import integrity
from coatcheck.database import CHUNK, marks
from coatcheck.integrity import Soundness
from coatcheck.vault import Vault
from coatcheck.vault.mappings import place_of
from coatcheck.vault.rows import Kind
from coatcheck.vault.sealing import decode, encode, fingerprint

_PAGE: Final = 5000
_WINDOW: Final = 50_000  # rows of which one look takes the key numbers

_FATES = "SELECT id, project, delivery_id, refusal_id, fate, state FROM files WHERE id > ? ORDER BY id LIMIT ?"
_COUNTS = "SELECT {owner} AS owner, COUNT(*) AS number FROM files WHERE {owner} IN ({marks}) GROUP BY 1"
_KNOWN = """
    SELECT substr(replacement, 1, 16) AS mark FROM mappings
    WHERE substr(replacement, 1, 16) IN ({marks}) AND project = ? AND kind = ?
"""
_LAST_ROW = "SELECT MAX(id) AS last FROM {table}"
_SEALED = """
    SELECT project, {kind} AS kind, key_number, MIN(id) AS id FROM {table} WHERE id > ? AND id <= ? {where}
    GROUP BY 1, 2, 3
"""
_TABLES: Final = {"mappings": ("kind", ""), "files": ("''", ""), "audit": ("''", "AND key_number > 0")}
_DESTROYED = "SELECT project, at FROM destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """The first row of a table that one sealing key of a project sealed."""

    table: str
    project: str
    kind: str
    key_number: int
    id: int


class VaultInspection(Vault):
    """An open vault.db, to be looked through as a whole."""

    def soundness(self, *, thorough: bool, patience: float | None, clock: Callable[[], float]) -> Soundness:
        """Whether the file is sound; see :mod:`coatcheck.integrity`."""
        return integrity.soundness(self._db, self._path, thorough=thorough, patience=patience, clock=clock)

    def fates_after(self, last: int) -> list[sqlite3.Row]:
        """The next rows of the journal, without what is sealed in them."""
        return self._rows(_FATES, (last, _PAGE))

    def is_planned(self, row: int) -> bool:
        """Whether a row of the journal is still to be carried out."""
        return bool(self._rows("SELECT 1 FROM files WHERE id = ? AND state = 'planned'", (row,)))

    def fates_of_deliveries(self, ids: Sequence[int]) -> dict[int, int]:
        """How many rows the journal has for each of these deliveries."""
        return self._counts("delivery_id", ids)

    def fates_of_refusals(self, ids: Sequence[int]) -> dict[int, int]:
        """The same for refusals without a delivery, and for what left the quarantine."""
        return self._counts("refusal_id", ids)

    def replacements_known(self, project: str, kind: Kind, replacements: Collection[str]) -> set[str]:
        """Those of some new values that the vault has an original for."""
        seal, place = self._seal(project), place_of(kind, "replacement")
        wanted = {fingerprint(one): text for text in replacements for one in seal.candidates(place, encode(text))}
        sealed = list(wanted)
        found: set[str] = set()
        for start in range(0, len(sealed), CHUNK):
            part = sealed[start : start + CHUNK]
            rows = self._rows(_KNOWN.format(marks=marks(part)), (*part, project, kind))
            found.update(wanted[row["mark"]] for row in rows)
        return found

    def specimens(self) -> Iterator[Specimen]:
        """A row for each table, project, kind and sealing key."""
        for table, (kind, where) in _TABLES.items():
            seen = set()
            sql = _SEALED.format(table=table, kind=kind, where=where)
            last = self._rows(_LAST_ROW.format(table=table))[0]["last"] or 0
            for start in range(0, last, _WINDOW):
                for row in self._rows(sql, (start, start + _WINDOW)):
                    if tuple(row)[:3] not in seen:
                        seen.add(tuple(row)[:3])
                        yield Specimen(table=table, **dict(row))

    def open_specimen(self, one: Specimen) -> None:
        """Opens what is sealed in a row. Raises StateError where that cannot be done, KeyFileError without a key."""
        found = self._rows(f"SELECT * FROM {one.table} WHERE id = ?", (one.id,))
        if not found:
            return  # It was rewritten meanwhile.
        if one.table == "files":
            self._fate(found[0])
        elif one.table == "audit":
            self._audit_row(found[0])
        else:
            for column in ("original", "replacement"):
                place = place_of(Kind(one.kind), column)
                decode(self._seal(one.project).open(place, found[0]["key_number"], found[0][column]))

    def destroyed_projects(self) -> dict[str, str]:
        """The projects whose key was destroyed, and when."""
        return {row["project"]: row["at"] for row in self._rows(_DESTROYED)}

    def _counts(self, owner: str, ids: Sequence[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            rows = self._rows(_COUNTS.format(owner=owner, marks=marks(part)), part)
            found.update((row["owner"], row["number"]) for row in rows)
        return found
