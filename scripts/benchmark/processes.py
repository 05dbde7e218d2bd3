"""What programs cost: wall time, and the processor time and memory of all processes that they start."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LOOKS = 0.05  # seconds between two looks at the memory
_SHARE = 15  # times as long as a look works: what is looked at has the same cores
_PATIENCE = 10.0  # seconds in which what was left behind must end

Command = Sequence[str | Path]


class Failed(Exception):
    """A program did not do what was asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Seconds, and MiB: ``pss`` of all processes together at their peak, ``largest`` the largest RSS of one."""

    wall: float
    user: float
    system: float
    pss: float = 0.0
    largest: float = 0.0

    def __add__(self, after: Used) -> Used:
        """One after the other."""
        return Used(
            wall=self.wall + after.wall,
            user=self.user + after.user,
            system=self.system + after.system,
            pss=max(self.pss, after.pss),
            largest=max(self.largest, after.largest),
        )


class Watched:
    """Programs that run beside each other, and all that they start."""

    def __init__(self, *commands: Command) -> None:
        # Workers outlive their parent by a moment: as their reaper this process learns what they used.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._ended = threading.Event()
        self.pss = self.largest = 0.0
        self._begun = time.perf_counter()
        self._processes = [_begin(command) for command in commands]
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the first program."""
        return self._processes[0].pid

    def running(self) -> bool:
        """Whether the first program runs; what it used can still be asked for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def memory(self) -> tuple[float, float]:
        """MiB now: of all processes (PSS), and of the largest (RSS)."""
        sizes = [size for process in self._processes for size in _sizes_below(process.pid)]
        return sum(pss for pss, _ in sizes) / 1024, max((rss for _, rss in sizes), default=0) / 1024

    def forget_peak(self) -> None:
        """The peak is that of what comes from now on."""
        self.pss = self.largest = 0.0

    def _look(self) -> None:
        rest = _LOOKS
        while not self._ended.wait(rest):
            begun = time.thread_time()
            pss, largest = self.memory()
            self.pss, self.largest = max(self.pss, pss), max(self.largest, largest)
            rest = max(_LOOKS, _SHARE * (time.thread_time() - begun))

    def stop(self) -> Used | None:
        """Asks for the end, and waits for it; None where it was waited for before."""
        if self._ended.is_set():
            return None
        for process in self._processes:
            os.kill(process.pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> Used:
        """Until all have ended. Raises Failed where one failed. None goes on where somebody ends the measurement."""
        try:
            used = [_end(process) for process in self._processes]
            wall = time.perf_counter() - self._begun
        finally:
            self._ended.set()
            for process in self._processes:
                process.kill()  # does nothing to one that has ended
        self._thread.join()
        used += _left_behind()
        for process in self._processes:
            if process.returncode:
                raise Failed(_failure(process))
        user, system = (sum(times) for times in zip(*used, strict=True))
        return Used(wall=wall, user=user, system=system, pss=self.pss, largest=self.largest)


def _begin(command: Command) -> subprocess.Popen[bytes]:
    nothing = subprocess.DEVNULL
    return subprocess.Popen([*map(str, command)], stdin=nothing, stdout=nothing, stderr=nothing)


def _end(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Waits for a process; its processor time has that of those for which it waited itself."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime, usage.ru_stime


def _failure(process: subprocess.Popen[bytes]) -> str:
    program, *words = process.args  # type: ignore[misc]
    shown = " ".join(word for word in map(str, words) if "/" not in word and "\n" not in word)
    return f"`{Path(str(program)).name} {shown}` ended with {process.returncode}"


def _left_behind() -> Iterator[tuple[float, float]]:
    """Waits for the processes that programs left behind."""
    end = time.monotonic() + _PATIENCE
    with suppress(ChildProcessError):
        while True:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if pid:
                yield usage.ru_utime, usage.ru_stime
            elif time.monotonic() > end:
                raise Failed("a process was left behind and does not end")
            else:
                time.sleep(0.01)


def _sizes_below(pid: int) -> Iterator[tuple[int, int]]:
    """PSS and RSS in KiB of a process and of those below it."""
    with suppress(OSError, ValueError, IndexError):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        yield int(fields["Pss"].split()[0]), int(fields["Rss"].split()[0])
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _sizes_below(int(child))


def quickly(*command: str | Path) -> Used:
    """One short command, whose memory nobody looks at. Raises Failed where it failed."""
    begun = time.perf_counter()
    process = _begin(command)
    user, system = _end(process)
    if process.returncode:
        raise Failed(_failure(process))
    return Used(wall=time.perf_counter() - begun, user=user, system=system)
