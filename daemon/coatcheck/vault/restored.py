"""Records that were put back from a backup: what was given since is not known, and must not be given twice."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.errors import StateError
from coatcheck.vault.base import Base

_ADD = """
    INSERT INTO restored (at, first_delivery, last_delivery, first_refusal, last_refusal, outdated)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_ALL = "SELECT * FROM restored ORDER BY id"
_NEWEST = "SELECT id, at FROM restored WHERE outdated ORDER BY id DESC LIMIT 1"
_SURE = "SELECT last, sure FROM sequences WHERE project = ?"
_HIGHEST = """
    SELECT (SELECT MAX(delivery_id) FROM files WHERE delivery_id IS NOT NULL) AS delivery,
           (SELECT MAX(refusal_id) FROM files WHERE refusal_id IS NOT NULL) AS refusal
"""
_HAS_FATES = "SELECT 1 FROM files WHERE delivery_id = ? LIMIT 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """One time that records were put back. Deliveries and refusals within the ranges are not in the ledger.

    ``outdated`` is whether the vault lacks what was recorded after it, and not the ledger alone.
    """

    id: int
    at: str
    first_delivery: int
    last_delivery: int
    first_refusal: int
    last_refusal: int
    outdated: bool

    def lacks_delivery(self, number: int) -> bool:
        """Whether the ledger cannot know this delivery."""
        return self.first_delivery <= number <= self.last_delivery

    def lacks_refusal(self, number: int) -> bool:
        """Whether the ledger cannot know this refusal."""
        return self.first_refusal <= number <= self.last_refusal


class Restorations(Base):
    """The part of the vault that remembers that it is a copy."""

    def note_restored(self, at: str, deliveries: tuple[int, int], refusals: tuple[int, int], *, outdated: bool) -> None:
        """Remember that these records are what there was ``at`` a time; the ranges are what the ledger lacks.

        A range whose first number is larger than its last is empty.
        """
        with self._transaction() as connection:
            connection.execute(_ADD, (at, *deliveries, *refusals, outdated))

    def restorations(self) -> list[Restored]:
        """Every time that records were put back, oldest first."""
        return [Restored(**dict(row)) for row in self._rows(_ALL)]

    def highest_owners(self) -> tuple[int, int]:
        """The highest numbers of a delivery and of a refusal that any fate belongs to."""
        found = self._rows(_HIGHEST)[0]
        return int(found["delivery"] or 0), int(found["refusal"] or 0)

    def has_fates(self, delivery_id: int) -> bool:
        """Whether the originals of a delivery are in the journal."""
        return bool(self._rows(_HAS_FATES, (delivery_id,)))

    def held_since(self, project: str, start: int, *, begun: bool) -> str | None:
        """The backup's time, if records were put back and nobody has said yet where the project's sequence goes on.

        A person says so by a ``start`` above the last number that is known. ``begun`` tells that the project gave
        numbers before, even where none is known any more.
        """
        newest = self._rows(_NEWEST)
        known = self._rows(_SURE, (project,))
        sure = known[0]["sure"] if known else 0
        last = known[0]["last"] if known else (1 if begun else -1)
        return str(newest[0]["at"]) if newest and newest[0]["id"] > sure and start <= last else None

    def _refuse_held(self, project: str, start: int, *, begun: bool) -> int:
        """The newest restoration, which a number is given in the knowledge of. Raises StateError where it is not."""
        at = self.held_since(project, start, begun=begun)
        if at is not None:
            raise StateError(
                f"the records of project {project} were put back from {at}, and numbers may have been given since",
                "write in `subjects` a `start` above every number that was ever given, and run `coatcheck reload`;"
                " `coatcheck doctor` names the highest that it finds",
            )
        newest = self._rows(_NEWEST)
        return int(newest[0]["id"]) if newest else 0
