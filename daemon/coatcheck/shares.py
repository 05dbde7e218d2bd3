"""Who has had how much of the workers: shares are counted in files, and who is slow leaves a worker to others."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from operator import itemgetter
from typing import Final

_REMEMBERED: Final = 1000
_LONG: Final = 5.0  # seconds; a batch of common files takes a tenth of one
_RECENT: Final = 60.0  # seconds in which a project without work is still one that others must not hold up


class Shares:
    """Whose turn it is among those that have something waiting: who had the least, counted in files.

    Start-time fair queuing: who comes anew begins where the others are, so nobody saves up turns, and nobody who goes
    on and on holds up one that wants little by more than the batch that has begun.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Hashable]] = []
        self._had: dict[Hashable, float] = {}
        self._now = 0.0
        self._order = count()

    def __bool__(self) -> bool:
        return bool(self._heap)

    def join(self, one: Hashable) -> None:
        """It has something waiting, and had not."""
        heappush(self._heap, (max(self._now, self._had.get(one, 0.0)), next(self._order), one))

    def leave(self, one: Hashable) -> None:
        """It gets no turn for now."""
        self._heap = [entry for entry in self._heap if entry[2] != one]
        heapify(self._heap)

    def in_turn(self) -> Iterator[Hashable]:
        """Everyone, in the order of their turns."""
        return (one for _, _, one in sorted(self._heap, key=itemgetter(0, 1)))

    def first(self) -> Hashable:
        """Whose turn it is. There must be one."""
        return self._heap[0][2]

    def take(self, one: Hashable, files: int) -> None:
        """Its turn is over."""
        if one == self.first():
            heappop(self._heap)
        else:
            self.leave(one)
        start = max(self._now, self._had.get(one, 0.0))
        self._now = start
        self._had[one] = start + files
        if len(self._had) > _REMEMBERED:  # Who is no further than the others begins where they are anyway.
            self._had = {known: had for known, had in self._had.items() if had > self._now}


class Slow:
    """Projects whose batches take long, as where an outbox is slow. Beside others they leave one worker free: they may
    hold up their own Studies, and nobody else's. ``clock`` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[Hashable, tuple[float, float]] = {}  # when the last batch of each ended, and how long it took

    def ended(self, project: Hashable, began: float) -> None:
        """A batch of a project came back."""
        now = self._clock()
        self._last = {known: last for known, last in self._last.items() if now - last[0] < _RECENT}
        self._last[project] = (now, now - began)

    def most(self, project: Hashable, workers: int) -> int:
        """How many workers it may have."""
        _, took = self._last.get(project, (0.0, 0.0))
        return max(1, workers - 1) if took > _LONG and self._last.keys() - {project} else workers + 1
