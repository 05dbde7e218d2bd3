"""Batches of one errand on their way through the pool. Weather is kept, raised once, and the batch is tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from coatcheck.errors import CoatcheckError
from coatcheck.lane import Lane
from coatcheck.parcel import Parcel

_numbers = count()
Function = Callable[[Any, Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What of a batch has to be tried again, and the weather that was in the way."""

    items: Sequence[Any]
    weather: OSError | CoatcheckError


Take = Callable[[Sequence[Any], list[Any]], Again | None]


class Batches:
    """Hands in batches and lets ``take`` have each one's items and results, in the caller's thread.

    Results wait until :meth:`step` takes them, so that whatever ``take`` raises is the caller's own weather, and is
    taken again later. In the pool each ``errand`` has its turn beside others of its project: all batches of one Study
    are of one. A few are handed in at a time, however many there are.
    """

    def __init__(self, lane: Lane, errand: Hashable = None) -> None:
        self._lane = lane
        self._errand = errand if errand is not None else next(_numbers)
        self._todo: deque[tuple[Function, object, Sequence[Any], Take]] = deque()
        self._ended: deque[tuple[Function, object, Sequence[Any], Take, list[Any]]] = deque()
        self._left = 0  # items that wait
        self._under_way = 0
        self._weather: OSError | CoatcheckError | None = None

    def add(self, function: Function, context: object, items: Sequence[Any], take: Take, *, size: int) -> None:
        """Cuts items into batches of at most ``size``; they are handed in by the next :meth:`step`.

        Neighbours mostly lie in one folder, where processes would wait for each other: each begins at another place.
        """
        context = Parcel(context)
        starts = range(0, len(items), size)
        workers = self._lane.depth // 2 - 1
        stride = -(-len(starts) // max(1, workers)) or 1
        for first in range(stride):
            for start in starts[first::stride]:
                self._put(function, context, items[start : start + size], take)

    def _put(self, function: Function, context: object, items: Sequence[Any], take: Take) -> None:
        self._todo.append((function, context, items, take))
        self._left += len(items)

    def step(self) -> bool:
        """Goes on as far as it can; True when all is done. Raises weather; call it again later."""
        while self._ended:
            function, context, items, take, results = self._ended[0]
            again = take(items, results)
            self._ended.popleft()
            if again is not None:
                self._put(function, context, again.items, take)
                self._weather = again.weather
        if self._weather is not None:
            if not self._under_way:
                weather, self._weather = self._weather, None
                raise weather
            return False
        while self._todo and self._under_way < self._lane.depth:
            self._submit(*self._todo.popleft())
        return not (self._under_way or self._ended or self._todo)

    def _submit(self, function: Function, context: object, items: Sequence[Any], take: Take) -> None:
        self._under_way += 1
        left = self._left
        self._left -= len(items)

        def done(results: list[Any]) -> None:
            self._under_way -= 1
            self._ended.append((function, context, items, take, results))

        def failed(error: OSError | CoatcheckError) -> None:
            self._under_way -= 1
            self._put(function, context, items, take)
            self._weather = error

        self._lane.submit(function, context, items, done, failed, errand=self._errand, left=left)
