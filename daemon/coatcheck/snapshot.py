"""The service's own words for ``status``: a small file in the state folder, written anew by rename."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from coatcheck.line import Line
from coatcheck.service_lock import VERSION
from coatcheck.standing import Pace

_LONGEST = 1000  # characters of what systemd is told of faults
_PERIOD = 1.0  # seconds between two looks at what changed
_HEARTBEAT = 10.0  # seconds after which it is written although nothing changed


class Snapshot:
    """Writes ``path`` at most once a second, or when something must be said at once."""

    def __init__(self, path: Path, utc: Callable[[], str]) -> None:
        self._path = path
        self._utc = utc
        self._started = utc()
        self._looked = self._written = float("-inf")
        self._projects: dict[str, Any] = {}
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        self._reloads = 0
        self._problems: tuple[str, ...] = ()

    def reloaded(self, problems: Sequence[str]) -> None:
        """The configuration was read again, with these problems or none."""
        self._reloads += 1
        self._problems = tuple(problems)

    def write(self, now: float, lines: Mapping[str, Line], *, at_once: bool = False) -> str:
        """Writes how things stand, and gives one line for systemd.

        A full disk leaves the last words in place; the lines tell of it in the log.
        """
        if at_once or now - self._looked >= _PERIOD:
            self._write(now, lines, at_once=at_once)
        return _headline(lines)

    def _write(self, now: float, lines: Mapping[str, Line], *, at_once: bool) -> None:
        self._looked = now
        projects = {name: self._of(name, line, now) for name, line in lines.items()}
        if not at_once and projects == self._projects and now - self._written < _HEARTBEAT:
            return
        self._written, self._projects = now, projects
        said: dict[str, Any] = {
            "version": VERSION,
            "pid": os.getpid(),
            "started": self._started,
            "updated": self._utc(),
            "reloads": self._reloads,
            "reload_problems": self._problems,
            "projects": projects,
        }
        temporary = self._path.with_suffix(".tmp")
        with suppress(OSError):
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            with os.fdopen(fd, "w", encoding="ascii") as out:
                json.dump(said, out)
            os.replace(temporary, self._path)

    def _of(self, name: str, line: Line, now: float) -> dict[str, Any]:
        pace = self._paces[name].per_minute(now, line.finished)
        return line.snapshot(now) | {"files_done": line.finished, "files_per_minute": pace}

    def due(self, now: float) -> float:
        """Seconds until it may be written again."""
        return max(0.0, self._looked + _PERIOD - now)


def _headline(lines: Mapping[str, Line]) -> str:
    faults = [f"{name}: {line.fault}" for name, line in lines.items() if line.fault]
    finished = sum(line.finished for line in lines.values())
    text = f"{len(lines)} projects, {finished} files done since the start"
    return text + (f", {len(faults)} with a fault: {'; '.join(faults)}"[:_LONGEST] if faults else "")
