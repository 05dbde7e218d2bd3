"""What a person sees of ``coatcheck run`` on a terminal; nothing where there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from coatcheck.line import Line


class Progress:
    """A bar for each project: files dealt with, of those that are known."""

    def __init__(self, stream: TextIO, once: bool) -> None:
        self._stream = stream
        self._once = once
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=Console(file=self._stream), transient=not self._once)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, lines: Mapping[str, Line]) -> None:
        """Shows how far each project is."""
        if self._bars is None:
            return
        for name, line in lines.items():
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=None)
            self._bars.update(self._tasks[name], completed=line.finished, total=line.finished + line.pending)


def shown(path: str) -> str:
    """A dropped name on one line, whatever is in it: for a terminal, never for a log."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
