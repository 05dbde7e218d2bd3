"""Weather over the folders of one project: it pauses and says so, the others go on, and it goes on by itself later."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until
from tests.faults.conftest import Report
from tests.faults.crash import attach
from tests.faults.disks import disk
from tests.faults.need import needs_mounts, needs_root, needs_strace
from tests.faults.storm import HEALTHY, STRUCK, fill, storm, tmpfs, use_up_inodes

ROLES = ("outbox", "quarantine", "archive")
IN_CI = {("inodes", "outbox")}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", STRUCK, HEALTHY)


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)


def ballast_away(folder: Path) -> None:
    for path in folder.glob("ballast*"):
        path.unlink()


BEGIN: dict[str, tuple[str, Callable[[Path], None]]] = {
    "full": ("ENOSPC", lambda folder: fill(folder / "ballast")),
    "inodes": ("ENOSPC", use_up_inodes),
    "read-only": ("EROFS", lambda folder: remount(folder, "ro")),
}
END: dict[str, Callable[[Path], None]] = {
    "full": ballast_away,
    "inodes": ballast_away,
    "read-only": lambda folder: remount(folder, "rw"),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", list(BEGIN))
def test_a_folder_that_cannot_be_written_pauses_its_project_alone(
    house: House, tmp_path: Path, kind: str, role: str, sweep: bool, report: Report
) -> None:
    needs_root()
    if not sweep and (kind, role) not in IN_CI:
        pytest.skip("the whole of it runs with scripts/faults")
    folder: Path = getattr(house, role)
    content = b"text" if role == "quarantine" else studies.instance(1, 1, side=200)
    (word, begin), end = BEGIN[kind], END[kind]
    with tmpfs(folder, "size=2m,nr_inodes=64"), storm(house, tmp_path) as weather:
        begin(folder)
        house.drop("a dropped name", content)
        weather.shows(word)
        weather.others_go_on()
        weather.is_tried_again()
        assert list(tree(house.inbox).values()) == [content]
        assert len(house.folders()) == (role == "archive")
        assert content not in house.set_aside().values()
        end(folder)
        weather.is_over()
        assert len(house.delivered()) == (role != "quarantine")
        originals = {**house.kept(), **house.set_aside()}
        assert [one for path, one in originals.items() if "ballast" not in path] == [content]
        assert not house.staging()

    report(f"{role}: {'no inodes left' if kind == 'inodes' else kind}", fired=1)


def test_an_outbox_that_loses_its_power_is_known_again_when_it_is_mounted_anew(
    house: House, tmp_path: Path, sweep: bool, report: Report
) -> None:
    needs_mounts()
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    with disk(tmp_path, "ext4") as power:
        (power.path / "outbox").mkdir()
        house.configure(STRUCK, outbox=power.path / "outbox")
        with storm(house, tmp_path) as weather:
            house.drop("first", studies.instance(1, 1))
            house.wait_until_done(studies=1)
            power.sync()
            power.cut()
            house.drop("second", studies.instance(2, 1))
            weather.shows("EIO")
            weather.others_go_on()
            power.unmount()
            weather.tells("ENOENT")
            with tmpfs(power.path, "size=1m"):  # something else in its place is not taken for it
                (power.path / "outbox").mkdir()
                weather.tells("is another folder than it was")
                weather.others_go_on()
                assert not list((power.path / "outbox").iterdir())
            power.mount()
            weather.is_over()
            assert len(list((power.path / "outbox").glob("[!.]*/*"))) == 2

    report("outbox: loses its power, is gone, is mounted again", fired=1)


@pytest.mark.parametrize("role", ["outbox", "quarantine", "archive", "inbox"])
def test_a_permission_that_is_taken_away_pauses_its_project_alone(
    house: House, tmp_path: Path, role: str, sweep: bool, report: Report
) -> None:
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    house.bound_by_rights()
    folder: Path = getattr(house, role)
    with storm(house, tmp_path) as weather:
        house.drop("a dropped name", b"text" if role == "quarantine" else studies.instance(1, 1))
        folder.chmod(0)
        try:
            weather.shows("Permission denied" if role == "inbox" else "EACCES")
            weather.others_go_on()
            weather.is_tried_again()
        finally:
            folder.chmod(0o755)
        weather.is_over()
        assert len(house.delivered()) + len(house.set_aside()) == 1

    report(f"{role}: permission taken away", fired=1)


def test_a_disk_that_is_slow_to_sync_is_no_hang(house: House, tmp_path: Path, sweep: bool, report: Report) -> None:
    """Each sync takes long, so that a round over all that is to be done takes longer than systemd waits for a sign."""
    needs_strace()
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    for number in range(20):
        (house.root / STRUCK / f"{number}").write_bytes(b"text %d" % number)
    with storm(house, tmp_path, WATCHDOG_USEC="4000000") as weather:
        calls = "fsync,fdatasync,syncfs"
        inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:delay_enter=150000"]
        record = tmp_path / "record"
        with attach(weather.service, inject, record):
            before = weather.beats()
            for number in range(20):
                (house.root / STRUCK / f"{number}").rename(house.inbox / f"{number}")
            wait_until(lambda: len(house.set_aside()) == 20, "all has gone its way", seconds=120)
        slow = record.read_text().count("(DELAYED)")
        beats = weather.beats() - before
    assert slow >= 60
    assert beats >= slow * 0.15 / 2, "there was no sign of life for longer than systemd waits"
    report("a slow disk: each sync takes 0.15 s", fired=slow)
