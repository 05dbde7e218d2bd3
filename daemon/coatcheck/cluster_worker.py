"""What runs on the machines of a Dask cluster. Load it into each worker with ``--preload coatcheck.cluster_worker``.

The worker itself only hands letters on. Files are opened by a process of its own, one for each of its threads, which
is bound as those of the service are: by memory, by processor time for each file, and to the worker's life.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import secrets
import shutil
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coatcheck import worker_process
from coatcheck.cluster_post import Answer, Letter, Order, build, write
from coatcheck.delivery.folder import ONE_SYNC
from coatcheck.files import file_system, make_durable
from coatcheck.limits import ADDRESS_SPACE
from coatcheck.model import Arrival, Instance
from coatcheck.turns import Function, weather_of

if TYPE_CHECKING:
    from distributed import Worker

_mine = threading.local()  # the process of this thread
_address = ""


async def dask_setup(worker: Worker) -> None:
    """Called by Dask when a worker begins: from now on it can be found as one that may be given work.

    Ends it where it would write down what it is told, or cannot have processes of its own.
    """
    global _address
    if worker.memory_manager.memory_limit:
        sys.exit("coatcheck: start this worker with --memory-limit 0: it would write results to its disk")
    if multiprocessing.current_process().daemon:
        sys.exit("coatcheck: start this worker with --no-nanny: it needs processes of its own")
    worker_process.warm_up()
    _address = worker.address
    offered = {build(): float(worker.state.nthreads)}
    worker.state.total_resources.update(offered)
    worker.state.available_resources.update(offered)


def answer(letter: Letter) -> Letter:
    """Has one order carried out. It never raises: Dask would log what it was called with."""
    try:
        content = _process().submit(carry_out, letter.content).result()
    except BrokenProcessPool:
        _end_process()
        content = write(Answer(died=True))
    except Exception as error:
        content = write(Answer(weather=weather_of(error)))
    return Letter(content=content, sender=_address, host=platform.node())


def _process() -> ProcessPoolExecutor:
    if getattr(_mine, "executor", None) is None:
        _mine.executor = worker_process.begin(1, ADDRESS_SPACE)
    executor: ProcessPoolExecutor = _mine.executor
    return executor


def _end_process() -> None:
    _mine.executor.shutdown(wait=True)
    _mine.executor = None


def carry_out(content: bytes) -> bytes:
    """In the process of its own: does the batch of an order, and answers."""
    try:
        done = _carried_out(Letter(content=content).read())
    except MemoryError:  # One item was too much for the process: the others are done without it.
        done = Answer(died=True)
    except Exception as error:
        done = Answer(weather=weather_of(error))
    return write(done)


def _carried_out(order: Order) -> Answer:
    try:
        if order.room is not None:
            os.stat(order.room)
        inbox = os.stat(order.context.inbox)
    except OSError:
        return Answer(blind=True)
    if inbox.st_ino != order.inbox.inode:
        return Answer(blind=True)
    items = [_here(order, inbox.st_dev, item) for item in order.items]
    context = order.context
    if getattr(context, "device_here", None) not in (None, inbox.st_dev):
        context = replace(context, device_here=None)  # Others than this machine may write there.
    if order.room is None:
        return Answer(results=order.function(context, items))
    return _made(order.function, context, items, order.room)


def _here(order: Order, device: int, item: Any) -> Any:  # noqa: ANN401  # an Arrival, or an Instance that has one
    """The item with the number that its device has on this machine."""
    arrival: Arrival = getattr(item, "arrival", item)
    mark = arrival.fingerprint
    if mark.device != order.inbox.device:  # a device that is mounted below the inbox
        with suppress(OSError):
            device = os.stat(order.context.inbox / arrival.path, follow_symlinks=False).st_dev
    if mark.device == device:
        return item
    arrival = replace(arrival, fingerprint=mark._replace(device=device))
    return replace(item, arrival=arrival) if isinstance(item, Instance) else arrival


def _made(function: Function, context: Any, items: Sequence[Any], room: Path) -> Answer:  # noqa: ANN401  # a Work
    """Makes results in a folder that is new at each attempt, and durable: only the machine that wrote them can.

    Another attempt at the same batch may be going on where this one is taken for lost.
    """
    folder = room / secrets.token_hex(8)
    folder.mkdir()
    try:
        results = function(replace(context, staging=folder), items)
        make_durable(folder, one_file_system=file_system(folder) in ONE_SYNC)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Answer(results=results, folder=folder.name)
