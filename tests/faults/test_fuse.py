"""An inbox on a FUSE mount, which files reach from the other side: no event ever comes, and nothing is missed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.acceptance.house import House, tree, wait_until
from tests.faults.conftest import Report
from tests.faults.fuse import mount_of
from tests.faults.need import needs, needs_fuse, only_in_sweep
from tests.faults.tally import image, tally

SIDE = 600


@pytest.fixture(params=["sshfs", pytest.param("rclone", marks=only_in_sweep)])
def kind(request: pytest.FixtureRequest) -> str:
    needs_fuse()
    needs(request.param)
    return str(request.param)


@pytest.fixture
def behind(tmp_path: Path) -> Path:
    """The other side of the mount."""
    folder = tmp_path / "behind"
    folder.mkdir()
    return folder


def test_what_is_written_behind_a_mount_is_found_and_comes_out_once_and_whole(
    tmp_path: Path, behind: Path, kind: str, sweep: bool, report: Report
) -> None:
    house = House(tmp_path / "house", file_settle="2500ms", study_settle="500ms")
    small = 100 if sweep else 10
    dropped = {f"s{number}": image(1, number) for number in range(small)}
    dropped |= {os.fsdecode(b"deep/M\xfcller"): image(1, 1000), "deep/one\ntwo": image(1, 1001)}
    if kind == "rclone":  # It speaks UTF-8 only.
        del dropped[os.fsdecode(b"deep/M\xfcller")]
    slow, cut_off = image(2, 1, side=SIDE), image(3, 1, side=SIDE)
    with mount_of(kind, behind, house.inbox, tmp_path / "own"), house.service():
        house.wait_for_line(lambda line: line["watch"] == "polling", "it is polled")
        (behind / "deep").mkdir()
        for name, content in dropped.items():
            (behind / name).write_bytes(content)
        (behind / "cut-off").write_bytes(cut_off[: len(cut_off) // 2])
        step = len(slow) // 3 + 1
        with (behind / "slow").open("wb", buffering=0) as out:
            for begin in range(0, len(slow), step):
                assert not [one for one in house.set_aside() if one.endswith("slow")]
                out.write(slow[begin : begin + step])
                time.sleep(1)
        wait_until(lambda: not [name for name in tree(behind) if name], "all of it has gone its way", seconds=60)
        wait_until(lambda: not house.unfinished(), "nothing is left to do")
        assert house.line()["fault"] is None
    assert dict(house.refusals()) == {"truncated": 1}
    report(
        f"an inbox through {kind}, written on the other side",
        fired=len(dropped) + 2,
        **tally(house, {**dropped, "slow": slow}).numbers,
    )


@only_in_sweep
def test_a_mount_that_dies_is_a_fault_and_what_lies_there_comes_out_when_it_is_back(
    tmp_path: Path, behind: Path, kind: str, report: Report
) -> None:
    house = House(tmp_path / "house", file_settle="2s", study_settle="500ms")
    dropped = {"a": image(1, 1), "b": image(2, 1), "c": image(3, 1)}
    with house.service() as service:
        with mount_of(kind, behind, house.inbox, tmp_path / "first"):
            (behind / "a").write_bytes(dropped["a"])
            wait_until(lambda: len(house.delivered()) == 1, "the first is out")
            (behind / "b").write_bytes(dropped["b"])
        house.wait_for_line(lambda line: line["fault"], "the fault is shown")
        (behind / "c").write_bytes(dropped["c"])
        time.sleep(5)
        with mount_of(kind, behind, house.inbox, tmp_path / "second"):
            wait_until(lambda: len(house.delivered()) == 3, "all are out")
            wait_until(lambda: not house.line()["fault"] and not tree(behind), "the fault is over")
            said = service.said()
    assert said.count("mounted there is gone") == 1
    report(f"an inbox through {kind} that was unmounted and mounted again", fired=1, **tally(house, dropped).numbers)
