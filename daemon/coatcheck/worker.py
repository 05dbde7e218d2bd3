"""What runs in worker processes: batches of files, in and out. Each function takes its frozen context and a batch, and
answers one result for each file, in order. Nothing here knows of the ledger, the vault or other Studies.

The largest of them, ``transform``, is a module of its own.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TypeVar

from coatcheck.deid import facts
from coatcheck.deid.directory import is_directory
from coatcheck.deid.elements import tag_text
from coatcheck.deid.part10 import MEDIA_STORAGE_DIRECTORY
from coatcheck.deid.profile import Profile
from coatcheck.deid.repeats import Repeats
from coatcheck.errors import Refused
from coatcheck.model import Arrival, Directory, Identity, Instance, Job, Refusal, Unready
from coatcheck.passage import Passage
from coatcheck.reasons import Reason
from coatcheck.source import Changed, original, plain_source

SECONDS_PER_FILE = 45.0  # of processor time: a slow disk is no fault of a file
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The context of :func:`examine`."""

    inbox: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The context of :func:`transform`: where from, where to, and how."""

    inbox: Path
    staging: Path
    profile: Profile
    secret: bytes = field(repr=False)
    job: Job


class _TimeUp(Exception):
    """One file took too long."""


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Ends work on one file after ``seconds`` of processor time, where signals reach this thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judged(arrival: Arrival, work: Callable[[], T]) -> T | Refusal | Unready:
    """Does the work on one file, and turns what goes wrong with this file into a verdict over this file."""
    try:
        with _time_limit(SECONDS_PER_FILE):
            return work()
    except Refused as refused:
        return Refusal(arrival=arrival, reason=refused.reason, detail=refused.detail)
    except _TimeUp:
        return Refusal(arrival=arrival, reason=Reason.TIMED_OUT)
    except (MemoryError, RecursionError):
        return Refusal(arrival=arrival, reason=Reason.TOO_LARGE)
    except Changed:
        return Unready(arrival=arrival)
    except OSError:
        raise  # Of the staging folder: weather, and not this file's fault.
    except Exception as error:
        return Refusal(arrival=arrival, reason=Reason.FAILED, detail=_place(error))


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


def examine(context: Reading, batch: Sequence[Arrival]) -> list[Instance | Refusal | Directory | Unready]:
    """Reads each file's header: an Instance, or why it is none."""
    shared: dict[Identity, Identity] = {}
    kinds: dict[frozenset[int], frozenset[int]] = {}
    repeats = Repeats[facts.Seen]()
    return [judged(arrival, partial(_examine, context, arrival, shared, kinds, repeats)) for arrival in batch]


def _examine(
    context: Reading,
    arrival: Arrival,
    shared: dict[Identity, Identity],
    kinds: dict[frozenset[int], frozenset[int]],
    repeats: Repeats[facts.Seen],
) -> Instance | Directory:
    with original(context.inbox, arrival) as fd, plain_source(fd) as (_, window, head):
        if head.sop_class == MEDIA_STORAGE_DIRECTORY and is_directory(window, head):
            return Directory(arrival=arrival)
        found = facts.FactReader(window, head, repeats).read()
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
        # One object for each identity, so that a batch of one Study pickles to little more than its own UIDs.
        identity=frozenset(shared.setdefault(identity, identity) for identity in found.identity),
        tags=kinds.setdefault(tags := frozenset(found.tags), tags),
        concern=found.concern,
        concern_detail=found.concern_detail,
    )


def digest(context: Work, batch: Sequence[Instance]) -> list[bytes | Refusal | Unready]:
    """The keyed digest of each original's content, to tell whether a second Instance with one UID is the same."""
    return [judged(one.arrival, partial(_digest_of, context, one.arrival)) for one in batch]


def _digest_of(context: Work, arrival: Arrival) -> bytes:
    with original(context.inbox, arrival) as fd:
        return Passage(fd).digest(context.secret)
