"""Files that have settled are read in the pool. What comes of each goes to whoever takes it, in the loop's thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from coatcheck import worker
from coatcheck.batches import Batches
from coatcheck.lane import Lane
from coatcheck.model import Arrival

READ_BATCH: Final = 100
Take = Callable[[Arrival, Any, float], None]


class Reader:
    """Reads the Arrivals of one project. ``take`` gets each one's result and the time at which it settled."""

    def __init__(self, lane: Lane, take: Take) -> None:
        self._batches = Batches(lane)
        self._take = take
        self._unread: dict[float, int] = {}  # files that are not read yet, by the time at which they settled
        self._read_some = False

    @property
    def unread(self) -> int:
        """How many files are not read yet."""
        return sum(self._unread.values())

    def oldest(self) -> float:
        """When the first of those that are not read yet settled; infinity where there are none."""
        return min(self._unread, default=math.inf)

    def horizon(self, now: float) -> float:
        """The last moment of which all that had settled was read: ``now``, or just before the oldest that was not."""
        return min(now, math.nextafter(self.oldest(), -math.inf))

    def add(self, context: worker.Reading, arrivals: Sequence[Arrival], now: float) -> None:
        """Takes files that settled ``now``."""
        if arrivals:
            self._unread[now] = self._unread.get(now, 0) + len(arrivals)
            self._batches.add(worker.examine, context, arrivals, partial(self._examined, now), size=READ_BATCH)

    def step(self) -> bool:
        """Goes on as far as it can; True where something was read, or all is. Raises weather."""
        self._read_some = False
        return self._batches.step() or self._read_some

    def _examined(self, settled: float, batch: Sequence[Arrival], results: list[Any]) -> None:
        self._read_some = True
        self._unread[settled] -= len(batch)
        if not self._unread[settled]:
            del self._unread[settled]
        for arrival, result in zip(batch, results, strict=True):
            self._take(arrival, result, settled)
