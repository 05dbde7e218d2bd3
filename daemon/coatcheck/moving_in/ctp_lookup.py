"""The lookup table of CTP's DicomAnonymizer: ``keytype/value=replacement`` as properties, or with a comma as CSV."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from coatcheck.moving_in.model import unreadable

_LINE: Final = re.compile(r"((?:\\.|[^=:/\\])+)/((?:\\.|[^=:,\\])*?)\s*[=:,]\s*(.*)")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")


class Entry(NamedTuple):
    """One line: the original, and what stands for it."""

    line: int
    key: str
    value: str


def recognises(text: str) -> bool:
    """Whether the first line with something in it is one of such a table."""
    first = next((line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    match = _LINE.fullmatch(first)
    return match is not None and re.fullmatch(r"[A-Za-z][\w.-]*", match[1].strip()) is not None


def read(text: str, key_type: str | None) -> list[Entry]:
    """The entries of one type of key. Raises UnreadableError, also where there are several types and none is named."""
    found: dict[str, list[Entry]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.strip()
        if not plain or plain.startswith(("#", "!", "..")):
            continue
        match = _LINE.fullmatch(plain)
        if match is None:
            raise unreadable(f"line {number} is none of a lookup table", "it must be `type/value=replacement`")
        entry = Entry(number, _unescaped(match[2]), _unescaped(match[3]))
        if entry.value.startswith("@"):
            raise unreadable(f"line {number} refers to another line", "write the replacement itself there")
        found.setdefault(_unescaped(match[1]).strip(), []).append(entry)
    if key_type is None and len(found) > 1:
        raise unreadable(f"there are {len(found)} types of keys in it", "say which one is of Patient IDs: --key-type")
    wanted = found.get(key_type) if key_type is not None else next(iter(found.values()), None)
    if not wanted:
        raise unreadable("it has no keys of this type", "name the type as it stands before the slash: --key-type")
    return wanted


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        return chr(int(match[1][1:], 16)) if len(match[1]) == 5 else match[1]

    return _ESCAPE.sub(one, text)
