"""Subjects in a sequence: each number is given once, for good, before anything is made with it."""

from __future__ import annotations

from collections.abc import Callable

from coatcheck.vault.mappings import Mappings
from coatcheck.vault.restored import Restorations
from coatcheck.vault.rows import Kind

_LAST = "SELECT last FROM sequences WHERE project = ?"
_SET_LAST = """
    INSERT INTO sequences (project, last, sure) VALUES (?, ?, ?)
    ON CONFLICT (project) DO UPDATE SET last = excluded.last, sure = excluded.sure
"""


class Sequences(Mappings, Restorations):
    """The part of the vault that numbers patients."""

    def numbered(
        self,
        project: str,
        key: str,
        subject_of: Callable[[int], str],
        start: int,
        now: str,
        *,
        taken: Callable[[str], bool] | None = None,
        begun: bool = False,
    ) -> str:
        """The subject of a normalised Patient ID: the one that it has, or that of the next number.

        One transaction: a number that was given is never given again, also where ``start`` or the way in which
        ``subject_of`` writes it was changed since. ``taken`` tells of a subject that it was given by records that are
        lost, ``begun`` that some were. Raises StateError where the records were put back from a backup and ``start``
        was not raised since.
        """
        with self._transaction() as connection:
            known = self.replacement(project, Kind.SUBJECT, key)
            if known is not None:
                return known
            sure = self._refuse_held(project, start, begun=begun)
            last = [row[0] for row in self._rows(_LAST, (project,))]
            number = max([start, *(one + 1 for one in last)])
            while self._is_given(project, subject_of(number), taken):
                number += 1
            subject = subject_of(number)
            connection.execute(_SET_LAST, (project, number, sure))
            missing = self._missing(project, Kind.SUBJECT, [(key, subject)])
            self._insert(connection, project, Kind.SUBJECT, missing, now)
        return subject

    def _is_given(self, project: str, subject: str, taken: Callable[[str], bool] | None) -> bool:
        return bool(self.originals(project, Kind.SUBJECT, subject)) or (taken is not None and taken(subject))
