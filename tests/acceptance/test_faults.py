"""Weather: disks that fill up, folders that cannot be written. Shown, waited out, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until

FULL_DISK = """
set -e
mount -t tmpfs -o size={size}k tmpfs "$1"
shift
exec "$@"
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


@pytest.fixture(params=["outbox", "quarantine", "archive"])
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def drop_for(role: str, house: House) -> None:
    house.drop("a", b"text" if role == "quarantine" else studies.instance(1, 1))


def test_a_folder_that_became_a_file_is_a_fault_until_it_is_mended(house: House, role: str) -> None:
    folder: Path = getattr(house, role)
    with house.service():
        wait_until(lambda: house.said(), "it runs")
        folder.rmdir() if role != "outbox" else shutil.rmtree(folder)
        folder.write_text("a file is no folder")
        drop_for(role, house)
        house.wait_for_line(lambda line: line["fault"], "the fault is shown")
        assert len(tree(house.inbox)) == 1
        folder.unlink()
        folder.mkdir()
        house.wait_until_done()
        house.wait_for_line(lambda line: not line["fault"], "the fault is over")
    assert len(house.delivered()) + len(house.set_aside()) == 1


def test_a_folder_that_is_gone_is_a_fault_and_is_not_made_again(house: House, role: str) -> None:
    # Where a share is not mounted, a folder of our own making would fill the disk below its mount point.
    folder: Path = getattr(house, role)
    with house.service():
        wait_until(lambda: house.said(), "it runs")
        shutil.rmtree(folder)
        drop_for(role, house)
        house.wait_for_line(lambda line: line["fault"], "the fault is shown")
        assert not folder.exists()
        assert len(tree(house.inbox)) == 1
        folder.mkdir()
        house.wait_until_done()
    assert len(house.delivered()) + len(house.set_aside()) == 1


def test_an_outbox_that_may_not_be_written_is_a_fault_until_it_is_mended(house: House) -> None:
    house.bound_by_rights()
    house.outbox.chmod(0o555)
    house.drop("a", studies.instance(1, 1))
    with house.service():
        house.wait_for_line(lambda line: "EACCES" in (line["fault"] or ""), "the fault is shown")
        house.outbox.chmod(0o755)
        house.wait_until_done(studies=1)


def in_a_small_disk(folder: Path, size: int, *command: str | Path) -> list[str]:
    """A command that runs where ``folder`` is a file system of ``size`` KiB, which only that command sees."""
    script = FULL_DISK.format(size=size)
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", os.fspath(folder)]
    return [*unshare, *(os.fspath(one) for one in command)]


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "try").mkdir()
    if (
        shutil.which("unshare") is None
        or subprocess.run(in_a_small_disk(tmp_path / "try", 64, "true"), capture_output=True, check=False).returncode
    ):
        pytest.skip("a file system of our own cannot be mounted here")
    yield


@pytest.mark.usefixtures("small_disks")
@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_full_outbox_disk_is_a_fault_and_when_there_is_room_all_is_delivered(house: House, executor: str) -> None:
    """The whole story in one name space: fill the disk, see the fault, make room, see the delivery."""
    house.configure(executor=executor)
    for number in range(8):
        house.drop(f"{number}", studies.instance(1, number, side=512))  # 8 times 512 KiB for a disk of 6 MiB
    ballast = house.outbox / "ballast"
    story = f"""
import sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from tests.acceptance.house import House, tree, wait_until
house = House.__new__(House)
house._name(Path({os.fspath(house.root)!r}), ("lung",))
ballast = Path({os.fspath(ballast)!r})
ballast.write_bytes(bytes(4 << 20))
with house.service():
    house.wait_for_line(lambda line: "ENOSPC" in (line["fault"] or ""), "the fault is shown")
    assert not house.folders()
    assert len(tree(house.inbox)) == 8
    ballast.unlink()
    house.wait_until_done(studies=1)
    house.wait_for_line(lambda line: not line["fault"], "the fault is over")
assert len(house.delivered()) == 8, house.delivered().keys()
assert not house.staging()
"""
    done = subprocess.run(
        in_a_small_disk(house.outbox, 6 << 10, sys.executable, "-c", story), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr + house.log.read_text()
    assert len(house.kept()) == 8


@pytest.mark.usefixtures("small_disks")
def test_a_full_state_disk_is_a_fault_and_not_the_end_of_the_service(house: House) -> None:
    """Ledger and vault cannot be written: nothing may leave the inbox, and nothing may end."""
    story = f"""
import os
import sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until
house = House.__new__(House)
house._name(Path({os.fspath(house.root)!r}), ("lung",))
with house.service() as service:
    house.drop("first", studies.instance(1, 1))
    house.wait_until_done(studies=1)
    with (house.state / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            pass
        os.fsync(ballast.fileno())
    for number in range(40):
        house.drop(f"more {{number}}", studies.instance(100 + number, 1))
    wait_until(lambda: " fault" in service.said() or "cannot" in service.said() or service.process.poll() is not None,
               "it speaks of the full disk")
    assert service.process.poll() is None, service.said()
    assert tree(house.inbox)
    (house.state / "ballast").unlink()
    house.wait_until_done(studies=41)
assert len(house.delivered()) == 41
"""
    done = subprocess.run(
        in_a_small_disk(house.state, 32 << 10, sys.executable, "-c", story), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr + house.log.read_text()
