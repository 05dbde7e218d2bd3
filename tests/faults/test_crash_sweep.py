"""SIGKILL at every write, fsync, rename, unlink and commit of a run: the next start ends as if it had not been.

With worker processes the service is traced with all that it begets, and whichever process gets there first dies.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.house import House, tree, wait_until
from tests.faults.conftest import Report
from tests.faults.crash import (
    NEVER,
    Point,
    attached,
    doctor,
    drop_some,
    judge,
    killed,
    points,
    spread,
    traced,
)
from tests.faults.need import needs_strace

AT_A_TIME = 2
# What of a run is done in workers: they read, write results, make them durable, and put originals away.
WORKER_CALLS = {
    "pread64": 24,
    "preadv,preadv2": 8,
    "write,writev": 12,
    "mkdir": 3,
    "syncfs": 2,
    "renameat": 6,
    "fsync": 8,
    "unlink": 2,
}


@dataclass(frozen=True)
class Peace:
    """A house that did it in peace, and every point of that run."""

    house: House
    points: list[Point]


def in_peace(root: Path, **settings: object) -> Peace:
    house = House(root / "house", **settings)
    drop_some(house)
    done = traced(house, NEVER, root / "record")
    assert done.returncode == 3, done.stderr
    return Peace(house, points(root / "record"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Peace:
    needs_strace()
    return in_peace(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def deleted(tmp_path_factory: pytest.TempPathFactory) -> Peace:
    needs_strace()
    return in_peace(tmp_path_factory.mktemp("deleted"), originals="delete")


def die(peace: Peace, root: Path, point: Point, *, look: bool) -> bool:
    """Die at a point and start again. Gives whether it died: a run may be shorter than the one before by a call."""
    house = peace.house.twin(root / f"{point.call}-{point.number}")
    files = drop_some(house)
    dead = killed(house, point, root / f"{point.call}-{point.number}.record")
    mended = house.once()
    where = f"killed at {point}: {dead.stderr} then: {mended.stderr}"
    assert dead.returncode in (-9, 0, 3), where
    assert mended.returncode in (0, 3), where
    judge(house, peace.house, files, where)
    if look:
        doctor(house)
    shutil.rmtree(house.root)
    return dead.returncode == -9


def sweep_all(peace: Peace, root: Path, wanted: list[Point]) -> int:
    """Die at each of these points, two at a time; gives how often it died."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        dying = [pool.submit(die, peace, root, point, look=not place % 10) for place, point in enumerate(wanted)]
        try:
            deaths = sum(one.result() for one in dying)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    assert deaths >= 0.97 * len(wanted)
    return deaths


def test_every_point_of_a_run(kept: Peace, tmp_path: Path, sweep: bool, report: Report) -> None:
    if not sweep:
        pytest.skip("tests/acceptance/test_crash_points.py does it at some; the whole of it runs with scripts/faults")

    deaths = sweep_all(kept, tmp_path, kept.points)

    report("SIGKILL at a system call of a run (originals archived)", fired=deaths)


def test_every_point_of_a_run_that_deletes_its_originals(
    deleted: Peace, tmp_path: Path, sweep: bool, report: Report
) -> None:
    durable = [point for point in deleted.points if point.call != "pwrite64"]
    wanted = spread(durable, 150) if sweep else [one for one in durable if one.call == "unlinkat"][:2]

    deaths = sweep_all(deleted, tmp_path, wanted)

    report("SIGKILL at a system call of a run (originals deleted)", fired=deaths)


def die_among_workers(peace: Peace, root: Path, point: Point, *, look: bool) -> bool:
    """Whichever of the service and its workers gets to a point first dies. Then all goes on, if need be by a start."""
    house = peace.house.twin(root / f"{point.call}-{point.number}", executor="processes", workers=2)
    files = drop_some(house)
    service = house.start()
    try:
        with attached(service, f"{point.call}:signal=SIGKILL:when={point.number}", house.root / "record") as fired:
            wait_until(lambda: fired() or service.process.poll() is not None or is_done(house), f"it dies at {point}")
            died = fired()
        wait_until(lambda: service.process.poll() is not None or is_done(house), f"it goes on after {point}")
    finally:
        service.kill()
    mended = house.once()
    where = f"killed at {point}: {service.said()} then: {mended.stderr}"
    assert mended.returncode in (0, 3), where
    judge(house, peace.house, files, where)
    if look:
        doctor(house)
    shutil.rmtree(house.root)
    return died


def is_done(house: House) -> bool:
    return not tree(house.inbox) and bool(house.deliveries()) and not house.unfinished()


def test_points_of_workers(kept: Peace, tmp_path: Path, sweep: bool, report: Report) -> None:
    wanted = [Point(call, number + 1) for call, count in WORKER_CALLS.items() for number in range(count)]
    if not sweep:
        wanted = [Point("preadv,preadv2", 2), Point("syncfs", 1)]

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        dying = [pool.submit(die_among_workers, kept, tmp_path, one, look=not n % 10) for n, one in enumerate(wanted)]
        deaths = sum(one.result() for one in dying)

    assert deaths >= 0.6 * len(wanted)  # how often a worker comes to a call depends on who takes which batch
    report("SIGKILL of a worker, or of the service, at a system call (worker processes)", fired=deaths)
