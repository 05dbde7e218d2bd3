from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from coatcheck.batches import Batches
from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.lane import Lane
from coatcheck.pool import Pool
from tests.acceptance.house import descendants, wait_until


def noted(order: list[str], name: str, items: Sequence[Any]) -> list[Any]:
    order.append(name)
    return list(items)


def work_all(pool: Pool, *errands: Batches) -> None:
    while [one for one in errands if not one.step()] or pool.busy:
        pool.collect()


def hand_in(lane: Lane, order: list[str], name: str, count: int) -> Batches:
    errand = Batches(lane)
    errand.add(partial(noted, order), name, list(range(count)), lambda items, results: None, size=1)
    errand.step()
    return errand


def test_projects_take_turns_however_long_the_queue_of_one_is() -> None:
    pool, order = Pool("inline", 1, lambda: None), list[str]()
    lung, other = Lane(pool), Lane(pool)
    errands = [hand_in(lung, order, "lung", 500), hand_in(other, order, "other", 1)]

    work_all(pool, *errands)

    assert order.index("other") == 1
    assert len(order) == 501


def test_of_a_projects_studies_the_one_with_the_least_left_goes_first() -> None:
    pool, order = Pool("inline", 1, lambda: None), list[str]()
    lane = Lane(pool)
    errands = [hand_in(lane, order, study, 3 if study == "a" else 1) for study in ("a", "b", "c")]

    work_all(pool, *errands)

    assert order == ["b", "c", "a", "a", "a"]


def test_a_few_batches_of_an_errand_are_open_at_a_time_however_many_it_has() -> None:
    pool, order = Pool("inline", 3, lambda: None), list[str]()
    lane = Lane(pool)
    large = hand_in(lane, order, "large", 500)
    most = 0
    while not large.step():
        most = max(most, lane.under_way)
        pool.collect()
    assert len(order) == 500
    assert most == lane.depth == 8


def test_an_exception_that_nobody_expected_is_a_fault_of_its_batch_and_quotes_no_value() -> None:
    pool = Pool("inline", 1, lambda: None)
    failed: list[OSError | CoatcheckError] = []

    def broken(context: object, items: Sequence[Any]) -> list[Any]:
        raise KeyError("Vandermeulen^Ottokar")

    Lane(pool).submit(broken, None, [1], lambda results: None, failed.append)
    work_all(pool)

    [error] = failed
    assert isinstance(error, Mistake)
    assert "KeyError in test_pool.py" in str(error)
    assert "Vandermeulen" not in str(error)


def waits_for(path: Path, items: Sequence[Any]) -> list[Any]:
    while not path.exists():
        time.sleep(0.01)
    return list(items)


def test_a_project_that_stands_still_keeps_its_workers_and_others_get_new_ones(tmp_path: Path) -> None:
    pool, failed, done = Pool("processes", 2, lambda: None), list[object](), list[Any]()
    lung, other = Lane(pool), Lane(pool)
    for item in range(5):
        lung.submit(waits_for, tmp_path / "answer", [item], done.extend, failed.append, errand=item)
    other.submit(waits_for, tmp_path, ["a"], done.extend, failed.append)
    wait_until(has_a_worker, "workers wait")

    def collected(count: int) -> bool:
        pool.collect()
        return len(done) == count

    lung.stand_still()
    wait_until(lambda: collected(1), "the other project goes on")
    assert done == ["a"]
    assert not pool.busy
    (tmp_path / "answer").touch()
    lung.go_on()
    wait_until(lambda: collected(6), "and so does this one when it is answered, with nothing done twice")

    assert done[0] == "a"
    assert sorted(done[1:]) == [0, 1, 2, 3, 4]
    assert failed == []
    assert not pool._aside._waiting
    pool.stop()


def test_a_worker_that_dies_while_it_stands_aside_is_no_loss(tmp_path: Path) -> None:
    pool, failed, done = Pool("processes", 1, lambda: None), list[object](), list[Any]()
    lung = Lane(pool)
    lung.submit(waits_for, tmp_path / "answer", ["a"], done.extend, failed.append)
    wait_until(has_a_worker, "a worker waits")
    lung.stand_still()
    for process in pool._aside._waiting[0][0]._processes.values():
        process.kill()
        process.join()
    (tmp_path / "answer").touch()
    lung.go_on()

    def collected() -> bool:
        pool.collect()
        return bool(done)

    wait_until(collected, "it is done again")
    assert done == ["a"]
    assert failed == []
    pool.stop()


def has_a_worker() -> bool:
    return len(descendants(os.getpid())) > 2  # beside the fork server and its tracker


def test_a_project_whose_batches_take_long_leaves_a_worker_free_for_others(tmp_path: Path) -> None:
    now = [0.0]
    pool, done = Pool("processes", 2, lambda: None, clock=lambda: now[0]), list[Any]()
    slow, other = Lane(pool), Lane(pool)

    def hand(lane: Lane, name: str, batches: int) -> None:
        for _ in range(batches):
            lane.submit(waits_for, tmp_path / name, [name], done.extend, done.append)

    def collected(*names: str) -> bool:
        pool.collect()
        return sorted(done) == sorted(names)

    (tmp_path / "early").touch()
    hand(other, "early", 1)
    wait_until(lambda: collected("early"), "the other project had something to do lately")
    hand(slow, "slow", 1)
    now[0] += 10.0
    (tmp_path / "slow").touch()
    wait_until(lambda: collected("early", "slow"), "a batch that took long")
    hand(slow, "slower", 4)
    hand(other, "early", 1)
    wait_until(lambda: collected("early", "early", "slow"), "the other project is not held up")
    assert slow.under_way == 4
    (tmp_path / "slower").touch()
    wait_until(lambda: collected("early", "early", "slow", *["slower"] * 4), "all of it is done")
    pool.stop()
