"""Whatever kills a Study's new delivery out of the archive, it is out whole or not at all, and no original moves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import ENVIRONMENT, House, tree
from tests.faults.need import needs_strace

_CALLS = "trace=renameat,renameat2,rename,mkdir,unlink,fsync,fdatasync"


def reprocess(house: House, record: Path, *inject: str) -> int:
    """The command under strace, perhaps killed; gives its exit code."""
    [(ticket,)] = house.rows("SELECT ticket FROM studies")
    command = [sys.executable, "-m", "coatcheck", "--config", os.fspath(house.config), "reprocess", ticket]
    traced = ["strace", "-f", "-qq", "-o", os.fspath(record), "-e", _CALLS, *inject, *command, "--profile", "basic"]
    return subprocess.run(traced, env=ENVIRONMENT, capture_output=True, check=False).returncode


def points(record: Path) -> list[tuple[str, int]]:
    """Each call by its name and how many of its kind have come by then."""
    seen: Counter[str] = Counter()
    found = []
    for line in record.read_text().splitlines():
        name = line.split(None, 1)[1].split("(")[0]
        seen[name] += 1
        found.append((name, seen[name]))
    return found


def test_a_kill_at_any_step_leaves_the_study_whole_and_the_archive_as_it_was(tmp_path: Path, sweep: bool) -> None:
    if not sweep:
        pytest.skip("a part of the sweep: scripts/faults")
    needs_strace()
    house = House(tmp_path / "house", profile="research")
    for number in (1, 2):
        house.drop(f"disc/{number}", studies.instance(1, number))
    house.deliver()
    archived, [before] = tree(house.archive), house.deliveries()
    assert reprocess(house.copy(tmp_path / "whole"), tmp_path / "record") == 0

    outcomes = set()
    for place, (call, number) in enumerate(points(tmp_path / "record")):
        copy = house.copy(tmp_path / f"killed-{place}")
        reprocess(copy, tmp_path / "again", "-e", f"inject={call}:signal=KILL:when={number}")
        copy.deliver()
        done = [row["folder"] for row in copy.deliveries()]
        files = [name for name in tree(copy.outbox) if not name.startswith(".")]
        assert done in ([before["folder"]], [before["folder"], f"{before['folder']}.2"]), (call, number)
        assert len(files) == 2 * len(done), (call, number)
        assert tree(copy.archive) == archived, (call, number)
        assert copy.command("doctor", "--thorough").returncode == 0, (call, number)
        outcomes.add(len(done))
    assert outcomes == {1, 2}
