"""One Study on its way from the inbox to the outbox: the states of the ledger, and the step that leads to each.

A step either moves on or waits for the pool. It may raise weather (OSError, StateError) at any point; called again
later, it repeats what was not committed, and that does no harm: vault before ledger, ledger before originals.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from coatcheck import quarantine, worker
from coatcheck.bench import Bench
from coatcheck.deid import pseudonyms
from coatcheck.delivery import folder as outbox
from coatcheck.disposal import Disposal
from coatcheck.ledger import Note, RefusalState
from coatcheck.model import Arrival, Identity, Instance, Job, Refusal, Staged, Study, Unready
from coatcheck.pool import Crashed
from coatcheck.reasons import Reason
from coatcheck.vault import Fate, Kind, PlannedFile

BATCH = 64


class Phase(StrEnum):
    """How far a Study is. All but ``opening`` and ``ended`` can be seen in the status."""

    OPENING = "opening"
    WORKING = "working"
    SEALING = "sealing"  # results are made durable
    RECORDING = "recording"
    RELEASING = "releasing"
    REFUSING = "refusing"  # the whole Study goes to quarantine
    DISPOSING = "disposing"  # originals are archived, deleted or set aside
    ENDED = "ended"


class StudyJob:
    """The work on one Study. ``given_back`` are the files that were not ready after all, to settle again."""

    def __init__(self, bench: Bench, study: Study, identity: frozenset[Identity]) -> None:
        self._bench = bench
        self._study = study
        self._identity = identity
        self._steps: dict[Phase, Callable[[], Phase]] = {
            Phase.OPENING: self._open,
            Phase.WORKING: self._work,
            Phase.SEALING: self._seal,
            Phase.RECORDING: self._record,
            Phase.RELEASING: self._release,
            Phase.REFUSING: self._refuse,
            Phase.DISPOSING: self._dispose,
        }
        self.phase = Phase.OPENING
        self.ticket = pseudonyms.ticket(bench.key.pseudonym_secret, study.study_uid)
        self.given_back: list[str] = []
        self.refused: list[Refusal] = []
        self._todo: list[tuple[Any, list[Instance], Callable[[list[Instance], list[Any]], None]]] = []
        self._under_way = 0
        self._weather: OSError | None = None
        self._staged: list[Staged] = []
        self._duplicates: list[Staged] = []
        self._seconds: dict[str, list[tuple[Instance, bytes]]] = {}
        self._uids: dict[str, str] = {}
        self._sealed = False
        self._disposal: Disposal | None = None

    @property
    def study_uid(self) -> str:
        """The original Study Instance UID; identity."""
        return self._study.study_uid

    @property
    def instances(self) -> int:
        """How many Instances were handed in."""
        return len(self._study.instances)

    def step(self) -> None:
        """Goes on as far as it can. Raises OSError or StateError for weather."""
        while self.phase is not Phase.ENDED:
            before, self.phase = self.phase, self._steps[self.phase]()
            if self.phase is before:
                return

    def give_up(self) -> None:
        """The service stops: work that is not staged yet is left, to be repeated from the inbox."""
        if self.phase in (Phase.WORKING, Phase.SEALING):
            self._bench.ledger.abandon(self._job.delivery_id, self._bench.utc(), Note.STOPPED)
            outbox.remove_staging(self._staging)

    def _open(self) -> Phase:
        """Journals the delivery, and freezes what decides its result."""
        bench, secret = self._bench, self._bench.key.pseudonym_secret
        patient_ids = {one.patient_id for one in self._study.instances if one.patient_id}
        known = bench.ledger.study(bench.project.name, self.ticket)
        subject = pseudonyms.subject(secret, min(patient_ids, default=""), self.study_uid)
        mismatch = len(patient_ids) > 1 or (known is not None and bool(patient_ids) and known.subject != subject)
        delivery_id = bench.ledger.open_delivery(
            project=bench.project.name,
            ticket=self.ticket,
            study_uid=pseudonyms.uid(secret, self.study_uid),
            subject=known.subject if known else subject,
            profile=bench.profile.name,
            profile_digest=bench.profile.digest,
            instances=self.instances,
            now=bench.utc(),
        )
        self._patients = {patient_id: subject for patient_id in patient_ids}
        self._job = Job(
            delivery_id=delivery_id,
            project=bench.project.name,
            ticket=self.ticket,
            subject=known.subject if known else subject,
            shift_days=self._shift_days(),
            identity=self._identity,
        )
        self._staging = outbox.staging_folder(bench.project.outbox, self.ticket, delivery_id)
        if mismatch:
            self._verdict = (Reason.PATIENT_MISMATCH, "(0010,0020)")
            return Phase.REFUSING
        self._plan_work()
        return Phase.WORKING

    def _shift_days(self) -> int:
        """The Study's shift: the one that an earlier delivery had, whatever the settings say now."""
        recorded = self._bench.vault.replacement(self._bench.project.name, Kind.DATE_SHIFT, self.study_uid)
        if recorded is not None:
            return int(recorded)
        lowest, highest = self._bench.project.date_shift_days
        return pseudonyms.shift_days(self._bench.key.pseudonym_secret, self.study_uid, lowest, highest)

    def _plan_work(self) -> None:
        """Sorts the Instances: concerns are refused, the first of each SOP Instance UID is worked on, others compared."""
        first: dict[str, Instance] = {}
        seconds = []
        for one in self._study.instances:
            if one.concern is not None and not self._allowed(one.concern):
                self._refuse_one(one.arrival, one.concern, one.concern_detail)
            elif one.sop_uid in first:
                seconds.append(one)
            else:
                first[one.sop_uid] = one
        bench = self._bench
        context = worker.Work(
            inbox=bench.project.inbox,
            staging=self._staging,
            profile=bench.profile,
            secret=bench.key.pseudonym_secret,
            job=self._job,
        )
        work = list(first.values())
        self._todo = [(worker.transform, part, self._transformed) for part in _parts(work)]
        self._todo += [(worker.digest, part, self._digested) for part in _parts(seconds)]
        self._context = context

    def _allowed(self, concern: Reason) -> bool:
        return concern is Reason.PIXEL_RISK and self._bench.project.pixel_risk == "allow"

    def _refuse_one(self, arrival: Arrival, reason: Reason, detail: str) -> None:
        self.refused.append(Refusal(arrival=arrival, reason=reason, detail=detail))

    def _work(self) -> Phase:
        """Hands batches to the pool and gathers what they give."""
        if self._weather is not None and not self._under_way:
            weather, self._weather = self._weather, None
            raise weather
        while self._todo and self._weather is None:
            self._submit(*self._todo.pop(0))
        if self._under_way or self._todo:
            return Phase.WORKING
        found = next((one for one in self.refused if one.reason is Reason.IDENTITY_FOUND), None)
        if found is not None:
            self._verdict = (found.reason, found.detail)
            return Phase.REFUSING
        self._compare()
        if not self._staged and not self._duplicates and not self.refused:
            return self._leave()
        return Phase.SEALING if self._staged else Phase.RECORDING

    def _submit(self, function: Any, batch: list[Instance], take: Callable[[list[Instance], list[Any]], None]) -> None:
        self._under_way += 1

        def done(results: list[Any]) -> None:
            self._under_way -= 1
            take(batch, results)

        def failed(error: OSError) -> None:
            self._under_way -= 1
            self._todo.append((function, batch, take))
            self._weather = error

        self._bench.pool.submit(function, self._context, batch, done, failed)

    def _transformed(self, batch: list[Instance], results: list[Any]) -> None:
        for instance, result in zip(batch, results, strict=True):
            if isinstance(result, Staged):
                self._staged.append(result)
                self._uids.update(result.uids)
            else:
                self._not_staged(instance, result)

    def _digested(self, batch: list[Instance], results: list[Any]) -> None:
        for instance, result in zip(batch, results, strict=True):
            if isinstance(result, bytes):
                self._seconds.setdefault(instance.sop_uid, []).append((instance, result))
            else:
                self._not_staged(instance, result)

    def _not_staged(self, instance: Instance, result: Refusal | Unready | Crashed) -> None:
        if isinstance(result, Refusal):
            self.refused.append(result)
        elif isinstance(result, Crashed):
            self._refuse_one(instance.arrival, Reason.CRASHED, "")
        else:
            self.given_back.append(instance.arrival.path)

    def _compare(self) -> None:
        """Tells new Instances from those that came before: with the same content, or with another."""
        bench = self._bench
        secret = bench.key.pseudonym_secret
        study = bench.ledger.study(bench.project.name, self.ticket)
        assert study is not None  # open_delivery made it
        taken = bench.ledger.digests(study.id, [one.sop_uid for one in self._staged])
        known = [one for one in self._staged if one.sop_uid in taken]
        by_uid = {one.sop_uid: one for one in self._staged}
        outbox.remove_staged_files(self._staging, [(one.series_uid, one.sop_uid) for one in known])
        self._staged = [one for one in self._staged if one.sop_uid not in taken]
        for one in known:
            self._second(one, one.arrival, same=one.digest == taken[one.sop_uid])
        for original_uid, seconds in self._seconds.items():
            first = by_uid.get(pseudonyms.uid(secret, original_uid))
            for instance, digest in seconds:
                if first is None:
                    self.given_back.append(instance.arrival.path)  # The first was refused: this one gets its turn.
                else:
                    self._second(first, instance.arrival, same=digest == first.digest)
        self._seconds = {}

    def _second(self, first: Staged, arrival: Arrival, *, same: bool) -> None:
        if same:
            again = Staged(
                arrival=arrival,
                sop_uid=first.sop_uid,
                series_uid=first.series_uid,
                sop_class_uid=first.sop_class_uid,
                digest=first.digest,
                size=first.size,
            )
            self._duplicates.append(again)
        else:
            self._refuse_one(arrival, Reason.DUPLICATE_DIFFERS, "(0008,0018)")

    def _leave(self) -> Phase:
        """Every file changed or vanished: nothing was done."""
        self._bench.ledger.abandon(self._job.delivery_id, self._bench.utc(), Note.FILE_CHANGED)
        outbox.remove_staging(self._staging)
        return Phase.ENDED

    def _seal(self) -> Phase:
        """Makes the results durable, in the pool: a slow disk must not hold up other projects."""
        if self._weather is not None:
            weather, self._weather = self._weather, None
            raise weather
        if self._sealed:
            return Phase.RECORDING
        if not self._under_way:
            self._under_way = 1

            def ended(error: OSError | None) -> None:
                self._under_way = 0
                self._weather, self._sealed = error, error is None

            self._bench.pool.submit(
                outbox.settle_staging, None, [self._staging], lambda results: ended(_crash(results)), ended
            )
        return Phase.SEALING

    def _record(self) -> Phase:
        """Writes who is who and what becomes of each original, then the outcome itself."""
        bench, delivery_id = self._bench, self._job.delivery_id
        self._record_mappings()
        planned = [
            *(self._kept(one.arrival) for one in (*self._staged, *self._duplicates)),
            *(self._set_aside(one.arrival, one.reason) for one in self.refused),
        ]
        rows = bench.vault.plan(bench.project.name, delivery_id=delivery_id, files=planned)
        for one in self.refused:
            where = quarantine.folder(one.reason, self.ticket)
            quarantine.explain(bench.project.quarantine, where, one.reason, one.detail)
        self._disposal = Disposal(bench, list(zip(rows, planned, strict=True)))
        now = bench.utc()
        if not self._staged:
            outbox.remove_staging(self._staging)
            bench.ledger.finish_empty(delivery_id, duplicates=self._duplicates, refused=self.refused, now=now)
            self._report("nothing new")
            return Phase.DISPOSING
        study = bench.ledger.study(bench.project.name, self.ticket)
        assert study is not None  # open_delivery made it
        number, self._folder = outbox.folder_name(
            bench.project.outbox, study.subject, study.study_uid, bench.ledger.next_number(study.id)
        )
        bench.ledger.stage(
            delivery_id,
            number=number,
            folder=self._folder,
            staged=self._staged,
            duplicates=self._duplicates,
            refused=self.refused,
            now=now,
        )
        return Phase.RELEASING

    def _record_mappings(self) -> None:
        bench, name, now = self._bench, self._bench.project.name, self._bench.utc()
        bench.vault.record(name, Kind.UID, self._uids, now)
        if not self._staged:
            return
        bench.vault.record(name, Kind.PATIENT, self._patients, now)
        if bench.profile.temporal_information == "MODIFIED":
            bench.vault.record(name, Kind.DATE_SHIFT, {self.study_uid: str(self._job.shift_days)}, now)

    def _kept(self, arrival: Arrival) -> PlannedFile:
        fate = self._bench.kept
        destination = f"{self.ticket}/{arrival.path}" if fate is Fate.ARCHIVE else ""
        return PlannedFile(path=arrival.path, fingerprint=arrival.fingerprint, fate=fate, destination=destination)

    def _set_aside(self, arrival: Arrival, reason: Reason) -> PlannedFile:
        destination = f"{quarantine.folder(reason, self.ticket)}/{arrival.path}"
        return PlannedFile(
            path=arrival.path, fingerprint=arrival.fingerprint, fate=Fate.QUARANTINE, destination=destination
        )

    def _release(self) -> Phase:
        """The one rename by which the Study appears."""
        bench = self._bench
        if not outbox.release(bench.project.outbox, self._staging, self._folder):
            bench.ledger.abandon(self._job.delivery_id, bench.utc(), Note.FAULT)
            self.given_back = [one.arrival.path for one in self._study.instances]
            return Phase.ENDED
        bench.ledger.release(self._job.delivery_id, bench.utc())
        self._report("delivered")
        return Phase.DISPOSING

    def _refuse(self) -> Phase:
        """The whole Study goes to quarantine, for one reason."""
        bench, (reason, detail) = self._bench, self._verdict
        outbox.remove_staging(self._staging)
        back = set(self.given_back)
        arrivals = [one.arrival for one in self._study.instances if one.arrival.path not in back]
        planned = [self._set_aside(arrival, reason) for arrival in arrivals]
        rows = bench.vault.plan(bench.project.name, delivery_id=self._job.delivery_id, files=planned)
        where = quarantine.folder(reason, self.ticket)
        quarantine.explain(bench.project.quarantine, where, reason, detail)
        bench.ledger.quarantine_study(
            self._job.delivery_id, reason=reason, detail=detail, files=len(planned), folder=where, now=bench.utc()
        )
        self._disposal = Disposal(bench, list(zip(rows, planned, strict=True)))
        self.refused = [Refusal(arrival=arrival, reason=reason, detail=detail) for arrival in arrivals]
        bench.log(logging.WARNING, "quarantined as %s: %d files", reason.value, len(planned), ticket=self.ticket)
        return Phase.DISPOSING

    def _dispose(self) -> Phase:
        """Originals go their ways; only now is the delivery done."""
        assert self._disposal is not None
        if not self._disposal.step():
            return Phase.DISPOSING
        close_delivery(self._bench, self._job.delivery_id)
        return Phase.ENDED

    def _report(self, what: str) -> None:
        self._bench.log(
            logging.INFO,
            "%s: %d instances, %d duplicates, %d refused",
            what,
            len(self._staged),
            len(self._duplicates),
            len(self.refused),
            ticket=self.ticket,
        )


def close_delivery(bench: Bench, delivery_id: int) -> None:
    """Records that every original of a delivery has met its fate. Repeating it does no harm."""
    for refusal in bench.ledger.refusals(delivery_id=delivery_id, state=RefusalState.PLANNED):
        bench.ledger.refusal_done(refusal.id, bench.utc())
    row = bench.ledger.delivery(delivery_id)
    if row is not None and row.state.value == "released":
        bench.ledger.done(delivery_id, bench.utc())


def _parts(instances: Sequence[Instance]) -> Iterable[list[Instance]]:
    return [list(instances[start : start + BATCH]) for start in range(0, len(instances), BATCH)]


def _crash(results: Sequence[Any]) -> OSError | None:
    """A worker that died while it made results durable proved nothing: it is done again."""
    return OSError("a worker process ended") if any(isinstance(one, Crashed) for one in results) else None
