"""What each start repairs: deliveries that were left in the middle, and originals whose fate was journalled."""

from __future__ import annotations

import logging

from coatcheck.bench import Bench
from coatcheck.delivery import folder as outbox
from coatcheck.job import close_delivery
from coatcheck.ledger import DeliveryRow, DeliveryState, Note, RefusalState
from coatcheck.originals import carry_out
from coatcheck.vault import FateRow, FateState


def recover(bench: Bench) -> None:
    """Brings one project to a state from which its inbox can be listed. Raises weather, and can be called again then.

    ``open`` is abandoned, for its files still lie in the inbox. ``staged`` is released: it was whole and durable.
    ``released`` and ``quarantined`` go on with their originals. Repeating any of it does no harm.
    """
    project = bench.project
    unfinished = bench.ledger.unfinished(project.name)
    for row in unfinished:
        if row.state is DeliveryState.OPEN:
            _abandon(bench, row, Note.FOUND_UNFINISHED)
        elif row.state is DeliveryState.STAGED:
            _release(bench, row)
    outbox.sweep(project.outbox, ())
    _fates(bench)
    for row in bench.ledger.unfinished(project.name):
        close_delivery(bench, row.id)
    for refusal in bench.ledger.refusals(project.name, state=RefusalState.PLANNED):
        bench.ledger.refusal_done(refusal.id, bench.utc())  # Its files were set aside, now or before the crash.


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


def _fates(bench: Bench) -> None:
    """Carries out what belongs to a committed outcome, and drops the other plans: their work is repeated."""
    planned = bench.vault.planned(bench.project.name)
    committed = [row for row in planned if _is_committed(bench, row)]
    lost = [row for row in planned if row not in committed]
    bench.vault.settle_fate([row.id for row in lost], FateState.SUPERSEDED)
    results = carry_out(bench.places, [row.file for row in committed])
    for state in (FateState.DONE, FateState.SUPERSEDED):
        bench.vault.settle_fate(
            [row.id for row, result in zip(committed, results, strict=True) if result is state], state
        )
    for result in results:
        if isinstance(result, OSError):
            raise result


def _is_committed(bench: Bench, row: FateRow) -> bool:
    if row.refusal_id is not None:
        return bench.ledger.refusal(row.refusal_id) is not None
    delivery = bench.ledger.delivery(row.delivery_id) if row.delivery_id is not None else None
    return delivery is not None and delivery.state not in (DeliveryState.OPEN, DeliveryState.ABANDONED)
