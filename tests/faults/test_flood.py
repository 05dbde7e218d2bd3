"""Inboxes into which very much comes at once: the kernel loses events, and no file is missed."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.house import House, Service, wait_until
from tests.faults.conftest import Report
from tests.faults.need import only_in_sweep
from tests.faults.tally import image, tally

WRITERS = 4
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", watch="events", file_settle="1s", study_settle="2s")


def flood_queue(service: Service, inbox: Path) -> None:
    """Make more events than the kernel keeps, while the service cannot read any: two files are closed in turn."""
    room = int(QUEUE.read_text())
    if room > 200_000:
        pytest.skip("the kernel keeps too many events to flood it")
    places = [os.open(inbox, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for number in range(room + 100):
            os.close(os.open(f".flood{number % 2}", os.O_CREAT | os.O_WRONLY, dir_fd=places[0]))
    finally:
        os.close(places[0])


def contents(number: int, images: int) -> tuple[str, bytes]:
    """The name and content of one of many files: of each 20 so many are images, one is a text, the rest is foreign."""
    kind = number % 20
    if kind < images:
        return f"image{number}", image(1 + number // 2000, number)
    return (f"text{number}", b"no DICOM %d" % number) if kind == images else (f"foreign{number}.part", b"x")


def drop_by_four(house: House, files: dict[str, bytes]) -> None:
    def write(mine: list[tuple[str, bytes]]) -> None:
        for name, content in mine:
            (house.inbox / name).write_bytes(content)

    everything = list(files.items())
    writers = [threading.Thread(target=write, args=(everything[number::WRITERS],)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


@pytest.mark.parametrize(
    ("how", "images"),
    [
        ("stopped", 1),
        pytest.param("running", 1, marks=only_in_sweep),
        pytest.param("running", 19, marks=only_in_sweep),
    ],
)
def test_a_flood_from_four_writers_loses_events_and_no_file(
    house: House, report: Report, sweep: bool, how: str, images: int
) -> None:
    house.configure(executor="processes")
    many = 10_000 if images > 1 else 50_000
    files = dict(contents(number, images) for number in range(many if sweep else 2_000))
    with house.service() as service:
        wait_until(lambda: house.said() and house.line()["watch"] == "events", "it is watched")
        if how == "stopped":
            service.process.send_signal(signal.SIGSTOP)
            flood_queue(service, house.inbox)
        drop_by_four(house, files)
        service.process.send_signal(signal.SIGCONT)
        if how == "stopped":
            house.wait_for_line(lambda line: line["events_lost"], "the lost events are noticed")
        foreign = {name for name in files if name.endswith(".part")}
        wait_until(lambda: not left(house, foreign), "all has gone its way", seconds=1200)
        wait_until(lambda: not house.unfinished(), "nothing is left to do", seconds=60)
        lost = house.line()["events_lost"]
        assert service.said().count("lost events") == bool(lost)
        assert house.line()["fault"] is None
        away = house.root / "away"
        house.inbox.rename(away)
        house.inbox.mkdir()
        house.drop("image in a new inbox", files.setdefault("image in a new inbox", image(1000, 1)))
        wait_until(lambda: not os.listdir(house.inbox), "the inbox that was made again is found")
        assert house.line()["events_lost"] >= lost
    texts = Counter(content for name, content in files.items() if name.startswith("text"))
    assert Counter(house.set_aside().values()) == texts
    assert foreign <= set(os.listdir(away))
    images_dropped = {name: content for name, content in files.items() if name.startswith("image")}
    report(
        f"{len(files)} files from {WRITERS} writers, {len(images_dropped)} of them images, the service {how}",
        fired=lost if how == "stopped" else max(lost, 1),
        **tally(house, images_dropped).numbers,
    )


def left(house: House, foreign: set[str]) -> bool:
    """Whether anything but foreign files lies in the inbox."""
    with os.scandir(house.inbox) as entries:
        return any(entry.name not in foreign and not entry.name.startswith(".flood") for entry in entries)


@only_in_sweep
def test_a_tree_that_is_moved_in_while_it_is_written_comes_out_whole(
    house: House, tmp_path: Path, report: Report
) -> None:
    dropped = {f"{number % 60}/{number}": image(1 + number // 600, number) for number in range(3600)}
    growing = tmp_path / "tree"
    for number in range(60):
        (growing / str(number)).mkdir(parents=True)
    place = os.open(growing, os.O_RDONLY | os.O_DIRECTORY)
    begun = threading.Event()

    def write() -> None:
        for number, (name, content) in enumerate(dropped.items()):
            fd = os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=place)
            os.write(fd, content)
            os.close(fd)
            if number == 500:
                begun.set()

    with house.service():
        writer = threading.Thread(target=write)
        writer.start()
        begun.wait(30)
        growing.rename(house.inbox / "tree")
        writer.join()
        house.wait_until_done(studies=6, seconds=120)
    os.close(place)
    assert not house.refusals()
    report("a tree moved in while it is written", fired=1, **tally(house, dropped).numbers)
