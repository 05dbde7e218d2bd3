"""What runs in worker processes: batches of files, in and out. Each function takes its frozen context and a batch, and
answers one result for each file, in order. Nothing here knows of the ledger, the vault or other Studies."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TypeVar

import xxhash

from coatcheck.deid import facts, pseudonyms
from coatcheck.deid.actions import Context
from coatcheck.deid.elements import Window
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import MEDIA_STORAGE_DIRECTORY, new_meta
from coatcheck.deid.profile import Profile
from coatcheck.deid.repeats import Repeats
from coatcheck.deid.rewrite import Made, Pieces, Rewriter
from coatcheck.deid.rules import Plan
from coatcheck.errors import Refused
from coatcheck.files import copy_span, write_all
from coatcheck.model import Arrival, Directory, Identity, Instance, Job, Refusal, Staged, Unready
from coatcheck.reasons import Reason
from coatcheck.source import Changed, original, plain_source, windowed

SECONDS_PER_FILE = 120.0
_SMALL = 1 << 16  # a kept span up to this size is gathered with its neighbours, a larger one is copied by the kernel
_GATHER = 1 << 20
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
    """Ends work on one file after ``seconds``, where signals reach this thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _judged(arrival: Arrival, work: Callable[[], T]) -> T | Refusal | Unready:
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
    repeats = Repeats[facts.Seen]()
    return [_judged(arrival, partial(_examine, context, arrival, shared, repeats)) for arrival in batch]


def _examine(
    context: Reading, arrival: Arrival, shared: dict[Identity, Identity], repeats: Repeats[facts.Seen]
) -> Instance | Directory:
    with original(context.inbox, arrival) as fd, plain_source(fd) as (_, window, head):
        if head.sop_class == MEDIA_STORAGE_DIRECTORY:
            return Directory(arrival=arrival)
        found = facts.FactReader(window, head, repeats).read()
    keys = found.keys
    if keys[facts.SOP_CLASS] == MEDIA_STORAGE_DIRECTORY:
        return Directory(arrival=arrival)
    return Instance(
        arrival=arrival,
        study_uid=keys[facts.STUDY],
        series_uid=keys[facts.SERIES],
        sop_uid=keys[facts.SOP_INSTANCE],
        sop_class_uid=keys[facts.SOP_CLASS],
        patient_id=keys.get(facts.PATIENT_ID, ""),
        # One object for each identity, so that a batch of one Study pickles to little more than its own UIDs.
        identity=frozenset(shared.setdefault(identity, identity) for identity in found.identity),
        concern=found.concern,
        concern_detail=found.concern_detail,
    )


@lru_cache(maxsize=64)
def _plan(profile: Profile, sop_class: str) -> Plan:
    return Plan(profile, sop_class)


@lru_cache(maxsize=2)
def _gate(job: Job) -> Gate:
    return Gate(job.identity, job.subject)


def digest(context: Work, batch: Sequence[Instance]) -> list[bytes | Refusal | Unready]:
    """The keyed digest of each original's content, to tell whether a second Instance with one UID is the same."""
    return [_judged(one.arrival, partial(_digest_of, context, one.arrival)) for one in batch]


def _digest_of(context: Work, arrival: Arrival) -> bytes:
    with original(context.inbox, arrival) as fd:
        return _digest(context.secret, fd)


def _digest(secret: bytes, fd: int) -> bytes:
    """Of every byte, in one reused buffer."""
    hasher, buffer, offset = xxhash.xxh3_128(), bytearray(_SMALL * 4), 0
    view = memoryview(buffer)
    while count := os.preadv(fd, [buffer], offset):
        hasher.update(view[:count])
        offset += count
    return pseudonyms.content_digest(secret, hasher.digest())


def transform(context: Work, batch: Sequence[Instance]) -> list[Staged | Refusal | Unready]:
    """De-identifies each Instance into the staging folder, past the gate. Raises OSError for the outbox's weather."""
    bench = _Bench(_gate(context.job))
    return [_judged(one.arrival, partial(_transform, context, one, bench)) for one in batch]


@dataclass(slots=True)
class _Bench:
    """What the Instances of one batch share: the gate, the UIDs that were replaced, and what repeats."""

    gate: Gate
    uids: dict[str, str] = field(default_factory=dict)
    told: int = 0  # so many of the UIDs stand in a result
    repeats: dict[str, Repeats[Made]] = field(default_factory=dict)  # by SOP Class, which decides the plan


def _transform(context: Work, instance: Instance, bench: _Bench) -> Staged:
    job, uids = context.job, bench.uids
    actions = Context(secret=context.secret, subject=job.subject, shift_days=job.shift_days, uids=uids)
    series_uid, sop_uid = actions.uid(instance.series_uid), actions.uid(instance.sop_uid)
    folder = context.staging / series_uid
    folder.mkdir(exist_ok=True)  # below a staging folder that the service made: never the outbox itself
    target = folder / f"{sop_uid}.dcm"
    try:
        with original(context.inbox, instance.arrival) as fd:
            size = _rewritten(context, instance, actions, fd, target, bench)
            content = _digest(context.secret, fd)
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise
    fresh = tuple(islice(uids.items(), bench.told, None))
    bench.told = len(uids)
    return Staged(
        arrival=instance.arrival,
        sop_uid=sop_uid,
        series_uid=series_uid,
        sop_class_uid=instance.sop_class_uid,
        digest=content,
        size=size,
        uids=fresh,
    )


def _rewritten(context: Work, instance: Instance, actions: Context, fd: int, target: Path, bench: _Bench) -> int:
    """Writes the result, sends it through the gate and returns its size."""
    with plain_source(fd) as (plain, window, head):
        repeats = bench.repeats.setdefault(instance.sop_class_uid, Repeats[Made]())
        rewriter = Rewriter(window, _plan(context.profile, instance.sop_class_uid), actions, repeats)
        pieces = rewriter.run(head.start, head.encoding)
        meta = new_meta(instance.sop_class_uid, actions.uid(instance.sop_uid), head.transfer_syntax)
        with _new_file(target) as out:
            _write(out, meta, pieces, plain, window)
            bench.gate.check(windowed(out), len(meta), head.encoding, rewriter.written)
    return len(meta) + pieces.length


@contextmanager
def _new_file(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)


def _write(out: int, meta: bytes, pieces: Pieces, source: int, window: Window) -> None:
    """Writes a result: what is small is gathered, what is large goes from file to file."""
    gathered, size = [meta], len(meta)
    for part in pieces.parts:
        if isinstance(part, tuple):
            begin, end = part
            if end - begin > _SMALL:
                write_all(out, b"".join(gathered))
                gathered, size = [], 0
                copy_span(source, begin, end, out)
                continue
            part = window.bytes(begin, end)
        gathered.append(part)
        size += len(part)
        if size > _GATHER:
            write_all(out, b"".join(gathered))
            gathered, size = [], 0
    write_all(out, b"".join(gathered))
