"""What each start repairs: deliveries that were left in the middle, and originals whose fate was journalled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from coatcheck.bench import Bench
from coatcheck.delivery import folder as outbox
from coatcheck.disposal import Disposal, close_delivery, close_refusal
from coatcheck.fates import FateState
from coatcheck.ledger import DeliveryRow, DeliveryState, Note, RefusalState
from coatcheck.vault import FateRow

_LEFT = (DeliveryState.OPEN, DeliveryState.ABANDONED, DeliveryState.QUARANTINED)


class Repair:
    """What is left of one delivery, or of one file that was refused, beside which the line does its other work.

    ``held`` are the paths of its originals, which are no new files until it has ended. ``ticket`` is that of a Study
    whose results are not released yet, so that nothing else may be decided over it.
    """

    def __init__(
        self, bench: Bench, row: DeliveryRow | None, fates: Sequence[FateRow], refusal_id: int | None = None
    ) -> None:
        self._bench = bench
        self._row = row
        self._refusal_id = refusal_id
        self._disposal = Disposal(bench, [(fate.id, fate.file) for fate in fates])
        self.held = frozenset(fate.file.path for fate in fates)
        self.ticket = row.ticket if row is not None and row.state is DeliveryState.STAGED else ""

    def step(self) -> bool:
        """Goes on as far as it can; True when all is repaired. Raises weather; call it again later."""
        if self._row is not None and self.ticket:
            if not _release(self._bench, self._row):
                return True  # It is worked on anew, from the inbox.
            self.ticket = ""
        if not self._disposal.step():
            return False
        if self._row is not None:
            close_delivery(self._bench, self._row.id)
        elif self._refusal_id is not None:
            close_refusal(self._bench, self._refusal_id)
        return True


def begin(bench: Bench) -> list[Repair]:
    """Brings one project to a state from which its inbox can be listed, and gives what remains to be repaired.

    ``open`` is abandoned, for its files still lie in the inbox. ``staged`` is to be released: it was whole and
    durable. ``released`` and ``quarantined`` go on with their originals. Repeating any of it does no harm.
    """
    rows = {row.id: row for row in bench.ledger.unfinished(bench.project.name)}
    for row in [row for row in rows.values() if row.state is DeliveryState.OPEN]:
        _abandon(bench, row, Note.FOUND_UNFINISHED)
        del rows[row.id]
    outbox.sweep(bench.project.outbox, partial(_is_left, bench), partial(_is_out, bench))
    deliveries: dict[int, list[FateRow]] = {row: [] for row in rows}
    refusals: dict[int, list[FateRow]] = {}
    for refusal in bench.ledger.refusals(bench.project.name, state=RefusalState.PLANNED):
        if refusal.delivery_id is not None:
            deliveries.setdefault(refusal.delivery_id, [])
        else:
            refusals.setdefault(refusal.id, [])
    for fate in _committed(bench):
        if fate.delivery_id is not None:
            deliveries.setdefault(fate.delivery_id, []).append(fate)
        elif fate.refusal_id is not None:
            refusals.setdefault(fate.refusal_id, []).append(fate)
    return [
        *(Repair(bench, rows.get(number) or bench.ledger.delivery(number), one) for number, one in deliveries.items()),
        *(Repair(bench, None, one, number) for number, one in refusals.items()),
    ]


def _is_left(bench: Bench, ticket: str, delivery_id: int) -> bool:
    """Whether a folder in staging belongs to a delivery of this project of which nothing comes out any more."""
    row = _delivery(bench, ticket, delivery_id)
    return row is not None and (row.state in _LEFT or (row.state is DeliveryState.DONE and row.folder is None))


def _is_out(bench: Bench, ticket: str, delivery_id: int) -> bool:
    """Whether a folder in staging belongs to a delivery of this project that lies in the outbox for good."""
    row = _delivery(bench, ticket, delivery_id)
    return row is not None and row.state in (DeliveryState.RELEASED, DeliveryState.DONE)


def _delivery(bench: Bench, ticket: str, delivery_id: int) -> DeliveryRow | None:
    row = bench.ledger.delivery(delivery_id)
    if row is None or (row.ticket, row.project) != (ticket, bench.project.name):
        return None
    return row


def _abandon(bench: Bench, row: DeliveryRow, note: Note) -> None:
    bench.vault.drop_plans(delivery_ids=[row.id])
    bench.ledger.abandon(row.id, bench.utc(), note)
    bench.log(logging.INFO, "the work was interrupted and is done again", ticket=row.ticket)


def _release(bench: Bench, row: DeliveryRow) -> bool:
    staging = outbox.staging_folder(bench.project.outbox, row.ticket, row.id)
    if row.folder is None or not outbox.release(bench.project.outbox, staging, row.folder):
        _abandon(bench, row, Note.FAULT)
        return False
    bench.ledger.release(row.id, bench.utc(), command=bench.project.after_delivery is not None)
    outbox.forget(staging)
    bench.log(logging.INFO, "delivered: %d instances", row.instances - row.duplicates - row.refused, ticket=row.ticket)
    return True


def _committed(bench: Bench) -> list[FateRow]:
    """What belongs to a committed outcome is to be carried out; other plans are dropped: their work is repeated."""
    committed: list[FateRow] = []
    lost: list[FateRow] = []
    for row in bench.vault.planned(bench.project.name):
        (committed if _is_committed(bench, row) else lost).append(row)
    bench.vault.settle_fate([row.id for row in lost], FateState.SUPERSEDED)
    return committed


def _is_committed(bench: Bench, row: FateRow) -> bool:
    if row.refusal_id is not None:
        return bench.ledger.refusal(row.refusal_id) is not None
    delivery = bench.ledger.delivery(row.delivery_id) if row.delivery_id is not None else None
    return delivery is not None and delivery.state not in (DeliveryState.OPEN, DeliveryState.ABANDONED)
