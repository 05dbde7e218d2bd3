"""Transforms Instances: each is rewritten by its plan into the staging folder, and passes the gate there.

Runs in worker processes, a batch of one Study at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from coatcheck.deid.actions import Context, Ids
from coatcheck.deid.attributes import attributes_of
from coatcheck.deid.cleaning import Cleaner
from coatcheck.deid.elements import Window
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import Head, new_meta
from coatcheck.deid.pieces import Pieces
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import Profile
from coatcheck.deid.repeats import Repeats
from coatcheck.deid.rewrite import Made, Rewriter
from coatcheck.files import begin_writing, write_all
from coatcheck.model import Instance, Job, Refusal, Staged, Unready
from coatcheck.passage import Passage, new_buffer
from coatcheck.source import original, plain_source, windowed
from coatcheck.worker import Work, judged

_SMALL = 1 << 16  # a kept span up to this size is gathered with its neighbours, a larger one goes from file to file
_GATHER = 1 << 20
_KINDS_MAX = 8  # so many kinds of objects are remembered at a time: a Series is of one


@lru_cache(maxsize=64)
def _plan(profile: Profile, sop_class: str, holding: frozenset[int]) -> Plan:
    return Plan(profile, sop_class, holding)


@lru_cache(maxsize=8)
def _gate(job: Job, kept: frozenset[str]) -> Gate:
    return Gate(job.identity, job.subject, kept)


def _seal(secret: bytes, value: bytes) -> bytes:
    from coatcheck import cipher  # few profiles encrypt, and each worker would carry it

    return cipher.seal(secret, value)


def transform(context: Work, batch: Sequence[Instance]) -> list[Staged | Refusal | Unready]:
    """De-identifies each Instance into the staging folder, past the gate. Raises OSError for the outbox's weather."""
    bench = TransformBench.of(context.job)
    return [judged(one.arrival, partial(_transform, context, one, bench), context.seconds) for one in batch]


@dataclass(slots=True)
class TransformBench:
    """What the Instances of one batch share: the gate, the UIDs that were replaced, and what repeats."""

    gate: Gate | None = None  # made with the first Instance, within its limits
    uids: dict[str, str] = field(default_factory=dict)
    told: int = 0  # so many of the UIDs stand in a result
    shared: dict[str, str] = field(default_factory=dict)  # one object for each UID referred to: a batch pickles small
    repeats: dict[object, Repeats[Made]] = field(default_factory=dict)  # by all that decides what becomes of a part
    buffer: bytearray = field(default_factory=new_buffer)
    cleaners: dict[int | None, Cleaner] = field(default_factory=dict)  # by how far dates in text move

    @classmethod
    def of(cls, job: Job, gate: Gate | None = None) -> TransformBench:
        """The bench for a Study; the UIDs that an earlier system gave stand, and no result tells of them."""
        return cls(gate, dict(job.uids), len(job.uids))

    def repeating(self, key: object) -> Repeats[Made]:
        """What repeats among Instances that are treated alike."""
        if key not in self.repeats and len(self.repeats) >= _KINDS_MAX:
            self.repeats.clear()
        return self.repeats.setdefault(key, Repeats[Made]())

    def cleaner(self, context: Work, days: int | None) -> Cleaner:
        """What takes identity out of text, for one shift of dates."""
        if days not in self.cleaners:
            if len(self.cleaners) >= _KINDS_MAX:
                self.cleaners.clear()
            self.cleaners[days] = Cleaner(context.job.identity, days, context.profile.kept_kinds)
        return self.cleaners[days]


def _transform(context: Work, instance: Instance, bench: TransformBench) -> Staged:
    actions = actions_on(context, instance, bench)
    series_uid, sop_uid = actions.uid(instance.series_uid), actions.uid(instance.sop_uid)
    folder = context.staging / series_uid
    folder.mkdir(exist_ok=True)  # below a staging folder that the service made: never the outbox itself
    target = folder / f"{sop_uid}.dcm"
    try:
        with original(context.inbox, instance.arrival) as fd:
            passage = Passage(fd, bench.buffer)
            size, references = _rewritten(context, instance, actions, passage, fd, target, bench)
            content = passage.digest(context.secret)
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise
    fresh = tuple(islice(bench.uids.items(), bench.told, None))
    bench.told = len(bench.uids)
    return Staged(
        arrival=instance.arrival,
        sop_uid=sop_uid,
        series_uid=series_uid,
        sop_class_uid=instance.sop_class_uid,
        digest=content,
        size=size,
        uids=fresh,
        references=tuple(bench.shared.setdefault(uid, uid) for uid in references),
    )


