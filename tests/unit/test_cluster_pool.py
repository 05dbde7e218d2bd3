from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from coatcheck import worker
from coatcheck.cluster_pool import ClusterPool
from coatcheck.cluster_post import Answer, Letter, Lost, Order, write
from coatcheck.cluster_worker import carry_out
from coatcheck.errors import CoatcheckError
from coatcheck.files import fingerprint
from coatcheck.lane import Lane
from coatcheck.model import Arrival, Instance
from coatcheck.pool import Crashed, Pool
from tests.acceptance import studies


class Near:
    """A cluster on this thread: ``what`` says what becomes of an order, and nothing is answered before ``work``."""

    def __init__(self, slots: int, what: Callable[[Order], Answer | None]) -> None:
        self.slots, self.avoided = slots, list[str]()
        self._what = what
        self.out: list[tuple[Letter, Future[Letter]]] = []

    def send(self, letter: Letter) -> Future[Letter]:
        self.out.append((letter, Future()))
        return self.out[-1][1]

    def avoid(self, worker: str) -> None:
        self.avoided.append(worker)

    def work(self) -> None:
        out, self.out = self.out, []
        for letter, future in out:
            answer = self._what(letter.read())
            if answer is None:
                future.set_exception(Lost())
            else:
                future.set_result(Letter(content=write(answer), sender="tls://one", host="one"))


@pytest.fixture
def arrivals(tmp_path: Path) -> list[Arrival]:
    """Four files in an inbox."""
    found = []
    for number in range(4):
        (tmp_path / f"{number}").write_bytes(studies.instance(1, number))
        mark = fingerprint(os.stat(tmp_path / f"{number}"))
        found.append(Arrival(project="lung", path=f"{number}", fingerprint=mark))
    return found


def worked(near: Near, inbox: Path, *batches: list[Arrival]) -> tuple[list[list[Any]], list[object]]:
    """The results and the weather of batches that are handed in together."""
    pool = ClusterPool(near, Pool("inline", 1, lambda: None), lambda: None)  # type: ignore[arg-type]
    done, failed = list[list[Any]](), list[object]()
    for batch in batches:
        Lane(pool).submit(worker.examine, worker.Reading(inbox=inbox), batch, done.append, failed.append)
    while pool.busy:
        near.work()
        pool.collect()
    return done, failed


def carried_out(order: Order) -> Answer:
    found: Answer = Letter(content=carry_out(write(order))).read()
    return found


def test_a_batch_whose_worker_is_lost_is_done_as_a_whole_elsewhere(tmp_path: Path, arrivals: list[Arrival]) -> None:
    sizes: list[int] = []

    def lost_once(order: Order) -> Answer | None:
        sizes.append(len(order.items))
        return None if len(sizes) == 1 else carried_out(order)

    [results], failed = worked(Near(2, lost_once), tmp_path, arrivals)

    assert sizes == [4, 4]
    assert [one.arrival for one in results] == arrivals
    assert failed == []


@pytest.mark.parametrize("end", [None, Answer(died=True)])
def test_a_file_that_ends_its_worker_twice_alone_has_crashed_and_the_others_are_read(
    tmp_path: Path, arrivals: list[Arrival], end: Answer | None
) -> None:
    alone: list[int] = []

    def deadly(order: Order) -> Answer | None:
        if arrivals[2] not in order.items:
            return carried_out(order)
        alone.append(len(order.items))
        return end

    [results], _ = worked(Near(2, deadly), tmp_path, arrivals)

    assert [type(one) for one in results] == [Instance, Instance, Crashed, Instance]
    assert alone[-2:] == [1, 1]
    assert alone.count(1) == 2


def test_a_worker_that_is_blind_is_avoided_and_named(tmp_path: Path, arrivals: list[Arrival]) -> None:
    near = Near(1, lambda order: Answer(blind=True))

    done, [error] = worked(near, tmp_path, arrivals)

    assert (done, near.avoided) == ([], ["tls://one"])
    assert isinstance(error, CoatcheckError)
    assert "on one" in error.what


def test_no_more_batches_are_out_than_there_are_slots_and_a_quarter(tmp_path: Path, arrivals: list[Arrival]) -> None:
    most: list[int] = []
    near = Near(8, lambda order: carried_out(order))
    work = near.work

    def counted() -> None:
        most.append(len(near.out))
        work()

    near.work = counted  # type: ignore[method-assign]
    done, _ = worked(near, tmp_path, *([one] for one in arrivals * 10))

    assert len(done) == 40
    assert max(most) == 10


def test_an_inbox_that_is_away_is_weather_and_nothing_is_sent(tmp_path: Path, arrivals: list[Arrival]) -> None:
    near = Near(1, carried_out)

    done, [error] = worked(near, tmp_path / "none", arrivals)

    assert (done, near.out) == ([], [])
    assert isinstance(error, FileNotFoundError)
