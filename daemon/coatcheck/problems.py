"""What is wrong with a configuration, said so that a person can mend it: the file, the line, the key and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from coatcheck.errors import CoatcheckError


class Place(NamedTuple):
    """Where something stands: a file, and a line that counts from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend. A ``note`` is worth knowing, but nothing is kept from running by it."""

    file: str
    line: int
    key: str  # dotted, as a person would say it: projects.lung-trial.inbox; "" for the file as a whole
    what: str
    hint: str = ""
    level: Literal["problem", "note"] = "problem"

    def __str__(self) -> str:
        parts = (f"{self.file}:{self.line}", self.key, self.what, self.hint)
        return ": ".join(part for part in parts if part)

    def as_json(self) -> dict[str, str | int]:
        """The same as plain values, for ``--json``."""
        return asdict(self)


class ConfigError(CoatcheckError):
    """The configuration cannot be used. Carries every problem that was found; its text has one line for each."""

    exit_code = 78

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = in_reading_order(problems)
        count = len(self.problems)
        super().__init__(f"the configuration has {count} problem{'s' if count != 1 else ''}", "run `coatcheck check`")

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def in_reading_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each problem once, by file and line, as a person would go through them."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line)))


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint for a name that is not known: the nearest one that is, or all of them."""
    close = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"known are: {', '.join(sorted(known))}"
