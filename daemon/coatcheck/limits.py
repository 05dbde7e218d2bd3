"""What one file may cost: processor time, and the memory of the process that works on it."""

from __future__ import annotations

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
_AGAIN: Final = 1.0  # seconds; an interruption may come where Python drops exceptions


class TimeUp(Exception):
    """One file took too long."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeUp after ``seconds`` of processor time, where signals reach this thread.

    A worker process that even this does not stop is ended by the kernel a little later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGPROF, stop)
    worker = multiprocessing.parent_process() is not None
    if worker:
        _end_after(math.ceil(time.process_time() + seconds + seconds / _GRACE))
    signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        if worker:
            _end_after(resource.RLIM_INFINITY)


def _end_after(seconds: int) -> None:
    """Lets the kernel end this process when it has used so much processor time."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY:
        seconds = hard if seconds == resource.RLIM_INFINITY else min(seconds, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


def bind_memory(address_space: int) -> None:
    """From now on this process may map so many bytes, or fewer where it was bound before."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = address_space if hard == resource.RLIM_INFINITY else min(address_space, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
