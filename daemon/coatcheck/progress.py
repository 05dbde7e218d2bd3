"""What a person sees of ``coatcheck run`` on a terminal; nothing where there is none."""

from __future__ import annotations

import logging
import os
import sys
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

            console = Console(file=self._stream)
            if console.is_dumb_terminal:
                return self
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("files"),
                TimeElapsedColumn(),
            )
            self._bars = Progress(*columns, console=console, transient=not self._once)
            self._bars.start()
            self._log_to(sys.stderr, instead_of=self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._log_to(self._stream, instead_of=sys.stderr)
            self._bars.stop()

    def _log_to(self, stream: TextIO, *, instead_of: TextIO) -> None:
        """Log lines go through rich's stand-in for stderr while there are bars: they stand above them, whole."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is instead_of:
                handler.setStream(stream)

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
