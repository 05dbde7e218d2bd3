"""A real SMB server with real clients, and rsync: every file comes out once and whole, however it came in."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.house import House, tree, wait_until
from tests.faults.conftest import Report
from tests.faults.need import needs, needs_root, only_in_sweep
from tests.faults.samba import Server, Wire, serving
from tests.faults.tally import image, tally

SETTLE = 0.5
PAUSE = 3 * SETTLE  # longer than a file has to be quiet
LARGE = 1200  # by so many pixels, of two bytes
LONG_AGO = 1_000_000_000  # in the year 2001


@pytest.fixture(params=["events", pytest.param("polling", marks=only_in_sweep)])
def watch(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def house(tmp_path: Path, watch: str) -> House:
    return House(tmp_path / "house", file_settle=f"{SETTLE}s", study_settle="500ms", watch=watch)


@pytest.fixture
def server(tmp_path: Path, house: House) -> Iterator[Server]:
    needs_root()
    needs("smbd", "smbclient")
    with serving(tmp_path / "smbd", house.inbox) as server:
        yield server


def written(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def reasons(house: House) -> dict[str, int]:
    return dict(house.refusals())


def test_small_and_large_files_temporary_names_and_old_times_come_out_whole(
    house: House, server: Server, tmp_path: Path, sweep: bool, report: Report
) -> None:
    small, large = (200, 8) if sweep else (20, 2)
    dropped = {f"small{number}.dcm": image(1, number) for number in range(small)}
    dropped |= {f"large{number}.dcm": image(2, number, side=LARGE) for number in range(large)}
    dropped["renamed.dcm"] = image(3, 1, side=LARGE)
    dropped["old.dcm"] = image(3, 2)
    for name, content in dropped.items():
        written(tmp_path / "from", name, content)
    with house.service():
        source = tmp_path / "from"
        names = [name for name in dropped if name not in ("renamed.dcm", "old.dcm")]
        server.done(f"lcd {source}", *(f"put {name}" for name in names))
        server.done(f"lcd {source}", "put renamed.dcm renamed.dcm.part", "rename renamed.dcm.part renamed.dcm")
        # As clients do that keep a file's time: it is written, and then it is of long ago.
        server.done(f"lcd {source}", "put old.dcm", "utimes old.dcm -1 -1 2001:09:09-01:46:40 -1")
        assert (house.inbox / "old.dcm").stat().st_mtime < LONG_AGO + 86400
        house.wait_until_done(studies=3)
    assert not house.refusals()
    report(
        "files put by an SMB client: small, large, renamed, of 2001",
        fired=len(dropped),
        **tally(house, dropped).numbers,
    )


def test_a_file_of_full_size_whose_content_comes_later_is_not_taken_before(
    house: House, server: Server, report: Report
) -> None:
    content = image(1, 1, side=64)
    half = len(content) // 2
    with house.service():
        with server.open("explorer.dcm") as file:
            file.truncate(len(content))
            wait_until(lambda: (house.inbox / "explorer.dcm").stat().st_size == len(content), "it has its size")
            for part in (content[:half], content[half:]):
                time.sleep(PAUSE)
                assert not house.delivered()
                assert not house.set_aside()
                file.write(part)
            time.sleep(PAUSE)
            assert tree(house.inbox) == {"explorer.dcm": content}
        house.wait_until_done(studies=1)
    assert not house.refusals()
    dropped = {"explorer.dcm": content}
    report("size set first, content later, file held open and idle", fired=3, **tally(house, dropped).numbers)


@pytest.mark.parametrize("how", ["the client is killed", pytest.param("the connection is cut", marks=only_in_sweep)])
def test_a_file_that_was_cut_off_is_set_aside_and_comes_out_when_it_is_sent_again(
    house: House, server: Server, tmp_path: Path, report: Report, how: str
) -> None:
    content = image(1, 1, side=LARGE)
    source = written(tmp_path / "from", "large.dcm", content).parent
    with house.service():
        wire = Wire(server.port, len(content) // 2)
        client = server.put(f"lcd {source}", "put large.dcm", port=wire.port)
        assert wire.stuck.wait(30)
        target = house.inbox / "large.dcm"
        wait_until(lambda: target.stat().st_size > len(content) // 4, "a part of it is written")
        if how == "the client is killed":
            client.kill()
        else:
            wire.cut()
        client.wait(30)
        wait_until(lambda: reasons(house) == {"truncated": 1}, "the half of it is set aside")
        wire.cut()
        [part] = house.set_aside().values()
        assert 0 < len(part) < len(content)
        server.done(f"lcd {source}", "put large.dcm")
        house.wait_until_done(studies=1)
    report(f"in the middle of an SMB file {how}", fired=1, **tally(house, {"large.dcm": content}).numbers)


@only_in_sweep
def test_a_file_that_is_overwritten_before_and_after_it_was_delivered_comes_out_as_it_is_at_last(
    house: House, server: Server, tmp_path: Path, report: Report
) -> None:
    house.configure(study_settle="2s")
    first, second, third = image(1, 1), image(1, 2), image(1, 3)
    with house.service():
        server.done(f"lcd {written(tmp_path / 'one', 'a.dcm', first).parent}", "put a.dcm")
        house.wait_for_line(lambda line: line["studies_arriving"], "it has settled, and waits for its Study")
        server.done(f"lcd {written(tmp_path / 'two', 'a.dcm', second).parent}", "put a.dcm")
        house.wait_until_done(studies=1)
        server.done(f"lcd {written(tmp_path / 'three', 'a.dcm', third).parent}", "put a.dcm")
        house.wait_until_done(studies=2)
    assert not house.refusals()
    # The first content was overwritten by its sender: it is nowhere, as it was meant.
    report("overwritten by an SMB client", fired=2, **tally(house, {"2": second, "3": third}).numbers)


RSYNC = {
    "plain": [],
    "--partial": ["--partial"],
    "--inplace": ["--inplace"],
    "--partial --inplace": ["--partial", "--inplace"],
}
ENDINGS = [
    pytest.param(options, ending, marks=[] if (options, ending) == ("--partial", signal.SIGTERM) else only_in_sweep)
    for options in RSYNC
    for ending in (signal.SIGTERM, signal.SIGKILL)
]


@pytest.mark.parametrize(("options", "ending"), ENDINGS)
def test_what_rsync_left_in_the_middle_never_comes_out_and_what_it_brings_later_does(
    house: House, tmp_path: Path, report: Report, options: str, ending: signal.Signals
) -> None:
    needs("rsync")
    content = image(1, 1, side=LARGE)
    source = written(tmp_path / "from", "large.dcm", content)
    os.utime(source, (LONG_AGO, LONG_AGO))
    order = ["rsync", "--times", "--whole-file", *RSYNC[options], str(source), f"{house.inbox}/"]
    with house.service():
        slow = subprocess.Popen([*order, "--bwlimit=1000"], start_new_session=True, stderr=subprocess.DEVNULL)
        wait_until(lambda: any(len(half) > 100_000 for half in tree(house.inbox).values()), "it is on its way")
        os.killpg(slow.pid, ending)
        slow.wait(30)
        cut_off = any(not name.startswith(".") for name in os.listdir(house.inbox))
        if cut_off:
            wait_until(lambda: reasons(house) == {"truncated": 1}, "the half of it is set aside")
        subprocess.run(order, check=True, timeout=60)
        wait_until(lambda: len(house.delivered()) == 1, "it came out when it was whole")
    assert sum(house.refusals().values()) == int(cut_off)
    report(f"rsync {options} ended by {ending.name}", fired=1, **tally(house, {"large.dcm": content}).numbers)


@only_in_sweep
def test_names_of_any_bytes_through_rsync_come_out(house: House, tmp_path: Path, report: Report) -> None:
    needs("rsync")
    names = [b"\xff\xfe\x80", b"one\ntwo", b"M\xfcller^Ada", b"\x1b[31m", "𝔘".encode(), b"-rf"]
    source = tmp_path / "from"
    source.mkdir()
    dropped = {}
    for number, name in enumerate(names):
        dropped[os.fsdecode(name)] = image(1, number)
        Path(source, os.fsdecode(name)).write_bytes(dropped[os.fsdecode(name)])
    with house.service() as service:
        subprocess.run(["rsync", "--recursive", f"{source}/", f"{house.inbox}/"], check=True, timeout=60)
        house.wait_until_done(studies=1)
        said = service.said()
    assert "Ada" not in said
    assert not house.refusals()
    report("names of any bytes", fired=len(names), **tally(house, dropped).numbers)
