"""What each start repairs: deliveries that were left in the middle, and originals whose fate was journalled."""

from __future__ import annotations

import logging

from coatcheck.bench import Bench
from coatcheck.delivery import folder as outbox
from coatcheck.disposal import Disposal
from coatcheck.job import close_delivery
from coatcheck.ledger import DeliveryRow, DeliveryState, Note, RefusalState
from coatcheck.vault import FateRow, FateState


class Recovery:
    """Brings one project to a state from which its inbox can be listed.

    ``open`` is abandoned, for its files still lie in the inbox. ``staged`` is released: it was whole and durable.
    ``released`` and ``quarantined`` go on with their originals. Repeating any of it does no harm.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._disposal: Disposal | None = None

    def step(self) -> bool:
        """Goes on as far as it can; True when all is repaired. Raises weather; call it again later."""
        bench = self._bench
        if self._disposal is None:
            _deliveries(bench)
            self._disposal = _fates(bench)
        if not self._disposal.step():
            return False
        for row in bench.ledger.unfinished(bench.project.name):
            close_delivery(bench, row.id)
        for refusal in bench.ledger.refusals(bench.project.name, state=RefusalState.PLANNED):
            bench.ledger.refusal_done(refusal.id, bench.utc())  # Its files were set aside, now or before the crash.
        return True


def _deliveries(bench: Bench) -> None:
    for row in bench.ledger.unfinished(bench.project.name):
        if row.state is DeliveryState.OPEN:
            _abandon(bench, row, Note.FOUND_UNFINISHED)
        elif row.state is DeliveryState.STAGED:
            _release(bench, row)
    outbox.sweep(bench.project.outbox, ())


def _abandon(bench: Bench, row: DeliveryRow, note: Note) -> None:
    bench.vault.drop_plans(delivery_ids=[row.id])
    bench.ledger.abandon(row.id, bench.utc(), note)
    bench.log(logging.INFO, "the work was interrupted and is done again", ticket=row.ticket)


def _release(bench: Bench, row: DeliveryRow) -> None:
    staging = outbox.staging_folder(bench.project.outbox, row.ticket, row.id)
    if row.folder is not None and outbox.release(bench.project.outbox, staging, row.folder):
        bench.ledger.release(row.id, bench.utc())
        bench.log(
            logging.INFO, "delivered: %d instances", row.instances - row.duplicates - row.refused, ticket=row.ticket
        )
    else:
        _abandon(bench, row, Note.FAULT)


def _fates(bench: Bench) -> Disposal:
    """What belongs to a committed outcome is to be carried out; other plans are dropped: their work is repeated."""
    committed: list[FateRow] = []
    lost: list[FateRow] = []
    for row in bench.vault.planned(bench.project.name):
        (committed if _is_committed(bench, row) else lost).append(row)
    bench.vault.settle_fate([row.id for row in lost], FateState.SUPERSEDED)
    return Disposal(bench, [(row.id, row.file) for row in committed])


def _is_committed(bench: Bench, row: FateRow) -> bool:
    if row.refusal_id is not None:
        return bench.ledger.refusal(row.refusal_id) is not None
    delivery = bench.ledger.delivery(row.delivery_id) if row.delivery_id is not None else None
    return delivery is not None and delivery.state not in (DeliveryState.OPEN, DeliveryState.ABANDONED)
