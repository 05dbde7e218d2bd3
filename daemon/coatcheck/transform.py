"""Transforms Instances: each is rewritten by its plan into the staging folder, and passes the gate there.

Runs in worker processes, a batch of one Study at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
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
from coatcheck.deid.repeats import Shelf
from coatcheck.deid.rewrite import Rewriter
from coatcheck.deid.scope import Made
from coatcheck.files import begin_writing, write_all
from coatcheck.limits import time_limit
from coatcheck.model import Instance, Refusal, Staged, Unready
from coatcheck.passage import Passage, new_buffer
from coatcheck.source import Originals, plain_source, windowed
from coatcheck.worker import Work, judged

_SMALL = 1 << 16  # a kept span up to this size is gathered with its neighbours, a larger one goes from file to file
_GATHER = 1 << 20
_CLEANERS_MAX = 8


@lru_cache(maxsize=64)
def _plan(profile: Profile, sop_class: str, holding: frozenset[int]) -> Plan:
    return Plan(profile, sop_class, holding)


def _seal(secret: bytes, value: bytes) -> bytes:
    from coatcheck import cipher  # few profiles encrypt, and each worker would carry it

    return cipher.seal(secret, value)


def transform(context: Work, batch: Sequence[Instance]) -> list[Staged | Refusal | Unready]:
    """De-identifies each Instance into the staging folder, past the gate. Raises OSError for the outbox's weather."""
    with time_limit(context.seconds) as limit, Originals(context.inbox) as originals:
        work = partial(_transform, TransformBench(_study_bench(context)), originals)
        return [judged(one.arrival, partial(work, one), limit) for one in batch]


class StudyBench:
    """What the batches of one Study share in one worker: what is made once for all of them, and what repeats.

    No result depends on it. What takes long is made with the first Instance that needs it, within its limits.
    """

    def __init__(self, context: Work) -> None:
        self.context = context
        self.given = dict(context.job.uids)
        self.variables = dict((("site", ""), *context.profile.variables, *context.job.variables))
        self.repeats = Shelf[Made]()  # by all that decides what becomes of a part
        self.buffer = new_buffer()
        self._gate: Gate | None = None
        self._cleaners: dict[int | None, Cleaner] = {}  # by how far dates in text move

    @property
    def gate(self) -> Gate:
        """What searches the results."""
        if self._gate is None:
            job = self.context.job
            self._gate = Gate(job.identity, job.subject, self.context.profile.kept_kinds)
        return self._gate

    def cleaner(self, days: int | None) -> Cleaner:
        """What takes identity out of text, for one shift of dates."""
        if days not in self._cleaners:
            if len(self._cleaners) >= _CLEANERS_MAX:
                self._cleaners.clear()
            self._cleaners[days] = Cleaner(self.context.job.identity, days, self.context.profile.kept_kinds)
        return self._cleaners[days]


@dataclass(slots=True)
class TransformBench:
    """What the Instances of one batch share: the UIDs that were replaced, and what their results need only once."""

    study: StudyBench
    uids: dict[str, str] = field(default_factory=dict)
    told: int = 0  # so many of the UIDs stand in a result
    shared: dict[str, str] = field(default_factory=dict)  # one object for each UID referred to: a batch pickles small
    folders: set[str] = field(default_factory=set)  # of Series, that were made


_study_bench = lru_cache(maxsize=4)(StudyBench)


def _transform(bench: TransformBench, originals: Originals, instance: Instance) -> Staged:
    context = bench.study.context
    actions = actions_on(instance, bench)
    series_uid, sop_uid = actions.uid(instance.series_uid), actions.uid(instance.sop_uid)
    target = f"{_series_folder(context.staging, series_uid, bench)}/{sop_uid}.dcm"
    try:
        with originals.open(instance.arrival) as fd:
            passage = Passage(fd, bench.study.buffer)
            size, references = _rewritten(instance, actions, passage, fd, target, bench)
            content = passage.digest(context.secret)
    except BaseException:
        with suppress(OSError):
            os.unlink(target)
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


def _series_folder(staging: Path, series_uid: str, bench: TransformBench) -> str:
    """The folder of a Series' results, below a staging folder that the service made: never in the outbox itself."""
    folder = f"{staging}/{series_uid}"
    if folder not in bench.folders:
        with suppress(FileExistsError):
            os.mkdir(folder)
        bench.folders.add(folder)
    return folder


def actions_on(instance: Instance, bench: TransformBench) -> Context:
    """What the actions on one Instance are told."""
    study, context = bench.study, bench.study.context
    job, profile, secret = context.job, context.profile, context.secret
    # The subject stands for the patient: all spellings of one Patient ID have it in common.
    ids = Ids(job.subject, instance.study_uid, instance.series_uid, instance.sop_uid)
    days = (
        job.shift_days
        if job.shift_days is not None
        else profile.dates.shift(job.date_range).days(secret, ids, job.project)
    )
    cleaner = study.cleaner(days if profile.temporal_information == "MODIFIED" else None)
    return Context(
        secret=secret,
        subject=job.subject,
        shift_days=days,
        uids=bench.uids,
        given=study.given,
        retains_uids=profile.retains_uids,
        project=job.project,
        variables=study.variables,
        ids=ids,
        cleaner=cleaner.clean,
        masker=cleaner.mask,
        seal=partial(_seal, secret),
    )


def _rewritten(
    instance: Instance, actions: Context, passage: Passage, fd: int, target: str, bench: TransformBench
) -> tuple[int, tuple[str, ...]]:
    """Writes the result, sends it through the gate and returns its size and what it refers to."""
    with plain_source(fd, instance.arrival.fingerprint.size) as (plain, window, head):
        rewriter, plan = rewriter_of(instance, actions, window, head, bench.study)
        pieces = rewriter.run(head.start, head.encoding)
        meta = new_meta(instance.sop_class_uid, actions.uid(instance.sop_uid), head.transfer_syntax)
        with _new_file(target) as out:
            write(out, meta, pieces, passage if plain == fd else Passage(plain), window)
            begin_writing(out)  # While it is searched, the disk takes it.
            references = bench.study.gate.check(
                windowed(out), len(meta), head.encoding, rewriter.written, plan.permits, instance.series_uid
            )
    return len(meta) + pieces.length, references


def rewriter_of(
    instance: Instance, actions: Context, window: Window, head: Head, study: StudyBench
) -> tuple[Rewriter, Plan]:
    """What rewrites one Instance, and the plan it goes by: of its kind, and as the conditions of the profile hold."""
    profile = study.context.profile
    attributes = attributes_of(window, head.start, head.encoding, profile.reads)
    actions.attributes = attributes
    holding = profile.holding(attributes)
    plan = _plan(profile, instance.sop_class_uid, holding)
    # Those of one Series have most in common; what decides the results beside the plan, they must have in common.
    kind = (
        instance.series_uid,
        instance.sop_class_uid,
        holding,
        tuple(sorted(attributes.items())) if "attributes" in profile.varies else (),
        instance.sop_uid if "instance" in profile.varies else "",
    )
    return Rewriter(window, plan, actions, study.repeats.of(kind)), plan


@contextmanager
def _new_file(path: str) -> Iterator[int]:
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
                passage.copy(begin, end, out, b"".join(gathered))
                gathered, size = [], 0
                continue
            part = window.bytes(begin, end)
        gathered.append(part)
        size += len(part)
        if size > _GATHER:
            write_all(out, b"".join(gathered))
            gathered, size = [], 0
    if gathered:
        write_all(out, b"".join(gathered))
