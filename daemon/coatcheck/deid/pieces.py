"""An encoded result under construction: bytes that are new, and spans of the source that stay what they were."""

from __future__ import annotations

Span = tuple[int, int]


class Pieces:
    """What a result is made of, in order, and its length in bytes. A part is bytes or a (begin, end) of the source."""

    __slots__ = ("length", "parts")

    def __init__(self, *data: bytes) -> None:
        self.parts: list[bytes | Span] = list(data)
        self.length = sum(map(len, data))

    def add(self, data: bytes) -> None:
        """Appends bytes."""
        self.parts.append(data)
        self.length += len(data)

    def keep(self, begin: int, end: int) -> None:
        """Appends a span of the source; spans that touch become one."""
        if self.parts and isinstance(last := self.parts[-1], tuple) and last[1] == begin:
            self.parts[-1] = (last[0], end)
        else:
            self.parts.append((begin, end))
        self.length += end - begin

    def extend(self, other: Pieces) -> None:
        """Appends another result."""
        self.parts.extend(other.parts)
        self.length += other.length

    def is_only(self, begin: int, end: int) -> bool:
        """Whether this is that span of the source and nothing else."""
        return self.length == end - begin and self.parts in ([(begin, end)], [])
