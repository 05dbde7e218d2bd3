"""What would become of files, with nothing done to them: each element before and after, and which rule says so.

The way is the service's own: examine, subject and shift, plan, rewrite, gate. The result lies in a nameless temporary
file and is gone when its rows are made. Vault and ledger are only read. What is shown identifies patients: it is for
the person who asked, and nothing of it is logged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coatcheck import subjects, transform
from coatcheck.deid import compare, pseudonyms
from coatcheck.deid.actions import Context
from coatcheck.deid.compare import DataSet
from coatcheck.deid.part10 import new_meta
from coatcheck.deid.verdicts import Decision, Verdicts
from coatcheck.errors import Refused
from coatcheck.limits import SECONDS_PER_FILE, time_limit
from coatcheck.model import Directory, Identity, Instance, Job, Packed, Refusal, Study, Unready
from coatcheck.passage import Passage
from coatcheck.preview_basis import Basis, Found
from coatcheck.reasons import Reason
from coatcheck.source import original, plain_source, windowed
from coatcheck.worker import Reading, Work, examine, judged
from coatcheck.workload import may_pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One element. ``before`` and ``after`` are None where it is not there; ``rule`` says what decided."""

    path: str
    tag: str
    keyword: str
    vr: str
    before: str | None
    after: str | None
    changed: bool
    action: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would become of one file.

    ``reason`` and ``detail`` say why it would be set aside, and ``note`` what else there is to know. There are rows
    also for most of what is set aside: what the profile would do all the same. ``shift_days`` is None where dates do
    not move. ``subject_given`` is False for a number that the patient gets only with the first delivery.
    """

    file: str
    reason: Reason | None = None
    detail: str = ""
    note: str = ""
    subject: str = ""
    subject_given: bool = True
    shift_days: int | None = None
    study_uid: str = ""
    rows: tuple[Row, ...] = ()


def preview(basis: Basis, files: Sequence[Found], now: str) -> Iterator[Preview]:
    """What would become of each file: first those that are no Instances, then Study by Study.

    The files are taken for all that there is of their Studies. ``now`` is a time as it stands in records.
    """
    studies: dict[str, list[tuple[Found, Instance]]] = {}
    for one in files:
        (seen,) = examine(Reading(inbox=one.inbox), [one.arrival])
        if isinstance(seen, Instance):
            studies.setdefault(seen.study_uid, []).append((one, seen))
        else:
            yield _without_rows(one, seen)
    for members in studies.values():
        yield from _Rehearsal(basis, members, now).previews()


def _without_rows(one: Found, seen: Refusal | Directory | Packed | Unready) -> Preview:
    if isinstance(seen, Refusal):
        return Preview(file=one.shown, reason=seen.reason, detail=seen.detail)
    if isinstance(seen, Directory):
        return Preview(file=one.shown, note="a DICOMDIR: it is set aside with the originals, and never passed on")
    if isinstance(seen, Packed):
        return Preview(file=one.shown, note="an archive: the service unpacks it and works on what is in it")
    return Preview(file=one.shown, note="it changed while it was read, or cannot be read")


class _Rehearsal:
    """One Study on its way through the service, up to the gate."""

    def __init__(self, basis: Basis, members: Sequence[tuple[Found, Instance]], now: str) -> None:
        self._basis = basis
        self._members = members
        project, instances = basis.project, tuple(one for _, one in members)
        study = Study(project=project.name, study_uid=instances[0].study_uid, instances=instances)
        self._taken: dict[str, bytes] = {}
        earlier = subjects.EarlierUids(project.name, basis.profile, basis.vault, basis.secret)
        self._uids = earlier.of_study(study)
        delivered = self._delivered(study.study_uid)
        identity = frozenset[Identity]().union(*(one.identity for one in instances))
        self._given = subjects.find(project, basis.vault, basis.secret, study, identity, delivered=delivered, now=now)
        self._job = self._frozen(study, identity)
        self._bench = transform.TransformBench(
            transform.StudyBench(
                Work(
                    inbox=members[0][0].inbox,
                    staging=Path("/nonexistent"),
                    profile=basis.profile,
                    secret=basis.secret,
                    job=self._job,
                )
            )
        )
        self._first: dict[str, bytes] = {}

    def previews(self) -> Iterator[Preview]:
        """What would become of each Instance, in order."""
        for one, instance in self._members:
            with time_limit(SECONDS_PER_FILE) as limit:
                seen = judged(one.arrival, partial(self._preview, one, instance), limit)
            yield seen if isinstance(seen, Preview) else _without_rows(one, seen)

    def _delivered(self, study_uid: str) -> str | None:
        """The subject of a Study of which something left before; what left is remembered by its digests."""
        basis, ledger = self._basis, self._basis.ledger
        ticket = pseudonyms.ticket(basis.secret, study_uid)
        row = ledger.study(basis.project.name, ticket) if ledger is not None else None
        if ledger is None or row is None or ledger.next_number(row.id) <= 1:
            return None
        originals = [one.sop_uid for _, one in self._members]
        uids = [self._uids.get(uid) or basis.profile.uid(basis.secret, uid) for uid in originals]
        self._taken = ledger.digests(row.id, uids)
        return row.subject

    def _frozen(self, study: Study, identity: frozenset[Identity]) -> Job:
        """What decides the result, as the service freezes it."""
        basis, given = self._basis, self._given
        days = subjects.shift_days(basis.project, basis.profile, basis.vault, basis.secret, given, study.study_uid)
        ticket = pseudonyms.ticket(basis.secret, study.study_uid)
        return subjects.frozen(
            basis.project, given, self._uids, delivery_id=0, ticket=ticket, days=days, identity=identity
        )

    def _preview(self, one: Found, instance: Instance) -> Preview:
        basis, actions = self._basis, transform.actions_on(instance, self._bench)
        with original(one.inbox, one.arrival) as fd:
            rows, caught = self._rows(instance, actions, fd)
            digest = Passage(fd).digest(basis.secret)
        refused, note = self._verdict(instance, actions, digest)
        reason, detail = refused or caught or (None, "")
        return Preview(
            file=one.shown,
            reason=reason,
            detail=detail,
            note=note,
            subject=self._job.subject,
            subject_given="?" not in self._job.subject,
            shift_days=actions.shift_days if basis.profile.temporal_information == "MODIFIED" else None,
            study_uid=actions.uid(instance.study_uid),
            rows=tuple(rows),
        )

    def _verdict(self, instance: Instance, actions: Context, digest: bytes) -> tuple[tuple[Reason, str] | None, str]:
        """Why an Instance that can be rewritten would be set aside all the same, and what there is to note."""
        if self._given.verdict is not None:
            return self._given.verdict, ""
        basis = self._basis
        passes = may_pass(instance, basis.profile, pixel_risk=basis.project.pixel_risk == "allow")
        if instance.concern is not None and not passes:
            return (instance.concern, instance.concern_detail), ""
        uid = actions.uid(instance.sop_uid)
        known = self._taken.get(uid) or self._first.get(instance.sop_uid)
        self._first.setdefault(instance.sop_uid, digest)
        if known is None:
            return None, ""
        if known != digest:
            return (Reason.DUPLICATE_DIFFERS, "(0008,0018)"), ""
        where = "was delivered before" if uid in self._taken else "is among these files already"
        return None, f"the same {where}: nothing new would come out of it"

    def _rows(self, instance: Instance, actions: Context, fd: int) -> tuple[list[Row], tuple[Reason, str] | None]:
        """The rows, and what the gate has against the result."""
        with plain_source(fd) as (plain, window, head), tempfile.TemporaryFile(buffering=0) as out:
            rewriter, plan = transform.rewriter_of(instance, actions, window, head, self._bench.study)
            pieces = rewriter.run(head.start, head.encoding)
            meta = new_meta(instance.sop_class_uid, actions.uid(instance.sop_uid), head.transfer_syntax)
            transform.write(out.fileno(), meta, pieces, Passage(plain), window)
            result, caught = windowed(out.fileno()), None
            try:
                self._bench.study.gate.check(result, len(meta), head.encoding, rewriter.written, plan.permits)
            except Refused as refused:
                caught = (refused.reason, refused.detail)
            before = list(compare.listing(DataSet(window, head.start, head.encoding)))
            decided = Verdicts(plan, actions, window, before)
            after = compare.listing(DataSet(result, len(meta), head.encoding), decided.numbers)
            pairs = compare.side_by_side((*compare.meta(windowed(fd)), *before), (*compare.meta(result), *after))
            return [_row(pair, decided.of(pair)) for pair in pairs], caught


def _row(pair: compare.Pair, decided: Decision) -> Row:
    plain = compare.row_of(pair)
    return Row(
        path=plain.path,
        tag=plain.tag,
        keyword=plain.keyword,
        vr=plain.vr,
        before=plain.before,
        after=plain.after,
        changed=plain.changed,
        action=decided.action,
        rule=decided.rule,
    )
