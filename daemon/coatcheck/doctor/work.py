"""What is not finished: whether somebody is at it, or the next start will be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coatcheck.doctor.findings import Finding, Level, Tally
from coatcheck.doctor.visit import Visit
from coatcheck.ledger import RefusalState

_LOOK: Final = "look at the service's log, and restart it: the next start finishes this"


def look(visit: Visit) -> Iterator[Finding]:
    """Deliveries that are open, staged or released, refusals that are planned, and faults that last."""
    resting, idle = _Resting(visit), True
    for delivery in visit.ledger.unfinished():
        resting.add(delivery.project, delivery.ticket, delivery.changed, f"delivery {delivery.id} ({delivery.state})")
    for refusal in visit.ledger.refusals(state=RefusalState.PLANNED):
        resting.add(refusal.project, refusal.ticket, refusal.at, f"refusal {refusal.id} ({refusal.state})")
    for finding in (*resting.findings(), *_faults(visit)):
        idle = False
        yield finding
    if idle:
        yield Finding(level=Level.OK, check="work", what="nothing is left half done")


class _Resting:
    """What has not gone on for long, by project."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._kinds: dict[tuple[str, str], Tally] = {}

    def add(self, project: str, ticket: str | None, since: str, name: str) -> None:
        visit = self._visit
        if not visit.concerns(project) or not visit.is_old(since):
            return
        if project not in visit.settings.config.projects:
            kind = "foreign"
        elif not visit.service.running:
            kind = "left"
        elif project not in visit.service.projects:
            kind = "stopped"
        else:
            kind = "held" if visit.has_in_hand(project, ticket) else "forgotten"
        self._kinds.setdefault((project, kind), Tally()).add(name)

    def findings(self) -> Iterator[Finding]:
        said = {
            "foreign": (Level.NOTE, "the configuration does not name its project", "name it again, to have it done"),
            "left": (Level.NOTE, "no service runs", "the next start finishes this"),
            "stopped": (Level.NOTE, "the service does not run this project", "see `coatcheck status`"),
            "held": (Level.NOTE, "the service is at it, or held up by a fault", "see `coatcheck status`"),
            "forgotten": (Level.PROBLEM, "the running service does not speak of it", _LOOK),
        }
        for (project, kind), tally in sorted(self._kinds.items()):
            level, why, hint = said[kind]
            what = f"work is unfinished and {why}: {tally}"
            yield Finding(level=level, check="work", project=project, what=what, hint=hint)


def _faults(visit: Visit) -> Iterator[Finding]:
    for fault in visit.ledger.faults():
        if not fault.project or visit.concerns(fault.project):
            what = f"a fault lasts since {fault.at}: {fault.what}"
            yield Finding(level=Level.NOTE, check="work", project=fault.project, what=what, hint=fault.hint)
