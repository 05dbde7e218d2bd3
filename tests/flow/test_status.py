"""What a person sees of `status`, once and while it is watched: on a terminal of any width, with and without colour."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import ENVIRONMENT, House

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "house", "lung", "a-project-with-a-longer-name")
    house.drop("a", studies.instance(1, 1))
    house.drop("b", b"no DICOM")
    house.deliver(expect=3)
    return house


def on_a_terminal(house: House, *words: str, until: bytes | None = None, **environ: str) -> tuple[bytes, int]:
    """What a command writes to a terminal, and its exit code. ``until`` some text comes: then Ctrl-C is pressed."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "coatcheck", "--config", str(house.config), *words]
    environment = {**ENVIRONMENT, "TERM": "xterm", **environ}
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        said, end = b"", time.monotonic() + 20
        if until is not None:
            while until not in said and time.monotonic() < end and select.select([leader], [], [], 20)[0]:
                said += os.read(leader, 4096)
            process.send_signal(signal.SIGINT)
        with suppress(OSError):  # when nobody has its other end open any more
            while select.select([leader], [], [], 20)[0]:  # A terminal that is not read holds up who writes to it.
                said += os.read(leader, 4096)
        process.kill()  # does nothing to one that has ended
        code = process.wait()
    os.close(leader)
    return said, code


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_of_this_width_holds_every_row_and_every_word(house: House, width: int) -> None:
    said, _ = on_a_terminal(house, "status", COLUMNS=str(width), NO_COLOR="1")

    lines = _ESCAPE.sub("", said.decode()).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    [row] = [line for line in lines if line.startswith("lung ")]
    assert row.split()[:7] == ["lung", "stopped", "-", "-", "-", "1", "1"]
    assert b"\x1b[31m" not in said
    assert b"\x1b[1;31m" not in said


def test_a_watched_status_stays_in_its_place_and_ends_well_with_ctrl_c(house: House) -> None:
    said, code = on_a_terminal(house, "status", "--watch", until=b"\x1b[1A", COLUMNS="80")

    assert b"\x1b[1A" in said  # the cursor goes up to write it again
    assert code == 0
    assert b"Traceback" not in said


def test_a_run_on_a_terminal_has_a_bar_and_every_line_of_the_log_is_whole(house: House) -> None:
    for number in range(1, 4):
        house.drop(f"more/{number}", studies.instance(1 + number, 1))

    said, code = on_a_terminal(house, "run", "--once", COLUMNS="100")

    lines = [line.strip() for line in re.split(r"\r|\n", _ESCAPE.sub("", said.decode()))]
    logged = [line for line in lines if "delivered: 1 instances" in line]
    assert code == 0
    assert len(logged) == 3
    assert all(
        re.fullmatch(r"\S+Z info lung \S+: delivered: 1 instances, 0 duplicates, 0 refused", one) for one in logged
    )
    assert any(line.startswith("lung ") and "3/3 files" in line for line in lines)


def test_a_watched_status_is_plain_where_there_is_no_terminal(house: House) -> None:
    command = [sys.executable, "-m", "coatcheck", "--config", str(house.config), "status", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        house.drop("c", studies.instance(2, 1))
        house.deliver()
        head = lines[1]
        while not ((line := process.stdout.readline()).startswith("lung ") and line[head.index("DELIVERED")] == "2"):
            assert line
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

    assert lines[3].startswith("lung ")
    assert "\x1b" not in "".join(lines)
