"""What is to become of a dropped file. Workers carry it out, so it is known without the vault that keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from coatcheck.model import Fingerprint, travels


class Fate(StrEnum):
    """What becomes of a dropped file once its outcome is safe."""

    ARCHIVE = "archive"
    DELETE = "delete"
    QUARANTINE = "quarantine"
    RETRY = "retry"  # out of the quarantine, back to the inbox
    DROP = "drop"  # out of the quarantine, for good


LEAVING: Final = frozenset({Fate.RETRY, Fate.DROP})


class FateState(StrEnum):
    """How far a fate is."""

    PLANNED = "planned"
    DONE = "done"
    SUPERSEDED = "superseded"  # never to be carried out: the work is repeated, or another plan took its place


@travels
@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A dropped file and what is to become of it.

    ``path`` is relative to the inbox, ``destination`` to the root of the fate ("" where the file is deleted). With
    RETRY and DROP ``path`` is relative to the quarantine, and the destination of RETRY to the inbox. Bytes that are
    not UTF-8 are surrogate escapes.
    """

    path: str = field(repr=False)
    fingerprint: Fingerprint
    fate: Fate
    destination: str = field(default="", repr=False)
