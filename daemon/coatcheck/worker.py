"""What runs in worker processes: batches of files, in and out. Each function takes its frozen context and a batch, and
answers one result for each file, in order. Nothing here knows of the ledger, the vault or other Studies.

The largest of them, ``transform``, is a module of its own.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from coatcheck.choice import EVERYTHING, Choice
from coatcheck.deid import facts
from coatcheck.deid.attributes import attributes_of
from coatcheck.deid.directory import is_directory
from coatcheck.deid.elements import tag_text
from coatcheck.deid.fact_reader import FactReader
from coatcheck.deid.part10 import MEDIA_STORAGE_DIRECTORY
from coatcheck.deid.profile import Profile
from coatcheck.deid.same import Known
from coatcheck.errors import Refused
from coatcheck.limits import SECONDS_PER_FILE, TimeLimit, TimeUp, time_limit
from coatcheck.model import Arrival, Directory, Instance, Job, Packed, Refusal, Unready
from coatcheck.passage import Passage
from coatcheck.paths import dropped, is_archive, is_unpacked
from coatcheck.reasons import Reason
from coatcheck.source import Changed, Originals, plain_source, windowed

_GONE = frozenset({None, errno.ENOENT, errno.ENOTDIR, errno.ESTALE})  # a file that changed or vanished
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The context of :func:`examine`. Files on ``device_here`` are written only by processes of this machine."""

    inbox: Path
    device_here: int | None = None
    choice: Choice = EVERYTHING
    seconds: float = SECONDS_PER_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The context of :func:`transform`: where from, where to, and how."""

    inbox: Path
    staging: Path
    profile: Profile
    secret: bytes = field(repr=False)
    job: Job
    seconds: float = SECONDS_PER_FILE  # of processor time, for one file


def judged(arrival: Arrival, work: Callable[[], T], limit: TimeLimit) -> T | Refusal | Unready:
    """Does the work on one file, and turns what goes wrong with this file into a verdict over this file."""
    try:
        with limit:
            return work()
    except Refused as refused:
        return Refusal(arrival=arrival, reason=refused.reason, detail=refused.detail)
    except TimeUp:
        return Refusal(arrival=arrival, reason=Reason.TIMED_OUT)
    except (MemoryError, RecursionError):
        return Refusal(arrival=arrival, reason=Reason.TOO_LARGE)
    except Changed as changed:
        return Unready(arrival=arrival, fault=_fault(changed))
    except OSError:
        raise  # Of the staging folder: weather, and not this file's fault.
    except Exception as error:
        return Refusal(arrival=arrival, reason=Reason.FAILED, detail=_place(error))


def _fault(changed: Changed) -> str:
    """The system's error where a file that is there cannot be read; "" for one that changed or vanished."""
    code = changed.__cause__.errno if isinstance(changed.__cause__, OSError) else None
    return "" if code in _GONE else errno.errorcode.get(code or 0, "EIO")


def _place(error: Exception) -> str:
    """Where an unexpected error came from. Its text is left out, for it may quote a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    module = re.sub(r"\W", "_", Path(code.co_filename).stem)
    return f"{type(error).__name__} in {module}:{trace.tb_lineno}"


def examine(context: Reading, batch: Sequence[Arrival]) -> list[Instance | Refusal | Directory | Packed | Unready]:
    """Reads each file's header: an Instance, or why it is none."""
    known = _known(context.inbox)
    with time_limit(context.seconds) as limit, Originals(context.inbox, context.device_here) as originals:
        read = partial(_examine, originals, choice=context.choice, known=known)
        return [judged(arrival, partial(read, arrival), limit) for arrival in batch]


@lru_cache(maxsize=4)
def _known(inbox: Path) -> Known:
    """What the last files of an inbox had in common; no result depends on it."""
    return Known()


def _examine(
    originals: Originals,
    arrival: Arrival,
    choice: Choice,
    known: Known,
) -> Instance | Directory | Packed:
    path = dropped(arrival.path)
    if choice.leaves_out(path):
        raise Refused(Reason.EXCLUDED)
    if is_archive(path) and _is_packed(originals, arrival):
        return Packed(arrival=arrival)
    with originals.open(arrival) as fd, plain_source(fd, arrival.fingerprint.size) as (_, window, head):
        if head.sop_class == MEDIA_STORAGE_DIRECTORY and is_directory(window, head):
            return Directory(arrival=arrival)
        found = FactReader(window, head, known).read()
        wanted = choice.wants(path, partial(attributes_of, window, head.start, head.encoding))
    keys = found.keys
    if keys[facts.SOP_CLASS] == MEDIA_STORAGE_DIRECTORY:
        raise Refused(Reason.MALFORMED, tag_text(facts.SOP_CLASS))  # A DICOMDIR is no Instance.
    return Instance(
        arrival=arrival,
        study_uid=keys[facts.STUDY],
        series_uid=keys[facts.SERIES],
        sop_uid=keys[facts.SOP_INSTANCE],
        sop_class_uid=keys[facts.SOP_CLASS],
        patient_id=keys.get(facts.PATIENT_ID, ""),
        issuer=keys.get(facts.ISSUER, ""),
        own=frozenset(found.own),
        common=found.common,
        tags=found.tags,
        concern=found.concern if wanted else Reason.EXCLUDED,
        concern_detail=found.concern_detail if wanted else "",
    )


def _is_packed(originals: Originals, arrival: Arrival) -> bool:
    """Whether what is called like an archive is one, and no Instance. Only what was dropped is unpacked."""
    with originals.open(arrival) as fd:
        window = windowed(fd)
        if window.size >= 132 and window.bytes(128, 132) == b"DICM":
            return False
    if is_unpacked(arrival.path):
        raise Refused(Reason.NESTED_ARCHIVE)
    return True


def digest(context: Work, batch: Sequence[Instance]) -> list[bytes | Refusal | Unready]:
    """The keyed digest of each original's content, to tell whether a second Instance with one UID is the same."""
    with time_limit(context.seconds) as limit, Originals(context.inbox) as originals:
        read = partial(_digest_of, originals, context.secret)
        return [judged(one.arrival, partial(read, one.arrival), limit) for one in batch]


def _digest_of(originals: Originals, secret: bytes, arrival: Arrival) -> bytes:
    with originals.open(arrival) as fd:
        return Passage(fd).digest(secret)
