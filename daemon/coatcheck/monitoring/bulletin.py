"""What a person is told without asking: that somebody has to look, that all is well again, what was set aside. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from coatcheck.standing import Word
from coatcheck.status import ProjectStatus, StatusReport
from coatcheck.units import format_duration

_BAD: Final = frozenset({Word.ATTENTION, Word.WAITING})
_SERVICE: Final = ""  # the service as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message: what it is about, in one line and in several. It names projects, reasons, faults and no more."""

    kind: Literal["attention", "well", "quarantine"]
    subject: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class _Watched:
    """One project or the service: since when it is well or not, and what people were told."""

    bad: bool
    since: float
    told: bool = False
    told_at: float = float("-inf")


@dataclass(slots=True, kw_only=True)
class Bulletin:
    """Decides what is told. ``after`` and ``every`` are seconds, ``now`` the monotonic clock.

    What stands so for ``after`` is told once, and its end too. The same thing is told at most once in ``every``.
    """

    after: float
    every: float
    quarantine: bool
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _known: dict[str, Counter[str]] = field(default_factory=dict)
    _grown: float | None = None  # when something that was not told of was first seen in quarantine
    _told: float = float("-inf")

    def look(self, now: float, report: StatusReport) -> list[Notice]:
        """What is to be told now that things stand like this."""
        troubles = dict(_troubles(report))
        names = {_SERVICE, *report.projects}
        heard = {_SERVICE} if report.silent is not None else names  # of a silent one nothing else is known
        for name in heard:
            one = self._watched.setdefault(name, _Watched(name in troubles, now))
            if one.bad != (name in troubles):
                one.bad, one.since = name in troubles, now
        for name in self._watched.keys() - names:  # a project that was taken out of the configuration
            del self._watched[name]
        return [*self._attention(now, troubles), *self._well(now), *self._set_aside(now, report)]

    def _attention(self, now: float, troubles: dict[str, list[str]]) -> Iterator[Notice]:
        found = [
            name
            for name, one in self._watched.items()
            if one.bad and not one.told and now - one.since >= self.after and now - one.told_at >= self.every
        ]
        for name in found:
            self._watched[name].told, self._watched[name].told_at = True, now
        if found:
            lines = tuple(line for name in sorted(found) for line in troubles[name])
            yield Notice(kind="attention", subject=f"{_names(found)}: attention", lines=lines)

    def _well(self, now: float) -> Iterator[Notice]:
        found = [
            name for name, one in self._watched.items() if one.told and not one.bad and now - one.since >= self.after
        ]
        for name in found:
            self._watched[name].told = False
        if found:
            lines = tuple(f"{name or 'the service'}: well again" for name in sorted(found))
            yield Notice(kind="well", subject=f"{_names(found)}: well again", lines=lines)

    def _set_aside(self, now: float, report: StatusReport) -> Iterator[Notice]:
        new: dict[str, Counter[str]] = {}
        for name, project in report.projects.items():
            there = Counter(project.counts.refusals)
            known = self._known.setdefault(name, there.copy())
            known &= there  # what was retried or dropped is new when it comes again
            self._known[name] = known
            if there - known:
                new[name] = there - known
        if not new or not self.quarantine:
            self._grown = None
            return
        self._grown = now if self._grown is None else self._grown
        if now - self._grown < self.after or now - self._told < self.every:
            return
        self._told, self._grown = now, None
        for name in new:
            self._known[name] = Counter(report.projects[name].counts.refusals)
        lines = tuple(
            f"{name}: {files} files were set aside as {reason}: see `coatcheck quarantine list --project {name}`"
            for name, reasons in sorted(new.items())
            for reason, files in sorted(reasons.items())
        )
        yield Notice(kind="quarantine", subject=f"{_names(list(new))}: set aside", lines=lines)


def _names(found: list[str]) -> str:
    return ", ".join(name or "the service" for name in sorted(found))


def _troubles(report: StatusReport) -> Iterator[tuple[str, list[str]]]:
    """What is in the way, for people, of the service and of each project that has anything in its way."""
    own = [f"the service: since {fault.at}: {fault.what}: {fault.hint}" for fault in report.faults]
    if report.silent is not None:
        own.append(f"the service: it has not been able to say anything for {format_duration(report.silent)}")
    if own:
        yield _SERVICE, own
    for name, project in report.projects.items():
        if project.word in _BAD and report.silent is None:
            yield name, list(_of_project(name, project))


def _of_project(name: str, project: ProjectStatus) -> Iterator[str]:
    yield f"{name}: {project.word.value}"
    for fault in project.faults:
        yield f"{name}: since {fault.at}: {fault.what}: {fault.hint}"
    if not project.faults:
        yield f"{name}: {project.live['fault'] or 'the service does not run it: see `coatcheck check`'}"
