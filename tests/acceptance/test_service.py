"""The running service: signals, reload, locks, keys, systemd, and an inbox that comes and goes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, coatcheck, descendants, tree, wait_until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


@contextmanager
def systemd_listens(path: Path) -> Iterator[list[str]]:
    """A datagram socket as systemd's. Gives the messages as they come."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(os.fspath(path))
        listener.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    heard.append(listener.recv(4096).decode())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("watch", ["events", "polling"])
def test_what_is_dropped_while_the_service_runs_is_delivered(house: House, watch: str) -> None:
    house.configure(watch=watch, file_settle="200ms")
    with house.service():
        house.wait_for_line(lambda line: line["watch"] == watch, "it is watched as set")
        for number in range(3):
            house.drop(f"new folder/{number}", studies.instance(1, number))
        house.wait_until_done(studies=1)
    assert len(house.delivered()) == 3


def test_a_whole_tree_that_is_moved_in_is_delivered(house: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for number in range(4):
        place = outside / f"{number}/deeper"
        place.mkdir(parents=True)
        (place / "IM").write_bytes(studies.instance(1, number))
    with house.service():
        outside.rename(house.inbox / "moved")
        house.wait_until_done(studies=1)
    assert len(house.delivered()) == 4


@pytest.mark.parametrize("watch", ["events", "polling"])
def test_a_file_that_grows_waits_as_the_status_shows_and_is_delivered_when_it_stops(house: House, watch: str) -> None:
    house.configure(watch=watch, file_settle="600ms")
    content = studies.instance(1, 1, side=256)
    growing, over = house.inbox / "growing", threading.Event()

    def grow() -> None:
        with growing.open("wb") as out:
            for start in range(0, len(content), 512):
                out.write(content[start : start + 512])
                out.flush()
                if not over.is_set():
                    time.sleep(0.05)  # the pace of a slow sender

    with house.service():
        writer = threading.Thread(target=grow)
        writer.start()
        try:
            house.wait_for_line(
                lambda line: line["oldest_waiting_seconds"] > 1.5, "it waits far longer than file_settle"
            )
            assert house.line()["waiting_files"] == 1
            assert not house.folders()
            assert not house.set_aside()
        finally:
            over.set()
            writer.join()
        house.wait_until_done(studies=1)
    assert len(house.delivered()) == 1
    assert list(house.kept().values()) == [content]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_signal_ends_the_service_cleanly_in_the_middle_and_the_work_goes_on_later(
    house: House, executor: str, number: signal.Signals
) -> None:
    house.configure(executor=executor)
    for study in range(30):
        for slice_ in range(6):
            house.drop(f"{study}/{slice_}", studies.instance(study, slice_, side=128))
    service = house.start()
    wait_until(lambda: house.rows("SELECT 1 FROM deliveries") or service.process.poll() is not None, "it works")
    children = descendants(service.pid)

    code = service.stop(number)

    assert code == 0, service.said()
    assert tree(house.inbox), "it was quicker than the signal"
    wait_until(lambda: not set(children) & set(descendants(1)), "no child is left", seconds=5)
    assert not [row for row in house.unfinished() if row[2] == "open"]
    assert house.status()["service"]["running"] is False
    house.deliver()
    assert len(house.delivered()) == 180
    assert len(house.kept()) == 180


def test_a_second_service_with_the_same_state_is_refused(house: House) -> None:
    with house.service():
        wait_until(lambda: house.said(), "it runs")
        second = house.command("run")
        once = house.once()
    assert second.returncode == once.returncode == 1
    assert "another service is running" in second.stderr


def test_a_project_without_its_key_does_not_run_and_the_others_do(tmp_path: Path) -> None:
    house = House(tmp_path / "house", "heart", "lung")
    (house.root / "keys/lung.key").unlink()
    with house.service() as service:
        house.drop("a", studies.instance(1, 1), project="heart")
        house.drop("a", studies.instance(1, 1), project="lung")
        wait_until(lambda: house.folders(), "the other project works")
        wait_until(lambda: "coatcheck key new" in service.said(), "the error names the command that makes a key")
    assert tree(house.root / "lung/inbox")
    assert not list((house.root / "lung/outbox").glob("[!.]*"))


def test_no_project_at_all_with_a_key_ends_with_78(house: House) -> None:
    (house.root / "keys/lung.key").unlink()

    assert house.command("run").returncode == 78


def test_a_key_that_others_may_read_is_not_used(house: House) -> None:
    (house.root / "keys/lung.key").chmod(0o644)

    assert house.once().returncode == 78


def test_systemd_hears_of_start_work_life_reload_and_end(house: House, tmp_path: Path) -> None:
    with systemd_listens(tmp_path / "notify") as heard:
        with house.service(NOTIFY_SOCKET=os.fspath(tmp_path / "notify"), WATCHDOG_USEC="400000") as service:
            wait_until(lambda: heard.count("WATCHDOG=1") >= 5, "the watchdog is fed again and again")
            assert heard[0] == "READY=1"
            assert any(message.startswith("STATUS=") for message in heard)
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: heard.count("READY=1") == 2, "it has read its configuration again")
            reloading = [message.startswith("RELOADING=1\nMONOTONIC_USEC=") for message in heard].index(True)
            assert "READY=1" in heard[reloading:]
        wait_until(lambda: "STOPPING=1" in heard, "it says that it stops")


