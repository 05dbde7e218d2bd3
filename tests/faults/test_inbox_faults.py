"""Inboxes that vanish and come back, or cannot be watched or entered: found again, and told once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.house import House, wait_until
from tests.faults.apart import needs_apart, tell
from tests.faults.clockwork import Clockwork
from tests.faults.conftest import Report
from tests.faults.need import only_in_sweep
from tests.faults.tally import image, tally

# pytest undoes what Doorbell sets for the process, between the set-up and the test.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


@pytest.fixture
def clockwork(house: House) -> Iterator[Callable[[], Clockwork]]:
    made: list[Clockwork] = []

    def make() -> Clockwork:
        made.append(Clockwork(house))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("watch", [pytest.param("events", marks=only_in_sweep), "polling"])
@pytest.mark.parametrize("how", ["not there at the start", "deleted", "renamed away", "a file in its place"])
def test_an_inbox_that_is_gone_for_an_hour_is_told_once_and_found_again(
    house: House,
    clockwork: Callable[[], Clockwork],
    caplog: pytest.LogCaptureFixture,
    report: Report,
    watch: str,
    how: str,
) -> None:
    caplog.set_level(logging.INFO)
    house.configure(watch=watch)
    dropped = {"a": image(1, 1)}
    if how == "not there at the start":
        house.inbox.rmdir()
    work = clockwork()
    if how != "not there at the start":
        house.drop("a", dropped["a"])
        work.pass_time(60, lambda: len(house.kept()) == 1)
        assert work.line.fault == ""
    if how == "deleted":
        shutil.rmtree(house.inbox)
    elif how == "renamed away":
        house.inbox.rename(house.root / "away")
    elif how == "a file in its place":
        house.inbox.rmdir()
        house.inbox.write_text("a file is no folder")
    caplog.clear()

    work.pass_time(3600)

    [told] = warnings_in(caplog)
    assert "inbox" in told
    assert work.line.snapshot(work.now)["fault"] in told
    if house.inbox.exists():
        house.inbox.unlink()
    house.inbox.mkdir()
    dropped["b"] = image(2, 1)
    house.drop("b", dropped["b"])
    if how == "not there at the start":
        del dropped["a"]
    work.pass_time(120, lambda: len(house.kept()) == len(dropped))
    assert work.line.snapshot(work.now)["fault"] is None
    assert warnings_in(caplog) == [told]
    assert [record.getMessage() for record in caplog.records].count("the fault is over, the work goes on") == 1
    assert not list(work.ledger.faults(house.project))
    report(f"an inbox {how}, {watch}", fired=1, **tally(house, dropped).numbers)


@only_in_sweep
def test_what_cannot_be_looked_at_is_one_fault_however_much_it_becomes(house: House, report: Report) -> None:
    house.configure(watch="polling")
    house.bound_by_rights()
    with house.service() as service:
        for number in range(1, 4):
            (house.inbox / f"closed{number}").mkdir(mode=0)
            wait_until(lambda count=number: house.line()["unreadable"] == count, "it is counted")  # type: ignore[misc]
            assert "cannot be looked at" in house.line()["fault"]
        for number in range(1, 4):
            (house.inbox / f"closed{number}").rmdir()
        house.wait_for_line(lambda line: not line["fault"], "the fault is over", seconds=70)
        assert service.said().count("cannot be looked at") == 1
    report("folders in an inbox that may not be entered", fired=3)


GONE = """
from tests.faults.tally import image
share = house.root / "share"
share.mkdir()
{mount}
with house.service() as service:
    mount()
    house.drop("a", image(1, 1))
    wait_until(lambda: len(house.kept()) == 1, "the first is out")
    shutil.rmtree(house.quarantine)
    house.drop("bad", b"no DICOM")
    wait_until(lambda: line().get("fault"), "one cannot be put away")
    run("umount", house.inbox)
    wait_until(lambda: "mounted there is gone" in str(house.line()["faults"]), "the fault is shown")
    assert not tree(house.inbox)
    house.quarantine.mkdir()
    wait_until(house.refusals, "what is not there any more counts as put away", seconds=70)
    time.sleep({seconds})
    mount()
    house.drop("b", image(2, 1))
    wait_until(lambda: len(house.kept()) == 2, "what came after it is out", seconds=70)
    if {same}:
        wait_until(lambda: len(house.set_aside()) == 1, "what was left there has gone its way", seconds=70)
    wait_until(lambda: not line().get("fault"), "the fault is over", seconds=70)
    assert not house.line()["faults"]
    run("umount", house.inbox)
    wait_until(lambda: line().get("fault"), "the fault is shown again")
    mount()
    wait_until(lambda: not line().get("fault"), "an empty share is none", seconds=70)
    assert service.said().count("mounted there is gone") in (1, 2), service.said()  # what is said again soon is folded
