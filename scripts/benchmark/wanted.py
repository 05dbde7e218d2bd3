"""What somebody wants measured, and what every measurement tells beside its own figures."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # as it stands in JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """``work`` is a folder on the disk to measure, ``python`` that of an environment as users have it,
    ``cache`` where other tools are installed."""

    work: Path
    scale: float
    rounds: int
    profile: str
    python: str
    cache: Path

    def files(self, full: int, least: int = 1) -> int:
        """A number of files at this scale."""
        return max(least, round(full * self.scale))


def spread(values: Iterable[float]) -> Row:
    """The middle one, and from where to where they go."""
    found = sorted(values)
    return {"median": statistics.median(found), "least": found[0], "most": found[-1]}


def around(wanted: Wanted) -> Row:
    """Under which conditions it was measured."""
    load, _, _ = os.getloadavg()
    return {"scale": wanted.scale, "rounds": wanted.rounds, "profile": wanted.profile, "load": round(load, 1)}
