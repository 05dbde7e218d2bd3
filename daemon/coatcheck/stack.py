"""What waits for its Study. Much of it waits packed: an inbox may hold more than memory should."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_FEW: Final = 8  # are not worth packing
_LEVEL: Final = 1  # of zlib: neighbours are much alike, and more effort saves little


class Stack(Generic[T]):
    """Things in the order in which they came."""

    def __init__(self) -> None:
        self._loose: list[T] = []
        self._packed: list[bytes] = []

    def add(self, one: T) -> None:
        """Puts one more on top."""
        self._loose.append(one)

    def pack(self) -> None:
        """Makes what is loose small, if it is worth it."""
        if len(self._loose) >= _FEW:
            self._packed.append(zlib.compress(pickle.dumps(self._loose, pickle.HIGHEST_PROTOCOL), _LEVEL))
            self._loose = []

    def __iter__(self) -> Iterator[T]:
        for packed in self._packed:
            yield from pickle.loads(zlib.decompress(packed))  # what this process packed itself
        yield from self._loose
