"""What an examination found: one line for a person, and the same for a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

_NAMED: Final = 3  # things of which a finding gives the names; of further ones it gives the number


class Level(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing is wrong with the records
    PROBLEM = "problem"
    MENDED = "mended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found. ``check`` is the name of the examination, ``project`` "" for the whole service.

    ``mend`` mends it, where that is safe while no service runs; it raises OSError or CoatcheckError if it cannot.
    """

    level: Level
    check: str
    what: str
    hint: str = ""
    project: str = ""
    mend: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        about = f"{self.project}: " if self.project else ""
        return f"{self.level}: {about}{self.what}" + (f": {self.hint}" if self.hint else "")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        named = {"check": self.check, "project": self.project, "what": self.what, "hint": self.hint}
        return {"level": self.level.value, **named}


class Tally:
    """Things of one kind: how many, and the names of the first."""

    def __init__(self) -> None:
        self.count = 0
        self._names: list[str] = []

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, name: object) -> None:
        """One more."""
        self.count += 1
        if len(self._names) < _NAMED:
            self._names.append(str(name))

    def __str__(self) -> str:
        more = self.count - len(self._names)
        return ", ".join(self._names) + (f" and {more} more" if more else "")
