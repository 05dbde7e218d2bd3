"""One report of how things stand: what the running service says, and what the ledger has counted.

``StatusReport.as_json`` is what ``coatcheck status --json`` prints. Its keys are kept:

* ``version``: 1.
* ``service``: ``running``; ``pid``, ``started`` and ``updated`` (UTC) of a running one, else null; ``reloads``, how
  often it has read its configuration again, and ``reload_problems``, why it refused to the last time.
* ``projects``, by name. What only a running service knows is null or empty without one: ``watch`` (events or
  polling), ``watch_limited`` (true where it is polled because the kernel has too few inotify watches), ``events_lost``
  (how often since the start the kernel's queue of events ran over; the inbox is listed then, so nothing is missed),
  ``scan_seconds`` that the last scan of the inbox took, ``scan_period`` between two full scans if nothing rings,
  ``waiting_files`` that are not complete yet, ``oldest_waiting_seconds``, ``studies_arriving`` (``ticket``,
  ``instances``, ``due_in_seconds``), ``studies_running`` (``ticket``, ``state``, ``instances``), ``left_alone`` files
  such as temporary ones, ``unreadable`` files and folders in the inbox that could not be looked at, ``fault`` of the
  inbox now, ``files_done`` since the start and ``files_per_minute`` of the last minute. ``word`` is one of
  :class:`coatcheck.standing.Word`. From the ledger: ``delivered`` (``studies``, ``deliveries``, ``instances``),
  ``duplicates`` (instances that came again unchanged), ``quarantined`` (files by reason), ``faults``
  (``kind``, ``what``, ``hint``, ``count``, ``since``, ``last``), ``references_unresolved`` (UIDs that a delivered Study
  refers to and that nothing delivered in the project has, counted for each Study) and ``last_delivery`` (UTC).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from coatcheck.errors import StateError
from coatcheck.ledger import Counts, FaultRow, LedgerReader
from coatcheck.service_lock import Service, read_service
from coatcheck.standing import Word, word

VERSION: Final = 1
_LONGEST_SILENCE: Final = 30.0  # seconds; the service speaks every 10 s
# What a project looks like while no service speaks of it.
_SILENT: Final[Mapping[str, Any]] = {
    "watch": None,
    "watch_limited": None,
    "events_lost": None,
    "scan_seconds": None,
    "scan_period": None,
    "waiting_files": None,
    "oldest_waiting_seconds": None,
    "studies_arriving": [],
    "studies_running": [],
    "left_alone": None,
    "unreadable": None,
    "fault": None,
    "files_done": None,
    "files_per_minute": None,
}
_NOTHING: Final = Counts(studies=0, folders=0, deliveries={}, instances={}, refusals={}, last_delivery=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatus:
    """One project: ``live`` as the service says it, with every key of the documentation, and the ledger's records."""

    live: Mapping[str, Any]
    counts: Counts
    faults: tuple[FaultRow, ...]
    word: Word

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the keys of the module's text."""
        counts = self.counts
        return {
            "word": self.word.value,
            **self.live,
            "delivered": {
                "studies": counts.studies,
                "deliveries": counts.folders,
                "instances": counts.instances.get("delivered", 0),
            },
            "duplicates": counts.instances.get("duplicate", 0),
            "quarantined": dict(counts.refusals),
            "faults": [_fault_json(fault) for fault in self.faults],
            "references_unresolved": counts.references_unresolved,
            "last_delivery": counts.last_delivery,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """How things stand: the service, each project, and the faults of the service as a whole."""

    service: Service
    projects: Mapping[str, ProjectStatus]
    faults: tuple[FaultRow, ...]
    silent: float | None = None  # seconds for which a running service could not say anything

    def as_json(self) -> dict[str, Any]:
        """What ``status --json`` prints."""
        service = self.service
        return {
            "version": VERSION,
            "service": {
                "running": service.running,
                "pid": service.pid,
                "started": service.started,
                "updated": service.updated,
                "silent_seconds": self.silent,
                "reloads": service.reloads,
                "reload_problems": list(service.reload_problems),
                "faults": [_fault_json(fault) for fault in self.faults],
            },
            "projects": {name: project.as_json() for name, project in self.projects.items()},
        }


def _fault_json(fault: FaultRow) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "what": fault.what,
        "hint": fault.hint,
        "count": fault.count,
        "since": fault.at,
        "last": fault.last_at,
    }


def read_status(state_dir: Path, projects: Iterable[str], now: datetime) -> StatusReport:
    """How the named projects stand, and any other that the service speaks of. ``now`` is UTC. Raises StateError."""
    service = read_service(state_dir)
    names = list(dict.fromkeys([*projects, *service.projects]))
    path = state_dir / "ledger.db"
    ledger = _ledger(path, service)
    try:
        silent = _silent(service, now)
        found = {name: _project(name, service, ledger, silent=silent is not None) for name in names}
        return StatusReport(service=service, projects=found, faults=_faults(ledger, ""), silent=silent)
    finally:
        if ledger is not None:
            ledger.close()


def _ledger(path: Path, service: Service) -> LedgerReader | None:
    """None before the first run, and while a service that starts still makes it or brings it up to date."""
    if not path.exists():
        return None
    try:
        return LedgerReader.open(path)
    except StateError:
        if service.running and service.updated is None:
            return None
        raise


def _silent(service: Service, now: datetime) -> float | None:
    """How long a running service has not said anything, if that is longer than it ever is while it can."""
    if not service.running or service.updated is None:
        return None
    seconds = (now - datetime.fromisoformat(service.updated)).total_seconds()
    return round(seconds, 1) if seconds > _LONGEST_SILENCE else None


def _project(name: str, service: Service, ledger: LedgerReader | None, *, silent: bool) -> ProjectStatus:
    said = service.projects.get(name, {})
    live = {key: said.get(key, value) for key, value in _SILENT.items()}
    counts = ledger.counts(name) if ledger else _NOTHING
    faults = _faults(ledger, name)
    return ProjectStatus(live=live, counts=counts, faults=faults, word=_word(service, live, faults, silent=silent))


def _word(service: Service, live: Mapping[str, Any], faults: Iterable[FaultRow], *, silent: bool) -> Word:
    if not service.running:
        return Word.STOPPED
    if service.updated is None:
        return Word.STARTING
    return Word.ATTENTION if silent else word(live, [fault.what for fault in faults])


def _faults(ledger: LedgerReader | None, project: str) -> tuple[FaultRow, ...]:
    return tuple(ledger.faults(project)) if ledger else ()
