"""Subjects in a sequence: each number is given once, for good, before anything is made with it."""

from __future__ import annotations

from collections.abc import Callable

from coatcheck.vault.mappings import Mappings
from coatcheck.vault.rows import Kind

_LAST = "SELECT last FROM sequences WHERE project = ?"
_SET_LAST = """
    INSERT INTO sequences (project, last) VALUES (?, ?)
    ON CONFLICT (project) DO UPDATE SET last = excluded.last
"""


class Sequences(Mappings):
    """The part of the vault that numbers patients."""

    def numbered(self, project: str, key: str, subject_of: Callable[[int], str], start: int, now: str) -> str:
        """The subject of a normalised Patient ID: the one that it has, or that of the next number.

        One transaction: a number that was given is never given again, also where ``start`` or the way in which
        ``subject_of`` writes it was changed since.
        """
        with self._transaction() as connection:
            known = self.replacement(project, Kind.SUBJECT, key)
            if known is not None:
                return known
            last = [row[0] for row in self._rows(_LAST, (project,))]
            number = max([start, *(one + 1 for one in last)])
            while self.originals(project, Kind.SUBJECT, subject_of(number)):
                number += 1
            subject = subject_of(number)
            connection.execute(_SET_LAST, (project, number))
            missing = self._missing(project, Kind.SUBJECT, [(key, subject)])
            self._insert(connection, project, Kind.SUBJECT, missing, now)
        return subject
