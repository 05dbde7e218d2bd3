"""Which state may follow which, and the event row that each step leaves. Used inside a transaction of the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from coatcheck.errors import StateError
from coatcheck.ledger import guard
from coatcheck.ledger.rows import DeliveryState, RefusalState
from coatcheck.model import Refusal
from coatcheck.reasons import Reason

_D = DeliveryState
_R = RefusalState

DELIVERY_STEPS: dict[DeliveryState, frozenset[DeliveryState]] = {
    _D.OPEN: frozenset({_D.STAGED, _D.DONE, _D.QUARANTINED, _D.ABANDONED}),
    _D.STAGED: frozenset({_D.RELEASED, _D.ABANDONED}),
    _D.RELEASED: frozenset({_D.DONE}),
    _D.DONE: frozenset(),
    _D.QUARANTINED: frozenset(),
    _D.ABANDONED: frozenset(),
}
REFUSAL_STEPS: dict[RefusalState, frozenset[RefusalState]] = {
    _R.PLANNED: frozenset({_R.QUARANTINED, _R.DROPPED}),
    _R.QUARANTINED: frozenset({_R.RETRIED, _R.DROPPED}),
    _R.RETRIED: frozenset(),
    _R.DROPPED: frozenset(),
}

_EVENT = """
    INSERT INTO events (at, project, study_id, delivery_id, refusal_id, from_state, to_state, note)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_DELIVERY = """
    SELECT deliveries.id, study_id, project, ticket, state
    FROM deliveries JOIN studies ON studies.id = deliveries.study_id WHERE deliveries.id = ?
"""
_ADD_REFUSAL = """
    INSERT INTO refusals (id, project, study_id, delivery_id, reason, detail, files, state, folder, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'planned', ?, ?)
"""


class Owner(NamedTuple):
    """The delivery that a step belongs to, as it was before."""

    delivery_id: int
    study_id: int
    project: str
    ticket: str
    state: str


def born(
    connection: sqlite3.Connection,
    now: str,
    project: str,
    state: str,
    *,
    study_id: int | None = None,
    delivery_id: int | None = None,
    refusal_id: int | None = None,
) -> None:
    """The event of a delivery or a refusal that came to be."""
    connection.execute(_EVENT, (now, project, study_id, delivery_id, refusal_id, None, state, ""))


def owner(connection: sqlite3.Connection, delivery_id: int) -> Owner:
    """A delivery with its Study. Raises StateError if there is none."""
    found = connection.execute(_DELIVERY, (delivery_id,)).fetchone()
    if found is None:
        raise StateError(f"delivery {delivery_id} is not in the ledger", "restore ledger.db and vault.db together")
    return Owner(*found)


def move(connection: sqlite3.Connection, delivery_id: int, state: DeliveryState, now: str, note: str = "") -> Owner:
    """Move a delivery on and leave the event. Raises StateError for a step that cannot be."""
    guard.time(now)
    delivery = owner(connection, delivery_id)
    if state not in DELIVERY_STEPS[DeliveryState(delivery.state)]:
        raise StateError(f"delivery {delivery_id} is {delivery.state} and cannot become {state}")
    connection.execute("UPDATE deliveries SET state = ?, changed = ? WHERE id = ?", (state, now, delivery_id))
    connection.execute(
        _EVENT, (now, delivery.project, delivery.study_id, delivery_id, None, delivery.state, state, note)
    )
    return delivery


def refuse(
    connection: sqlite3.Connection, now: str, delivery: Owner, *, reason: Reason, detail: str, files: int
) -> int:
    """A planned refusal that belongs to a delivery; gives its id."""
    delivery_id, study_id, project, ticket, _ = delivery
    folder = f"{Reason(reason)}/{ticket}"
    values = (None, project, study_id, delivery_id, Reason(reason), guard.detail(detail), files, folder, now)
    refusal_id = int(connection.execute(_ADD_REFUSAL, values).lastrowid or 0)
    born(connection, now, project, _R.PLANNED, study_id=study_id, delivery_id=delivery_id, refusal_id=refusal_id)
    return refusal_id


def refuse_all(connection: sqlite3.Connection, delivery_id: int, refused: Sequence[Refusal], now: str) -> list[int]:
    """A planned refusal for each file that cannot leave with its Study; gives their ids."""
    delivery = owner(connection, delivery_id)
    return [refuse(connection, now, delivery, reason=one.reason, detail=one.detail, files=1) for one in refused]


def refuse_unassigned(
    connection: sqlite3.Connection, now: str, project: str, reason: Reason, detail: str, refusal_id: int | None
) -> int:
    """A planned refusal of one file without a Study; gives its id."""
    guard.time(now)
    folder = f"{Reason(reason)}/unassigned"
    values = (refusal_id, project, None, None, Reason(reason), guard.detail(detail), 1, folder, now)
    refusal_id = int(connection.execute(_ADD_REFUSAL, values).lastrowid or 0)
    born(connection, now, project, _R.PLANNED, refusal_id=refusal_id)
    return refusal_id


def move_refusal(
    connection: sqlite3.Connection, refusal_id: int, state: RefusalState, now: str, note: str = ""
) -> None:
    """Move a refusal on and leave the event. Raises StateError for a step that cannot be."""
    guard.time(now)
    sql = "SELECT project, study_id, delivery_id, state FROM refusals WHERE id = ?"
    found = connection.execute(sql, (refusal_id,)).fetchone()
    if found is None:
        raise StateError(f"refusal {refusal_id} is not in the ledger", "restore ledger.db and vault.db together")
    project, study_id, delivery_id, old = found
    if state not in REFUSAL_STEPS[RefusalState(old)]:
        raise StateError(f"refusal {refusal_id} is {old} and cannot become {state}")
    connection.execute("UPDATE refusals SET state = ? WHERE id = ?", (state, refusal_id))
    connection.execute(_EVENT, (now, project, study_id, delivery_id, refusal_id, old, state, note))


def drop_refusals(connection: sqlite3.Connection, delivery_id: int, now: str, note: str) -> None:
    """Drop the planned refusals of work that will be repeated."""
    sql = "SELECT id FROM refusals WHERE delivery_id = ? AND state = 'planned' ORDER BY id"
    for (refusal_id,) in connection.execute(sql, (delivery_id,)).fetchall():
        move_refusal(connection, refusal_id, _R.DROPPED, now, note)
