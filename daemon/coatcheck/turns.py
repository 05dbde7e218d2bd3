"""Whose turn it is in the pool: no project and no Study is held up by the long queue of another."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from coatcheck.errors import CoatcheckError

Weather = OSError | CoatcheckError


@dataclass(slots=True, kw_only=True)
class Batch:
    """Items on their way. ``failed`` gets an error that belongs to no item: weather. ``turn`` is (project, errand)."""

    function: Callable[[Any, Sequence[Any]], Sequence[Any]]
    context: object
    items: tuple[Any, ...]
    done: Callable[[list[Any]], None]
    failed: Callable[[Weather], None]
    turn: tuple[Hashable, Hashable]
    results: list[Any] = field(default_factory=list)
    crashes: int = 0
    alone: bool = False


class Turns:
    """Batches that wait. Projects are served in turn, and the errands of one project too: none holds up another."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, OrderedDict[Hashable, deque[Batch]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def append(self, batch: Batch) -> None:
        """Lets a batch wait behind those of its errand."""
        project, errand = batch.turn
        self._waiting.setdefault(project, OrderedDict()).setdefault(errand, deque()).append(batch)

    def popleft(self) -> Batch:
        """The batch whose turn it is; its errand and its project go behind the others."""
        project, errands = self._waiting.popitem(last=False)
        errand, batches = errands.popitem(last=False)
        batch = batches.popleft()
        if batches:
            errands[errand] = batches
        if errands:
            self._waiting[project] = errands
        return batch

    def take_out(self, project: Hashable) -> list[Batch]:
        """All batches of a project."""
        errands = self._waiting.pop(project, OrderedDict())
        return [batch for batches in errands.values() for batch in batches]

    def clear(self) -> None:
        """Forgets all of them."""
        self._waiting.clear()
