"""The pool of a service whose files are worked on by a Dask cluster: the same batches, on machines that share folders.

What reads a file's content goes there. What journals, moves or releases stays here, in processes of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from coatcheck import worker
from coatcheck.cluster_post import Answer, Letter, Lost, Mark, Order, write
from coatcheck.config_cluster import SCHEME
from coatcheck.config_model import Settings
from coatcheck.delivery.afar import make_room, take_in
from coatcheck.errors import CoatcheckError
from coatcheck.model import Staged
from coatcheck.parcel import opened
from coatcheck.pool import Pool, count_workers
from coatcheck.transform import transform
from coatcheck.turns import NOBODY, Batch, Function, Turn, Turns, Weather, Workshop, weather_of

if TYPE_CHECKING:
    from coatcheck.cluster import Cluster

_AFAR: Final = frozenset({worker.examine, worker.digest, transform})
_WAITING: Final = 4  # for so many slots one more batch waits there, so that none has to wait for the next


def workshop_of(settings: Settings, wake: Callable[[], None]) -> Workshop:
    """Where work is done, as ``executor`` and ``workers`` say. Raises CoatcheckError where a package is missing."""
    workers = count_workers(settings.workers)
    if not settings.executor.startswith(SCHEME):
        return Pool("inline" if settings.executor == "inline" else "processes", workers, wake)
    return ClusterPool(cluster_of(settings), Pool("processes", workers, wake), wake)


def cluster_of(settings: Settings) -> Cluster:
    """The cluster that ``executor`` names. Raises CoatcheckError where Dask is not installed."""
    try:
        from coatcheck.cluster import Cluster
    except ModuleNotFoundError as error:
        missing = CoatcheckError(
            f"executor: the package {error.name} is missing, and dask needs it",
            "install coatcheck with its extra: pip install 'coatcheck[dask]'",
        )
        missing.exit_code = 78
        raise missing from None
    return Cluster(settings.executor.removeprefix(SCHEME), settings.tls)


class ClusterPool:
    """A :class:`Workshop`. So many batches are with the cluster as it has slots, and a few more."""

    def __init__(self, cluster: Cluster, near: Workshop, wake: Callable[[], None]) -> None:
        self._cluster = cluster
        self._near = near
        self._wake = wake
        self._queue = Turns()
        self._running: dict[Future[Letter], Batch] = {}

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
        """As :meth:`Workshop.submit`."""
        if function not in _AFAR:
            self._near.submit(function, context, items, done, failed, turn=turn)
            return
        batch = Batch(
            function=function, context=opened(context), items=tuple(items), done=done, failed=failed, turn=turn
        )
        self._queue.append(batch)
        self._start()

    @property
    def depth(self) -> int:
        """As :attr:`Workshop.depth`."""
        return max(self._near.depth, 2 * (self._cluster.slots + 1))

    @property
    def busy(self) -> bool:
        """As :attr:`Workshop.busy`."""
        return bool(self._queue or self._awaited() or self._near.busy)

    def collect(self) -> None:
        """As :meth:`Workshop.collect`."""
        self._near.collect()
        for future in [future for future in self._running if future.done()]:
            self._finish(self._running.pop(future), future)
        self._start()

    def stand_still(self, project: Hashable) -> None:
        """As :meth:`Workshop.stand_still`. Workers that wait for its folders are left to it."""
        self._queue.stand_still(project)
        self._near.stand_still(project)
        self._start()

    def go_on(self, project: Hashable) -> None:
        """As :meth:`Workshop.go_on`."""
        self._queue.go_on(project)
        self._near.go_on(project)
        self._start()

    def stop(self) -> None:
        """As :meth:`Workshop.stop`. What workers of the cluster still make is never taken in."""
        self._queue.clear()
        self._running.clear()
        self._cluster.stop()
        self._near.stop()

    def _awaited(self) -> int:
        """How many batches are out, but for those of silent projects, for which nobody waits."""
        return sum(not self._queue.stands_still(batch.turn.project) for batch in self._running.values())

    def _start(self) -> None:
        slots = self._cluster.slots
        while self._queue and self._awaited() < slots + max(1, slots // _WAITING):
            batch = self._queue.popleft()
            try:
                future = self._cluster.send(Letter(content=write(_order(batch))))
            except OSError as error:  # Told from `collect`, as all else.
                future = Future()
                future.set_exception(error)
            self._running[future] = batch
            future.add_done_callback(lambda _: self._wake())

    def _finish(self, batch: Batch, future: Future[Letter]) -> None:
        try:
            letter = future.result()
            answer: Answer = letter.read()
        except (Lost, CancelledError):
            self._lose(batch)
        except Exception as error:
            batch.failed(weather_of(error))
        else:
            self._take(batch, letter, answer)

    def _take(self, batch: Batch, letter: Letter, answer: Answer) -> None:
        if answer.died:
            self._suspect(batch)
        elif answer.blind:
            self._cluster.avoid(letter.sender)
            batch.failed(_blind(letter.host))
        elif answer.weather is not None:
            batch.failed(answer.weather)
        elif answer.folder:
            self._take_in(batch, answer)
        else:
            self._taken(batch, answer.results)

    def _take_in(self, batch: Batch, answer: Answer) -> None:
        """What was made there becomes a result here."""
        names = [f"{one.series_uid}/{one.sop_uid}.dcm" for one in answer.results if isinstance(one, Staged)]

        def moved(results: list[Any]) -> None:
            if results == [True]:
                self._taken(batch, answer.results)
            else:  # The process that moved them ended: who knows how far it came.
                batch.failed(OSError("a worker process ended"))

        staging = batch.context.staging.parent  # type: ignore[attr-defined]  # it is a Work
        self._near.submit(take_in, staging, [(answer.folder, names)], moved, batch.failed, turn=batch.turn)

    def _taken(self, batch: Batch, results: Sequence[Any]) -> None:
        batch.take([_as_sent(one, item) for one, item in zip(results, batch.next_items, strict=True)])
        self._go_on(batch)

    def _lose(self, batch: Batch) -> None:
        """A worker is gone, and mostly for no fault of a file: its batch is done elsewhere, as it was for once."""
        if batch.alone or batch.lost:
            self._suspect(batch)
        else:
            batch.lost = True
            self._go_on(batch)

    def _suspect(self, batch: Batch) -> None:
        batch.suspect()
        self._go_on(batch)

    def _go_on(self, batch: Batch) -> None:
        if batch.whole:
            batch.done(batch.results)
        else:
            self._queue.append(batch)
            self._start()


def _order(batch: Batch) -> Order:
    """What a worker is told. Raises OSError where the folders are not there."""
    context: Any = batch.context
    inbox = os.stat(context.inbox)
    return Order(
        function=batch.function,
        context=context,
        items=batch.next_items,
        inbox=Mark(device=inbox.st_dev, inode=inbox.st_ino),
        room=make_room(context.staging) if batch.function is transform else None,
    )


def _as_sent(result: Any, item: Any) -> Any:  # noqa: ANN401  # what the functions of _AFAR take and give
    """The result with the arrival that was handed in: its device had another number there."""
    if not hasattr(result, "arrival"):
        return result
    return replace(result, arrival=getattr(item, "arrival", item))


def _blind(host: str) -> CoatcheckError:
    return CoatcheckError(
        f"the worker of the cluster on {host} does not have this project's folders before it",
        "mount the share there at the same path, with the right to use it; others do its work meanwhile",
    )
