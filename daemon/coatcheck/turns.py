"""Whose turn it is in the pool: no project and no Study is held up by the long queue of another."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
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


Running = dict[Future[Sequence[Any]], Batch]


class Turns:
    """Batches that wait. Projects are served in turn, and the errands of one project too: none holds up another."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, OrderedDict[Hashable, deque[Batch]]] = OrderedDict()
        self._still: dict[Hashable, OrderedDict[Hashable, deque[Batch]]] = {}  # projects that get no turn

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def append(self, batch: Batch) -> None:
        """Lets a batch wait behind those of its errand."""
        project, errand = batch.turn
        errands = self._still.get(project)
        if errands is None:
            errands = self._waiting.setdefault(project, OrderedDict())
        errands.setdefault(errand, deque()).append(batch)

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

    def stand_still(self, project: Hashable) -> None:
        """Gives a project no turn from now on."""
        if project not in self._still:
            self._still[project] = self._waiting.pop(project, OrderedDict())

    def stands_still(self, project: Hashable) -> bool:
        """Whether a project gets no turn."""
        return project in self._still

    def next(self) -> Hashable:
        """The project whose turn it is. There must be one."""
        return next(iter(self._waiting))

    def go_on(self, project: Hashable) -> None:
        """Gives it its turns again."""
        errands = self._still.pop(project, None)
        if errands:
            self._waiting[project] = errands

    def clear(self) -> None:
        """Forgets all of them."""
        self._waiting.clear()
        self._still.clear()
