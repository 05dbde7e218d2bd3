"""The status report: the service's own words and the ledger's counts in one."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coatcheck.board import HEAD, details, row, service_line, silence
from coatcheck.errors import CoatcheckError, StateError
from coatcheck.ledger import Ledger
from coatcheck.reasons import Reason
from coatcheck.service_lock import read_service, reload, service_pid
from coatcheck.standing import Pace, Word, word
from coatcheck.status import read_status

NOW = "2026-11-21T10:00:00.000Z"
WHEN = datetime(2026, 11, 21, 10, 0, 5, tzinfo=UTC)
LIVE: dict[str, Any] = {
    "watch": "events",
    "watch_limited": False,
    "events_lost": 0,
    "scan_seconds": 0.01,
    "scan_period": 30.0,
    "waiting_files": 2,
    "oldest_waiting_seconds": 65.0,
    "studies_arriving": [{"ticket": "7F3K9Q2MXA", "instances": 3, "due_in_seconds": 4.0}],
    "studies_running": [{"ticket": "8F3K9Q2MXA", "state": "open", "instances": 9}],
    "left_alone": 1,
    "unreadable": 0,
    "fault": None,
    "files_done": 40,
    "files_per_minute": 12,
}
PROJECT_KEYS = {
    *LIVE,
    "word",
    "delivered",
    "duplicates",
    "quarantined",
    "faults",
    "references_unresolved",
    "last_delivery",
}


def write_status(state_dir: Path, pid: int, **more: object) -> None:
    said = {"version": 1, "pid": pid, "started": NOW, "updated": NOW, "reloads": 0, "reload_problems": []}
    text = json.dumps(said | {"projects": {"lung": LIVE}} | more)
    (state_dir / "status.tmp").write_text(text)
    (state_dir / "status.tmp").replace(state_dir / "status.json")


@contextmanager
def lock_held(state_dir: Path) -> Iterator[int]:
    """Hold the lock as a service does, and give the process id that stands in it."""
    descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield os.getpid()
    finally:
        os.close(descriptor)


def test_without_a_lock_no_service_runs(tmp_path: Path) -> None:
    assert service_pid(tmp_path) is None
    with lock_held(tmp_path) as pid:
        assert service_pid(tmp_path) == pid
    assert service_pid(tmp_path) is None  # the file is still there, but nobody holds it


def test_words_of_an_earlier_service_are_not_believed(tmp_path: Path) -> None:
    write_status(tmp_path, 1)
    assert read_service(tmp_path).projects == {}
    with lock_held(tmp_path) as pid:
        assert read_service(tmp_path).projects == {}
        write_status(tmp_path, pid)
        assert read_service(tmp_path).projects == {"lung": LIVE}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', "\udcff"])
def test_a_status_that_cannot_be_understood_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_bytes(os.fsencode(text))
    with lock_held(tmp_path), pytest.raises(StateError):
        read_service(tmp_path)


def test_without_a_service_and_without_a_ledger_every_key_is_there(tmp_path: Path) -> None:
    said = read_status(tmp_path, ["lung"], WHEN).as_json()
    assert said["version"] == 1
    assert said["service"]["running"] is False
    assert set(said["projects"]["lung"]) == PROJECT_KEYS
    assert said["projects"]["lung"]["delivered"] == {"studies": 0, "deliveries": 0, "instances": 0}
    assert "No service is running" in service_line(read_status(tmp_path, ["lung"], WHEN).service)


def test_the_service_and_the_ledger_become_one_report(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    folder = f"{Reason.NOT_DICOM}/unassigned"
    ledger.refuse_file(project="lung", reason=Reason.NOT_DICOM, detail="", folder=folder, now=NOW)
    ledger.fault("lung", "inbox", "the inbox is absent", "mount it", NOW)
    ledger.fault("", "disk", "the disk is full", "make room", NOW)
    with lock_held(tmp_path) as pid:
        write_status(tmp_path, pid)
        report = read_status(tmp_path, ["lung", "heart"], WHEN)
    ledger.close()
    said = report.as_json()
    assert said["service"]["pid"] == pid
    assert [fault["kind"] for fault in said["service"]["faults"]] == ["disk"]
    lung = said["projects"]["lung"]
    assert set(lung) == set(said["projects"]["heart"]) == PROJECT_KEYS
    assert {key: lung[key] for key in LIVE} == LIVE
    assert lung["quarantined"] == {"not-dicom": 1}
    assert lung["faults"] == [
        {
            "kind": "inbox",
            "what": "the inbox is absent",
            "hint": "mount it",
            "count": 1,
            "since": NOW,
            "last": NOW,
        }
    ]
    assert json.loads(json.dumps(said)) == said
    cells = row("lung", report.projects["lung"], WHEN)
    assert cells == ("lung", "attention", "2 (1m)", "1 (in 4s)", "1", "0", "1", "never", "events")
    assert len(cells) == len(HEAD)
    assert lung["word"] == said["projects"]["heart"]["word"] == "attention"  # nobody speaks of the other one
    lines = list(details("lung", report.projects["lung"]))
    assert lines[0].endswith("the inbox is absent: mount it")
    assert any("not-dicom" in line for line in lines)
    assert "lung: 12 files in the last minute, 40 since the start" in lines
    assert "lung: 7F3K9Q2MXA arriving, 3 instances, due in 4s" in lines


def test_of_many_studies_a_few_are_named_the_next_due_first(tmp_path: Path) -> None:
    studies = [{"ticket": f"T{due:09d}", "instances": 1, "due_in_seconds": float(due)} for due in range(39, -1, -1)]
    with lock_held(tmp_path) as pid:
        write_status(tmp_path, pid, projects={"lung": LIVE | {"studies_arriving": studies, "studies_running": []}})
        report = read_status(tmp_path, ["lung"], WHEN)
    lines = list(details("lung", report.projects["lung"]))
    assert "lung: T000000001 arriving, 1 instance, due in 1s" in lines
    assert "lung: T000000000 waiting for its turn, 1 instance" in lines
    assert len(lines) < 15
    assert lines[-1].startswith("lung: and 30 more")


FULL = "the folders of this project cannot be used now (ENOSPC)"
NO_LEDGER = "/var/lib/coatcheck/ledger.db cannot be used (SQLITE_FULL)"
GONE = "the folders of this project cannot be used now (ENOENT)"
RESTING = {"watch": "events", "waiting_files": 0, "studies_arriving": [], "studies_running": [], "fault": None}


@pytest.mark.parametrize(
    ("live", "faults", "expected"),
    [
        ({}, (), Word.IDLE),
        ({"left_alone": 3}, (), Word.IDLE),
        ({"waiting_files": 1}, (), Word.ARRIVING),
        ({"studies_arriving": [{}]}, (), Word.ARRIVING),
        ({"studies_arriving": [{}], "studies_running": [{}]}, (), Word.WORKING),
        ({"studies_running": [{}], "fault": FULL}, (), Word.WAITING),
        ({}, (FULL, NO_LEDGER), Word.WAITING),
        ({"fault": GONE}, (FULL,), Word.ATTENTION),
        ({"watch": None}, (), Word.ATTENTION),
    ],
)
def test_one_word_tells_how_a_project_stands(live: dict[str, Any], faults: tuple[str, ...], expected: Word) -> None:
    assert word(RESTING | live, faults) is expected


def test_without_words_of_the_service_the_word_says_why(tmp_path: Path) -> None:
    assert read_status(tmp_path, ["lung"], WHEN).projects["lung"].word is Word.STOPPED
    with lock_held(tmp_path) as pid:
        assert read_status(tmp_path, ["lung"], WHEN).projects["lung"].word is Word.STARTING
        write_status(tmp_path, pid)
        assert read_status(tmp_path, ["lung"], WHEN).projects["lung"].word is Word.WORKING


def test_a_service_that_is_making_its_records_is_said_to_start(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    with pytest.raises(StateError):
        read_status(tmp_path, ["lung"], WHEN)
    with lock_held(tmp_path):
        report = read_status(tmp_path, ["lung"], WHEN)
    assert report.projects["lung"].word is Word.STARTING
    assert "starts as process" in service_line(report.service)


def test_the_pace_is_what_was_done_in_the_last_minute() -> None:
    pace = Pace()
    assert [pace.per_minute(now, done) for now, done in ((0, 0), (10, 5), (30, 25), (69, 25), (70, 25))] == [
        0,
        5,
        25,
        25,
        20,
    ]
    assert pace.per_minute(95, 3) == 3  # counted anew by a line with new settings


def test_a_service_that_cannot_say_anything_is_told_of_by_those_who_ask(tmp_path: Path) -> None:
    with lock_held(tmp_path) as pid:
        write_status(tmp_path, pid, updated=NOW)
        heard = read_status(tmp_path, ["lung"], WHEN)
        silent = read_status(tmp_path, ["lung"], datetime(2026, 11, 21, 10, 2, 5, tzinfo=UTC))

    assert heard.silent is None
    assert not list(silence(tmp_path, heard))
    assert silent.as_json()["service"]["silent_seconds"] == 125.0
    [said] = silence(tmp_path, silent)
    assert "2m 5s" in said


SERVICE = """
import fcntl, json, os, signal, sys
from pathlib import Path
state, problems, answers = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3] == "yes"
lock = open(state / "lock", "w"); fcntl.flock(lock, fcntl.LOCK_EX); lock.write(str(os.getpid())); lock.flush()
def say(reloads, problems):
    said = {"version": 1, "pid": os.getpid(), "started": "", "updated": "", "reloads": reloads,
            "reload_problems": problems, "projects": {}}
    (state / "tmp").write_text(json.dumps(said)); (state / "tmp").rename(state / "status.json")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
