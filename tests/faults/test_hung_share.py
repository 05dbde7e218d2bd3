"""A share whose server hangs: no answer and no error. Its project rests, and no other one notices."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.house import House, Service, tree, wait_until
from tests.faults.conftest import Report
from tests.faults.fuse import hung, mount_of
from tests.faults.need import needs, needs_fuse, only_in_sweep
from tests.faults.tally import image, tally


def two_projects(root: Path) -> tuple[House, Path, Path]:
    """A house in which a folder of the first project will be a mount, what is behind it, and a place of its own."""
    needs_fuse()
    needs("sshfs")
    behind = root / "behind"
    behind.mkdir()
    settings = {"executor": "processes", "workers": 2, "file_settle": "1s", "study_settle": "300ms"}
    return House(root / "house", "lung", "heart", **settings), behind, root / "own"


def others_go_on(house: House) -> None:
    house.drop("h", image(100, 1), project="heart")
    wait_until(lambda: tree(house.root / "heart" / "archive"), "the other project goes on")
    house.wait_for_line(lambda line: "does not answer" in str(line["fault"]), "the fault is shown")


def all_is_well_again(house: House, service: Service, instances: int) -> None:
    house.wait_for_line(lambda line: not line["fault"], "the fault is over", seconds=60)
    wait_until(lambda: len(house.delivered()) == instances and not house.unfinished(), "all is out", seconds=60)
    assert service.said().count("does not answer") == service.said().count("the fault is over") == 1


def all_read(workers: list[int], inbox: Path) -> bool:
    """Whether each of two workers has a file of the inbox open."""

    def reads(pid: int) -> bool:
        with suppress(OSError):
            return any(os.readlink(one).startswith(f"{inbox}/") for one in Path(f"/proc/{pid}/fd").iterdir())
        return False

    return len(workers) == 2 and all(map(reads, workers))


@pytest.mark.parametrize("role", ["inbox", *(pytest.param(one, marks=only_in_sweep) for one in ("outbox", "archive"))])
def test_a_share_that_hangs_holds_up_its_own_project_alone(tmp_path: Path, role: str, report: Report) -> None:
    house, behind, own = two_projects(tmp_path)
    dropped = {"a": image(1, 1)}
    with mount_of("sshfs", behind, house.root / "lung" / role, own), house.service() as service:
        wait_until(lambda: house.said() and not house.line()["fault"], "it runs")
        with hung(own):
            others_go_on(house)
        (behind if role == "inbox" else house.inbox).joinpath("a").write_bytes(dropped["a"])
        all_is_well_again(house, service, instances=1)
        report(f"the server of a project's {role} hangs", fired=1, **tally(house, dropped).numbers)


@only_in_sweep
def test_workers_that_wait_for_a_share_that_hangs_are_replaced(tmp_path: Path, report: Report) -> None:
    house, behind, own = two_projects(tmp_path)
    dropped = {f"s{number}": image(1 + number // 50, number % 50, side=500) for number in range(300)}
    with mount_of("sshfs", behind, house.inbox, own), house.service() as service:
        for name, content in dropped.items():
            (behind / name).write_bytes(content)
        wait_until(lambda: all_read(service.workers(), house.inbox), "both workers are at it")
        before = service.workers()
        with hung(own):
            others_go_on(house)
            assert set(service.workers()) - set(before)
        all_is_well_again(house, service, instances=len(dropped))
        report("the server of an inbox hangs while workers read", fired=1, **tally(house, dropped).numbers)


@only_in_sweep
@pytest.mark.parametrize("role", ["inbox", "quarantine"])
def test_what_a_person_asks_for_meanwhile_is_answered_and_holds_up_nobody(
    tmp_path: Path, role: str, report: Report
) -> None:
    house, behind, own = two_projects(tmp_path)
    with mount_of("sshfs", behind, house.root / "lung" / role, own), house.service():
        (house.inbox / "text").write_bytes(b"just text")
        wait_until(lambda: house.refusals() == {"not-dicom": 1}, "it is refused")
        with hung(own):
            others_go_on(house)
            asked = house.command("quarantine", "retry", "1")
            assert asked.returncode == 1
            assert "does not answer" in asked.stderr
            house.configure("lung", study_settle="400ms")
            assert house.command("reload").returncode == 0
            house.drop("i", image(100, 2), project="heart")
            wait_until(lambda: len(list((house.root / "heart" / "archive").rglob("i"))) == 1, "others go on")
        house.wait_for_line(lambda line: not line["fault"], "the fault is over", seconds=60)
        (house.inbox / "a").write_bytes(image(1, 1))
        wait_until(lambda: len(house.delivered()) == 1, "it works again", seconds=60)
        assert house.command("quarantine", "retry", "1").returncode == 0
        report(f"asked for `quarantine retry` and `reload` while the {role} hangs", fired=2)
