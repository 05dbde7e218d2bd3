"""The nouns that flow through coatcheck, from the inbox to the outbox. Frozen: each step makes new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from coatcheck.reasons import Reason

T = TypeVar("T")


def travels(kind: type[T]) -> type[T]:
    """For a frozen class of which thousands go to workers and back: it is pickled by its values alone.

    What dataclasses provides for that takes twice as long.
    """
    values = attrgetter(*kind.__slots__)  # type: ignore[attr-defined]

    def reduce(self: T) -> tuple[Callable[..., T], tuple[Any, ...]]:
        return _made, (kind, *values(self))

    kind.__reduce__ = reduce  # type: ignore[method-assign, assignment]
    return kind


def _made(kind: type[T], *values: object) -> T:
    new = object.__new__(kind)
    for name, value in zip(kind.__slots__, values, strict=True):  # type: ignore[attr-defined]
        object.__setattr__(new, name, value)
    return new


class Fingerprint(NamedTuple):
    """What the file system says of a file. Equal fingerprints over time mean that nothing about the file changed."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Identity(NamedTuple):
    """One thing that identifies a patient or Study, as found in a file.

    ``kind`` is one of ``deid.identity.KINDS``; ``text`` is the decoded value. It never leaves the process
    but to the sealed vault and to workers.
    """

    kind: str
    text: str


@travels
@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file in an inbox that stopped changing."""

    project: str
    path: str  # relative to the inbox, with "/"; bytes that are not UTF-8 as surrogate escapes
    fingerprint: Fingerprint


@travels
@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An Arrival that was read and is a whole SOP Instance."""

    arrival: Arrival
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    patient_id: str = field(repr=False)  # stripped; "" where there is none
    own: frozenset[Identity] = field(repr=False)  # what identifies the patient here,
    common: frozenset[Identity] = field(default=frozenset(), repr=False)  # and in many files: one object for all
    issuer: str = field(default="", repr=False)  # Issuer of Patient ID (0010,0021), stripped
    tags: frozenset[int] = field(default=frozenset(), repr=False)  # standard Attributes that it has, at any depth
    concern: Reason | None = None  # why it may not leave although it is whole
    concern_detail: str = ""

    @property
    def identity(self) -> frozenset[Identity]:
        """All that identifies the patient."""
        return self.common | self.own


@travels
@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One file that cannot be delivered. ``detail`` names a tag path or a place in the code, never a value."""

    arrival: Arrival
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """An Arrival that is a DICOMDIR: never passed on, set aside with the originals, and no cause for alarm."""

    arrival: Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An Arrival that is an archive by its name, and no Instance: it is to be unpacked."""

    arrival: Arrival


@travels
@dataclass(frozen=True, slots=True, kw_only=True)
class Unready:
    """An Arrival that changed, vanished or could not be read. Not a verdict: it settles again.

    ``fault`` names the system's error, as EIO or EACCES, where the file is there and cannot be read.
    """

    arrival: Arrival
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The Instances of one Study in one project that are due together, sorted by the bytes of their paths."""

    project: str
    study_uid: str
    instances: tuple[Instance, ...]

    @property
    def size(self) -> int:
        """Bytes of its originals."""
        return sum(one.arrival.fingerprint.size for one in self.instances)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Study as it is worked on: everything that decides the result is frozen here, and travels to the workers."""

    delivery_id: int
    project: str
    ticket: str
    subject: str
    shift_days: int | None = field(repr=False)  # None: it is drawn for each Series or Instance, from the date range
    date_range: tuple[int, int] = (-365, -1)  # days, the project's own
    identity: frozenset[Identity] = field(repr=False)
    variables: tuple[tuple[str, str], ...] = ()  # of the project, for templates
    uids: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # (original, new) of an earlier system


@travels
@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """One Instance whose result lies in the staging folder."""

    arrival: Arrival
    sop_uid: str  # all UIDs here are the new ones
    series_uid: str
    sop_class_uid: str
    digest: bytes  # of the original's content, keyed: it tells nothing without the project's key
    size: int  # of the result, in bytes
    uids: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # (original, new), those new to its batch
    references: tuple[str, ...] = field(default=(), repr=False)  # Instances and Studies that the result refers to
