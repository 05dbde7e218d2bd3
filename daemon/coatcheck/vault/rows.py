"""What goes into the vault and what comes out of it, opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from coatcheck.fates import FateState, PlannedFile


class Kind(StrEnum):
    """What was replaced."""

    UID = "uid"
    PATIENT = "patient"  # Patient ID as it came → subject
    SUBJECT = "subject"  # what all spellings of a Patient ID have in common → subject
    DATE_SHIFT = "date_shift"  # original Study Instance UID → days, as decimal text
    PATIENT_SHIFT = "patient_shift"  # what all spellings of a Patient ID have in common → days, from an earlier system


@dataclass(frozen=True, slots=True, kw_only=True)
class FateRow:
    """A PlannedFile in the journal. It belongs to a delivery or to a refusal of the ledger."""

    id: int
    project: str
    delivery_id: int | None
    refusal_id: int | None
    file: PlannedFile
    state: FateState


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Who looked at or changed what, and why. ``at`` is UTC. ``sealed``: what was said could not be opened."""

    id: int
    at: str
    project: str
    who: str
    action: str
    subject: str | None = field(repr=False)
    reason: str | None = field(repr=False)
    sealed: bool = False