def test_reload_adds_a_project_and_takes_changed_settings(house: House) -> None:
    with house.service():
        house.drop("a", studies.instance(1, 1))
        house.wait_until_done(studies=1)
        assert coatcheck("init", house.root, "--project", "heart").returncode == 0
        house.configure("heart", file_settle="0s", study_settle="200ms", study_longest_wait="1m", profile="basic")
        house.configure("lung", profile="research")

        done = house.command("reload")

        assert done.returncode == 0, done.stderr
        house.drop("b", studies.instance(2, 1))
        house.drop("c", studies.instance(3, 1), project="heart")
        house.wait_until_done(studies=3)
        assert house.status()["service"]["reloads"] == 1
    assert sorted(house.rows("SELECT project, profile FROM deliveries JOIN studies ON studies.id = study_id")) == [
        ("heart", "basic"),
        ("lung", "basic"),
        ("lung", "research"),
    ]


def test_reload_removes_a_project_and_leaves_its_inbox_alone(tmp_path: Path) -> None:
    house = House(tmp_path / "house", "heart", "lung")
    with house.service():
        wait_until(lambda: set(house.said().get("projects", {})) == {"heart", "lung"}, "both run")
        text = house.config.read_text()
        lines = text.splitlines(keepends=True)
        begin = lines.index("  lung:\n")
        end = next((n for n in range(begin + 1, len(lines)) if not lines[n].startswith("    ")), len(lines))
        house.config.write_text("".join(lines[:begin] + lines[end:]))
        assert house.command("reload").returncode == 0
        house.drop("a", studies.instance(1, 1), project="lung")
        house.drop("a", studies.instance(1, 1), project="heart")
        wait_until(lambda: house.folders(), "the other goes on")
        assert set(house.status()["projects"]) == {"heart"}
    assert len(tree(house.root / "lung/inbox")) == 1


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [("profile", "reserch", "research"), ("file_settel", "1s", "file_settle"), ("executor", "processes", "restart")],
)
def test_a_bad_configuration_is_refused_and_the_service_goes_on_with_the_old_one(
    house: House, key: str, value: str, word: str
) -> None:
    before = house.config.read_text()
    with house.service():
        wait_until(lambda: house.said(), "it runs")
        house.configure(**{key: value})

        done = house.command("reload")

        assert done.returncode == 78
        assert word in done.stderr
        house.config.write_text(before)
        house.drop("a", studies.instance(1, 1))
        house.wait_until_done(studies=1)
        assert house.command("reload").returncode == 0


def test_the_status_tells_why_a_new_configuration_was_not_taken(house: House) -> None:
    before = house.config.read_text()
    with house.service() as service:
        wait_until(lambda: house.said(), "it runs")
        house.configure(file_settel="1s")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: house.said().get("reload_problems"), "the problems are told")
        assert "did you mean" in "".join(house.said()["reload_problems"]) or "file_settle" in str(house.said())
        house.config.write_text(before)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not house.said()["reload_problems"], "they are over")
        assert house.status()["service"]["reloads"] == 2


