"""What runs in worker processes: batches of files, in and out. Each function takes its frozen context and a batch, and
answers one result for each file, in order. Nothing here knows of the ledger, the vault or other Studies."""

from __future__ import annotations

import errno
import os
import re
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
from coatcheck.deid.part10 import MEDIA_STORAGE_DIRECTORY, Head, inflate, new_meta, read_head
from coatcheck.deid.profile import Profile
from coatcheck.deid.rewrite import Pieces, Rewriter
from coatcheck.deid.rules import Plan
from coatcheck.errors import Refused
from coatcheck.files import copy_span, fingerprint, open_folder, open_original, write_all
from coatcheck.model import Arrival, Directory, Identity, Instance, Job, Refusal, Staged, Unready
from coatcheck.reasons import Reason

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
    except _Changed:
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


class _Changed(Exception):
    """The original is not (any more) the file that settled."""


@contextmanager
def _original(inbox: Path, arrival: Arrival) -> Iterator[int]:
    """The original, opened; checked to be the file that settled, before and after it is used."""
    folder, _, name = arrival.path.rpartition("/")
    with ExitStack() as stack:
        try:
            root = stack.enter_context(open_folder(inbox))
            parent = stack.enter_context(open_folder(folder, beneath=root)) if folder else root
            fd = stack.enter_context(open_original(parent, name))
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Refused(Reason.NOT_A_FILE) from None
            raise _Changed from error
        if fingerprint(os.fstat(fd)) != arrival.fingerprint:
            raise _Changed
        yield fd
        if fingerprint(os.fstat(fd)) != arrival.fingerprint:
            raise _Changed


def _window(fd: int) -> Window:
    def read(offset: int, length: int) -> bytes:
        data = os.pread(fd, length, offset)
        if len(data) != length:
            raise _Changed
        return data

    return Window(read, os.fstat(fd).st_size)


@contextmanager
def _plain(fd: int) -> Iterator[tuple[int, Window, Head]]:
    """The file as it can be walked: (descriptor, window, head). A deflated one is inflated into a nameless file."""
    window = _window(fd)
    head = read_head(window)
    if not head.deflated:
        yield fd, window, head
        return
    with tempfile.TemporaryFile(buffering=0) as inflated:
        inflate(window, head.start, inflated)
        plain = inflated.fileno()
        yield plain, _window(plain), head._replace(start=0, deflated=False)


def examine(context: Reading, batch: Sequence[Arrival]) -> list[Instance | Refusal | Directory | Unready]:
    """Reads each file's header: an Instance, or why it is none."""
    shared: dict[Identity, Identity] = {}
    return [_judged(arrival, partial(_examine, context, arrival, shared)) for arrival in batch]


def _examine(context: Reading, arrival: Arrival, shared: dict[Identity, Identity]) -> Instance | Directory:
    with _original(context.inbox, arrival) as fd, _plain(fd) as (_, window, head):
        if head.sop_class == MEDIA_STORAGE_DIRECTORY:
            return Directory(arrival=arrival)
        found = facts.FactReader(window, head).read()
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
    with _original(context.inbox, arrival) as fd:
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
    uids: dict[str, str] = {}
    return [_judged(one.arrival, partial(_transform, context, one, uids)) for one in batch]


def _transform(context: Work, instance: Instance, uids: dict[str, str]) -> Staged:
    known = len(uids)
    actions = Context(secret=context.secret, subject=context.job.subject, shift_days=context.job.shift_days, uids=uids)
    series_uid, sop_uid = actions.uid(instance.series_uid), actions.uid(instance.sop_uid)
    folder = context.staging / series_uid
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{sop_uid}.dcm"
    try:
        with _original(context.inbox, instance.arrival) as fd:
            size = _rewritten(context, instance, actions, fd, target)
            content = _digest(context.secret, fd)
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise
    return Staged(
        arrival=instance.arrival,
        sop_uid=sop_uid,
        series_uid=series_uid,
        sop_class_uid=instance.sop_class_uid,
        digest=content,
        size=size,
        uids=tuple(islice(uids.items(), known, None)),
    )


def _rewritten(context: Work, instance: Instance, actions: Context, fd: int, target: Path) -> int:
    """Writes the result, sends it through the gate and returns its size."""
    with _plain(fd) as (plain, window, head):
        rewriter = Rewriter(window, _plan(context.profile, instance.sop_class_uid), actions)
        pieces = rewriter.run(head.start, head.encoding)
        meta = new_meta(instance.sop_class_uid, actions.uid(instance.sop_uid), head.transfer_syntax)
        with _new_file(target) as out:
            _write(out, meta, pieces, plain, window)
            _gate(context.job).check(_window(out), len(meta), head.encoding, rewriter.written)
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
