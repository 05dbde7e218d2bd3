"""Names in the outbox: what a layout makes of the values of a delivery's results.

A layout has two templates of Attributes (see :mod:`coatcheck.deid.templates`): the one of the delivery's folder, and
the one of the files in it. Each part between two slashes is rendered alone, so that no value can add a folder. The
names hold letters, digits, ``.``, ``_``, ``-`` and ``~`` only, fit every file system, and differ in more than case.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from coatcheck.deid.conditions import as_number
from coatcheck.deid.templates import Template, parse
from coatcheck.layout import ORIGINAL, Layout

OWN: Final = frozenset({"class", "instance", "series"})
"""Names that a layout's template knows beside the project's variables: the SOP Class in words, and running numbers."""

SERIES_NUMBER: Final = 0x00200011
INSTANCE_NUMBER: Final = 0x00200013
_OF_A_SERIES: Final = frozenset({SERIES_NUMBER, 0x0008103E})  # a folder named by these is one Series' own

_OTHER: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 64  # a UID's length
_LONGEST_PATH: Final = 200
_EMPTY: Final = "NA"
_RESERVED: Final = frozenset(  # on DOS, and so on many shares
    {"AUX", "CON", "NUL", "PRN", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
)
_EXTENSIONS: Final = frozenset({"acr", "dc3", "dcm", "dic", "dicom", "ima", "img"})  # any other may be a name


def parts(layout: Layout, variables: frozenset[str]) -> tuple[tuple[Template, ...], tuple[Template, ...]]:
    """The templates of the folder's parts and of the file's. Raises SettingError."""
    return _parts(layout.folder, variables), _parts(layout.file, variables)


def reads(layout: Layout, variables: frozenset[str]) -> frozenset[int]:
    """The Attributes whose values a layout needs. Raises SettingError."""
    templates = (one for part in parts(layout, variables) for one in part)
    return frozenset({SERIES_NUMBER, INSTANCE_NUMBER}).union(*(one.reads() for one in templates))


@lru_cache(maxsize=16)
def _parts(text: str, variables: frozenset[str]) -> tuple[Template, ...]:
    return tuple(parse(part, variables | OWN) for part in text.split("/")) if text else ()


class Result(NamedTuple):
    """One result that is to be named. ``attributes`` are those of the result, ``dropped`` is the original's path."""

    sop_uid: str
    series_uid: str
    kind: str  # its SOP Class in words
    attributes: Mapping[int, tuple[str, ...]]
    dropped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """The folder's name, and each result's path in it by its SOP Instance UID.

    ``numbered`` names were taken already and got a number, ``replaced`` ones were not fit and became UIDs.
    """

    folder: str
    paths: Mapping[str, str]
    numbered: int = 0
    replaced: int = 0


def arrange(
    layout: Layout,
    results: Sequence[Result],
    variables: Mapping[str, str],
    study_uid: str,
    names_somebody: Callable[[str], bool],
) -> Arranged:
    """Names the results of one delivery. The same results get the same names, in whatever order they come.

    ``names_somebody`` tells whether a part of a path holds what identifies the patient: UIDs take the place of such.
    """
    folder, file = parts(layout, frozenset(variables))
    results = sorted(results, key=lambda one: one.sop_uid)
    numbers = _running_numbers(results)
    named = [part.render(results[0].attributes, variables) for part in folder]
    fit = [(_fit([text], names_somebody) or [study_uid])[0] for text in named]
    replaced = sum(component(one) != other for one, other in zip(named, fit, strict=True))
    wanted: list[Wanted] = []
    for one in results:
        own = {**variables, **numbers[one.sop_uid], "class": one.kind}
        texts = (
            _dropped(one.dropped) if layout.name == ORIGINAL else [part.render(one.attributes, own) for part in file]
        )
        names = _fit(texts, names_somebody)
        if names is not None and layout.name == ORIGINAL and names_somebody("/".join(texts)):
            names = None  # Folders that are called by year, month and day may be a date together.
        replaced += names is None
        *above, name = names or (one.series_uid, one.sop_uid)
        wanted.append((tuple(above), name, _extension(layout, one.dropped)))
    owned = any(_OF_A_SERIES & part.reads() for part in file[:-1])
    paths, numbered = _without_collisions(wanted, [one.series_uid for one in results] if owned else None)
    by_uid = {one.sop_uid: path for one, path in zip(results, paths, strict=True)}
    return Arranged(folder="/".join(fit), paths=by_uid, numbered=numbered, replaced=replaced)


