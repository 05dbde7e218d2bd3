"""The Instances of one project on their way to becoming Studies, with what identifies each Study's patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from coatcheck.assembly import Assembly
from coatcheck.deid.identity import MOST
from coatcheck.model import Arrival, Identity, Instance, Study

_NONE: Final[frozenset[Identity]] = frozenset()


@dataclass(slots=True)
class _Known:
    """How much identifies the patient of a Study in its Instances, and what does beside them where that is too much."""

    carried: int = 0
    last: frozenset[Identity] = _NONE  # one object for many Instances: counted once
    beside: set[Identity] = field(default_factory=set)


class Gathering:
    """Gathers into an Assembly. What identifies the patient waits with each Instance; of no Study is there much more
    than is needed to refuse it.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._known: dict[str, _Known] = {}

    def add(self, arrival: Arrival, instance: Instance, now: float) -> None:
        """Adds an Instance to its Study. It was read from ``arrival``, and came back with a copy of that."""
        known = self._known.get(instance.study_uid)
        if known is None:
            known = self._known[instance.study_uid] = _Known()
        known.carried += len(instance.own)
        if instance.common is not known.last:
            known.carried += len(instance.common)
            known.last = instance.common
        if known.carried > MOST:  # perhaps the same again and again: beside them nothing stands twice
            if len(known.beside) <= MOST:
                known.beside.update(instance.own, instance.common)
            instance = replace(instance, own=_NONE, common=_NONE)
        self._assembly.add(instance, now, arrival.path)

    def due(
        self, horizon: float, now: float, running: Callable[[str], bool], fits: Callable[[int], bool]
    ) -> list[tuple[Study, frozenset[Identity]]]:
        """Hands out the Studies that are due at ``horizon`` and fit. One Study is worked on once at a time: what comes
        for one that is ``running`` becomes the next delivery.
        """
        ready = []
        for study in self._assembly.due(horizon, fits):
            if running(study.study_uid):
                for instance in study.instances:
                    self._assembly.add(instance, now)
            else:
                ready.append(self._whole(study))
        return ready

    def _whole(self, study: Study) -> tuple[Study, frozenset[Identity]]:
        """A Study and all that identifies its patient, which its Instances need not carry any more."""
        common = {id(one.common): one.common for one in study.instances}
        beside = self._known.pop(study.study_uid, _Known()).beside
        identity = frozenset(beside.union(*common.values(), *(one.own for one in study.instances)))
        instances = tuple(replace(one, own=_NONE, common=_NONE) for one in study.instances)
        return replace(study, instances=instances), identity
