"""One project's straight line: its inbox is listed, files settle, are read, gather to Studies, and become jobs.

Nothing here waits: each call does what can be done now and says when it wants to be called again. A fault of one
project's folders pauses this line only, is shown, and is tried again with back-off.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from coatcheck import worker
from coatcheck.assembly import Assembly
from coatcheck.batches import Batches
from coatcheck.bench import Bench
from coatcheck.deid import pseudonyms
from coatcheck.errors import CoatcheckError
from coatcheck.intake.folder import Doorbell
from coatcheck.intake.inbox import Inbox
from coatcheck.intake.scan import Listing
from coatcheck.intake.settle import Settle
from coatcheck.job import Phase, StudyJob
from coatcheck.model import Arrival, Directory, Fingerprint, Identity, Instance, Refusal, Unready
from coatcheck.pool import Crashed
from coatcheck.reasons import Reason
from coatcheck.recovery import Recovery
from coatcheck.single import SingleFile
from coatcheck.weather import Weather

READ_BATCH: Final = 100


class Line:
    """The line of one project. ``clock`` is monotonic, in seconds."""

    def __init__(self, bench: Bench, doorbell: Doorbell, clock: Callable[[], float], *, once: bool = False) -> None:
        self.bench = bench
        self.name = bench.project.name
        self.inbox = Inbox(self.name, bench.project.inbox, bench.project.watch, doorbell)
        self.ready = False  # the inbox was listed at least once
        self.quarantined = 0
        self.finished = 0  # files that were dealt with since the start
        self._inbox_weather = Weather(bench, "inbox")
        self._work_weather = Weather(bench, "work")
        self._achieved = False
        self._outbox_device = -1
        self._clock = clock
        self._once = once
        self._flush_now = False
        self._settle = Settle(bench.project.file_settle)
        self._assembly = Assembly(bench.project.study_settle, bench.project.study_longest_wait)
        self._identity: dict[str, set[Identity]] = {}
        self._reading = Batches(bench.pool)
        self._unread: dict[float, int] = {}  # settled files that are not read yet, by the time at which they settled
        self._jobs: list[StudyJob] = []
        self._singles: list[SingleFile] = []
        self._recovery = Recovery(bench)
        self._recovered = False

    def tick(self, now: float) -> None:
        """Does what can be done now. An inbox that is out of reach does not hold up what was taken from it."""
        if now >= self._work_weather.until:
            self._try(self._work, self._work_weather, now)
        self.inbox.glance(now)
        if self._recovered and now >= max(self._next_look(), self._inbox_weather.until):
            self._try(self._look, self._inbox_weather, now)

    def _try(self, part: Callable[[float], bool], weather: Weather, now: float) -> None:
        """One kind of work; ``part`` says whether something was achieved, so that old weather is over."""
        try:
            if part(now):
                weather.clear()
        except (OSError, CoatcheckError) as error:
            weather.strike(error, now)

    def _look(self, now: float) -> bool:
        self._take(self.inbox.look(now), now)
        self._reading.step()
        self.inbox.tidy(now)
        self.ready = True
        return True

    def _work(self, now: float) -> bool:
        """Everything behind the inbox."""
        if not self._recovered:
            if not self._recovery.step():
                return False
            self._outbox_device = os.stat(self.bench.project.outbox).st_dev
            self._recovered = True
        self._achieved = False
        errors: list[OSError | CoatcheckError] = []
        if os.stat(self.bench.project.outbox).st_dev != self._outbox_device:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))  # A share was unmounted or mounted over it.
        _collect(errors, self._reading.step)
        self._open_jobs(now)
        for job in list(self._jobs):
            _collect(errors, partial(self._step_job, job, now))
        for single in list(self._singles):
            _collect(errors, partial(self._step_single, single))
        if errors:
            raise errors[0]
        return self._achieved or self.at_rest

    def next_call(self, now: float) -> float:
        """When :meth:`tick` has something to do again, if the pool and the doorbell are silent."""
        times = [self._work_weather.until] if self._work_weather.until > now else []
        if self._recovered:
            times.append(max(self._next_look(), self._inbox_weather.until))
            due = self._assembly.next_due()
            times.extend([due] if due is not None and not self._once else [])
        return min(times, default=now + 1)

    @property
    def fault(self) -> str:
        """What is in the way now, or ""."""
        return self._inbox_weather.fault or self._work_weather.fault

    @property
    def failures(self) -> int:
        """How often in a row the same work has failed."""
        return max(self._inbox_weather.failures, self._work_weather.failures)

    @property
    def at_rest(self) -> bool:
        """Whether no file is being worked on; Studies may still be waiting."""
        return self._recovered and not (self._unread or self._jobs or self._singles)

    @property
    def done_but_waiting(self) -> bool:
        """Whether every file of the inbox that has settled has gone its way."""
        gathered = self._assembly.next_due() is not None
        return self.ready and self.at_rest and not gathered and not self.inbox.rung and not self.fault

    @property
    def pending(self) -> int:
        """How many files are known and not dealt with yet."""
        now = self._clock()
        gathered = sum(one.instances for one in self._assembly.arriving(now))
        working = sum(job.instances for job in self._jobs) + len(self._singles)
        return self._settle.waiting(now).files + sum(self._unread.values()) + gathered + working

    def waiting_files(self) -> list[str]:
        """Files that are still changing, as they were dropped: for a terminal, never for a log."""
        return self._settle.waiting_paths()

    def flush(self) -> bool:
        """Works on every Study that is gathered, without waiting for more of it. False where none is."""
        self._flush_now = self._assembly.next_due() is not None
        return self._flush_now

    def stop(self) -> None:
        """Leaves what is not staged yet, to be repeated at the next start."""
        self.inbox.stop()
        for job in self._jobs:
            job.give_up()
        self._jobs.clear()

    def _next_look(self) -> float:
        return self.inbox.next_look(self._settle.next_due(self.inbox.looked))

    def _take(self, listing: Listing, now: float) -> None:
        """What has settled goes to be read; what is no file is set aside."""
        everything: dict[str, Fingerprint] = {**listing.files, **listing.odd}
        arrivals = []
        for path, mark in self._settle.update(everything, now, root=listing.root, unseen=listing.unseen):
            arrival = Arrival(project=self.name, path=path, fingerprint=mark)
            if path in listing.odd:
                self._refuse(Refusal(arrival=arrival, reason=Reason.NOT_A_FILE))
            else:
                arrivals.append(arrival)
        if arrivals:
            self._unread[now] = self._unread.get(now, 0) + len(arrivals)
            context = worker.Reading(inbox=self.bench.project.inbox)
            self._reading.add(worker.examine, context, arrivals, partial(self._examined, now), size=READ_BATCH)

    def _examined(self, settled: float, batch: Sequence[Arrival], results: list[Any]) -> None:
        self._achieved = True
        self._unread[settled] -= len(batch)
        if not self._unread[settled]:
            del self._unread[settled]
        for arrival, result in zip(batch, results, strict=True):
            if isinstance(result, Instance):
                self._gather(result, settled)
            elif isinstance(result, Refusal):
                self._refuse(result)
            elif isinstance(result, Directory):
                self._singles.append(SingleFile(self.bench, arrival, None))
            elif isinstance(result, Crashed):
                self._refuse(Refusal(arrival=arrival, reason=Reason.CRASHED))
            elif isinstance(result, Unready):
                self._settle.give_back(arrival.path, self._clock())

    def _gather(self, instance: Instance, now: float) -> None:
        """Adds an Instance to its Study. What identifies the patient is kept once for the Study, not for each file."""
        known = self._identity.setdefault(instance.study_uid, set())
        known.update(instance.identity)
        self._assembly.add(replace(instance, identity=frozenset()), now)

    def _refuse(self, refusal: Refusal) -> None:
        self._singles.append(SingleFile(self.bench, refusal.arrival, refusal))

    def _open_jobs(self, now: float) -> None:
        """Makes a job of each Study that is due. One Study is worked on once at a time.

        A file that has settled but was not read yet may belong to any Study, so the clock of the assembly stands
        where the oldest of them settled.
        """
        horizon = float("-inf") if self._once else min(self._unread, default=now)
        running = {job.study_uid for job in self._jobs}
        for study in self._assembly.due(horizon, flush=self._flush_now):
            if study.study_uid in running:
                for instance in study.instances:  # Its earlier part is under way: this becomes the next delivery.
                    self._assembly.add(instance, now)
                continue
            identity = frozenset(self._identity.pop(study.study_uid, ()))
            self._jobs.append(StudyJob(self.bench, study, identity))
        self._flush_now = False

    def _step_job(self, job: StudyJob, now: float) -> None:
        before = job.phase
        try:
            job.step()
        finally:
            self._achieved = self._achieved or job.phase is not before
        if job.phase is not Phase.ENDED:
            return
        self._jobs.remove(job)
        for path in job.results.given_back:
            self._settle.give_back(path, now)
        self.quarantined += len(job.results.refused)
        self.finished += job.instances - len(job.results.given_back)
        self.inbox.rung = True

    def _step_single(self, single: SingleFile) -> None:
        if single.step():
            self._achieved = True
            self._singles.remove(single)
            self.quarantined += single.refusal is not None
            self.finished += 1

    def snapshot(self, now: float) -> dict[str, Any]:
        """What the status says of this line while the service runs; see :mod:`coatcheck.status`."""
        waiting = self._settle.waiting(now)
        secret = self.bench.key.pseudonym_secret
        return {
            "watch": self.inbox.watch,
            "scan_seconds": round(self.inbox.cost, 4),
            "scan_period": round(self.inbox.period, 1),
            "waiting_files": waiting.files + sum(self._unread.values()),
            "oldest_waiting_seconds": round(waiting.oldest_seconds, 1),
            "studies_arriving": [
                {
                    "ticket": pseudonyms.ticket(secret, one.study_uid),
                    "instances": one.instances,
                    "due_in_seconds": round(one.due_in, 1),
                }
                for one in self._assembly.arriving(now)
            ],
            "studies_running": [
                {"ticket": job.ticket, "state": job.phase.value, "instances": job.instances} for job in self._jobs
            ],
            "left_alone": self.inbox.left_alone,
            "fault": self.fault or None,
        }


def _collect(errors: list[OSError | CoatcheckError], step: Callable[[], object]) -> None:
    """Does one step, and keeps the weather that it met: it must not hold up the others."""
    try:
        step()
    except (OSError, CoatcheckError) as error:
        errors.append(error)
