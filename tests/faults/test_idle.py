"""What the service costs where nothing happens, and what it says of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, wait_until
from tests.faults.clockwork import Clockwork
from tests.faults.conftest import Report
from tests.faults.need import only_in_sweep

INBOXES = 10
FILES = 1000  # in each
CALM = 65.0  # seconds after which an inbox without news is listed more rarely

# pytest undoes what Doorbell sets for the process, between the set-up and the test.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


@pytest.fixture
def work(tmp_path: Path) -> Callable[[str], Clockwork]:
    def make(watch: str) -> Clockwork:
        house = House(tmp_path / "house", watch=watch, file_settle="1s")
        return Clockwork(house)

    return make


@pytest.mark.parametrize(("watch", "period"), [("polling", 2), ("events", 30)])
def test_an_idle_inbox_is_listed_once_in_its_period_as_the_status_says(
    work: Callable[[str], Clockwork], watch: str, period: int
) -> None:
    line = work(watch)
    try:
        line.pass_time(1)
        line.looks = 0
        line.pass_time(600)
        said = line.line.snapshot(line.now)
        assert said["scan_period"] == period
        assert line.looks == 600 // period
        assert 0 < said["scan_seconds"] < 1
    finally:
        line.stop()


def test_a_calm_inbox_that_takes_long_to_list_is_listed_more_rarely_until_something_comes(
    work: Callable[[str], Clockwork], tmp_path: Path
) -> None:
    line = work("polling")
    inbox = line.line.inbox
    try:
        line.pass_time(1)
        inbox.effort = 0.02
        assert inbox.period == 2
        line.pass_time(120)
        inbox.effort = 0.02
        assert inbox.period == pytest.approx(100)
        inbox.effort = 1.0
        assert inbox.period == 120
        inbox.cost = 10.0
        assert inbox.period == 200
        (tmp_path / "house/lung/inbox/new").write_bytes(b"text")
        inbox.cost, inbox.rung = 0.0, True
        line.pass_time(1)
        inbox.effort = 0.02
        assert inbox.period == 2
    finally:
        line.stop()


def processor_time(pid: int) -> float:
    """Seconds of a process and of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@only_in_sweep
@pytest.mark.parametrize("watch", ["events", "polling"])
def test_ten_inboxes_with_ten_thousand_files_at_rest_cost_less_than_a_hundredth_of_a_core(
    tmp_path: Path, report: Report, watch: str
) -> None:
    names = [f"p{number}" for number in range(INBOXES)]
    house = House(tmp_path / "house", *names, watch=watch, file_settle="1s", study_settle="1h", study_longest_wait="2h")
    content = studies.instance(1, 1)
    for name in names:
        for number in range(FILES):
            foreign = number % 2
            (house.root / name / "inbox" / (f"{number}.part" if foreign else str(number))).write_bytes(content)

    def at_rest() -> bool:
        said = house.said().get("projects", {}).values()
        gathered = [sum(one["instances"] for one in project["studies_arriving"]) for project in said]
        return gathered == [FILES // 2] * INBOXES and {one["left_alone"] for one in said} == {FILES // 2}

    with house.service() as service:
        wait_until(at_rest, "all files are known", seconds=120)
        time.sleep(CALM)
        begun, before = time.monotonic(), processor_time(service.pid)
        time.sleep(30)
        share = (processor_time(service.pid) - before) / (time.monotonic() - begun)
        said = house.line(names[0])
    print(f"{watch}: {share:.2%} of a core, a scan of {said['scan_seconds']} s every {said['scan_period']} s")
    assert share < 0.01
    report(f"{INBOXES} inboxes with {INBOXES * FILES} files at rest, {watch}: {share:.2%} of a core", fired=1)
