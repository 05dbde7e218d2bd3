"""The way to a Dask cluster: letters go to its scheduler, answers come back. Needs the package distributed.

Dask's client lives on a thread of its own. A scheduler that is lost, or has no worker that may be given work, is
weather: what was handed in fails, and the next letter tries to reach it anew.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, TypeVar
from uuid import uuid4

from distributed import Client
from distributed.scheduler import KilledWorker
from distributed.security import Security

from coatcheck.cluster_post import Letter, Lost, build
from coatcheck.cluster_worker import answer
from coatcheck.config_cluster import Tls
from coatcheck.errors import CoatcheckError

_PATIENCE: Final = 5.0  # seconds until a scheduler that does not answer is a fault
_AGAIN: Final = 1.0  # seconds for which it is not asked again after that
_LOOK: Final = 3.0  # seconds for which it is known who works there
_AVOIDED: Final = 60.0  # seconds for which a worker that is blind gets nothing
T = TypeVar("T")
_NOT_TO_BE_HAD: Final = (OSError, CancelledError, asyncio.CancelledError, ValueError, RuntimeError)


class Cluster:
    """``address`` is HOST:PORT of the scheduler; with ``tls`` nothing is said to anybody without a certificate.

    :meth:`send`, :meth:`avoid` and :meth:`stop` are for one thread, which also reads ``slots``.
    """

    def __init__(self, address: str, tls: Tls | None) -> None:
        self._shown = address
        self._address = f"{'tls' if tls else 'tcp'}://{address}"
        self._security = _security(tls)
        self.slots = 1  # how many letters can be worked on at a time, as far as is known
        self._loop: AbstractEventLoop | None = None
        self._client: Client | None = None
        self._workers: dict[str, int] = {}  # address → slots, of those that may be given work
        self._others = 0
        self._looked = self._failed = float("-inf")
        self._why = ""  # the type of the last error: others' words may quote anything
        self._avoided: dict[str, float] = {}  # until when
        self._sent_out: set[Future[Letter]] = set()

    def send(self, letter: Letter) -> Future[Letter]:
        """The answer comes, or ``Lost``, or CoatcheckError for weather."""
        future = self._begin(self._sent(letter))
        self._sent_out.add(future)
        future.add_done_callback(self._sent_out.discard)
        return future

    def avoid(self, worker: str) -> None:
        """A worker that does not have the folders before it gets nothing for a while, where there are others."""
        self._avoided[worker] = time.monotonic() + _AVOIDED

    def stop(self) -> None:
        """Lets go of everything. Workers finish what they have in hand, and nobody asks for it."""
        for future in list(self._sent_out):
            future.cancel()
        if self._loop is not None:
            with suppress(TimeoutError):
                self._begin(self._drop()).result(_PATIENCE)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def survey(self) -> tuple[int, int]:
        """How many workers may be given work, and how many others there are. Raises CoatcheckError for weather."""
        self._begin(self._look()).result()
        return len(self._workers), self._others

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop is None:
            self._loop = _begin_loop()
            self._connecting = asyncio.Lock()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _sent(self, letter: Letter) -> Letter:
        try:
            await self._look()
            assert self._client is not None
            future = self._client.submit(
                answer,
                letter,
                key=f"batch-{uuid4().hex}",
                pure=False,
                resources={build(): 1},
                workers=self._chosen(),
            )
            try:
                return await self._answered(asyncio.ensure_future(future.result()))
            finally:
                future.release()
        except KilledWorker:
            raise Lost from None
        except _NOT_TO_BE_HAD as error:
            self._why = _root(error)
            raise self._away() from None

    async def _answered(self, waiting: asyncio.Future[Letter]) -> Letter:
        """Waits for as long as there is somebody who may do it."""
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=_LOOK)
                if not waiting.done():
                    await self._look()
            return waiting.result()
        finally:
            waiting.cancel()

    def _chosen(self) -> list[str] | None:
        """The workers that may be asked, or None for any."""
        now = time.monotonic()
        self._avoided = {worker: until for worker, until in self._avoided.items() if until > now}
        chosen = [worker for worker in self._workers if worker not in self._avoided]
        return chosen if self._avoided and chosen else None

    async def _look(self) -> None:
        """Who works there. Raises CoatcheckError where nobody may be given work."""
        client = await self._connected()
        if time.monotonic() - self._looked > _LOOK or not self._workers:
            found = (await asyncio.wait_for(client.scheduler.identity(n_workers=-1), _PATIENCE))["workers"]
            slots = {address: int(one["resources"].get(build(), 0)) for address, one in found.items()}
            self._workers = {address: count for address, count in slots.items() if count}
            self._others = len(slots) - len(self._workers)
            self.slots = sum(self._workers.values()) or 1
            self._looked = time.monotonic()
        if not self._workers:
            raise self._nobody()

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._client is not None and self._client.status == "running":
                return self._client
            if time.monotonic() - self._failed < _AGAIN:
                raise self._away()
            await self._drop()
            client = Client(
                self._address,
                asynchronous=True,
                security=self._security,
                timeout=_PATIENCE,
                set_as_default=False,
                name="coatcheck",
            )
            try:
                self._client = await client
            except Exception as error:
                self._failed, self._why = time.monotonic(), _root(error)
                await _closed(client)
                raise self._away() from None
            return self._client

    async def _drop(self) -> None:
        client, self._client, self._workers = self._client, None, {}
        if client is not None:
            await _closed(client)

    def _away(self) -> CoatcheckError:
        return CoatcheckError(
            f"the scheduler of the cluster at {self._shown} does not answer ({self._why})",
            "see that coatcheck-scheduler runs there, and look at the network, the address and the certificates; "
            "the work goes on by itself",
        )

    def _nobody(self) -> CoatcheckError:
        if self._others:
            return CoatcheckError(
                f"none of the {self._others} workers of the cluster at {self._shown} may be given work",
                f"they must be coatcheck's own units, and of the service's own build ({build()}): install the same "
                "version everywhere and restart them; the work goes on by itself",
            )
        return CoatcheckError(
            f"the cluster at {self._shown} has no workers now",
            "start coatcheck-worker on its machines; the work goes on by itself",
        )


def _root(error: BaseException) -> str:
    """The type of what it began with. That something was given up is of no use to know where its reason is known."""
    while (before := error.__cause__ or error.__context__) is not None:
        if isinstance(before, asyncio.CancelledError):
            break
        error = before
    return type(error).__name__


def _security(tls: Tls | None) -> Security | None:
    if tls is None:
        return None
    return Security(
        tls_ca_file=str(tls.ca),
        tls_client_cert=str(tls.cert),
        tls_client_key=str(tls.key),
        require_encryption=True,
    )


def _begin_loop() -> AbstractEventLoop:
    """A loop on a thread of its own. What Dask itself says there is told by us, in our words."""
    for name in ("distributed", "tornado", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="cluster", daemon=True).start()
    return loop


async def _closed(client: Client) -> None:
    with suppress(Exception):
        await client.close(timeout=_PATIENCE)
