"""Which Instances belong together, and when a Study is due. Pure: the clock is an argument."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from coatcheck.model import Instance, Study
from coatcheck.paths import dropped, is_below
from coatcheck.stack import Stack


class Arriving(NamedTuple):
    """A Study that waits: how many Instances it has, and in how many seconds it is due; 0 if it is."""

    study_uid: str
    instances: int
    due_in: float


@dataclass(slots=True, kw_only=True, eq=False)
class _Group:
    study_uid: str
    first: float
    last: float
    instances: int = 0
    complete: bool = False  # somebody said that nothing more comes
    stack: Stack[Instance] = field(default_factory=Stack)  # also of Instances that were let go or came again


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
        self._group_of: dict[str, _Group] = {}  # by path
        self._first: tuple[float, str] | None = None  # who is due first and when, if that is known: it is asked often

    def add(self, instance: Instance, now: float) -> str | None:
        """Take an Instance that came at ``now``. One with a path that is held already takes its place; if it was the
        last one of another Study, give the UID of that, which is gone.
        """
        path, uid, gone = instance.arrival.path, instance.study_uid, None
        before = self._group_of.get(path)
        if before is not None:
            if before.study_uid == uid:
                before.instances -= 1
            else:
                gone = self.discard(path)
        group = self._groups.get(uid)
        if group is None:
            group = self._groups[uid] = _Group(study_uid=uid, first=now, last=now)
        group.last = now
        group.instances += 1
        self._group_of[path] = group
        self._changed(group.study_uid, self._due_at(group))
        group.stack.add(instance)
        return gone

    def discard(self, path: str) -> str | None:
        """Let an Instance go whose file changed or vanished. A Study without Instances is gone too: give its UID."""
        group = self._group_of.pop(path, None)
        if group is None:
            return None
        group.instances -= 1
        if group.instances:
            return None
        del self._groups[group.study_uid]
        self._first = None
        return group.study_uid

    def complete(self, folder: str) -> None:
        """Let the Studies that have an Instance in this folder, or below it, be due at once: nothing more comes."""
        for path, group in self._group_of.items():
            if not group.complete and is_below(dropped(path), folder):
                group.complete = True
                self._first = None

    def complete_all(self) -> None:
        """Let all Studies that are held be due at once."""
        for group in self._groups.values():
            group.complete = True
        self._first = None

    def due(self, now: float, may_go: Callable[[str, int], bool] = lambda uid, instances: True) -> Iterator[str]:
        """Name the Studies that are due at ``now`` and may go, by UID and number of Instances; the one that was due
        first leads. They stay until they are taken.
        """
        first = self.next_due()
        if first is None or first > now:
            return
        due = sorted((self._due_at(group), place, group) for place, group in enumerate(self._groups.values()))
        for when, _, group in due:
            if when <= now and may_go(group.study_uid, group.instances):
                yield group.study_uid

    def take(self, study_uid: str) -> Study:
        """Hand out a Study. If there is no memory for that, it stays."""
        group = self._groups[study_uid]
        came = {one.arrival.path: one for one in group.stack}  # of what came again the last
        held = sorted((path for path in came if self._group_of.get(path) is group), key=os.fsencode)
        instances = tuple(came[path] for path in held)
        study = Study(project=instances[0].arrival.project, study_uid=study_uid, instances=instances)
        for path in held:
            del self._group_of[path]
        del self._groups[study_uid]
        self._first = None
        return study

    def pack(self) -> None:
        """Make what waits small."""
        for group in self._groups.values():
            group.stack.pack()

    def next_due(self) -> float | None:
        """Return when the next Study is due, or None if none is held."""
        if self._first is None:
            due = ((self._due_at(group), study_uid) for study_uid, group in self._groups.items())
            self._first = min(due, default=None)
        return self._first[0] if self._first is not None else None

    def arriving(self, now: float) -> list[Arriving]:
        """Tell what is held, for status. Study Instance UIDs are identity: they are not for logs."""
        return [
            Arriving(study_uid, group.instances, max(0.0, self._due_at(group) - now))
            for study_uid, group in self._groups.items()
        ]

    def held(self) -> list[tuple[list[str], float]]:
        """The paths of each Study's Instances, and when it is due."""
        paths = defaultdict[str, list[str]](list)
        for path, group in self._group_of.items():
            paths[group.study_uid].append(path)
        return [(paths[uid], self._due_at(group)) for uid, group in self._groups.items()]

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
