"""What must agree between files: a UID has one replacement everywhere, and dates of a Study move together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, NamedTuple

from pydicom.dataset import Dataset, FileDataset

from tests.tools.key import Plant

_STEP = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)(?:\[(\d+)\])?")
_DAY = re.compile(r"\d{8}")


class Pair(NamedTuple):
    """One file before and after, and what was planted in it."""

    file: str
    plants: list[Plant]
    before: FileDataset
    after: FileDataset


class Problem(NamedTuple):
    """Where two things disagree."""

    file: str
    path: str
    problem: str


def value_at(ds: Dataset, path: str) -> list[str] | None:
    """The values at a path such as ``(0008,1140)[0](0008,1155)``; None where there is nothing."""
    steps = [(int(group + element, 16), index) for group, element, index in _STEP.findall(path)]
    if not steps or "".join(match.group() for match in _STEP.finditer(path)) != path:
        return None
    item = ds
    for tag, index in steps[:-1]:
        items: Any = item[tag].value if tag in item and item[tag].VR == "SQ" else ()
        if not index or int(index) >= len(items):
            return None
        item = items[int(index)]
    value = item[steps[-1][0]].value if steps[-1][0] in item else None
    if value is None or value == "":
        return None
    several = not isinstance(value, str | bytes) and hasattr(value, "__iter__")
    return [str(each) for each in value] if several else [str(value)]


def _changes(pairs: Iterable[Pair], kind: str) -> Iterator[tuple[Pair, str, str, str]]:
    """Each value before and after at the planted paths of one kind, where there still is one."""
    for pair in pairs:
        for plant in pair.plants:
            if plant["kind"] != kind or plant["action"] not in ("uid_changed", "date_changed"):
                continue
            before, after = value_at(pair.before, plant["path"]), value_at(pair.after, plant["path"])
            if before and after:
                yield from ((pair, plant["path"], old, new) for old, new in zip(before, after, strict=False))


def uid_problems(pairs: Iterable[Pair]) -> list[Problem]:
    """UIDs that have two replacements, share one, or were kept; and file metas that name another Instance."""
    problems, new_of, old_of = [], dict[str, str](), dict[str, str]()
    pairs = list(pairs)
    for pair, path, old, new in _changes(pairs, "uid"):
        if new == old:
            problems.append(Problem(pair.file, path, "UID kept"))
        elif new_of.setdefault(old, new) != new:
            problems.append(Problem(pair.file, path, "UID replaced in two ways"))
        elif old_of.setdefault(new, old) != old:
            problems.append(Problem(pair.file, path, "one UID for two"))
    for pair in pairs:
        named = pair.after.file_meta.get("MediaStorageSOPInstanceUID")
        if named != pair.after.get("SOPInstanceUID"):
            problems.append(Problem(pair.file, "(0002,0003)", "file meta names another Instance"))
    return problems


def date_problems(pairs: Iterable[Pair]) -> list[Problem]:
    """Dates of one Study that moved by different numbers of days, or by none."""
    shifts: dict[str, set[int]] = defaultdict(set)
    problems = []
    for pair, path, old, new in _changes(pairs, "date"):
        if not (_DAY.match(old) and _DAY.match(new)):
            continue
        days = (_day(new) - _day(old)).days
        seen = shifts[str(pair.before.StudyInstanceUID)]
        if days == 0:
            problems.append(Problem(pair.file, path, "date kept"))
        elif seen and days not in seen:
            problems.append(Problem(pair.file, path, "date moved by other days than the rest of its Study"))
        seen.add(days)
    return problems


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
