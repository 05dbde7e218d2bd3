"""Whatever kills a rotation or a destruction of a key, nothing is lost, and the next one finishes it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from coatcheck.keys import read_key, unfinished
from tests.acceptance import studies
from tests.acceptance.house import House
from tests.acceptance.keyring import (
    audited,
    coatcheck_command,
    destroy,
    faults,
    fill,
    key_file,
    moved,
    rotate,
    sealed_with,
)
from tests.faults.conftest import Report
from tests.faults.need import needs_strace

CALLS = "trace=rename,renameat,renameat2,fsync,fdatasync,pwrite64,unlink,unlinkat,openat"


def traced(house: House, *arguments: str, record: Path) -> int:
    """A command under strace; gives its exit code."""
    command = ["strace", "-f", "-qq", "-o", os.fspath(record), *arguments, *coatcheck_command(house)]
    done = subprocess.run([*command, "key", "rotate", "--project", "lung"], capture_output=True, check=False)
    return done.returncode


def points(record: Path, count: int) -> list[tuple[str, int]]:
    """Where to die: at the calls that touch the key, and at some that write the vault."""
    seen: dict[str, int] = {}
    keys, others = [], []
    for line in record.read_text().splitlines():
        words = line.split(None, 1)[1]
        name = words.split("(")[0]
        seen[name] = seen.get(name, 0) + 1
        if ".key" in words and "O_RDONLY" not in words:
            keys.append((name, seen[name]))
        elif name in ("pwrite64", "fdatasync") or "vault.db" in words:
            others.append((name, seen[name]))
    step = max(1, len(others) // count)
    return keys + others[step // 2 :: step]


def is_noted(house: House) -> bool:
    """Whether the vault says that a rotation is under way."""
    with closing(sqlite3.connect(house.state / "vault.db")) as db:
        return bool(db.execute("SELECT 1 FROM rotations").fetchall())


def test_a_rotation_that_is_killed_anywhere_loses_nothing_and_goes_on(
    tmp_path: Path, sweep: bool, report: Report
) -> None:
    needs_strace()
    master = House(tmp_path / "master")
    master.drop("a", studies.instance(1, 1))
    master.deliver()
    fill(master)
    before = {kind: master.mapping(kind) for kind in ("uid", "patient")}
    shutil.copytree(master.root, tmp_path / "rehearsal")
    assert traced(moved(master, tmp_path / "rehearsal"), "-e", CALLS, record=tmp_path / "record") == 0
    places = points(tmp_path / "record", 50 if sweep else 4)
    assert len(places) > 8
    deaths = 0
    chosen = places if sweep else places[:: len(places) // 3]
    for name, number in chosen:
        shutil.copytree(master.root, tmp_path / "house")
        house = moved(master, tmp_path / "house")
        inject = ("-e", CALLS, "-e", f"inject={name}:signal=SIGKILL:when={number}")
        where = f"killed at {name} number {number}"
        deaths += traced(house, *inject, record=tmp_path / "killed") == -9

        assert house.mapping("patient") == before["patient"], where
        if deaths % 2:
            house.deliver()  # the start of a service carries on what was noted
            assert not is_noted(house), where
        if is_noted(house) or read_key(key_file(house)).sealing_keys.keys() != {2}:
            assert rotate(house).returncode == 0, where

        assert read_key(key_file(house)).sealing_keys.keys() == {2}, where
        assert not unfinished(key_file(house)).exists(), where
        assert {kind: house.mapping(kind) for kind in before} == before, where
        assert sealed_with(house) == {2}, where
        assert audited(house).count("key rotate") == 1, where
        assert faults(house) == [], where
        shutil.rmtree(house.root)
    assert deaths >= len(chosen) - 2
    report("SIGKILL of `key rotate` at its writes, renames and commits", fired=deaths)


def test_a_destruction_that_is_killed_on_its_way_is_refused_by_the_service_and_finished_by_the_next(
    tmp_path: Path, report: Report
) -> None:
    needs_strace()
    house = House(tmp_path / "house", "lung", "heart")
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    fired = 0
    for call in ("unlink", "pwrite64"):  # the overwriting of the key is the last of the latter
        record = tmp_path / "record"
        path = key_file(house)
        command = ["strace", "-f", "-qq", "-o", os.fspath(record), "-P", os.fspath(path), "-e", f"trace={call}"]
        inject = ["-e", f"inject={call}:signal=SIGKILL:when=1"]
        arguments = ["key", "destroy", "--project", "lung", "--yes", "lung"]
        killed = subprocess.run(
            [*command, *inject, *coatcheck_command(house), *arguments], capture_output=True, check=False
        )
        fired += killed.returncode == -signal.SIGKILL
        assert path.exists()

        assert "is still there" in house.once().stderr
        assert audited(house)[-1] == "key destroy"
    assert destroy(house, "--yes", "lung").returncode == 0
    assert not key_file(house).exists()
    assert audited(house).count("key destroy") == 1
    assert faults(house) == []
    report("SIGKILL of `key destroy` at the overwriting and the removal", fired=fired)
