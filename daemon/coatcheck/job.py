"""One Study on its way from the inbox to the outbox: the states of the ledger, and the step that leads to each.

A step either moves on or waits for the pool. It may raise weather (OSError, StateError) at any point; called again
later, it repeats what was not committed, and that does no harm: vault before ledger, ledger before originals.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from coatcheck import outputs, putting, quarantine, subjects, worker
from coatcheck.batches import Again, Batches
from coatcheck.bench import Bench
from coatcheck.deid import pseudonyms
from coatcheck.deid.identity import are_too_many
from coatcheck.deid.standard import EDITION
from coatcheck.delivery import folder as outbox
from coatcheck.disposal import Disposal, close_delivery
from coatcheck.fates import PlannedFile
from coatcheck.ledger import Note, StudyRow
from coatcheck.model import Identity, Refusal, Study, Unready
from coatcheck.pool import Crashed
from coatcheck.reasons import Reason
from coatcheck.vault import Kind
from coatcheck.workload import Results, Workload


class Phase(StrEnum):
    """How far a Study is."""

    OPENING = "opening"
    WORKING = "working"
    SEALING = "sealing"  # results are made durable
    RECORDING = "recording"
    RELEASING = "releasing"
    REFUSING = "refusing"  # the whole Study goes to quarantine
    DISPOSING = "disposing"  # originals are archived, deleted or set aside
    ENDED = "ended"


class StudyJob:
    """The work on one Study. Once it has ended, ``results`` tells what was refused and what has to settle again."""

    def __init__(self, bench: Bench, study: Study, identity: frozenset[Identity]) -> None:
        self._bench = bench
        self.study = self._study = study
        self._identity = identity
        self.phase = Phase.OPENING
        self.reached = 0  # the furthest phase: what goes back is no further than before
        self._planned: Sequence[PlannedFile] = ()
        self._at_hand = False  # the staging folder
        self.ticket = pseudonyms.ticket(bench.key.pseudonym_secret, study.study_uid)
        self.results = Results()
        self._source = bench.project.inbox  # where the originals lie
        self._dropped: Mapping[str, str] = {}  # the paths that they were dropped with, where those are others
        self._verdict: tuple[Reason, str] | None = None

    @property
    def study_uid(self) -> str:
        """The original Study Instance UID; identity."""
        return self._study.study_uid

    @property
    def instances(self) -> int:
        """How many Instances were handed in."""
        return len(self._study.instances)

    def step(self) -> None:
        """Goes on as far as it can. Raises OSError or CoatcheckError for weather."""
        steps: dict[Phase, Callable[[], Phase]] = {  # not kept: it would keep the job, with all its files, in memory
            Phase.OPENING: self._open,
            Phase.WORKING: self._work,
            Phase.SEALING: self._seal,
            Phase.RECORDING: self._record,
            Phase.RELEASING: self._release,
            Phase.REFUSING: self._refuse,
            Phase.DISPOSING: self._dispose,
        }
        while self.phase is not Phase.ENDED:
            before, self.phase = self.phase, steps[self.phase]()
            self.reached = max(self.reached, list(Phase).index(self.phase))
            if self.phase is before:
                return

    def give_up(self) -> None:
        """The service stops: work that is not staged yet is left, to be repeated from the inbox."""
        if self.phase in (Phase.WORKING, Phase.SEALING, Phase.RECORDING, Phase.REFUSING):
            self._abandon(Note.STOPPED)

    def _open(self) -> Phase:
        """Journals the delivery, and freezes what decides its result."""
        bench = self._bench
        secret, delivered = bench.key.pseudonym_secret, self._delivered_subject()
        study, identity, now = self._study, self._identity, bench.utc()
        given = subjects.find(bench.project, bench.vault, secret, study, identity, delivered=delivered, now=now)
        days = subjects.shift_days(bench.project, bench.profile, bench.vault, secret, given, self.study_uid)
        self._given = given
        self._earlier = subjects.EarlierUids(bench.project.name, bench.profile, bench.vault, secret)
        uids = self._earlier.of_study(self._study)
        delivery_id = bench.ledger.open_delivery(
            project=bench.project.name,
            ticket=self.ticket,
            study_uid=uids.get(self.study_uid) or bench.profile.uid(secret, self.study_uid),
            subject=given.subject,
            profile=bench.profile.name,
            profile_digest=bench.profile.digest,
            edition=EDITION,
            tags=frozenset[int]().union(*{id(one.tags): one.tags for one in self._study.instances}.values()),
            instances=self.instances,
            now=bench.utc(),
            mapped=self.study_uid in uids,
        )
        self._staging = outbox.staging_folder(bench.project.outbox, self.ticket, delivery_id)
        self._job = subjects.frozen(
            bench.project, given, uids, delivery_id=delivery_id, ticket=self.ticket, days=days, identity=identity
        )
        if given.verdict is not None or are_too_many(self._identity):
            self._verdict = given.verdict or (Reason.TOO_LARGE, "")
            return Phase.REFUSING
        self._begin()
        return Phase.WORKING

    def _delivered_subject(self) -> str | None:
        """The subject of a Study of which something left before; it stays, whatever comes now."""
        row = self._bench.ledger.study(self._bench.project.name, self.ticket)
        return row.subject if row is not None and self._bench.ledger.next_number(row.id) > 1 else None

    def _begin(self) -> None:
        bench = self._bench
        staging, secret = outbox.results_folder(self._staging), bench.key.pseudonym_secret
        allowed, earlier = bench.project.pixel_risk == "allow", self._earlier.of
        context = worker.Work(inbox=self._source, staging=staging, profile=bench.profile, secret=secret, job=self._job)
        self._workload = Workload(bench.pool, context, self._study.instances, pixel_risk=allowed, earlier=earlier)
        self.results = self._workload.results

    def _work(self) -> Phase:
        """Transforms, and then tells what is new from what came before."""
        if not self._at_hand:
            outbox.make_staging(self._staging)
        self._at_hand = False  # After weather it is looked at again, and never at each step.
        if not self._workload.step():
            self._at_hand = True
            return Phase.WORKING
        self._verdict = self._judged()
        if self._verdict is not None:
            return Phase.REFUSING
        self._workload.compare(self._taken())
        if self.results.nothing:
            unreadable = any(one.fault for one in self.results.given_back)
            self._abandon(Note.UNREADABLE if unreadable else Note.FILE_CHANGED)
            return Phase.ENDED
        if not self.results.staged:
            return Phase.RECORDING
        self._sealing = Batches(self._bench.pool, self.ticket)
        how = outputs.sealing(self._bench, self._job, self._row(), self.results, self._dropped)
        self._sealing.add(*how, [self._staging], self._sealed, size=1)
        return Phase.SEALING

    def _judged(self) -> tuple[Reason, str] | None:
        """Why nothing of the Study may leave, now that all its results are there."""
        found = next((one for one in self.results.refused if one.reason is Reason.IDENTITY_FOUND), None)
        return None if found is None else (found.reason, found.detail)

    def _taken(self) -> dict[str, bytes]:
        """What was delivered of it before: new SOP Instance UIDs and the digests of their originals."""
        return self._bench.ledger.digests(self._row().id, [one.sop_uid for one in self.results.staged])

    def _row(self) -> StudyRow:
        row = self._bench.ledger.study(self._bench.project.name, self.ticket)
        assert row is not None  # open_delivery made it
        return row

    def _abandon(self, note: Note) -> None:
        self._bench.ledger.abandon(self._job.delivery_id, self._bench.utc(), note)
        outbox.remove_staging(self._staging)

    def _seal(self) -> Phase:
        """Makes the results durable, in the pool: a slow disk must not hold up other projects."""
        try:
            sealed = self._sealing.step()
        except Exception:
            # What failed once to reach the disk may be lost although the next attempt succeeds: it is made anew.
            outbox.remove_staging(self._staging)
            self._begin()
            self.phase = Phase.WORKING
            raise
        if sealed:
            return Phase.RECORDING if self._whole else self._repeat()
        if self.results.uids:  # once, while a worker waits for the disk
            self._record_mappings()
        return Phase.SEALING

    def _sealed(self, items: Sequence[Any], results: list[Any]) -> Again | None:
        if isinstance(results[0], Crashed):  # It proved nothing.
            return Again(items=items, weather=OSError("a worker process ended"))
        self._whole = results[0]
        return None

    def _repeat(self) -> Phase:
        """Results vanished from the outbox before they were released: all of it is done again from the inbox."""
        self._bench.vault.drop_plans(delivery_ids=[self._job.delivery_id])
        self._abandon(Note.FAULT)
        self.results = Results(given_back=[Unready(arrival=one.arrival) for one in self._study.instances])
        return Phase.ENDED

    def _record(self) -> Phase:
        """Writes who is who and what becomes of each original, then the outcome itself."""
        bench, results, delivery_id = self._bench, self.results, self._job.delivery_id
        self._record_mappings()
        kept = [putting.kept(bench, one.arrival, self.ticket) for one in (*results.staged, *results.duplicates)]
        refused = [putting.set_aside(one.arrival, one.reason, self.ticket) for one in results.refused]
        self._plan([*kept, *refused])
        for one in results.refused:
            self._explain(one.reason, one.detail)
        if not results.staged:
            outbox.remove_staging(self._staging)
            bench.ledger.finish_empty(
                delivery_id, duplicates=results.duplicates, refused=results.refused, now=bench.utc()
            )
            self._report("nothing delivered" if results.refused else "nothing new")
            return Phase.DISPOSING
        number, self._folder = outputs.folder_of(bench, self._whole, self._row())
        bench.ledger.stage(
            delivery_id,
            number=number,
            folder=self._folder,
            layout=outputs.words(bench.project),
            staged=results.staged,
            duplicates=results.duplicates,
            refused=results.refused,
            now=bench.utc(),
        )
        return Phase.RELEASING

    def _record_mappings(self) -> None:
        bench, name, now = self._bench, self._bench.project.name, self._bench.utc()
        bench.vault.record(name, Kind.UID, self.results.uids, now)
        self.results.uids.clear()  # They are kept for good.
        bench.vault.record(name, Kind.PATIENT, self._given.patients, now)
        bench.vault.record(name, Kind.SUBJECT, self._given.keys, now)
        if bench.profile.temporal_information == "MODIFIED" and self._job.shift_days is not None:
            bench.vault.record(name, Kind.DATE_SHIFT, {self.study_uid: str(self._job.shift_days)}, now)

    def _plan(self, planned: Sequence[PlannedFile]) -> None:
        if planned == self._planned:
            return  # It stands in the vault: after weather it is not written again and again.
        rows = self._bench.vault.plan(self._bench.project.name, delivery_id=self._job.delivery_id, files=planned)
        self._disposal = Disposal(self._bench, list(zip(rows, planned, strict=True)), self.ticket)
        self._planned = planned

    def _explain(self, reason: Reason, detail: str) -> None:
        quarantine.explain(self._bench.project.quarantine, quarantine.folder(reason, self.ticket), reason, detail)

    def _release(self) -> Phase:
        """The one rename by which the Study appears."""
        bench = self._bench
        if not outbox.release(bench.project.outbox, self._staging, self._folder):
            return self._repeat()
        bench.ledger.release(self._job.delivery_id, bench.utc(), command=bench.project.after_delivery is not None)
        outbox.forget(self._staging)
        self._report("delivered")
        outputs.tell(bench, self._whole, self.ticket)
        return Phase.DISPOSING

    def _refuse(self) -> Phase:
        """The whole Study goes to quarantine, for one reason."""
        bench, (reason, detail) = self._bench, self._verdict or (Reason.FAILED, "")
        outbox.remove_staging(self._staging)
        back = {one.arrival.path for one in self.results.given_back}
        arrivals = [one.arrival for one in self._study.instances if one.arrival.path not in back]
        self._plan([putting.set_aside(arrival, reason, self.ticket) for arrival in arrivals])
        self._explain(reason, detail)
        where = quarantine.folder(reason, self.ticket)
        bench.ledger.quarantine_study(
            self._job.delivery_id, reason=reason, detail=detail, files=len(arrivals), folder=where, now=bench.utc()
        )
        self.results.refused = [Refusal(arrival=arrival, reason=reason, detail=detail) for arrival in arrivals]
        self._tell_refused(reason, len(arrivals))
        return Phase.DISPOSING

    def _dispose(self) -> Phase:
        """Originals go their ways; only now is the delivery done."""
        if not self._disposal.step():
            return Phase.DISPOSING
        close_delivery(self._bench, self._job.delivery_id)
        return Phase.ENDED

    def _report(self, what: str) -> None:
        counts = len(self.results.staged), len(self.results.duplicates), len(self.results.refused)
        self._bench.log(logging.INFO, f"{what}: %d instances, %d duplicates, %d refused", *counts, ticket=self.ticket)
        for reason, files in sorted(Counter(one.reason for one in self.results.refused).items()):
            self._tell_refused(reason, files)

    def _tell_refused(self, reason: Reason, files: int) -> None:
        noun = "file" if files == 1 else "files"
        self._bench.log(logging.WARNING, "quarantined as %s: %d %s", reason.value, files, noun, ticket=self.ticket)
