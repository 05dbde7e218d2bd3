from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coatcheck.notify import Notifier

Listen = Callable[[str | bytes], socket.socket]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Bind a datagram socket as systemd does."""
    sockets: list[socket.socket] = []

    def bind(address: str | bytes) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sockets.append(listener)
        listener.settimeout(5)
        listener.bind(address)
        return listener

    yield bind
    for each in sockets:
        each.close()


def heard(listener: socket.socket) -> list[str]:
    """Everything that lies in the socket now."""
    listener.setblocking(False)
    messages: list[str] = []
    while True:
        try:
            messages.append(listener.recv(4096).decode())
        except BlockingIOError:
            return messages


def clock() -> float:
    return 12.5


def test_each_state_is_told_in_systemds_words(listen: Listen, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    listener = listen(address)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}, clock)

    notifier.ready()
    notifier.status("2 Studies arriving")
    notifier.watchdog()
    notifier.reloading()
    notifier.stopping()

    assert heard(listener) == [
        "READY=1",
        "STATUS=2 Studies arriving",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "STOPPING=1",
    ]


def test_an_abstract_socket_is_reached(listen: Listen) -> None:
    name = f"coatcheck-test-{os.getpid()}"
    listener = listen(b"\0" + name.encode())

    Notifier({"NOTIFY_SOCKET": f"@{name}"}, clock).ready()

    assert heard(listener) == ["READY=1"]


def test_a_path_that_is_not_utf_8_is_reached(listen: Listen, tmp_path: Path) -> None:
    address = os.fsencode(tmp_path) + b"/notify\xff"
    listener = listen(address)

    Notifier({"NOTIFY_SOCKET": os.fsdecode(address)}, clock).ready()

    assert heard(listener) == ["READY=1"]


def test_without_a_socket_nothing_happens() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "60000000"}, clock)

    notifier.ready()
    notifier.status("idle")
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()

    assert notifier.watchdog_interval is None


def test_the_same_status_is_sent_once_and_a_status_cannot_smuggle_a_second_field(
    listen: Listen, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    listener = listen(address)
    notifier = Notifier({"NOTIFY_SOCKET": address}, clock)

    notifier.status("idle\nMAINPID=1")
    notifier.status("idle\nMAINPID=1")

    assert heard(listener) == ["STATUS=idle MAINPID=1"]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "nobody"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_served_only_when_it_is_meant_for_us(
    environ: dict[str, str], interval: float | None, listen: Listen, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    listener = listen(address)
    notifier = Notifier({"NOTIFY_SOCKET": address, **environ}, clock, pid=77)

    notifier.watchdog()

    assert notifier.watchdog_interval == interval
    assert heard(listener) == ([] if interval is None else ["WATCHDOG=1"])


@pytest.mark.parametrize("address", ["/nowhere/at/all", "vsock:2:1", "@" + "x" * 200, "/" + "x" * 200])
def test_a_socket_that_cannot_be_reached_is_logged_once_and_harms_nobody(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address}, clock)

    notifier.ready()
    notifier.stopping()

    assert len(caplog.records) == 1
    assert address not in caplog.text


def test_a_listener_that_never_reads_does_not_hold_the_service(
    listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coatcheck.notify._PATIENCE", 0.01)
    address = str(tmp_path / "notify")
    listen(address)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"}, clock)

    unread = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    for _ in range(unread + 5):
        notifier.watchdog()


def test_the_messages_arrive_whichever_sender_the_process_has(listen: Listen, tmp_path: Path) -> None:
    """In a process whose own environment names the socket, systemd-python sends them if it is installed."""
    address = str(tmp_path / "notify")
    listener = listen(address)
    program = "import os, time; from coatcheck.notify import Notifier; Notifier(os.environ, time.monotonic).ready()"

    subprocess.run([sys.executable, "-c", program], env={**os.environ, "NOTIFY_SOCKET": address}, check=True)

    assert heard(listener) == ["READY=1"]


def test_a_folder_named_systemd_is_not_taken_for_the_library(repository: Path) -> None:
    program = "from coatcheck.libsystemd import daemon; assert daemon is None or callable(daemon.notify)"

    subprocess.run([sys.executable, "-c", program], cwd=repository, check=True)
