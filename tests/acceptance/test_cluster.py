"""A Dask cluster gives the same bytes as the service itself, whatever of it is lost."""

from __future__ import annotations

import importlib.util
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.cluster import Cluster, certificates, cluster
from tests.acceptance.house import House, alive, descendants, wait_until
from tests.acceptance.test_same_again import check_that_all_is_in_order

pytestmark = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="the extra dask is missing")
PLANTED = "Vandermeulen"
SLICES = 130  # of one Study: three batches, of which each worker has one in hand


def drop(house: House) -> dict[str, bytes]:
    """A large Study, a few of large files, and files that are refused."""
    files = {f"large/IM{number:03}": studies.instance(1, number, side=64) for number in range(SLICES)}
    files |= {f"{PLANTED}/{number}": studies.instance(2, number, patient="PAT-2", side=2000) for number in range(4)}
    files |= {"bad": b"no DICOM", "copy": files["large/IM000"]}
    for name, content in files.items():
        house.drop(name, content)
    return files


def faults(house: House) -> str:
    """What the running service says is in the way."""
    return str(house.said().get("projects", {}).get("lung", {}).get("fault"))


def working_process(worker: int) -> int | None:
    """The process in which a worker of the cluster has results open."""
    for pid in descendants(worker):
        with suppress(OSError):
            if any("/made/" in os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
    return None


def test_a_cluster_gives_the_same_bytes_whichever_part_of_it_is_lost(tmp_path: Path) -> None:
    undisturbed = House(tmp_path / "undisturbed", profile="research", study_settle="300ms")
    files = drop(undisturbed)
    undisturbed.deliver(expect=3)
    with cluster(tmp_path / "cluster") as there:
        twins = [undisturbed.twin(tmp_path / f"house {number}", **there.settings) for number in range(2)]
        said = worker_and_process_lost(twins[0], there) + scheduler_lost(twins[1], there)
        checked(undisturbed.twin(tmp_path / "checked", **there.settings), tmp_path)
        said += there.said()
    for house in twins:
        assert house.delivered() == undisturbed.delivered()
        assert house.refusals() == undisturbed.refusals()
        assert house.rows("SELECT COUNT(*) FROM deliveries WHERE state = 'abandoned'") == [(0,)]
        check_that_all_is_in_order(house, files)
    assert [word for word in (PLANTED, "PAT-", "IM00") if word in said] == []


def worker_and_process_lost(house: House, there: Cluster) -> str:
    """A worker is killed in the middle of a Study, then the process of the other one, which lives on."""
    drop(house)
    first, second = there.workers
    found: list[int | None] = []

    def caught(worker: int) -> bool:
        found[:] = [working_process(worker)]
        return found != [None]

    with house.service() as service:
        wait_until(lambda: caught(first.pid), "a worker has results in hand", seconds=60)
        family = descendants(first.pid)
        first.send_signal(signal.SIGKILL)
        first.wait()
        wait_until(lambda: not any(map(alive, family)), "nothing of a killed worker goes on")
        wait_until(lambda: caught(second.pid), "the other one has results in hand", seconds=60)
        assert found[0] is not None
        os.kill(found[0], signal.SIGKILL)
        house.wait_until_done(seconds=60)
    assert second.poll() is None
    return service.said()


def scheduler_lost(house: House, there: Cluster) -> str:
    """There is no scheduler, then only a worker that is none of ours, then one that is."""
    assert there.scheduler is not None
    there.scheduler.kill()
    there.scheduler.wait()
    drop(house)
    with house.service() as service:
        wait_until(lambda: "does not answer" in faults(house), "status says that the scheduler is lost")
        there.begin_scheduler()
        there.begin_worker(preload=False)
        wait_until(lambda: "may be given work" in faults(house), "status says that the worker is none of ours")
        there.begin_worker()
        house.wait_until_done(seconds=60)
        assert "the fault is over" in service.said()
    return service.said()


def checked(house: House, folder: Path) -> None:
    """`check` names workers of another build, and a scheduler that does not know us."""
    done = house.command("check")
    assert (done.returncode, "1 of its workers get no work" in done.stderr) == (0, True), done.stderr
    house.configure(tls=certificates(folder / "of others"))
    done = house.command("check")
    assert (done.returncode, "does not answer" in done.stdout) == (78, True), done.stdout
