"""``inbox``: thousands of small files that lie in the inbox at once, and how ``status`` answers meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

from scripts.benchmark.corpus import write_study
from scripts.benchmark.house import House
from scripts.benchmark.processes import Used, Watched, quickly
from scripts.benchmark.wanted import Row, Wanted, spread

_COUNTS = (2_000, 20_000, 100_000)
_STUDY = 500  # files
_BETWEEN = 1.0  # seconds between two questions


def inbox(wanted: Wanted) -> Row:
    """The same work on more and more files: the first count is what the others are compared with.

    What it costs to start, and to find nothing, is no cost of a file.
    """
    with House.made(wanted) as house:
        nothing = Watched(house.asked("run", "--once")).wait()
    return {"counts": [_with(wanted, wanted.files(full), nothing) for full in _COUNTS]}


def _with(wanted: Wanted, files: int, nothing: Used) -> Row:
    with House.made(wanted) as house:
        size = _fill(house.inbox(), files)
        os.sync()
        run = Watched(house.asked("run", "--once"))
        answers = _ask(house, run)
        used = run.wait()
        house.must_have_delivered(files)
    return {
        "files": files,
        "file_bytes": size,
        "wall": 1000 * (used.wall - nothing.wall) / files,
        "user": 1000 * (used.user - nothing.user) / files,
        "system": 1000 * (used.system - nothing.system) / files,
        "pss": used.pss,
        "largest": used.largest,
        "status_wall": spread(one.wall for one in answers),
        "status_user": spread(one.user for one in answers),
    }


def _fill(inbox: Path, files: int) -> int:
    """Studies of 500 files, the last of which may be smaller; gives the size of a file."""
    for study, first in enumerate(range(0, files, _STUDY)):
        folder = write_study(inbox / f"{study:05d}", study, min(_STUDY, files - first))
    return next(folder.iterdir()).stat().st_size


def _ask(house: House, run: Watched) -> list[Used]:
    """Asks for the status as long as the run goes on; at least once."""
    answers = [quickly(*house.asked("status", "--json"))]
    while run.running():
        answers.append(quickly(*house.asked("status", "--json")))
        time.sleep(_BETWEEN)
    return answers