def actions_on(context: Work, instance: Instance, bench: TransformBench) -> Context:
    """What the actions on one Instance are told."""
    job, profile, secret = context.job, context.profile, context.secret
    # The subject stands for the patient: all spellings of one Patient ID have it in common.
    ids = Ids(job.subject, instance.study_uid, instance.series_uid, instance.sop_uid)
    days = (
        job.shift_days
        if job.shift_days is not None
        else profile.dates.shift(job.date_range).days(secret, ids, job.project)
    )
    cleaner = bench.cleaner(context, days if profile.temporal_information == "MODIFIED" else None)
    return Context(
        secret=secret,
        subject=job.subject,
        shift_days=days,
        uids=bench.uids,
        retains_uids=profile.retains_uids,
        project=job.project,
        variables=dict((("site", ""), *profile.variables, *job.variables)),
        ids=ids,
        cleaner=cleaner.clean,
        masker=cleaner.mask,
        seal=partial(_seal, secret),
    )


def _rewritten(
    context: Work, instance: Instance, actions: Context, passage: Passage, fd: int, target: Path, bench: TransformBench
) -> tuple[int, tuple[str, ...]]:
    """Writes the result, sends it through the gate and returns its size and what it refers to."""
    gate = bench.gate = bench.gate or _gate(context.job, context.profile.kept_kinds)
    with plain_source(fd) as (plain, window, head):
        rewriter, plan = rewriter_of(context.profile, instance, actions, window, head, bench)
        pieces = rewriter.run(head.start, head.encoding)
        meta = new_meta(instance.sop_class_uid, actions.uid(instance.sop_uid), head.transfer_syntax)
        with _new_file(target) as out:
            write(out, meta, pieces, passage if plain == fd else Passage(plain), window)
            references = gate.check(windowed(out), len(meta), head.encoding, rewriter.written, plan.permits)
            begin_writing(out)
    return len(meta) + pieces.length, references


def rewriter_of(
    profile: Profile, instance: Instance, actions: Context, window: Window, head: Head, bench: TransformBench
) -> tuple[Rewriter, Plan]:
    """What rewrites one Instance, and the plan it goes by: of its kind, and as the conditions of the profile hold."""
    attributes = attributes_of(window, head.start, head.encoding, profile.reads)
    actions.attributes = attributes
    holding = profile.holding(attributes)
    plan = _plan(profile, instance.sop_class_uid, holding)
    key = (instance.sop_class_uid, holding, *_varying(profile, instance, attributes))
    return Rewriter(window, plan, actions, bench.repeating(key)), plan


def _varying(profile: Profile, instance: Instance, attributes: Mapping[int, tuple[str, ...]]) -> tuple[object, ...]:
    """What decides the results beside the plan, so that only Instances that have it in common share what repeats."""
    return (
        tuple(sorted(attributes.items())) if "attributes" in profile.varies else (),
        instance.series_uid if "series" in profile.varies else "",
        instance.sop_uid if "instance" in profile.varies else "",
    )


@contextmanager
def _new_file(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)


def write(out: int, meta: bytes, pieces: Pieces, passage: Passage, window: Window) -> None:
    """Writes a result: what is small is gathered, what is large goes from file to file."""
    gathered, size = [meta], len(meta)
    for part in pieces.parts:
        if isinstance(part, tuple):
            begin, end = part
            if end - begin > _SMALL:
                write_all(out, b"".join(gathered))
                gathered, size = [], 0
                passage.copy(begin, end, out)
                continue
            part = window.bytes(begin, end)
        gathered.append(part)
        size += len(part)
        if size > _GATHER:
            write_all(out, b"".join(gathered))
            gathered, size = [], 0
    write_all(out, b"".join(gathered))
