"""The Instances of one project on their way to becoming Studies, with what identifies each Study's patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from coatcheck.assembly import Assembly
from coatcheck.deid.identity import MOST
from coatcheck.model import Arrival, Identity, Instance, Study
from coatcheck.stack import Stack

_NONE: Final[frozenset[Identity]] = frozenset()
_LOOSE: Final = 30_000  # Instances and what identifies patients in them that come before all that waits is packed


class _Known:
    """What identifies the patient of a Study: each thing once, as long as it is not packed."""

    def __init__(self) -> None:
        self._found: set[Identity] = set()
        self._packed = Stack[Identity]()
        self._many = 0  # that are packed, some perhaps more than once

    def add(self, *found: frozenset[Identity]) -> None:
        """Learns more. A Study of which there is more than that is refused: the rest is not needed."""
        if len(self._found) <= MOST:
            self._found.update(*found)
            if self._many and self._many + len(self._found) > MOST:
                self._found, self._packed, self._many = self.all(), Stack(), 0

    def pack(self) -> None:
        """Makes it small. What is nearly too much is not packed any more, so that it can be counted."""
        if self._many + len(self._found) <= MOST // 2:
            for one in self._found:
                self._packed.add(one)
            self._packed.pack()
            self._many += len(self._found)
            self._found = set()

    def all(self) -> set[Identity]:
        """All of it."""
        return self._found.union(self._packed)


class Gathering:
    """Gathers into an Assembly. What identifies the patient is kept once for the Study, not for each file."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._known: dict[str, _Known] = {}
        self._loose = 0

    def add(self, arrival: Arrival, instance: Instance, now: float) -> None:
        """Adds an Instance to its Study. It was read from ``arrival``, and came back with a copy of that."""
        known = self._known.get(instance.study_uid)
        if known is None:
            known = self._known[instance.study_uid] = _Known()
        known.add(instance.own, instance.common)
        gone = self._assembly.add(replace(instance, arrival=arrival, own=_NONE, common=_NONE), now)
        if gone is not None:
            del self._known[gone]
        self._loose += 1 + len(instance.own)
        if self._loose > _LOOSE:
            self._pack()

    def _pack(self) -> None:
        self._loose = 0
        self._assembly.pack()
        for known in self._known.values():
            known.pack()

    def due(self, now: float, may_go: Callable[[str, int], bool]) -> Iterator[tuple[Study, frozenset[Identity]]]:
        """Hands out the Studies that are due at ``now`` and may go, by UID and number of Instances, one by one. One for
        which there is no memory stays, and so do those behind it.
        """
        for study_uid in self._assembly.due(now, may_go):
            identity = frozenset(self._known[study_uid].all())
            study = self._assembly.take(study_uid)
            del self._known[study_uid]
            yield study, identity