def test_a_reload_mends_a_project_whose_outbox_could_not_be_used(house: House) -> None:
    house.outbox.rmdir()
    house.outbox.write_text("a file is no folder")
    house.drop("a", studies.instance(1, 1))
    with house.service():
        house.wait_for_line(lambda line: line["fault"], "the fault is shown")
        other = house.root / "lung/other"
        other.mkdir()
        house.configure(outbox=other)
        assert house.command("reload").returncode == 0
        wait_until(lambda: list(other.glob("[!.]*/*")), "it leaves by the new outbox", seconds=15)


def test_what_was_half_done_at_a_reload_is_done_once(house: House) -> None:
    for study in range(20):
        for slice_ in range(5):
            house.drop(f"{study}/{slice_}", studies.instance(study, slice_, side=128))
    with house.service():
        wait_until(lambda: house.rows("SELECT 1 FROM deliveries"), "it works")
        house.configure(profile="research")
        assert house.command("reload").returncode == 0
        house.wait_until_done(studies=20)
    assert len(house.delivered()) == len(house.kept()) == 100
    assert house.rows("SELECT COUNT(*), SUM(duplicates) FROM deliveries WHERE state = 'done'") == [(20, 0)]


def test_reload_without_a_service_fails(house: House) -> None:
    assert house.command("reload").returncode == 1


@pytest.mark.parametrize("watch", [pytest.param("events", marks=pytest.mark.slow), "polling"])
def test_an_inbox_that_is_deleted_and_made_again_is_found_without_a_restart(house: House, watch: str) -> None:
    house.configure(watch=watch)
    with house.service():
        house.drop("a", studies.instance(1, 1))
        house.wait_until_done(studies=1)
        shutil.rmtree(house.inbox)
        house.wait_for_line(lambda line: "inbox" in (line["fault"] or ""), "the fault is shown", seconds=45)
        house.inbox.mkdir()
        house.drop("b", studies.instance(2, 1))
        house.wait_until_done(studies=2)
        house.wait_for_line(lambda line: not line["fault"], "the fault is over")


def test_an_inbox_that_is_renamed_away_and_made_again_is_found(house: House) -> None:
    house.configure(watch="polling")
    with house.service():
        house.drop("a", studies.instance(1, 1))
        house.wait_until_done(studies=1)
        house.inbox.rename(house.inbox.with_name("away"))
        house.inbox.mkdir()
        house.drop("b", studies.instance(2, 1))
        house.wait_until_done(studies=2)


def test_an_inbox_that_is_missing_at_the_start_is_a_fault_and_found_when_it_comes(house: House) -> None:
    house.inbox.rmdir()
    with house.service():
        house.wait_for_line(lambda line: "inbox" in (line["fault"] or ""), "the fault is shown")
        assert house.line()["faults"]
        house.drop("a", studies.instance(1, 1))
        house.wait_until_done(studies=1)
        wait_until(lambda: not house.line()["fault"] and not house.line()["faults"], "the fault is over")


def test_a_fault_of_one_project_leaves_the_others_alone(tmp_path: Path) -> None:
    house = House(tmp_path / "house", "heart", "lung")
    shutil.rmtree(house.root / "lung/outbox")
    (house.root / "lung/outbox").write_text("a file is no folder")
    with house.service():
        house.drop("a", studies.instance(1, 1), project="lung")
        wait_until(lambda: house.line("lung")["fault"], "the fault is shown")
        house.drop("a", studies.instance(1, 1), project="heart")
        wait_until(lambda: house.folders(), "the other project works")
        assert house.line("heart")["fault"] is None


def test_many_bad_files_are_set_aside_quickly(house: House) -> None:
    for number in range(60):
        house.drop(f"text {number}", b"text %d" % number)
    with house.service():
        house.wait_until_done(seconds=15)
    assert dict(house.refusals()) == {"not-dicom": 60}
