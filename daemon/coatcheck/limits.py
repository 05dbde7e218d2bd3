"""What one file may cost: processor time, and the memory of the process that works on it."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SECONDS_PER_FILE: Final = 45.0  # of processor time: a slow disk is no fault of a file
ADDRESS_SPACE: Final = 4 << 30  # bytes that one worker may map
_GRACE: Final = 3  # a worker that cannot be interrupted is ended by the kernel after one part in so many more
_TICKS: Final = 3  # in the time that one file may take it is looked at so often: most batches end before the first
_SOON: Final = 0.001  # seconds of processor time: the kernel takes less than a microsecond for "never"
_AGAIN: Final = 45  # and so often where it took too long: an interruption may come where Python drops exceptions
_M_ARENA_MAX, _ARENAS = -8, 2  # mallopt(3)


class TimeUp(Exception):
    """One file took too long."""


class TimeLimit:
    """How long each file may be worked on: ``with limit:`` goes around the work on one of them, and raises TimeUp."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = math.inf
        self._late = False

    def __enter__(self) -> None:
        """The work on a file begins."""
        self._begun = time.process_time()

    def __exit__(self, *error: object) -> None:
        """It has ended."""
        self._begun = math.inf
        if self._late:
            self._late = False
            self.look(_TICKS)

    def look(self, times: int, left: float = math.inf) -> None:
        """Lets this process be interrupted so many times in the time that a file may take, and when it is up."""
        period = self._seconds / times
        signal.setitimer(signal.ITIMER_PROF, max(_SOON, min(period, left)), period)

    def tick(self, number: int, frame: FrameType | None) -> None:
        """Looks how long it takes."""
        left = self._seconds - (time.process_time() - self._begun)
        if left > 0:
            self.renew()
            self.look(_TICKS, left)
            return
        self._late = True
        self.look(_AGAIN)
        raise TimeUp

    def renew(self) -> None:
        """Lets the kernel end a worker process that even an exception does not stop."""
        begun = time.process_time() if self._begun == math.inf else self._begun
        if multiprocessing.parent_process() is not None:
            _end_after(math.ceil(begun + self._seconds + self._seconds / _GRACE))


@contextmanager
def time_limit(seconds: float) -> Iterator[TimeLimit]:
    """A limit for each file of a batch: so many seconds of processor time, where signals reach this thread.

    It costs the clock's reading for each file, and no more.
    """
    limit = TimeLimit(seconds)
    if threading.current_thread() is not threading.main_thread():
        yield limit
        return
    before = signal.signal(signal.SIGPROF, limit.tick)
    limit.renew()
    limit.look(_TICKS)
    try:
        yield limit
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        if multiprocessing.parent_process() is not None:
            _end_after(resource.RLIM_INFINITY)


def _end_after(seconds: int) -> None:
    """Lets the kernel end this process when it has used so much processor time."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY:
        seconds = hard if seconds == resource.RLIM_INFINITY else min(seconds, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


def bind_memory(address_space: int) -> None:
    """From now on this process may map so many bytes, or fewer where it was bound before."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # of glibc, where each thread would map 64 MiB for itself
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = address_space if hard == resource.RLIM_INFINITY else min(address_space, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
