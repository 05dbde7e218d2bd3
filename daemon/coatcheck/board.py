"""The status report as people read it: one row for each project, and lines for what no row can hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from coatcheck.service_lock import Service
from coatcheck.status import ProjectStatus, StatusReport
from coatcheck.units import format_duration

HEAD: Final = ("PROJECT", "STATE", "WAITING", "ARRIVING", "RUNNING", "DELIVERED", "ASIDE", "LAST OUT", "WATCH")
_MINUTE: Final = 60.0
_MOST_STUDIES: Final = 10  # of a project, in words


def opening(state_dir: Path, report: StatusReport) -> Iterator[str]:
    """What is said of the service as a whole, before any project."""
    yield service_line(report.service)
    yield from silence(state_dir, report)
    for problem in report.service.reload_problems:
        yield f"The new configuration was refused: {problem}"
    for fault in report.faults:
        yield f"FAULT since {fault.at}: {fault.what}: {fault.hint}"


def service_line(service: Service) -> str:
    """One line on the service, for people."""
    if not service.running:
        return "No service is running. What follows is what the ledger counted; start one with `coatcheck run`."
    if service.updated is None:
        return f"The service starts as process {service.pid}. What follows is from before."
    since = f" since {service.started}" if service.started else ""
    return f"The service runs as process {service.pid}{since}, this is from {service.updated}."


def silence(state_dir: Path, report: StatusReport) -> Iterator[str]:
    """Why the running service may be silent, as far as it can be seen from here."""
    if report.silent is None:
        return
    disk = os.statvfs(state_dir)
    if disk.f_flag & os.ST_RDONLY:
        why = f"{state_dir} is on a file system that can only be read"
    elif not disk.f_bavail or (disk.f_files and not disk.f_favail):
        why = f"the disk of {state_dir} is full"
    else:
        why = "look at its log"
    yield f"FAULT: the service has not been able to say anything for {format_duration(report.silent)}: {why}"


def row(name: str, project: ProjectStatus, now: datetime) -> tuple[str, ...]:
    """One row of the table whose head is HEAD. ``now`` is UTC."""
    live, counts = project.live, project.counts
    waiting = _number(live["waiting_files"], live["oldest_waiting_seconds"], "{}")
    arriving: list[dict[str, Any]] = live["studies_arriving"]
    due = min((study["due_in_seconds"] for study in arriving), default=0.0)
    known = live["watch"] is not None
    return (
        name,
        project.word.value,
        waiting,
        _number(len(arriving) if known else None, due, "in {}"),
        str(len(live["studies_running"])) if known else "-",
        str(counts.studies),
        str(sum(counts.refusals.values())),
        _ago(counts.last_delivery, now),
        live["watch"] or "-",
    )


def _number(count: int | None, seconds: float | None, words: str) -> str:
    if not count:
        return "-" if count is None else "0"
    return f"{count} ({words.format(_short(seconds or 0.0))})"


def _short(seconds: float) -> str:
    """A duration in its largest unit: there is no room for more."""
    return format_duration(float(round(seconds))).split()[0]


def _ago(at: str | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = (now - datetime.fromisoformat(at)).total_seconds()
    return f"{_short(seconds)} ago" if seconds >= _MINUTE else "now"


def details(name: str, project: ProjectStatus) -> Iterator[str]:
    """What does not fit into the table: faults, the reasons of quarantine, Studies on their way.

    Faults stand first and Studies end after a few: a screen that is watched has a last line.
    """
    live = project.live
    yield from _obstacles(name, project)
    refusals = project.counts.refusals
    if refusals:
        reasons = ", ".join(f"{files} {reason}" for reason, files in sorted(refusals.items()))
        yield f"{name}: aside: {reasons}; see `coatcheck quarantine list --project {name}`"
    if live["files_per_minute"]:
        pace = _count(live["files_per_minute"], "file")
        yield f"{name}: {pace} in the last minute, {live['files_done']} since the start"
    studies = [*_running(live["studies_running"]), *_arriving(live["studies_arriving"])]
    for study in studies[:_MOST_STUDIES]:
        yield f"{name}: {study}"
    if len(studies) > _MOST_STUDIES:
        yield f"{name}: and {len(studies) - _MOST_STUDIES} more; `coatcheck status --json` has them all"


def _running(studies: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for study in studies:
        yield f"{study['ticket']} {study['state']}, {_count(study['instances'], 'instance')}"


def _arriving(studies: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The next that is due stands first."""
    for study in sorted(studies, key=lambda study: float(study["due_in_seconds"])):
        due, instances = study["due_in_seconds"], _count(study["instances"], "instance")
        when = f"arriving, {instances}, due in {format_duration(due)}" if due else f"waiting for its turn, {instances}"
        yield f"{study['ticket']} {when}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _obstacles(name: str, project: ProjectStatus) -> Iterator[str]:
    live = project.live
    if live["watch_limited"]:
        yield f"{name}: polled, as the kernel has too few inotify watches: raise fs.inotify.max_user_watches"
    if live["fault"] and live["fault"] not in {fault.what for fault in project.faults}:
        yield f"{name}: FAULT: {live['fault']}"
    for fault in project.faults:
        yield f"{name}: FAULT since {fault.at}: {fault.what}: {fault.hint}"