def _fit(texts: list[str], names_somebody: Callable[[str], bool]) -> list[str] | None:
    """Names for these texts, unless they are too long together or one of them holds what identifies the patient.

    The texts are searched too: in a name letters may be missing, and the rest is still to be understood.
    """
    names = [component(text) for text in texts]
    return None if len("/".join(names)) > _LONGEST_PATH or any(map(names_somebody, [*texts, *names])) else names


def component(text: str) -> str:
    """A name that every file system takes, made of any text: what is no Latin letter or digit becomes ``_``."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    name = _OTHER.sub("_", plain).lstrip(".-")[:_LONGEST].rstrip(".") or _EMPTY
    return f"_{name}" if name.split(".")[0].upper() in _RESERVED else name


def _dropped(path: str) -> list[str]:
    """The parts of the path under which the original was dropped, without a known extension."""
    *above, name = path.encode("utf-8", "replace").decode().split("/")
    stem, point, extension = name.rpartition(".")
    return [*above, stem if point and stem and extension.lower() in _EXTENSIONS else name]


def _extension(layout: Layout, dropped: str) -> str:
    if layout.extension != "kept":
        return ".dcm" if layout.extension == "dcm" else ""
    extension = dropped.rpartition("/")[2].rpartition(".")[2]
    return f".{extension}" if extension.lower() in _EXTENSIONS else ""


def _running_numbers(results: Sequence[Result]) -> dict[str, dict[str, str]]:
    """``series`` and ``instance`` by SOP Instance UID, counted from 1 in the order of their numbers."""
    series: dict[str, list[Result]] = {}
    for one in results:
        series.setdefault(one.series_uid, []).append(one)
    ordered = sorted(series, key=lambda uid: (min(_number(one, SERIES_NUMBER) for one in series[uid]), uid))
    found = {}
    for place, uid in enumerate(ordered, 1):
        members = sorted(series[uid], key=lambda one: (_number(one, INSTANCE_NUMBER), one.sop_uid))
        for number, one in enumerate(members, 1):
            found[one.sop_uid] = {"series": str(place), "instance": str(number)}
    return found


def _number(one: Result, tag: int) -> float:
    number = as_number(next(iter(one.attributes.get(tag, ())), ""))
    return float("inf") if number is None else float(number)


Wanted = tuple[tuple[str, ...], str, str]  # folders, name, extension


def _without_collisions(wanted: Sequence[Wanted], series: Sequence[str] | None) -> tuple[list[str], int]:
    """Paths that differ in more than case, and how many of them got a number for that.

    Who comes first keeps the name, the next ones become NAME~2 and so on. With ``series`` two of them share no folder.
    """
    numbered = 0
    if series is not None:
        folders, numbered = _one_for_each(wanted, series)
        wanted = [(above, name, extension) for above, (_, name, extension) in zip(folders, wanted, strict=True)]
    spelled: dict[str, str] = {}
    ways = ["/".join(_as_first_spelled(above, spelled)) for above, _, _ in wanted]
    taken, tries, paths = set(spelled), Counter[str](), []
    for way, (_, name, extension) in zip(ways, wanted, strict=True):
        stem = f"{way}/{name}" if way else name
        path, key = stem + extension, (stem + extension).lower()
        while path.lower() in taken:
            tries[key] += 1
            path = f"{stem}~{tries[key] + 1}{extension}"
        numbered += path != stem + extension
        taken.add(path.lower())
        paths.append(path)
    return paths, numbered


def _one_for_each(wanted: Sequence[Wanted], series: Sequence[str]) -> tuple[list[tuple[str, ...]], int]:
    """A folder for each Series, and how many of them got a number."""
    owner: dict[str, str] = {}
    folders: dict[tuple[str, str], tuple[str, ...]] = {}
    for (above, _, _), uid in zip(wanted, series, strict=True):
        key = "/".join(above).lower(), uid
        if key in folders or not above:
            continue
        folders[key] = next(one for one in _numbered(above) if owner.setdefault("/".join(one).lower(), uid) == uid)
    numbered = sum("/".join(folder).lower() != key for (key, _), folder in folders.items())
    return [
        folders.get(("/".join(above).lower(), uid), above) for (above, _, _), uid in zip(wanted, series, strict=True)
    ], numbered


def _numbered(above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield above
    number = 2
    while True:
        yield (*above[:-1], f"{above[-1]}~{number}")
        number += 1


def _as_first_spelled(above: tuple[str, ...], spelled: dict[str, str]) -> list[str]:
    """Folders that differ in case alone become one, so that they are so on every file system."""
    parts: list[str] = []
    for part in above:
        key = "/".join([*parts, part]).lower()
        parts.append(spelled.setdefault(key, part))
    return parts
