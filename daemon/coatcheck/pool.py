"""Where work is done: in this process (``inline``) or in worker processes. The service hands in batches and collects.

A batch goes through one function of :mod:`coatcheck.worker` and comes back as one result for each item. When a worker
process dies, nobody can say which of the running batches did it; so their items are done again, each alone. An item
that kills its process alone is a suspect, and one that does it twice comes back as ``Crashed``.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal

from coatcheck import parcel, worker_process
from coatcheck.aside import Aside
from coatcheck.limits import ADDRESS_SPACE
from coatcheck.shares import Slow
from coatcheck.turns import NOBODY, Batch, Function, Running, Turn, Turns, Weather, weather_of
from coatcheck.turns import Crashed as Crashed


class Pool:
    """Runs batches, a few at a time. All methods are for one thread; only ``wake`` is called from others."""

    def __init__(
        self,
        kind: Literal["inline", "processes"],
        workers: int,
        wake: Callable[[], None],
        *,
        address_space: int = ADDRESS_SPACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind = kind
        self._address_space = address_space
        self._workers = workers
        self._wake = wake
        self._queue = Turns()
        self._clock = clock
        self._slow = Slow(clock)
        self._suspects: deque[Batch] = deque()
        self._running: Running = {}
        self._executor: ProcessPoolExecutor | None = None
        self._aside = Aside()
        self._still: list[Batch] = []  # suspects of projects that stand still
        self._begun: Future[None] | None = None  # that the executor's first process has begun to work

    def submit(
        self,
        function: Function,
        context: object,
        items: Sequence[Any],
        done: Callable[[list[Any]], None],
        failed: Callable[[Weather], None],
        *,
        turn: Turn = NOBODY,
    ) -> None:
        """Takes a batch. ``done`` or ``failed`` is called from :meth:`collect`, in the caller's thread.

        ``turn`` tells whose it is: they are served in turn.
        """
        batch = Batch(function=function, context=context, items=tuple(items), done=done, failed=failed, turn=turn)
        self._queue.append(batch)
        self._start()

    @property
    def depth(self) -> int:
        """As :attr:`Workshop.depth`."""
        return 2 * (self._workers + 1)

    @property
    def busy(self) -> bool:
        """Whether anything is queued or under way, but for what waits for silent folders."""
        return bool(self._queue or self._suspects or self._running)

    def collect(self) -> None:
        """Calls back for every batch that has ended, and starts the next ones."""
        if self._kind == "inline":
            self._run_inline()
            return
        self._aside.collect(self._ended, self._suspect_bystander)
        if self._ended(self._running):
            self._rebuild()
        self._start()

    def stand_still(self, project: Hashable) -> None:
        """Begins nothing more of a project, whose folders are silent. Processes that wait for them may do so for ever,
        and cannot even be killed: they are left to it, and others get new ones. What they had in hand counts when it
        comes.
        """
        self._queue.stand_still(project)
        self._still += [batch for batch in self._suspects if batch.turn.project is project]
        self._suspects = deque(batch for batch in self._suspects if batch.turn.project is not project)
        if self._executor is not None and any(batch.turn.project is project for batch in self._running.values()):
            self._aside.put(self._executor, self._running)
            self._executor, self._running, self._begun = None, {}, None
        self._start()

    def go_on(self, project: Hashable) -> None:
        """Begins work of a project again."""
        self._queue.go_on(project)
        self._suspects.extend(batch for batch in self._still if batch.turn.project is project)
        self._still = [batch for batch in self._still if batch.turn.project is not project]
        self._start()

    def _ended(self, running: Running) -> bool:
        """Deals with the batches that have ended; True where a process died."""
        broken = False
        for future in [future for future in running if future.done()]:
            broken = self._finish(running.pop(future), future) or broken
        return broken

    def stop(self) -> None:
        """Lets go of the queue, waits for what is under way, and ends the processes. Nothing is called back."""
        self._queue.clear()
        self._suspects.clear()
        self._running.clear()
        self._aside.kill()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _run_inline(self) -> None:
        if self._queue:
            batch = self._queue.popleft()
            try:
                results = list(parcel.work(batch.function, batch.context, batch.items))
            except Exception as error:
                batch.failed(weather_of(error))
            else:
                batch.done(results)
        if self._queue:
            self._wake()

    def _start(self) -> None:
        """Hands batches to the executor; while there are suspects, one of them at a time and nothing else."""
        if self._kind == "inline":
            self._wake()
            return
        while (self._suspects or self._queue) and self._has_room():
            if self._suspects and not self._is_up():
                return
            batch = self._suspects.popleft() if self._suspects else self._queue.popleft(self._in_turn())
            try:
                future = self._processes().submit(parcel.work, batch.function, batch.context, batch.next_items)
            except BrokenProcessPool:
                (self._suspects if batch.alone else self._queue).append(batch)
                self._rebuild()
                continue
            self._running[future] = batch
            batch.began = self._clock()
            future.add_done_callback(lambda _: self._wake())
            if batch.alone:
                return

    def _has_room(self) -> bool:
        """Whether a batch may be handed in. One waits in the executor, so that no process has to; it is of a project
        that has one in hand there, for it could wait behind folders that are silent.
        """
        if self._suspects:
            return not self._running
        project = self._in_turn()
        if project is None or len(self._running) < self._workers:
            return project is not None
        near = {batch.turn.project for batch in self._running.values()}
        return len(self._running) == self._workers and project in near

    def _in_turn(self) -> Hashable | None:
        """The project whose turn it is among those that may have another worker."""
        in_hand = Counter(batch.turn.project for batch in self._running.values())
        return self._queue.next(lambda project: in_hand[project] < self._slow.most(project, self._workers))

    def _is_up(self) -> bool:
        """Whether there is a process to try a suspect in. One that ends while it begins is not the suspect's fault."""
        try:
            if self._begun is None:
                self._begun = self._processes().submit(_nothing)
                self._begun.add_done_callback(lambda _: self._wake())
            if not self._begun.done():
                return False
            self._begun.result()
        except (BrokenProcessPool, CancelledError):
            self._end_processes()
            self._wake()
            return False
        return True

    def _finish(self, batch: Batch, future: Future[Sequence[Any]]) -> bool:
        """Deals with one ended batch; True where its process died."""
        self._slow.ended(batch.turn.project, batch.began)
        try:
            results = list(future.result())
        except (BrokenProcessPool, CancelledError):
            self._suspect(batch)
            return True
        except MemoryError:  # One item was too much for the process: the others are done without it.
            self._suspect(batch)
            return False
        except Exception as error:
            batch.failed(weather_of(error))
            return False
        batch.take(results)
        self._go_on(batch)
        return False

    def _suspect(self, batch: Batch) -> None:
        batch.suspect()
        self._go_on(batch)

    def _go_on(self, batch: Batch) -> None:
        if batch.whole:
            batch.done(batch.results)
        else:
            self._suspect_bystander(batch)

    def _rebuild(self) -> None:
        """A broken executor takes all of its batches down; each of them becomes a suspect."""
        for batch in self._running.values():
            self._suspect_bystander(batch)
        self._running.clear()
        self._end_processes()

    def _end_processes(self) -> None:
        """Ends every worker at once, and sees it end: two must never write one file."""
        self._begun = None
        if self._executor is not None:
            worker_process.kill(self._executor)
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _suspect_bystander(self, batch: Batch) -> None:
        batch.alone = True
        if self._queue.stands_still(batch.turn.project):
            self._still.append(batch)
        else:
            self._suspects.append(batch)

    def _processes(self) -> Executor:
        if self._executor is None:
            self._executor = worker_process.begin(self._workers, self._address_space)
        return self._executor


def _nothing() -> None:
    """Is done by a process that has begun."""


def count_workers(setting: Literal["auto"] | int) -> int:
    """The number of worker processes: as set, or one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if setting == "auto" else setting
