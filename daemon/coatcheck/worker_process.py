"""The processes that work for the pool: how they begin, what binds them, and how they end."""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver

from coatcheck import heap
from coatcheck.dumps import forbid_core_dumps
from coatcheck.limits import bind_memory


def begin(workers: int, address_space: int) -> ProcessPoolExecutor:
    """An executor of so many processes, none of which is begun yet."""
    warm_up()
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("forkserver"),
        initializer=prepare_worker,
        initargs=(os.getpid(), address_space),
    )


def kill(executor: ProcessPoolExecutor) -> None:
    """Ends every process of it at once."""
    for process in list((executor._processes or {}).values()):
        process.kill()


def warm_up() -> None:
    """Starts the process from which workers are forked, which imports what they need while the service does so too.

    Not fork: the watcher's threads may hold locks. The fork server has none, and its children share its memory.
    """
    forbid_core_dumps()
    forkserver.set_forkserver_preload(["__main__", "coatcheck.worker_process", "coatcheck.transform"])
    forkserver.ensure_running()


def prepare_worker(service: int, address_space: int) -> None:
    """In each worker: signals are the service's business, memory has a limit, and no worker outlives the service."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)  # A worker answers, and says nothing: libraries quote values.
    warnings.simplefilter("ignore")
    heap.grown()
    threading.Thread(target=_end_with, args=(service,), daemon=True).start()
    bind_memory(address_space)
    forbid_core_dumps()


def _end_with(service: int) -> None:
    """Waits for the end of the service, however it comes, and ends this process then."""
    try:
        descriptor = os.pidfd_open(service)
    except ProcessLookupError:
        os._exit(1)
    select.select([descriptor], [], [])
    os._exit(1)
