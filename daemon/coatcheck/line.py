"""One project's straight line: its inbox is listed, files settle, are read, gather to Studies, and become jobs.

Nothing here waits: each call does what can be done now and says when it wants to be called again. A fault pauses the
piece of work that met it, one Study or one file, is shown, and is tried again with back-off; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from coatcheck.after_delivery import Commands
from coatcheck.assembly import Assembly
from coatcheck.bench import Bench
from coatcheck.deid import pseudonyms
from coatcheck.delivery.presence import Presence
from coatcheck.inflow import Inflow
from coatcheck.intake.folder import Doorbell
from coatcheck.intake.inbox import Inbox
from coatcheck.intake.scan import Listing
from coatcheck.job import StudyJob
from coatcheck.knock import AGAIN, Knock
from coatcheck.noting import Noting
from coatcheck.pieces import Piece, Pieces
from coatcheck.recovery import begin
from coatcheck.single import SingleFile, alarms, archive_of
from coatcheck.sorting import Sorter
from coatcheck.spool import Errand
from coatcheck.weather import Fault, Weather

_SOON: Final = 0.05  # seconds
_HELD_BACK: Final = 1.0  # seconds until Studies that are due and could not go are looked at again, if none ends before
_NEVER: Final = float("-inf")  # when nothing is due but what is complete
_PATIENCE: Final = 3  # failures in a row after which `run --once` no longer waits for a piece of work
# What may fail beside the pieces of work:
_LINE, _OUTBOX, _READING, _LISTING, _GAPS, _ANSWER = "line", "outbox", "reading", "listing", "gaps", "answer"
_NOTE: Final = "note"


class Line:
    """The line of one project. ``clock`` is monotonic, in seconds."""

    def __init__(self, bench: Bench, doorbell: Doorbell, clock: Callable[[], float], *, once: bool = False) -> None:
        self.bench = bench
        self.name = bench.project.name
        self.inbox = Inbox(self.name, bench.project.inbox, bench.project.watch, doorbell, bench.log)
        self.ready = False  # the inbox was listed at least once
        self.quarantined = 0
        self.finished = 0  # files that were dealt with since the start
        self._inbox_weather = Weather(bench, "inbox")
        self._work_weather = Weather(bench, "work")
        self._outbox = Presence(bench.project.outbox)
        self.knock = Knock(bench.project.folders, bench.pool)
        self._clock = clock
        self._once = once
        self._news = False  # whether the last listing gave something to do at once
        self._inflow = Inflow(bench)
        self._assembly = Assembly(bench.project.study_settle, bench.project.study_longest_wait)
        self._pieces = Pieces(bench, self._work_weather)
        self._commands = Commands(bench)
        self._sorter = Sorter(bench, self._inflow, self._assembly, self._pieces, clock)
        self._reader = self._sorter.reader
        self._noting = Noting(bench, self.inbox, self._inflow, self._assembly, self._pieces)
        self._recovered = False
        self._held_back = _NEVER  # until when Studies that are due are not looked at again

    def tick(self, now: float) -> None:
        """Does what can be done now. An inbox that is out of reach does not hold up what was taken from it."""
        self._work_weather.attempt("commands", partial(self._commands.step, now, deliveries=any(self._pieces)), now)
        if self._idle(now) or not self.answers(now):
            return
        self._work_weather.attempt(_LINE, partial(self._work, now), now)
        self._inbox_weather.attempt(_LISTING, partial(self._look, now), now)
        if self._recovered and now >= self._noting.due:
            self._work_weather.attempt(_NOTE, partial(self._noting.step, now), now)

    def answers(self, now: float) -> bool:
        """Whether its folders answer, so that they may be touched. Where they do not, others get its workers."""
        return self._work_weather.attempt(_ANSWER, partial(self.knock.answered, now), now)

    def _idle(self, now: float) -> bool:
        """Whether there is nothing to do, so that no folder needs to be touched."""
        due = self._next_due()
        released = due is not None and due <= now
        looks = self.inbox.is_due(now, self._inflow.next_due(self.inbox.looked)) or now >= self._noting.due
        return self._recovered and not (self._reader.unread or any(self._pieces) or released or looks or self._news)

    def _look(self, now: float) -> bool:
        """Lists the inbox if it is time to. What could not be looked at is a fault, and holds up nothing else."""
        self.inbox.glance(now)
        if not self._recovered or now < self._next_look():
            return False
        self._take(self.inbox.look(now, self._inflow.settle.taken), now)
        if self.inbox.gaps is None:
            self._inbox_weather.clear(_GAPS)
        else:
            self._inbox_weather.strike(_GAPS, self.inbox.gaps, now)
        self._work_weather.attempt(_READING, self._reader.step, now)
        self.inbox.tidy(now)
        self.ready = True
        return True

    def _work(self, now: float) -> bool:
        """Everything behind the inbox."""
        weather = self._work_weather
        if not weather.attempt(_OUTBOX, self._outbox_there, now):
            return True
        weather.attempt(_READING, self._reader.step, now)
        self._open_jobs(now)
        self._news = False
        if (errand := self._inflow.spool.next_errand(self.inbox.device_here)) is not None:
            self._pieces.singles.append(errand)
        self._pieces.step(now, partial(self._ended, now))
        return True

    def _outbox_there(self) -> bool:
        """At first what an earlier process left is repaired, as far as it must be before the inbox is listed."""
        if not self._recovered:
            self._pieces.repair(begin(self.bench))
            self._recovered = True
        self._outbox.check()
        return True

    def _ended(self, now: float, piece: Piece) -> None:
        """A piece of work came to its end."""
        self.inbox.rung |= self._inflow.spool.in_use  # What lies in the spool shows when it is listed.
        if isinstance(piece, Errand):
            self.inbox.rung = True
            for refusal in self._inflow.ended(piece, now):
                self._sorter.refuse(refusal)
            return
        if isinstance(piece, SingleFile):
            self._inflow.forget(piece.arrival)
            self.quarantined += piece.refusal is not None and alarms(piece.refusal)
            self.finished += 1
            return
        self.inbox.rung = self._commands.rung = True
        self._held_back = _NEVER
        if isinstance(piece, StudyJob):
            for one in piece.results.given_back:
                self._inflow.give_back(one, now)
            back = {one.arrival.path for one in piece.results.given_back}
            for instance in piece.study.instances:
                self._inflow.forget(instance.arrival, given_back=instance.arrival.path in back)
            self.quarantined += sum(map(alarms, piece.results.refused))
            self.finished += piece.instances - len(piece.results.given_back)

    def next_call(self, now: float) -> float:
        """When :meth:`tick` has something to do again, if the pool and the doorbell are silent."""
        if self.knock.silent:
            return max(self._work_weather.until(_ANSWER), now + AGAIN)
        times = [one for one in (self._work_weather.next_try(now), self._commands.next_call(now)) if one is not None]
        times += [now] if self._news else []
        if self._recovered:
            times.append(max(self._next_look(), self._inbox_weather.until(_LISTING)))
            times.append(max(self._noting.due, self._work_weather.until(_NOTE)))
            due = self._next_due()
            if due is not None and self._pieces.wants_more:
                times.append(max(due, now + _SOON, self._held_back))
        return min(times, default=now + 1)

    @property
    def faults(self) -> list[Fault]:
        """What is in the way now."""
        kinds = (self._inbox_weather, self._work_weather, self._inflow.weather, self._commands)
        return list(dict.fromkeys(fault for kind in kinds for fault in kind.faults))

    @property
    def fault(self) -> str:
        """The first thing that is in the way now, or ""."""
        return next((fault.what for fault in self.faults), "")

    @property
    def at_rest(self) -> bool:
        """Whether no file is being worked on but for those that meet a fault; Studies may still be waiting."""
        read = not self._reader.unread or self._work_weather.failures(_READING) > 0
        return self._recovered and read and self._pieces.tried(1) and not self._inflow.spool.busy

    @property
    def done_but_waiting(self) -> bool:
        """Whether every file of the inbox that has settled has gone its way, or cannot for a fault that stays."""
        work = self._work_weather
        if max(work.failures(_ANSWER), work.failures(_LINE), work.failures(_OUTBOX)) >= _PATIENCE:
            return True
        if self._commands.busy or 0 < work.failures(_READING) < _PATIENCE:
            return False
        failed = self._inbox_weather.failures(_LISTING)
        listed = failed >= _PATIENCE or (self.ready and not failed and not self.inbox.rung)
        if not (listed and self.at_rest and self._pieces.tried(_PATIENCE)) or self._gathered or self._inflow.spool.busy:
            return False
        return work.failures(_NOTE) > 0 or self._noting.finished()

    @property
    def _gathered(self) -> bool:
        """Whether there are Studies of which no earlier part is under way."""
        running = self._pieces.running()
        return any(not running(one.study_uid) for one in self._assembly.arriving(0.0))

    @property
    def pending(self) -> int:
        """How many files are known and not dealt with yet."""
        now = self._clock()
        gathered = sum(one.instances for one in self._assembly.arriving(now))
        working = sum(job.instances for job in self._pieces.jobs) + len(self._pieces.singles)
        return self._inflow.waiting(now) + self._reader.unread + gathered + working

    def waiting_files(self) -> list[str]:
        """Files that are still changing, as they were dropped: for a terminal, never for a log."""
        return self._inflow.settle.waiting_paths()

    def flush(self) -> bool:
        """Works on every Study that is gathered, without waiting for more of it. False where none is."""
        if not self._gathered:
            return False
        self._assembly.complete_all()
        return True

    def take(self, job: StudyJob) -> None:
        """Works on a Study that did not come through the inbox."""
        self._pieces.add(job)

    def is_busy(self, ticket: str) -> bool:
        """Whether anything is under way of a Study, up to where its originals go."""
        return self._pieces.is_busy(ticket)

    def stop(self) -> None:
        """Leaves what is not staged yet, to be repeated at the next start."""
        self.inbox.stop()
        self._commands.stop()
        for job in self._pieces.jobs if not self.knock.silent else ():
            job.give_up()
        self._pieces.clear()

    def _next_due(self) -> float | None:
        """When the next Study is due. With ``once`` only what is complete ever is."""
        due = self._assembly.next_due()
        return None if self._once and due != _NEVER else due

    def _next_look(self) -> float:
        return self.inbox.next_look(self._inflow.next_due(self.inbox.looked))

    def _take(self, listing: Listing, now: float) -> None:
        """What has settled goes to be read; what is no file is set aside. So does what was unpacked."""
        held = self._pieces.held
        arrivals, odd = self._inflow.take(listing, now, held)
        for refusal in odd:
            self._sorter.refuse(refusal)
        if self._inflow.settle.news:
            self.inbox.news(now)
        self._sorter.read(arrivals, self.inbox.device_here, now)
        members, empty = self._inflow.look(listing, now, held, self._pieces.in_hand)
        self._sorter.read(members, self.inbox.device_here, now)
        for name, archive in empty:
            self._sorter.put_away(archive, archive_of(name))
        self._news = bool(odd or empty or self._inflow.spool.busy)

    def _open_jobs(self, now: float) -> None:
        """Makes a job of each Study that is due and has room. One Study is worked on once at a time: what comes for one
        that is running becomes the next delivery.

        A file that has settled but was not read yet may belong to any Study, so the clock of the assembly stands
        just before the oldest of them settled.
        """
        self._sorter.follow_markers(now)
        if not self._pieces.wants_more or now < self._held_back:
            return
        running, fits = self._pieces.running(), self._pieces.room()
        horizon = _NEVER if self._once else self._reader.horizon(now)

        def may_go(study_uid: str, instances: int) -> bool:
            return not running(study_uid) and fits(instances)

        for study, identity in self._sorter.gathering.due(horizon, may_go):
            self._pieces.add(StudyJob(self.bench, study, identity))
        due = self._next_due()
        self._held_back = now + _HELD_BACK if due is not None and due <= horizon else _NEVER

    def snapshot(self, now: float) -> dict[str, Any]:
        """What the status says of this line while the service runs; see :mod:`coatcheck.status`."""
        waiting = self._inflow.settle.waiting(now)
        secret = self.bench.key.pseudonym_secret
        return {
            **self.inbox.snapshot(),
            "waiting_files": self._inflow.waiting(now) + self._reader.unread,
            "oldest_waiting_seconds": round(waiting.oldest_seconds, 1),
            "studies_arriving": self._assembly.snapshot(now, partial(pseudonyms.ticket, secret)),
            "studies_running": self._pieces.snapshot(),
            "fault": self.fault or None,
        }
