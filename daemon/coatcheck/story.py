"""The story of one Study, as the ledger has it: nothing in here identifies anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Final

from coatcheck.ledger import DeliveryRow, DeliveryState, EventRow, LedgerReader, RefusalRow, RefusalState, StudyRow

_DELIVERY: Final = {
    DeliveryState.OPEN: "opened",
    DeliveryState.STAGED: "staged",
    DeliveryState.RELEASED: "released",
    DeliveryState.DONE: "originals away",
    DeliveryState.QUARANTINED: "refused",
    DeliveryState.ABANDONED: "abandoned",
}
_REFUSAL: Final = {
    RefusalState.PLANNED: "set aside",
    RefusalState.QUARANTINED: "in quarantine",
    RefusalState.RETRIED: "retried",
    RefusalState.DROPPED: "dropped",
}
_DIGITS: Final = 12  # of a profile's digest: enough to tell two apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happened to a Study at one time. ``refusals`` are the numbers by which the quarantine knows them."""

    at: str
    delivery: int | None
    refusals: tuple[int, ...]
    what: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"refusals": list(self.refusals)}


def find(ledger: LedgerReader, name: str, project: str | None) -> list[StudyRow]:
    """The Studies that a person means: by a ticket, a new Study Instance UID, or a folder of the outbox."""
    path = name.rstrip("/")
    last = path.rpartition("/")[2]
    return ledger.studies_called(list(dict.fromkeys((last, last.upper()))), path, project)


def tell(ledger: LedgerReader, study: StudyRow) -> Iterator[Step]:
    """What happened to a Study, in order. What happened to many files at once is one step."""
    deliveries = {row.id: row for row in ledger.deliveries_of(study.id)}
    refusals = {row.id: row for row in ledger.refusals(study.project, ticket=study.ticket)}

    def alike(event: EventRow) -> tuple[object, ...]:
        refusal = refusals.get(event.refusal_id or 0)
        why = (refusal.reason, refusal.detail) if refusal else (event.id,)
        return event.at, event.delivery_id, event.to_state, event.note, why

    for _, events in groupby(ledger.story(study.project, study.ticket), alike):
        together = list(events)
        first = together[0]
        if first.refusal_id is None:
            yield _of_delivery(first, deliveries[first.delivery_id or 0])
        else:
            yield _of_refusals(first, [refusals[event.refusal_id or 0] for event in together])


def _of_delivery(event: EventRow, row: DeliveryRow) -> Step:
    state = DeliveryState(event.to_state)
    what = _DELIVERY[state]
    if state is DeliveryState.DONE and row.folder is None and event.from_state == DeliveryState.OPEN:
        what = "nothing delivered" if row.refused else "nothing new"
    return Step(at=event.at, delivery=row.id, refusals=(), what=what, detail=event.note or _detail(state, row))


def _detail(state: DeliveryState, row: DeliveryRow) -> str:
    sent = row.instances - row.duplicates - row.refused
    details = {
        DeliveryState.OPEN: f"profile {row.profile} ({row.profile_digest[:_DIGITS]}), PS3.15 {row.edition}",
        DeliveryState.STAGED: f"{sent} instances, {row.duplicates} duplicates, {row.refused} refused",
        DeliveryState.RELEASED: f"outbox/{row.folder}",
        DeliveryState.DONE: "" if row.folder else f"{row.duplicates} duplicates, {row.refused} refused",
        DeliveryState.QUARANTINED: f"nothing of it left, {row.refused} files",
    }
    return details.get(state, "")


def _of_refusals(event: EventRow, rows: Iterable[RefusalRow]) -> Step:
    together = list(rows)
    first, files = together[0], sum(row.files for row in together)
    state = RefusalState(event.to_state)
    noun = "file" if files == 1 else "files"
    detail = f"{files} {noun} as {first.reason}" + (f" {first.detail}" if first.detail else "")
    numbers = tuple(row.id for row in together)
    note = f": {event.note}" if event.note else ""
    return Step(at=event.at, delivery=event.delivery_id, refusals=numbers, what=_REFUSAL[state], detail=detail + note)
