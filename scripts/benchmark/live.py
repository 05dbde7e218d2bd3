"""``latency`` and ``fairness``: Studies that are dropped where a service runs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.benchmark.corpus import corpus, count, write_study
from scripts.benchmark.house import House, wait_until
from scripts.benchmark.processes import Watched
from scripts.benchmark.wanted import Row, Wanted, spread

_FILE_SETTLE, _STUDY_SETTLE = 0.5, 0.5  # seconds
_BETWEEN = 0.001  # seconds between two files of a Study that arrives
_SMALL, _SMALL_FILES = 50, 4
_LARGE = 2000  # files


def latency(wanted: Wanted) -> Row:
    """A Study arrives file by file: how long after its last file has settled it is visible in the outbox.

    The settle times themselves are not counted.
    """
    with corpus(wanted.work, "ct", wanted.scale) as files:
        late = [_arrive(wanted, files) for _ in range(wanted.rounds)]
        return {"files": count(files), "seconds": spread(late)}


def _arrive(wanted: Wanted, files: Path) -> float:
    with (
        House.made(wanted, file_settle=_FILE_SETTLE, study_settle=_STUDY_SETTLE) as house,
        house.serving() as service,
    ):
        _warm_up(house, service)
        paths = [path for path in sorted(shutil.copytree(files, house.folder / "waiting").rglob("*")) if path.is_file()]
        inbox = house.inbox() / "arriving"
        inbox.mkdir()
        for number, path in enumerate(paths):
            os.rename(path, inbox / f"{number:06d}.dcm")
            time.sleep(_BETWEEN)
        last = time.monotonic()
        seen = wait_until(lambda: len(house.delivered()) > 1, service)
        house.must_have_delivered(len(paths) + 1)
        return seen - last - _FILE_SETTLE - _STUDY_SETTLE


def fairness(wanted: Wanted) -> Row:
    """Fifty small Studies, alone and beside a large one of the same and of another project, dropped at one moment."""
    files = wanted.files(_LARGE, least=2 * _SMALL_FILES)
    row: Row = {"large_files": files, "small": _SMALL, "small_files": _SMALL_FILES}
    for where, project in (("one_project", "bench"), ("two_projects", "other")):
        rounds = [_together(wanted, files, project) for _ in range(wanted.rounds)]
        row[where] = {key: spread(one[key] for one in rounds) for key in rounds[0]}
    return row


def _together(wanted: Wanted, files: int, project: str) -> dict[str, float]:
    """Seconds from the drop to the outbox; ``held_back`` is the longest by which a small one comes later than the one
    that was as many-th where they were alone.
    """
    with (
        House.made(wanted, projects=("bench", "other"), study_settle=_STUDY_SETTLE) as house,
        house.serving() as service,
    ):
        _warm_up(house, service)
        large = write_study(house.folder / "large", 2, files, 512)
        _, large_alone = _dropped(house, service, {write_study(house.folder / "same", 3, files, 512): project})
        alone, _ = _dropped(house, service, _small(house, 1000))
        beside, large_beside = _dropped(house, service, {large: project} | _small(house, 2000))
    return {
        "alone": alone[-1],
        "beside": beside[-1],
        "held_back": max(late - early for late, early in zip(beside, alone, strict=True)),
        "large_alone": large_alone[0],
        "large_beside": large_beside[0],
    }


def _small(house: House, first: int) -> dict[Path, str]:
    """Small Studies, not dropped yet, and their project."""
    numbers = range(first, first + _SMALL)
    return {write_study(house.folder / f"small{number}", number, _SMALL_FILES): "bench" for number in numbers}


def _dropped(house: House, service: Watched, studies: Mapping[Path, str]) -> tuple[Sequence[float], Sequence[float]]:
    """Drops Studies and waits for all of them: the times of the small and of the large ones, in order."""
    os.sync()
    seen = dict.fromkeys(house.delivered(), 0.0)
    wanted = len(seen) + len(studies)
    small: list[float] = []
    large: list[float] = []
    begun = time.monotonic()
    for folder, project in studies.items():
        house.drop(folder, folder.name, project)
    while len(seen) < wanted:
        now = wait_until(lambda: len(house.delivered()) > len(seen), service)
        for study in house.delivered():
            if study not in seen:
                seen[study] = now - begun
                (large if count(study) > _SMALL_FILES else small).append(seen[study])
    return small, large


def _warm_up(house: House, service: Watched) -> None:
    """One file, so that every process has begun."""
    house.drop(write_study(house.folder / "first", 1, 1), "first")
    wait_until(house.delivered, service)
