"""One word for how a project stands, out of what the service says of it. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

_MINUTE: Final = 60.0
# The system's or SQLite's own code, as every fault of ours names it in brackets.
_NO_ROOM: Final = re.compile(
    r"\((?:ENOSPC|EDQUOT|EROFS|SQLITE_FULL|SQLITE_READONLY\w*"
    r"|No space left on device|Disk quota exceeded|Read-only file system)\)"
)


class Word(StrEnum):
    """How a project stands, in the order in which one wins over those below it."""

    STOPPED = "stopped"  # no service runs
    STARTING = "starting"  # one runs, and has said nothing yet
    ATTENTION = "attention"  # a person has to look: something is in the way, or the project does not run
    WAITING = "waiting for disk"  # nothing but a disk that is full or can only be read is in the way
    WORKING = "working"  # Studies are being worked on
    ARRIVING = "arriving"  # files or Studies are not complete yet
    IDLE = "idle"


def word(live: Mapping[str, Any], faults: Iterable[str]) -> Word:
    """The word for a project of a running service; ``faults`` are what is in its way, as people are told."""
    if live.get("watch") is None:
        return Word.ATTENTION  # The service does not run it.
    said = {fault for fault in (*faults, live.get("fault")) if fault}
    if said:
        return Word.WAITING if all(map(is_of_the_disk, said)) else Word.ATTENTION
    if live.get("studies_running"):
        return Word.WORKING
    return Word.ARRIVING if live.get("waiting_files") or live.get("studies_arriving") else Word.IDLE


def is_of_the_disk(fault: str) -> bool:
    """Whether a fault says that a disk is full or can only be read: what waits for that goes on by itself."""
    return _NO_ROOM.search(fault) is not None


class Pace:
    """Files that were dealt with in the last minute. ``now`` is a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._done = 0
        self._steps: deque[tuple[float, int]] = deque()

    def per_minute(self, now: float, done: int) -> int:
        """Takes how many were done since the start, and gives those of the last minute."""
        step = done - self._done if done >= self._done else done  # a line with new settings counts anew
        self._done = done
        if step:
            self._steps.append((now, step))
        while self._steps and now - self._steps[0][0] >= _MINUTE:
            self._steps.popleft()
        return sum(files for _, files in self._steps)
