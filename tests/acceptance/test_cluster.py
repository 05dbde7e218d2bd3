"""A Dask cluster gives the same bytes as the service itself, whatever of it is lost."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.cluster import Cluster, certificates, cluster
from tests.acceptance.house import House, alive, cmdline, descendants, parent, tree, wait_until
from tests.acceptance.test_same_again import check_that_all_is_in_order

pytestmark = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="the extra dask is missing")
PLANTED = "Vandermeulen"
SLICES = 66  # of the larger Study: two batches


def larger() -> dict[str, bytes]:
    """A large Study, a copy, and a file that is refused."""
    files = {f"large/IM{number:03}": studies.instance(1, number, side=64) for number in range(SLICES)}
    return files | {"bad": b"no DICOM", "copy": files["large/IM000"]}


def smaller() -> dict[str, bytes]:
    """One of another patient."""
    return {f"{PLANTED}/{number}": studies.instance(2, number, patient="PAT-2") for number in range(4)}


def drop(house: House, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        house.drop(name, content)


def fault(house: House) -> str:
    """What the running service says is in the way."""
    return str(house.said().get("projects", {}).get("lung", {}).get("fault"))


def made(house: House) -> set[Path]:
    """What workers make just now, or made and nobody took in."""
    return set(house.outbox.glob(".coatcheck/*/made/*"))


def wait_for_work(house: House) -> None:
    """Until a worker has results in hand; looks more often than others, for it has them for a tenth of a second."""
    before, end = made(house), time.monotonic() + 60
    while not made(house) - before:
        assert time.monotonic() < end, "nobody makes results"
        time.sleep(0.002)


def test_a_cluster_gives_the_same_bytes_whichever_part_of_it_is_lost(tmp_path: Path) -> None:
    undisturbed = House(tmp_path / "undisturbed", profile="research", study_settle="300ms", layout="series")
    files = larger() | smaller()
    drop(undisturbed, files)
    with cluster(tmp_path / "cluster", workers=1) as there:
        house = undisturbed.twin(tmp_path / "house", **there.settings)
        with house.service() as service:
            worker_and_process_lost(house, there)
            scheduler_lost(house, there)
            undisturbed.deliver(expect=3)
            scheduler_back(house, there)
            assert house.delivered() == undisturbed.delivered()
            assert house.refusals() == undisturbed.refusals()
            assert house.rows("SELECT COUNT(*) FROM deliveries WHERE state = 'abandoned'") == [(0,)]
            check_that_all_is_in_order(house, files)
            delivered_anew(house)
        checked(house, tmp_path)
        said = service.said() + there.said()
    assert "the fault is over" in said
    assert [word for word in (PLANTED, "PAT-", "IM00") if word in said] == []


def worker_and_process_lost(house: House, there: Cluster) -> None:
    """The only worker is killed in the middle of a Study, then the process of another one, which lives on."""
    [first] = there.workers
    drop(house, larger())
    wait_for_work(house)
    first.send_signal(signal.SIGSTOP)
    family = descendants(first.pid)
    first.kill()
    first.wait()
    wait_until(lambda: not any(map(alive, family)), "nothing of a killed worker goes on")
    second = there.begin_worker()
    assert made(house), "its results were taken in before it was killed"
    wait_for_work(house)
    for pid in descendants(second.pid):
        if "forkserver" in cmdline(parent(pid)):
            os.kill(pid, signal.SIGKILL)
    house.wait_until_done(studies=1, seconds=60)
    assert second.poll() is None


def scheduler_lost(house: House, there: Cluster) -> None:
    """There is no scheduler when a Study comes."""
    assert there.scheduler is not None
    there.scheduler.kill()
    there.scheduler.wait()
    drop(house, smaller())


def scheduler_back(house: House, there: Cluster) -> None:
    """There is one again, then with it only a worker that is none of ours, then one that is."""
    wait_until(lambda: "does not answer" in fault(house), "status says that the scheduler is lost")
    assert there.workers[-1].wait(30) is not None
    there.begin_scheduler()
    there.begin_worker(preload=False)
    wait_until(lambda: "may be given work" in fault(house), "status says that the worker is none of ours")
    there.begin_worker()
    house.wait_until_done(studies=2, seconds=120)  # where it was slow up to here, the next try may be a minute off


def delivered_anew(house: House) -> None:
    """Out of the archive a Study comes out as it did before."""
    sql = "SELECT ticket, folder FROM studies JOIN deliveries ON study_id = studies.id ORDER BY studies.id LIMIT 1"
    [(ticket, folder)] = house.rows(sql)
    done = house.command("reprocess", ticket, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    anew = json.loads(done.stdout)["folder"]
    assert anew == f"{folder}.2"
    assert tree(house.outbox / anew) == tree(house.outbox / folder)


def checked(house: House, folder: Path) -> None:
    """`check` names workers of another build, and a scheduler that does not know us."""
    done = house.command("check")
    assert (done.returncode, "1 of its workers get no work" in done.stderr) == (0, True), done.stderr
    house.configure(tls=certificates(folder / "of others"))
    done = house.command("check")
    assert (done.returncode, "does not answer" in done.stdout) == (78, True), done.stdout
