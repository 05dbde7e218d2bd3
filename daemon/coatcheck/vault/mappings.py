"""Original ↔ replacement, found again from either side."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from coatcheck.database import CHUNK, marks
from coatcheck.errors import StateError
from coatcheck.keys import ProjectKey
from coatcheck.steps import Database
from coatcheck.vault.base import Base
from coatcheck.vault.rows import Kind
from coatcheck.vault.sealing import decode, encode, fingerprint

_REMEMBERED = 1024  # pairs, such as those of the patient: the UIDs of a Study are recorded together
_PAGE = 1000

_ADD = "INSERT INTO mappings (project, kind, key_number, original, replacement, first_seen) VALUES (?, ?, ?, ?, ?, ?)"
_BY_ORIGINAL = """
    SELECT original, key_number, replacement FROM mappings
    WHERE substr(original, 1, 16) IN ({marks}) AND project = ? AND kind = ?
"""
_BY_REPLACEMENT = """
    SELECT key_number, original FROM mappings
    WHERE substr(replacement, 1, 16) IN ({marks}) AND project = ? AND kind = ? ORDER BY id
"""
_AFTER = """
    SELECT id, key_number, original, replacement FROM mappings
    WHERE id > ? AND project = ? AND kind = ? ORDER BY id LIMIT ?
"""


class Mappings(Base):
    """The part of the vault that knows what was replaced with what."""

    def __init__(self, db: Database, path: Path, keys: Mapping[str, ProjectKey]) -> None:
        super().__init__(db, path, keys)
        self._seen: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def record(self, project: str, kind: Kind | str, pairs: Mapping[str, str], now: str) -> None:
        """Keep original → replacement, in one transaction. What this process recorded lately costs nothing.

        Raises StateError, and keeps none of the pairs, if an original is known with another replacement.
        """
        kind = Kind(kind)
        fresh = [pair for pair in pairs.items() if not self._remembered(project, kind, pair)]
        if not fresh:
            return
        with self._transaction() as connection:
            missing = self._missing(project, kind, fresh)
            self._insert(connection, project, kind, missing, now)
        # Only now: a pair that is remembered is never written again, so it must be durable.
        self._remember(project, kind, fresh)

    def replacement(self, project: str, kind: Kind | str, original: str) -> str | None:
        """What an original was replaced with, or None if it is not known."""
        kind = Kind(kind)
        sealed = self._seal(project).candidates(place_of(kind, "original"), encode(original))
        return next(iter(self._known(project, kind, sealed).values()), None)

    def replacements(self, project: str, kind: Kind | str, originals: Iterable[str]) -> dict[str, str]:
        """What each of the originals that are known was replaced with."""
        kind, seal = Kind(kind), self._seal(project)
        place = place_of(kind, "original")
        sealed = {one: original for original in originals for one in seal.candidates(place, encode(original))}
        return {sealed[one]: new for one, new in self._known(project, kind, list(sealed)).items()}

    def originals(self, project: str, kind: Kind | str, replacement: str) -> list[str]:
        """Every original behind a replacement, oldest first. Many Studies may share one date shift."""
        kind = Kind(kind)
        seal = self._seal(project)
        sealed = seal.candidates(place_of(kind, "replacement"), encode(replacement))
        found = self._rows(_BY_REPLACEMENT.format(marks=marks(sealed)), (*map(fingerprint, sealed), project, kind))
        return [decode(seal.open(place_of(kind, "original"), *row)) for row in found]

    def original(self, project: str, kind: Kind | str, replacement: str) -> str | None:
        """The one original behind a replacement, or None. Raises StateError where there are several."""
        found = self.originals(project, kind, replacement)
        if len(found) > 1:
            raise StateError(f"{len(found)} originals share this replacement", "export the mapping to see all of them")
        return found[0] if found else None

    def export(self, project: str, kind: Kind | str) -> Iterator[tuple[str, str]]:
        """Every (original, replacement), in the order in which they were first recorded."""
        kind = Kind(kind)
        seal = self._seal(project)
        last = 0
        # In pages: a reader that stays open as long as its consumer likes would pin the WAL.
        while page := self._rows(_AFTER, (last, project, kind, _PAGE)):
            for row_id, number, original, replacement in page:
                last = row_id
                yield (
                    decode(seal.open(place_of(kind, "original"), number, original)),
                    decode(seal.open(place_of(kind, "replacement"), number, replacement)),
                )

    def _remembered(self, project: str, kind: Kind, pair: tuple[str, str]) -> bool:
        known = self._seen.get((project, kind, pair[0]))
        if known is not None and known != pair[1]:
            raise _contradiction(project, kind)
        return known is not None

    def _remember(self, project: str, kind: Kind, pairs: Iterable[tuple[str, str]]) -> None:
        for original, replacement in pairs:
            self._seen[(project, kind, original)] = replacement
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _missing(self, project: str, kind: Kind, pairs: Sequence[tuple[str, str]]) -> list[tuple[bytes, str]]:
        """The pairs that the vault lacks, the original sealed with the current key. Raises where one contradicts it."""
        seal = self._seal(project)
        sealed = [seal.candidates(place_of(kind, "original"), encode(original)) for original, _ in pairs]
        known = self._known(project, kind, [one for candidates in sealed for one in candidates])
        missing = []
        for candidates, (_, replacement) in zip(sealed, pairs, strict=True):
            held = {known[one] for one in candidates if one in known}
            if held - {replacement}:
                raise _contradiction(project, kind)
            if not held:
                missing.append((candidates[0], replacement))
        return missing

    def _known(self, project: str, kind: Kind, sealed: Sequence[bytes]) -> dict[bytes, str]:
        """Sealed original → replacement, for those that the vault has."""
        seal = self._seal(project)
        place = place_of(kind, "replacement")
        known = {}
        for start in range(0, len(sealed), CHUNK):
            part = sealed[start : start + CHUNK]
            found = self._rows(_BY_ORIGINAL.format(marks=marks(part)), (*map(fingerprint, part), project, kind))
            known.update({original: decode(seal.open(place, number, value)) for original, number, value in found})
        return known

    def _insert(
        self,
        connection: sqlite3.Connection,
        project: str,
        kind: Kind,
        missing: Iterable[tuple[bytes, str]],
        now: str,
    ) -> None:
        connection.executemany(_ADD, self._sealed_pairs(project, kind, missing, now))

    def _sealed_pairs(
        self, project: str, kind: Kind, missing: Iterable[tuple[bytes, str]], now: str
    ) -> Iterator[tuple[str, Kind, int, bytes, bytes, str]]:
        seal = self._seal(project)
        place = place_of(kind, "replacement")
        for original, replacement in missing:
            yield project, kind, seal.current, original, seal.close(place, encode(replacement)), now


def place_of(kind: Kind, column: str) -> str:
    """What a sealed value of a pair is bound to."""
    return f"mappings/{kind}/{column}"


def _contradiction(project: str, kind: Kind) -> StateError:
    what = f"an original of project {project} ({kind}) already has another replacement in the vault"
    return StateError(what, "the project's key or its settings were changed: put the old ones back")
