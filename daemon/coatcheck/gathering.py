"""The Instances of one project on their way to becoming Studies, with what identifies each Study's patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from coatcheck.assembly import Assembly
from coatcheck.deid.identity import MOST
from coatcheck.model import Arrival, Identity, Instance, Study


class Gathering:
    """Gathers into an Assembly. What identifies the patient is kept once for the Study, not for each file."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._identity: dict[str, set[Identity]] = {}

    def add(self, arrival: Arrival, instance: Instance, now: float) -> None:
        """Adds an Instance to its Study. It was read from ``arrival``, and came back with a copy of that."""
        known = self._identity.setdefault(instance.study_uid, set())
        if len(known) <= MOST:  # A Study of which there is more is refused: the rest is not needed.
            known.update(instance.own, instance.common)
        self._assembly.add(replace(instance, arrival=arrival, own=frozenset(), common=frozenset()), now)

    def due(
        self, horizon: float, now: float, running: Callable[[str], bool], *, flush: bool
    ) -> list[tuple[Study, frozenset[Identity]]]:
        """Hands out the Studies that are due at ``horizon``. One Study is worked on once at a time: what comes for one
        that is ``running`` becomes the next delivery.
        """
        ready = []
        for study in self._assembly.due(horizon, flush=flush):
            if running(study.study_uid):
                for instance in study.instances:
                    self._assembly.add(instance, now)
            else:
                ready.append((study, frozenset(self._identity.pop(study.study_uid, ()))))
        return ready
