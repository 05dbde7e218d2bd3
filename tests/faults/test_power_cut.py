"""The power goes at many moments of a run: what is not durable is lost, and the next start ends as if nothing had been.

The whole house lies on a disk of its own. The service is stopped at a system call, and then the disk loses its power.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.house import ENVIRONMENT, House, alive, descendants, wait_until
from tests.faults.conftest import Report
from tests.faults.crash import CALLS, NEVER, Point, doctor, drop_some, judge, points, spread, traced
from tests.faults.disks import Disk, disk
from tests.faults.need import needs, needs_mounts, needs_strace

CUTS = 40  # in a whole sweep, on each file system
# Where something becomes durable or visible. In between nothing reaches the disk but by chance.
WEIGHTY = frozenset({"rename", "renameat", "unlink", "unlinkat", "fsync", "fdatasync", "syncfs", "rmdir", "mkdirat"})


def stopped_at(house: House, point: Point, record: Path) -> subprocess.Popen[bytes]:
    """``run --once`` that stands still when it has got to a point."""
    options = ["-o", os.fspath(record), "-e", f"trace={','.join(CALLS)}"]
    options += ["-e", f"inject={point.call}:signal=SIGSTOP:when={point.number}"]
    command = [sys.executable, "-m", "coatcheck", "--config", os.fspath(house.config), "run", "--once"]
    return subprocess.Popen(
        ["strace", *options, *command],
        env=ENVIRONMENT,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def cut_at(power: Disk, house: House, point: Point, record: Path) -> bool:
    """Let the power go at a point. False where the run ended before it."""
    record.touch()
    process = stopped_at(house, point, record)
    try:
        wait_until(
            lambda: process.poll() is not None or "stopped by SIGSTOP" in record.read_text(errors="replace"),
            f"it stands still at {point}",
        )
        if process.poll() is not None:
            return False
        power.cut()
        return True
    finally:
        family = descendants(process.pid)
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        process.wait(10)
        wait_until(lambda: not any(alive(pid) for pid in family), "the service is gone")
        power.unmount()
        power.mount()


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_after_a_power_cut_all_is_as_if_there_had_been_none(
    kind: str, tmp_path: Path, sweep: bool, report: Report
) -> None:
    needs_strace()
    needs_mounts()
    needs(f"mkfs.{kind}")
    if kind == "xfs" and not sweep:
        pytest.skip("one file system will do here: run `sudo scripts/faults` for the other")
    undisturbed = House(tmp_path / "undisturbed")
    drop_some(undisturbed)
    assert traced(undisturbed, NEVER, tmp_path / "record").returncode == 3
    weighty = [point for point in points(tmp_path / "record") if point.call in WEIGHTY]
    renames = [point for point in weighty if point.call == "renameat"]
    wanted = spread(weighty, CUTS) if sweep else [renames[1], renames[-1]]
    cuts = 0
    with disk(tmp_path, kind) as power:
        for place, point in enumerate(wanted):
            house = undisturbed.twin(power.path / f"{point.call}-{point.number}")
            files = drop_some(house)
            power.sync()
            cuts += cut_at(power, house, point, tmp_path / f"{place}.record")

            mended = house.once()

            where = f"the power went at {point}, then: {mended.stderr}"
            assert mended.returncode in (0, 3), where
            judge(house, undisturbed, files, where)
            assert all(note.stat().st_size for note in house.quarantine.rglob("REASON.txt")), where
            if not place % 10:
                doctor(house)

    assert cuts >= 0.95 * len(wanted)
    report(f"power cut on {kind}", fired=cuts)
