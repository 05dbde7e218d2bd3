"""Which Instances belong together, and when a Study is due. Pure: the clock is an argument."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from coatcheck.model import Instance, Study
from coatcheck.paths import dropped, is_below


class Arriving(NamedTuple):
    """A Study that is not due yet: how many Instances it has, and in how many seconds it is due at the latest."""

    study_uid: str
    instances: int
    due_in: float


@dataclass(slots=True, kw_only=True)
class _Group:
    first: float
    last: float
    complete: bool = False  # somebody said that nothing more comes
    instances: dict[str, Instance] = field(default_factory=dict)


class Assembly:
    """Gathers the Instances of one project by Study Instance UID until their Study is due.

    A Study is due ``study_settle`` seconds after its last Instance came, and in any case ``longest_wait`` seconds
    after its first. All times are readings of one monotonic clock. What was handed out is forgotten here: an
    Instance that comes later begins a Study anew, which becomes a delivery of its own.
    """

    def __init__(self, study_settle: float, longest_wait: float) -> None:
        self._study_settle = study_settle
        self._longest_wait = longest_wait
        self._groups: dict[str, _Group] = {}
        self._study_of: dict[str, str] = {}
        self._first: tuple[float, str] | None = None  # who is due first and when, if that is known: it is asked often

    def add(self, instance: Instance, now: float) -> None:
        """Take an Instance that came at ``now``. One with a path that is held already takes its place."""
        path = instance.arrival.path
        if self._study_of.get(path, instance.study_uid) != instance.study_uid:
            self.discard(path)
        group = self._groups.setdefault(instance.study_uid, _Group(first=now, last=now))
        group.last = now
        group.instances[path] = instance
        self._changed(instance.study_uid, self._due_at(group))
        self._study_of[path] = instance.study_uid

    def discard(self, path: str) -> None:
        """Let an Instance go whose file changed or vanished. A Study without Instances is gone too."""
        study_uid = self._study_of.pop(path, None)
        if study_uid is None:
            return
        group = self._groups[study_uid]
        del group.instances[path]
        if not group.instances:
            del self._groups[study_uid]
            self._first = None

    def complete(self, folder: str) -> None:
        """Let the Studies that have an Instance in this folder, or below it, be due at once: nothing more comes."""
        for group in self._groups.values():
            if not group.complete and any(is_below(dropped(path), folder) for path in group.instances):
                group.complete = True
                self._first = None

    def due(self, now: float, *, flush: bool = False) -> list[Study]:
        """Hand out the Studies that are due at ``now``, or all with ``flush``; the one that was due first leads."""
        first = self.next_due()
        if first is None or (first > now and not flush):
            return []
        ready = [
            (self._due_at(group), study_uid)
            for study_uid, group in self._groups.items()
            if flush or self._due_at(group) <= now
        ]
        ready.sort(key=lambda due_and_uid: due_and_uid[0])
        self._first = None
        return [self._release(study_uid) for _, study_uid in ready]

    def next_due(self) -> float | None:
        """Return when the next Study is due, or None if none is held."""
        if self._first is None:
            due = ((self._due_at(group), study_uid) for study_uid, group in self._groups.items())
            self._first = min(due, default=None)
        return self._first[0] if self._first is not None else None

    def arriving(self, now: float) -> list[Arriving]:
        """Tell what is held, for status. Study Instance UIDs are identity: they are not for logs."""
        return [
            Arriving(study_uid, len(group.instances), max(0.0, self._due_at(group) - now))
            for study_uid, group in self._groups.items()
        ]

    def held(self) -> list[tuple[list[str], float]]:
        """The paths of each Study's Instances, and when it is due."""
        return [(list(group.instances), self._due_at(group)) for group in self._groups.values()]

    def snapshot(self, now: float, ticket: Callable[[str], str]) -> list[dict[str, str | int | float]]:
        """What the status says of them: by their tickets, which are no identity."""
        return [
            {"ticket": ticket(one.study_uid), "instances": one.instances, "due_in_seconds": round(one.due_in, 1)}
            for one in self.arriving(now)
        ]

    def _changed(self, study_uid: str, due: float) -> None:
        """Only where the first one moved, and perhaps is it no more, all of them have to be looked at again."""
        if self._first is None or self._first[1] == study_uid:
            self._first = None
        elif due < self._first[0]:
            self._first = (due, study_uid)

    def _due_at(self, group: _Group) -> float:
        if group.complete:
            return float("-inf")
        return min(group.last + self._study_settle, group.first + self._longest_wait)

    def _release(self, study_uid: str) -> Study:
        group = self._groups.pop(study_uid)
        for path in group.instances:
            del self._study_of[path]
        instances = sorted(group.instances.values(), key=lambda instance: os.fsencode(instance.arrival.path))
        return Study(project=instances[0].arrival.project, study_uid=study_uid, instances=tuple(instances))
