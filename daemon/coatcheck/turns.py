"""Whose turn it is in the pool: no project and no Study is held up by the long queue of another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.shares import Shares

Weather = OSError | CoatcheckError
Function = Callable[[Any, Sequence[Any]], Sequence[Any]]
_CRASHES: Final = 2
_BEFORE: Final = 7  # files of others that go before one of the errand that waits longest


class Crashed:
    """The result of an item that ended its worker process."""


class Turn(NamedTuple):
    """Whose batch it is, and how many files of its errand had not been handed in before it: itself and what follows."""

    project: Hashable
    errand: Hashable
    left: int = 0


NOBODY: Final = Turn("", "")


@dataclass(slots=True, kw_only=True)
class Batch:
    """Items on their way. ``failed`` gets an error that belongs to no item: weather."""

    function: Function
    context: object
    items: tuple[Any, ...]
    done: Callable[[list[Any]], None]
    failed: Callable[[Weather], None]
    turn: Turn
    results: list[Any] = field(default_factory=list)
    crashes: int = 0
    alone: bool = False
    lost: bool = False  # with a machine, once
    began: float = 0.0  # by a monotonic clock, in seconds

    @property
    def next_items(self) -> tuple[Any, ...]:
        """What is to be done now: all of it, or one item alone."""
        return self.items[len(self.results) :][:1] if self.alone else self.items

    @property
    def whole(self) -> bool:
        """Whether every item has its result."""
        return len(self.results) == len(self.items)

    def take(self, results: Sequence[Any]) -> None:
        """The results of the items that were next."""
        self.results.extend(results)
        self.crashes = 0

    def suspect(self) -> None:
        """The process that had it in hand died: its items are done alone; one that was alone is to blame."""
        if self.alone:
            self.crashes += 1
            if self.crashes >= _CRASHES:
                self.take([Crashed()])
        self.alone = True


Running = dict[Future[Sequence[Any]], Batch]


class Workshop(Protocol):
    """Where batches are worked on; the lines know no more of it. All methods are for one thread."""

    def submit(
        self,
        function: Function,
        context: object,
        items: Sequence[Any],
        done: Callable[[list[Any]], None],
        failed: Callable[[Weather], None],
        *,
        turn: Turn = NOBODY,
    ) -> None:
        """Takes a batch. ``done`` or ``failed`` is called from :meth:`collect`, in the caller's thread.

        ``turn`` tells whose it is: they are served in turn.
        """

    @property
    def depth(self) -> int:
        """How many batches of one errand are handed in at a time: enough that no worker has to wait for the next."""

    @property
    def busy(self) -> bool:
        """Whether anything is queued or under way, but for what waits for silent folders."""

    def collect(self) -> None:
        """Calls back for every batch that has ended, and starts the next ones."""

    def stand_still(self, project: Hashable) -> None:
        """Begins nothing more of a project, whose folders are silent."""

    def go_on(self, project: Hashable) -> None:
        """Begins work of a project again."""

    def stop(self) -> None:
        """Lets go of the queue, and ends what works. Nothing is called back."""


def weather_of(error: Exception) -> Weather:
    """What is told of a batch that failed. A mistake of ours is a fault and tried again, for the service must go on."""
    return error if isinstance(error, OSError | CoatcheckError) else Mistake.of(error)


class _Errands:
    """What waits of one project. The errand with the least left goes first: a small Study is not held up by large ones,
    and what is begun is finished, so that a worker need not go from Study to Study. But one file in eight is of the one
    that waits longest, which so comes to its end however many small ones come.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Batch]] = {}
        self._before = 0  # files since the one that waits longest had its turn

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def append(self, batch: Batch) -> None:
        """Lets a batch wait behind those of its errand."""
        self._waiting.setdefault(batch.turn.errand, deque()).append(batch)

    def popleft(self) -> Batch:
        """The next batch. There must be one."""
        waiting = self._waiting
        oldest = errand = next(iter(waiting))
        if self._before < _BEFORE * len(waiting[oldest][0].items):
            errand = min(waiting, key=lambda one: waiting[one][0].turn.left)
        batch = waiting[errand].popleft()
        self._before = 0 if errand == oldest else self._before + len(batch.items)
        if not waiting[errand]:
            del waiting[errand]
        return batch


class Turns:
    """Batches that wait. Projects have equal shares of the workers."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, _Errands] = {}
        self._projects = Shares()
        self._still: set[Hashable] = set()  # projects that get no turn

    def __bool__(self) -> bool:
        return bool(self._projects)

    def append(self, batch: Batch) -> None:
        """Lets a batch wait behind those of its errand."""
        project = batch.turn.project
        errands = self._waiting.setdefault(project, _Errands())
        if not errands and project not in self._still:
            self._projects.join(project)
        errands.append(batch)

    def next(self, allowed: Callable[[Hashable], bool] = lambda project: True) -> Hashable | None:
        """The project whose turn it is among those that are allowed one, or None."""
        return next(filter(allowed, self._projects.in_turn()), None)

    def popleft(self, project: Hashable = None) -> Batch:
        """The next batch of a project; of the one whose turn it is, if none is named."""
        project = project if project is not None else self._projects.first()
        errands = self._waiting[project]
        batch = errands.popleft()
        self._projects.take(project, len(batch.items))
        if errands:
            self._projects.join(project)
        else:
            del self._waiting[project]
        return batch

    def stand_still(self, project: Hashable) -> None:
        """Gives a project no turn from now on."""
        self._still.add(project)
        self._projects.leave(project)

    def stands_still(self, project: Hashable) -> bool:
        """Whether a project gets no turn."""
        return project in self._still

    def go_on(self, project: Hashable) -> None:
        """Gives it its turns again."""
        if project in self._still and project in self._waiting:
            self._projects.join(project)
        self._still.discard(project)

    def clear(self) -> None:
        """Forgets all of them."""
        self._waiting.clear()
        self._still.clear()
        self._projects = Shares()
