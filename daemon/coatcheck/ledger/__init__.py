"""The ledger: which Study went where, when and under which ticket. It holds no identity and may be shown."""

from __future__ import annotations

from coatcheck.ledger.guard import is_detail
from coatcheck.ledger.reader import LedgerReader
from coatcheck.ledger.rows import (
    CommandState,
    Counts,
    DeliveryRow,
    DeliveryState,
    EventRow,
    FaultRow,
    InstanceState,
    Note,
    RefusalRow,
    RefusalState,
    StudyRow,
)
from coatcheck.ledger.writer import Ledger

__all__ = [
    "CommandState",
    "Counts",
    "DeliveryRow",
    "DeliveryState",
    "EventRow",
    "FaultRow",
    "InstanceState",
    "Ledger",
    "LedgerReader",
    "Note",
    "RefusalRow",
    "RefusalState",
    "StudyRow",
    "is_detail",
]
