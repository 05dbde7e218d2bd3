"""Where work is done: in this process (``inline``) or in worker processes. The service hands in batches and collects.

A batch goes through one function of :mod:`coatcheck.worker` and comes back as one result for each item. When a worker
process dies, nobody can say which of the running batches did it; so their items are done again, each alone. An item
that kills its process alone is a suspect, and one that does it twice comes back as ``Crashed``.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, Literal

from coatcheck import worker_process
from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.limits import ADDRESS_SPACE
from coatcheck.turns import Batch, Turns, Weather

_CRASHES = 2


class Crashed:
    """The result of an item that ended its worker process."""


class Lane:
    """One project's way into the pool: it knows what is under way, and can be closed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._closed = False
        self.under_way = 0

    def submit(
        self,
        function: Callable[[Any, Sequence[Any]], Sequence[Any]],
        context: object,
        items: Sequence[Any],
        done: Callable[[list[Any]], None],
        failed: Callable[[Weather], None],
        *,
        errand: Hashable = None,
    ) -> None:
        """As :meth:`Pool.submit`. Once the lane is closed nothing is called back."""
        self.under_way += 1

        def end(call: Callable[[Any], None], argument: list[Any] | Weather) -> None:
            self.under_way -= 1
            if not self._closed:
                call(argument)

        self._pool.submit(function, context, items, partial(end, done), partial(end, failed), turn=(self, errand))

    def give_up(self, error: Weather) -> None:
        """As :meth:`Pool.give_up`, for all that is this project's."""
        self._pool.give_up(self, error)

    def close(self) -> None:
        """Lets what is under way come to its end, and forgets about it."""
        self._closed = True


class Pool:
    """Runs batches, a few at a time. All methods are for one thread; only ``wake`` is called from others."""

    def __init__(
        self,
        kind: Literal["inline", "processes"],
        workers: int,
        wake: Callable[[], None],
        *,
        address_space: int = ADDRESS_SPACE,
    ) -> None:
        self._kind = kind
        self._address_space = address_space
        self._workers = workers
        self._wake = wake
        self._queue = Turns()
        self._suspects: deque[Batch] = deque()
        self._running: dict[Future[Sequence[Any]], Batch] = {}
        self._executor: ProcessPoolExecutor | None = None
        self._begun: Future[None] | None = None  # that the executor's first process has begun to work

    def submit(
        self,
        function: Callable[[Any, Sequence[Any]], Sequence[Any]],
        context: object,
        items: Sequence[Any],
        done: Callable[[list[Any]], None],
        failed: Callable[[Weather], None],
        *,
        turn: tuple[Hashable, Hashable] = (None, None),
    ) -> None:
        """Takes a batch. ``done`` or ``failed`` is called from :meth:`collect`, in the caller's thread.

        ``turn`` tells whose it is, (project, errand): they are served in turn.
        """
        batch = Batch(function=function, context=context, items=tuple(items), done=done, failed=failed, turn=turn)
        self._queue.append(batch)
        self._start()

    @property
    def busy(self) -> bool:
        """Whether anything is queued or under way."""
        return bool(self._queue or self._suspects or self._running)

    def collect(self) -> None:
        """Calls back for every batch that has ended, and starts the next ones."""
        if self._kind == "inline":
            self._run_inline()
            return
        broken = False
        for future in [future for future in self._running if future.done()]:
            batch = self._running.pop(future)
            broken = self._finish(batch, future) or broken
        if broken:
            self._rebuild()
        self._start()

    def give_up(self, project: Hashable, error: Weather) -> None:
        """Calls ``failed`` for every batch of a project. Processes that wait for its folders may do so for ever: they
        are ended, and what others had in hand is done again.
        """
        lost = self._queue.take_out(project)
        lost += [batch for batch in self._suspects if batch.turn[0] is project]
        self._suspects = deque(batch for batch in self._suspects if batch.turn[0] is not project)
        if any(batch.turn[0] is project for batch in self._running.values()):
            running = list(self._running.values())
            self._running.clear()
            self._end_processes()
            lost += [batch for batch in running if batch.turn[0] is project]
            self._suspects.extend(batch for batch in running if batch.turn[0] is not project)
        for batch in lost:
            batch.failed(error)
        if lost:
            self._start()

    def stop(self) -> None:
        """Lets go of the queue, waits for what is under way, and ends the processes. Nothing is called back."""
        self._queue.clear()
        self._suspects.clear()
        self._running.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _run_inline(self) -> None:
        if self._queue:
            batch = self._queue.popleft()
            try:
                results = list(batch.function(batch.context, batch.items))
            except Exception as error:
                batch.failed(_weather(error))
            else:
                batch.done(results)
        if self._queue:
            self._wake()

    def _start(self) -> None:
        """Hands batches to the executor; while there are suspects, one of them at a time and nothing else."""
        if self._kind == "inline":
            self._wake()
            return
        while (self._suspects or self._queue) and len(self._running) < (1 if self._suspects else self._workers + 1):
            if self._suspects and not self._is_up():
                return
            batch = (self._suspects or self._queue).popleft()
            items = batch.items[len(batch.results) :][:1] if batch.alone else batch.items
            try:
                future = self._processes().submit(batch.function, batch.context, items)
            except BrokenProcessPool:
                (self._suspects if batch.alone else self._queue).append(batch)
                self._rebuild()
                continue
            self._running[future] = batch
            future.add_done_callback(lambda _: self._wake())
            if batch.alone:
                return

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
        try:
            results = list(future.result())
        except (BrokenProcessPool, CancelledError):
            self._suspect(batch)
            return True
        except MemoryError:  # One item was too much for the process: the others are done without it.
            self._suspect(batch)
            return False
        except Exception as error:
            batch.failed(_weather(error))
            return False
        batch.results.extend(results)
        batch.crashes = 0
        self._go_on(batch)
        return False

    def _suspect(self, batch: Batch) -> None:
        """A batch whose process died: its items are done alone; one that was alone is to blame."""
        if batch.alone:
            batch.crashes += 1
            if batch.crashes >= _CRASHES:
                batch.results.append(Crashed())
                batch.crashes = 0
        batch.alone = True
        self._go_on(batch)

    def _go_on(self, batch: Batch) -> None:
        if len(batch.results) == len(batch.items):
            batch.done(batch.results)
        else:
            self._suspects.append(batch)

    def _rebuild(self) -> None:
        """A broken executor takes all of its batches down; each of them becomes a suspect."""
        for batch in self._running.values():
            self._suspect_bystander(batch)
        self._running.clear()
        self._end_processes()

    def _end_processes(self) -> None:
        """Ends every worker at once."""
        self._begun = None
        if self._executor is not None:
            worker_process.end(self._executor)
            self._executor = None

    def _suspect_bystander(self, batch: Batch) -> None:
        batch.alone = True
        self._suspects.append(batch)

    def _processes(self) -> Executor:
        if self._executor is None:
            self._executor = worker_process.begin(self._workers, self._address_space)
        return self._executor


def _nothing() -> None:
    """Is done by a process that has begun."""


def _weather(error: Exception) -> Weather:
    """What is told of a batch that failed. A mistake of ours is a fault and tried again, for the service must go on."""
    return error if isinstance(error, OSError | CoatcheckError) else Mistake.of(error)


def count_workers(setting: Literal["auto"] | int) -> int:
    """The number of worker processes: as set, or one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if setting == "auto" else setting