"""
MOUNTS = {
    "a bind mount": 'def mount(): run("mount", "--bind", share, house.inbox)',
    "a tmpfs": 'def mount(): run("mount", "-t", "tmpfs", "none", house.inbox)',
}


@pytest.mark.parametrize("watch", [pytest.param("events", marks=only_in_sweep), "polling"])
@pytest.mark.parametrize("what", ["a bind mount", pytest.param("a tmpfs", marks=only_in_sweep)])
def test_a_share_that_is_unmounted_and_mounted_again_is_told_once_and_nothing_on_it_is_forgotten(
    house: House, report: Report, sweep: bool, what: str, watch: str
) -> None:
    needs_apart()
    house.configure(watch=watch)
    tell(house, GONE.format(mount=MOUNTS[what], same=what == "a bind mount", seconds=10 if sweep else 0))
    dropped = {"a": image(1, 1), "b": image(2, 1)}
    report(f"{what} that went and came back, {watch}", fired=2, **tally(house, dropped).numbers)


LIMITED = """
Path("/proc/sys/user/max_inotify_watches").write_text("40")
for number in range(120):
    (house.inbox / str(number)).mkdir()
with house.service() as service:
    wait_until(lambda: line().get("watch_limited"), "it says so")
    assert line()["watch"] == "polling"
    assert line().get("fault") is None
    for number in range(0, 120, 10):
        house.drop(f"{number}/a", studies.instance(number + 1, 1))
    house.wait_until_done(studies=12)
    assert service.said().count("too few inotify watches") == 1, service.said()
    shown = house.command("status")
    assert "too few inotify watches" in shown.stdout, shown.stdout
"""


def test_where_watches_are_used_up_it_is_polled_and_says_so(house: House, report: Report) -> None:
    needs_apart()
    house.configure(watch="events")
    tell(house, LIMITED)
    assert len(house.delivered()) == 12
    report("inotify watches used up", fired=1)


WATCHED_AGAIN = """
from coatcheck.intake.folder import Doorbell
from coatcheck.intake.inbox import Inbox
limit = Path("/proc/sys/user/max_inotify_watches")
limit.write_text("5")
for number in range(30):
    (house.inbox / str(number)).mkdir()
said = []
doorbell = Doorbell(lambda project: None)
inbox = Inbox("lung", house.inbox, "events", doorbell, lambda level, text: said.append(text))
inbox.look(0.0)
assert (inbox.watch, inbox.limited, inbox.period) == ("polling", True, 2.0)
limit.write_text("1000")
inbox.look(2.0)
assert inbox.limited
inbox.look(300.0)
assert (inbox.watch, inbox.limited, inbox.period) == ("events", False, 30.0)
inbox.look(330.0)
assert len(said) == 2, said
doorbell.stop()
"""


def test_an_inbox_that_could_not_be_watched_is_watched_when_the_limit_was_raised(house: House) -> None:
    needs_apart()
    tell(house, WATCHED_AGAIN)
