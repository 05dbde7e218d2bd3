"""One project's way into the pool."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

from coatcheck.turns import Function, Turn, Weather, Workshop


class Lane:
    """One project's way into the pool: it knows what is under way, and can be closed."""

    def __init__(self, pool: Workshop) -> None:
        self._pool = pool
        self._closed = False
        self.under_way = 0

    @property
    def depth(self) -> int:
        """As :attr:`Workshop.depth`."""
        return self._pool.depth

    def submit(
        self,
        function: Function,
        context: object,
        items: Sequence[Any],
        done: Callable[[list[Any]], None],
        failed: Callable[[Weather], None],
        *,
        errand: Hashable = None,
        left: int = 0,
    ) -> None:
        """As :meth:`Workshop.submit`. Once the lane is closed nothing is called back."""
        self.under_way += 1

        def end(call: Callable[[Any], None], argument: list[Any] | Weather) -> None:
            self.under_way -= 1
            if not self._closed:
                call(argument)

        turn = Turn(self, errand, left)
        self._pool.submit(function, context, items, partial(end, done), partial(end, failed), turn=turn)

    def stand_still(self) -> None:
        """As :meth:`Workshop.stand_still`, for this project."""
        self._pool.stand_still(self)

    def go_on(self) -> None:
        """As :meth:`Workshop.go_on`, for this project."""
        self._pool.go_on(self)

    def close(self) -> None:
        """Lets what is under way come to its end, and forgets about it."""
        self._closed = True
