"""The names under which originals are put away: short enough for every program, and those to try where one is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

from coatcheck.folders import LONGEST_NAME, behind, numbered

_NUMBERED = 100  # so many equal names get a number, further ones a digest
_LONGEST_PATH = 4000  # bytes; no program can open a longer one by its path


def short(root: Path, base: int, parts: Sequence[str], own: int) -> list[str]:
    """The destination with names and a length that the file system and other programs can bear."""
    try:
        longest = os.fpathconf(base, "PC_NAME_MAX")
    except OSError:
        longest = LONGEST_NAME
    longest = longest if 32 <= longest <= LONGEST_NAME else LONGEST_NAME
    fitting = [cut(part, longest) for part in parts]
    if len(os.fsencode(root.joinpath(*fitting))) > _LONGEST_PATH:
        return [*fitting[:own], f"shortened~{digest(*parts)}", fitting[-1]]
    return fitting


def cut(name: str, longest: int) -> str:
    """A name within so many bytes; one that was cut ends with a digest of the whole."""
    if len(os.fsencode(name)) <= longest:
        return name
    return behind(name, f"~{digest(name)}", longest)


def digest(*texts: object) -> str:
    """16 letters and digits that tell these from others."""
    return sha256("/".join(map(str, texts)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def names(name: str, mark: object) -> Iterator[str]:
    """The name, then the name with a number, then with a digest of ``mark`` that hardly anything else has."""
    yield from islice(numbered(name), _NUMBERED - 1)
    rare = f"~{digest(name, mark)}"
    yield behind(name, rare)
    for number in count(2):
        yield behind(name, f"{rare}~{number}")
