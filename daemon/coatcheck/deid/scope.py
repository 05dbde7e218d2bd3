"""Where the rewriting of a Data Set stands: what holds from an element on, and what is written where nothing was."""

from __future__ import annotations

from typing import Any, NamedTuple

from coatcheck.deid.content import Content
from coatcheck.deid.repeats import Repeats
from coatcheck.deid.selectors import Path


class Absent(NamedTuple):
    """An element that is to be written where none is."""

    tag: int
    vr: str
    value: int = 0
    value_end: int = 0


class Scope:
    """What holds in one Data Set from an element on: its place, how text is read, and who reserved private blocks."""

    __slots__ = ("charset", "content", "creators", "path", "pending", "repeats")

    def __init__(
        self, path: Path, charset: tuple[str, ...], pending: list[int], content: Content | None = None
    ) -> None:
        self.path = path
        self.charset = charset
        self.content = content  # of a Content Item
        self.creators: dict[int, str] = {}  # by the group and the block: 0x0029_0010
        self.repeats: Repeats[Any] | None = None  # of the element at hand, if it varies from file to file
        self.pending = pending  # tags that are written here anyway, in order


class Made(NamedTuple):
    """What became of a part that repeats: its bytes (None where it stayed as it was), the UIDs that were replaced and
    the dates that were written in it, and how the scope was left.
    """

    data: bytes | None
    uids: dict[str, str]
    written: frozenset[tuple[int, bytes]]
    stamps: int
    charset: tuple[str, ...]
    creators: dict[int, str]
