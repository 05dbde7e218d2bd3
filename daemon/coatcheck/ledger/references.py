"""References that point to nothing which was delivered, used inside a transaction of the ledger.

A row of ``dangling`` is a new UID that a Study refers to, while no delivered Instance and no delivered Study of its
project has it. It comes when the Study is staged, and goes when the target is released or the work is abandoned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from coatcheck.ledger import guard
from coatcheck.ledger.transitions import Owner
from coatcheck.model import Staged

_STUDY_UID = "SELECT study_uid FROM studies WHERE id = ?"
_ADD = """
    INSERT OR IGNORE INTO dangling (study_id, sop_uid, delivery_id)
    SELECT :study, :uid, :delivery
    WHERE NOT EXISTS (
        SELECT 1 FROM instances JOIN studies ON studies.id = instances.study_id
        WHERE instances.sop_uid = :uid AND instances.state = 'delivered' AND studies.project = :project)
    AND NOT EXISTS (
        SELECT 1 FROM studies JOIN deliveries ON deliveries.study_id = studies.id
        WHERE studies.study_uid = :uid AND studies.project = :project
        AND deliveries.folder IS NOT NULL AND deliveries.state IN ('released', 'done'))
"""
_RESOLVE = """
    DELETE FROM dangling
    WHERE sop_uid IN (
        SELECT sop_uid FROM instances WHERE study_id = :study AND delivery_id = :delivery AND state = 'delivered'
        UNION ALL SELECT study_uid FROM studies WHERE id = :study)
    AND EXISTS (SELECT 1 FROM studies WHERE studies.id = dangling.study_id AND studies.project = :project)
"""
_FORGET = "DELETE FROM dangling WHERE study_id = ? AND delivery_id = ?"


def record(connection: sqlite3.Connection, delivery: Owner, staged: Sequence[Staged]) -> None:
    """Note what a delivery refers to in vain. What it brings itself, and its own Study, are no such thing."""
    own = {one.sop_uid for one in staged} | set(connection.execute(_STUDY_UID, (delivery.study_id,)).fetchone())
    wanted = {uid for one in staged for uid in one.references} - own
    about = {"study": delivery.study_id, "delivery": delivery.delivery_id, "project": delivery.project}
    connection.executemany(_ADD, ({**about, "uid": guard.uid(uid)} for uid in sorted(wanted)))


def resolve(connection: sqlite3.Connection, delivery: Owner) -> None:
    """A delivery is released: whatever referred to it in vain does so no more."""
    about = {"study": delivery.study_id, "delivery": delivery.delivery_id, "project": delivery.project}
    connection.execute(_RESOLVE, about)


def forget(connection: sqlite3.Connection, delivery: Owner) -> None:
    """A delivery is abandoned: nothing of it was released, so it refers to nothing."""
    connection.execute(_FORGET, (delivery.study_id, delivery.delivery_id))