say(0, [])
print("ready", flush=True)
signal.sigwait([signal.SIGHUP])
if answers:
    say(1, problems)
    signal.pause()
"""


@contextmanager
def service(state_dir: Path, problems: list[str], *, answers: bool = True) -> Iterator[subprocess.Popen[str]]:
    """A real process that holds the lock and answers SIGHUP as the service does."""
    arguments = [sys.executable, "-c", SERVICE, str(state_dir), json.dumps(problems), "yes" if answers else "no"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def test_reload_returns_when_the_service_has_read_its_configuration(tmp_path: Path) -> None:
    with service(tmp_path, []):
        assert reload(tmp_path, timeout=10) == ()


def test_reload_gives_the_problems_that_the_service_found(tmp_path: Path) -> None:
    with service(tmp_path, ["c.yaml:3: what: hint"]):
        assert reload(tmp_path, timeout=10) == ("c.yaml:3: what: hint",)


def test_reload_notices_that_the_service_ended(tmp_path: Path) -> None:
    with service(tmp_path, [], answers=False), pytest.raises(CoatcheckError, match="ended"):
        reload(tmp_path, timeout=10)


def test_reload_does_not_wait_for_ever(tmp_path: Path) -> None:
    ticks = iter(range(100))
    with service(tmp_path, []) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(CoatcheckError, match="did not answer within 60 s"):
            reload(tmp_path, clock=lambda: next(ticks) * 30.0, sleep=lambda seconds: None)


def test_reload_without_a_service_signals_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(str(os.getpid()))
    begun = time.monotonic()
    with pytest.raises(CoatcheckError, match="no service is running"):
        reload(tmp_path)
    assert time.monotonic() - begun < 5
