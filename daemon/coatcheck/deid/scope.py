"""Where the rewriting of a Data Set stands: what holds from an element on, and what is written where nothing was."""

from __future__ import annotations

from typing import NamedTuple

from coatcheck.deid.content import Content
from coatcheck.deid.selectors import Path


class Absent(NamedTuple):
    """An element that is to be written where none is."""

    tag: int
    vr: str
    value: int = 0
    value_end: int = 0


class Scope:
    """What holds in one Data Set from an element on: its place, how text is read, and who reserved private blocks."""

    __slots__ = ("charset", "content", "creators", "path", "pending")

    def __init__(
        self, path: Path, charset: tuple[str, ...], pending: list[int], content: Content | None = None
    ) -> None:
        self.path = path
        self.charset = charset
        self.content = content  # of a Content Item
        self.creators: dict[int, str] = {}  # by the group and the block: 0x0029_0010
        self.pending = pending  # tags that are written here anyway, in order
