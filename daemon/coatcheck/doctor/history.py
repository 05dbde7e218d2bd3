"""Every delivery and every refusal against its events: each step one that may be, the last one the state of the row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, Generic, TypeVar

from coatcheck.doctor.findings import Finding, Level, Tally
from coatcheck.doctor.visit import Visit
from coatcheck.ledger import DeliveryRow, DeliveryState, InstanceState, RefusalState
from coatcheck.ledger.inspect import LedgerInspection
from coatcheck.ledger.transitions import DELIVERY_STEPS, REFUSAL_STEPS

_RESTORE: Final = "the ledger was changed by something else, or is damaged: restore both databases from one backup"
State = TypeVar("State", bound=StrEnum)
_OUT: Final = (DeliveryState.RELEASED, DeliveryState.DONE)


class _Track(Generic[State]):
    """The state that each thing of one kind has by its events: one byte for each, for there may be millions.

    No state follows itself, by whatever way, so steps that may be are few for each thing.
    """

    def __init__(self, steps: Mapping[State, frozenset[State]], first: State) -> None:
        self._allowed = {(one, other) for one, others in steps.items() for other in others} | {(None, first)}
        self._states: list[str | None] = [None, *steps]
        self._codes = {state: code for code, state in enumerate(self._states)}
        self._now = bytearray()

    def grow(self, last: int) -> None:
        """Make room for things up to this number."""
        self._now.extend(bytes(max(0, last + 1 - len(self._now))))

    def state(self, number: int) -> str | None:
        """The state by the events so far, None where there were none."""
        return self._states[self._now[number]] if 0 <= number < len(self._now) else None

    def step(self, number: int, before: str | None, after: str) -> bool:
        """Takes an event; False where this step cannot be."""
        if not 0 <= number < len(self._now) or after not in self._codes:
            return False
        fits = before == self.state(number) and (before, after) in self._allowed
        self._now[number] = self._codes[after]
        return fits


class _History:
    """All events so far. Reading it again reads on where it ended."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._last = 0
        self.deliveries = _Track(DELIVERY_STEPS, DeliveryState.OPEN)
        self.refusals = _Track(REFUSAL_STEPS, RefusalState.PLANNED)
        self.wrong = Tally()

    def catch_up(self) -> None:
        """Take in what came since."""
        ledger = self._visit.ledger
        while page := ledger.events_after(self._last):
            deliveries, refusals = ledger.last_ids()
            self.deliveries.grow(deliveries)
            self.refusals.grow(refusals)
            for row in page:
                self._take(row)
            self._last = page[-1]["id"]

    def _take(self, row: sqlite3.Row) -> None:
        alone = row["refusal_id"] is None
        track, number = (self.deliveries, row["delivery_id"]) if alone else (self.refusals, row["refusal_id"])
        fits = number is not None and track.step(number, row["from_state"], row["to_state"])
        if not fits and self._visit.concerns(row["project"]):
            self.wrong.add(f"event {row['id']}")


def look(visit: Visit) -> Iterator[Finding]:
    """Deliveries, refusals and Studies, page by page; each page with its newest events in one moment."""
    history = _History(visit)
    history.catch_up()
    states, counts = Tally(), Tally()
    seen = _deliveries(visit, history, states, counts) + _refusals(visit, history, states)
    lonely = _lonely(visit)
    findings = (
        (history.wrong, "these events are steps that nothing can take"),
        (states, "the last event of these does not lead to the state that they have"),
        (counts, "these deliveries have not the instances that they count"),
        (lonely, "for these studies no work was ever begun"),
    )
    for tally, what in findings:
        if tally:
            yield Finding(level=Level.PROBLEM, check="history", what=f"{what}: {tally}", hint=_RESTORE)
    if not any(tally for tally, _ in findings):
        what = f"{seen} deliveries and refusals have a history that leads to where they are"
        yield Finding(level=Level.OK, check="history", what=what)


def _deliveries(visit: Visit, history: _History, states: Tally, counts: Tally) -> int:
    last = seen = 0
    while True:
        with visit.ledger.moment():
            history.catch_up()
            page = visit.ledger.deliveries_after(last)
            wrong = _miscounted(visit.ledger, page)
        if not page:
            return seen
        for row in page:
            if visit.concerns(row.project):
                seen += 1
                if history.deliveries.state(row.id) != row.state:
                    states.add(f"delivery {row.id}")
                if row.id in wrong:
                    counts.add(f"delivery {row.id}")
        last = page[-1].id


def _miscounted(ledger: LedgerInspection, page: Sequence[DeliveryRow]) -> set[int]:
    found = ledger.instance_counts({row.study_id for row in page})
    wrong = set()
    for row in page:
        out = row.folder is not None
        new = row.instances - row.duplicates - row.refused if out else 0
        here, there = (
            (InstanceState.DELIVERED, InstanceState.STAGED)
            if row.state in _OUT
            else (InstanceState.STAGED, InstanceState.DELIVERED)
        )
        duplicates = found.get((row.id, InstanceState.DUPLICATE), 0)
        if (found.get((row.id, here), 0), found.get((row.id, there), 0), duplicates) != (new, 0, row.duplicates):
            wrong.add(row.id)
    return wrong


def _refusals(visit: Visit, history: _History, states: Tally) -> int:
    last = seen = 0
    while True:
        with visit.ledger.moment():
            history.catch_up()
            page = visit.ledger.refusals_after(last)
        if not page:
            return seen
        for row in page:
            if visit.concerns(row.project):
                seen += 1
                if history.refusals.state(row.id) != row.state:
                    states.add(f"refusal {row.id}")
        last = page[-1].id


def _lonely(visit: Visit) -> Tally:
    last, lonely = 0, Tally()
    while page := visit.ledger.studies_after(last):
        for project, ticket in visit.ledger.without_delivery([row.id for row in page]):
            if visit.concerns(project):
                lonely.add(ticket)
        last = page[-1].id
    return lonely
