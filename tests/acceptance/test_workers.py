"""Worker processes that die in the middle: all is delivered, and only a file that kills twice is to blame."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, Service, alive, tree, wait_until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", executor="processes", workers=2)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def results(house: House) -> int:
    """How many results there are, finished or staged."""
    return sum(name.endswith(".dcm") for _, _, names in os.walk(house.outbox) for name in names)


def went_on(house: House, before: int) -> bool:
    """Whether more than a pair of files is done than before, or all are."""
    return results(house) > before + 2 or not tree(house.inbox)


@pytest.mark.parametrize("seed", [1, 2])
def test_all_is_delivered_once_although_workers_are_killed_again_and_again(house: House, seed: int) -> None:
    dice = random.Random(seed)
    names = [(study, number) for study in range(10) for number in range(20)]
    for study, number in names:
        house.drop(f"{study}/{number}", studies.instance(study, number, side=128))
    victims = 0
    with house.service() as service:
        for _ in range(6):
            wait_until(lambda: service.workers() or not tree(house.inbox), "there is a worker")
            workers = service.workers()
            if workers:
                kill(dice.choice(workers))
                victims += 1
                # A file that is alone with its worker at two deaths in a row is to blame: let others be done between.
                wait_until(partial(went_on, house, results(house)), "the work goes on")
            time.sleep(dice.uniform(0.05, 0.3))  # the pace of the killer
        house.wait_until_done(studies=10, seconds=60)
    assert victims >= 2
    assert not house.refusals()
    assert len(house.delivered()) == len(house.kept()) == len(names)
    assert not house.staging()
    assert house.rows("SELECT SUM(instances), SUM(duplicates), SUM(refused) FROM deliveries WHERE state = 'done'") == [
        (len(names), 0, 0)
    ]


def test_an_idle_worker_that_is_killed_is_replaced_and_the_service_still_ends(house: House) -> None:
    with house.service() as service:
        for number in range(5):
            house.drop(f"{number}", studies.instance(number, 1))
            house.wait_until_done(studies=number + 1)
            for pid in service.workers()[:1]:
                kill(pid)
        house.drop("last", studies.instance(99, 1))
        house.wait_until_done(studies=6)
        assert len(service.workers()) <= 2
    assert len(house.delivered()) == 6


def test_when_one_worker_dies_no_other_goes_on_with_work_that_is_done_again(house: House) -> None:
    for study in range(8):
        for number in range(20):
            house.drop(f"{study}/{number}", studies.instance(study, number, side=256))
    with house.service() as service:
        wait_until(lambda: len(service.workers()) == 2 and house.rows("SELECT 1 FROM deliveries"), "both work")
        one, other = service.workers()[:2]
        kill(one)
        wait_until(lambda: not alive(other), "the other one has ended too", seconds=5)
        house.wait_until_done(studies=8, seconds=60)
    assert len(house.delivered()) == 160


class Killer(threading.Thread):
    """Kills every worker that opens a certain file: to the service it is the file that kills."""

    def __init__(self, service: Service, file: Path) -> None:
        super().__init__(daemon=True)
        self._service, self._file = service, file
        self.over = threading.Event()
        self.killed = 0

    def run(self) -> None:
        while not self.over.is_set():
            for pid in self._service.workers():
                with suppress(OSError):
                    if any(os.readlink(one) == os.fspath(self._file) for one in Path(f"/proc/{pid}/fd").iterdir()):
                        kill(pid)
                        self.killed += 1


def test_a_file_that_kills_its_worker_twice_is_set_aside_as_crashed_and_the_rest_is_delivered(house: House) -> None:
    # A file of some size, so that a worker that reads it is caught at it.
    deadly = studies.instance(1, 0, side=6000)
    with house.service() as service:
        killer = Killer(service, house.inbox / "deadly")
        killer.start()
        try:
            house.drop("deadly", deadly)
            for number in range(1, 6):
                house.drop(f"{number}", studies.instance(1, number))
            house.wait_until_done(seconds=60)
        finally:
            killer.over.set()
            killer.join()
    assert killer.killed >= 2
    assert len(house.delivered()) == 5
    assert dict(house.refusals()) == {"crashed": 1}
    [(path, content)] = house.set_aside().items()
    assert path.startswith("crashed/")
    assert content == deadly
