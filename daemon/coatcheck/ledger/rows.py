"""The states of the ledger's things, and its rows as frozen values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum


class DeliveryState(StrEnum):
    """How far a delivery is."""

    OPEN = "open"  # journalled, being worked on
    STAGED = "staged"  # every file is durable in staging and the folder's name is chosen
    RELEASED = "released"  # renamed into the outbox
    DONE = "done"  # the originals are disposed of
    QUARANTINED = "quarantined"  # the whole Study was refused
    ABANDONED = "abandoned"  # a crash or a changed file: the work is repeated as another delivery


class InstanceState(StrEnum):
    """What became of an Instance."""

    STAGED = "staged"
    DELIVERED = "delivered"
    DUPLICATE = "duplicate"  # the same content was taken before


class RefusalState(StrEnum):
    """How far a refusal is."""

    PLANNED = "planned"  # decided; the files are still to be moved
    QUARANTINED = "quarantined"
    RETRIED = "retried"  # a person gave the files back to the inbox
    DROPPED = "dropped"  # a person threw the files away


class CommandState(StrEnum):
    """How far the command after a delivery is."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"  # it was tried as often as it may be, until the next start


class Note(StrEnum):
    """Why work was abandoned. Fixed sentences, so that no value can stand in one."""

    FILE_CHANGED = "a file changed or vanished while it was worked on"
    UNREADABLE = "what is there of it cannot be read now"
    FOUND_UNFINISHED = "found unfinished when the service started"
    STOPPED = "the service was stopped"
    NOT_ANEW = "it could not be delivered anew as it was asked for"
    FAULT = "a fault of the disk or the system interrupted the work"
    MORE_IDENTITY = "more became known of the patient, so the work is done again"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A Study of a project, by its ticket. ``study_uid`` is the new one."""

    id: int
    project: str
    ticket: str
    study_uid: str
    subject: str
    first_seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One job for a Study, with what identifies the Study in the outbox.

    ``number`` counts the Study's folders in the outbox from 1 and is None until staged; ``folder`` is relative to the
    outbox. ``instances`` are all that were handed in, ``duplicates`` and ``refused`` those of them that did not leave,
    ``bytes`` the size of what was staged. ``layout`` is "" where results lie by subject, Study and Series; else the
    layout's name and the words ``zip``, ``dicomdir`` and ``nifti`` as they were set.
    """

    id: int
    study_id: int
    project: str
    ticket: str
    study_uid: str
    subject: str
    number: int | None
    state: DeliveryState
    profile: str
    profile_digest: str
    edition: str
    tag_set_id: int | None
    folder: str | None
    instances: int
    duplicates: int
    refused: int
    bytes: int
    opened: str
    changed: str
    layout: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRow:
    """Files that were set aside together. ``folder`` is relative to the project's quarantine."""

    id: int
    project: str
    ticket: str | None
    study_id: int | None
    delivery_id: int | None
    reason: str
    detail: str
    files: int
    state: RefusalState
    folder: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One transition of a delivery or a refusal. ``from_state`` is None where it came to be."""

    id: int
    at: str
    project: str
    study_id: int | None
    delivery_id: int | None
    refusal_id: int | None
    from_state: str | None
    to_state: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """A fault that lasts, or has come back ``count`` times. ``project`` is "" for the service as a whole."""

    id: int
    at: str
    project: str
    kind: str
    what: str
    hint: str
    count: int
    last_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A project's totals. Mappings have a key for each state or reason that occurs.

    ``studies`` counts Studies with at least one folder in the outbox, ``folders`` all of those folders; ``refusals``
    counts files by reason that are planned for quarantine or lie in it. ``references_unresolved`` counts, for each
    Study, the UIDs that it refers to and that nothing delivered has.
    """

    studies: int
    folders: int
    deliveries: Mapping[str, int]
    instances: Mapping[str, int]
    refusals: Mapping[str, int]
    last_delivery: str | None
    references_unresolved: int = 0


def pack_tags(tags: Collection[int]) -> bytes:
    """A set of tags as the ledger keeps it: in ascending order, four bytes each, big endian."""
    return b"".join(tag.to_bytes(4, "big") for tag in sorted(tags))


def unpack_tags(packed: bytes) -> frozenset[int]:
    """The set that ``pack_tags`` was given."""
    return frozenset(int.from_bytes(packed[at : at + 4], "big") for at in range(0, len(packed), 4))
