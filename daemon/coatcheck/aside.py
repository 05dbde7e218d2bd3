"""Processes that wait for folders that are silent, and may do so for ever: they are left to it, and others get new
ones. What they have in hand counts when it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from coatcheck import worker_process
from coatcheck.turns import Batch, Running


class Aside:
    """Executors that are waited for by nobody, with what they have in hand."""

    def __init__(self) -> None:
        self._waiting: list[tuple[ProcessPoolExecutor, Running]] = []
        self._broken: list[ProcessPoolExecutor] = []

    def put(self, executor: ProcessPoolExecutor, running: Running) -> None:
        """Leaves an executor to its work. It gets no more."""
        self._waiting.append((executor, running))

    def collect(self, finish: Callable[[Running], bool], suspect: Callable[[Batch], None]) -> None:
        """Deals with what has come after all. ``finish`` takes out the batches that have ended, and says whether a
        process died; ``suspect`` gets those that will not come then.
        """
        for executor, running in list(self._waiting):
            if finish(running):
                for batch in running.values():
                    suspect(batch)
                self._broken.append(executor)  # It ends by itself; who waits for that, or lets go of it, may hang.
            elif not running:
                executor.shutdown(wait=False)
            else:
                continue
            self._waiting.remove((executor, running))

    def kill(self) -> None:
        """Ends them all. One that hangs dies when it is answered, before it does anything else."""
        for executor, _ in self._waiting:
            worker_process.kill(executor)
