from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.errors import Refused
from coatcheck.files import fingerprint
from coatcheck.intake.writers import is_being_written
from coatcheck.model import Arrival
from coatcheck.reasons import Reason
from coatcheck.source import Changed, original


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "IM1"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def fd(file: Path) -> Iterator[int]:
    fd = os.open(file, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_file_that_nobody_has_open_for_writing_is_not_being_written(file: Path, fd: int) -> None:
    assert not is_being_written(fd)
    with file.open("rb"):
        assert not is_being_written(fd)


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_a_file_that_is_open_for_writing_is_being_written_until_it_is_closed(file: Path, fd: int, mode: str) -> None:
    with file.open(mode):
        assert is_being_written(fd)
    assert not is_being_written(fd)


def test_a_file_that_is_mapped_for_writing_is_being_written(file: Path, fd: int) -> None:
    with file.open("r+b") as writer:
        mapped = mmap.mmap(writer.fileno(), 0)
    assert is_being_written(fd)
    mapped.close()
    assert not is_being_written(fd)


HOLD = """
import sys
with open(sys.argv[1], "ab"):
    print("open", flush=True)
    sys.stdin.readline()
"""


def test_a_writer_in_another_process_counts(file: Path, fd: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        assert is_being_written(fd)
        holder.communicate("\n")
    assert not is_being_written(fd)


def test_one_who_opens_the_file_while_it_is_asked_neither_ends_the_process_nor_waits(file: Path, fd: int) -> None:
    over = threading.Event()
    opened = 0

    def open_it() -> None:
        nonlocal opened
        while not over.is_set():
            file.open("ab").close()
            opened += 1

    opener = threading.Thread(target=open_it)
    opener.start()
    for _ in range(3000):
        is_being_written(fd)
    over.set()
    opener.join(timeout=10)
    assert not opener.is_alive()
    assert opened


def test_an_original_that_is_still_open_for_writing_is_not_read_where_all_writers_are_here(file: Path) -> None:
    arrival = Arrival(project="lung", path="IM1", fingerprint=fingerprint(file.stat()))
    here = file.stat().st_dev
    with file.open("ab"):
        with pytest.raises(Changed), original(file.parent, arrival, here):
            pass
        for elsewhere in (None, here + 1):
            with original(file.parent, arrival, elsewhere) as fd:
                assert os.read(fd, 7) == b"content"
    with original(file.parent, arrival, here) as fd:
        assert os.read(fd, 7) == b"content"


def test_an_original_that_looks_broken_and_changed_meanwhile_is_no_verdict(file: Path) -> None:
    arrival = Arrival(project="lung", path="IM1", fingerprint=fingerprint(file.stat()))
    with pytest.raises(Refused), original(file.parent, arrival):
        raise Refused(Reason.TRUNCATED)
    with pytest.raises(Changed), original(file.parent, arrival):
        file.write_bytes(b"longer content")
        raise Refused(Reason.TRUNCATED)
