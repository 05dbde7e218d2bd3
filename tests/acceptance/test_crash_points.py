"""A kill at chosen system calls, one after the other: wherever the power goes, the next start ends as if it had not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import ENVIRONMENT, House, tree

# What makes something durable or visible, and the writes of SQLite.
CALLS = (
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "fsync", "fdatasync", "syncfs"),
    *("pwrite64", "write", "copy_file_range", "mkdir", "mkdirat", "rmdir", "sendfile"),
)
PARTS, POINTS_IN_EACH = 6, 6
NEVER_KILL = "none"


def traced(house: House, inject: str, record: Path) -> subprocess.CompletedProcess[str]:
    """``run --once`` under strace. Only the service's own thread is traced: it does all the work here."""
    strace = shutil.which("strace")
    assert strace is not None
    options = ["-qq", "-o", os.fspath(record), "-e", f"trace={','.join(CALLS)}"]
    if inject != NEVER_KILL:
        options += ["-e", f"inject={inject}"]
    command = [sys.executable, "-m", "coatcheck", "--config", os.fspath(house.config), "run", "--once"]
    return subprocess.run(
        [strace, *options, *command], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )


def drop_some(house: House) -> dict[str, bytes]:
    """A little of everything. The slices are large enough that their pixels are copied by the kernel."""
    files = {f"one/{number}": studies.instance(1, number, side=200) for number in range(2)}
    files |= {"again": studies.instance(1, 1, side=200), "differs": studies.instance(1, 0, side=8)}
    files |= {"two": studies.instance(2, 1, patient="PAT-2"), "text": b"just text"}
    files |= {f"mixed/{number}": studies.instance(3, number, patient=f"MIX-{number}") for number in range(2)}
    for name, content in files.items():
        house.drop(name, content)
    return files


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that did it in peace, under strace. Its record tells which system calls there are to die at."""
    root = tmp_path_factory.mktemp("undisturbed")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    house = House(root / "house")
    drop_some(house)
    done = traced(house, NEVER_KILL, root / "record")
    assert done.returncode == 3, done.stderr
    return house


def points(house: House) -> list[tuple[str, int]]:
    """Where to die: (system call, its number), spread over the record of the undisturbed run."""
    lines = (house.root.parent / "record").read_text().splitlines()
    seen: Counter[str] = Counter()
    found = []
    for line in lines:
        name = line.split("(")[0]
        # The status is written as time goes by: how often is not the same in every run.
        if name not in CALLS or "status.tmp" in line:
            continue
        seen[name] += 1
        found.append((name, seen[name]))
    wanted = PARTS * POINTS_IN_EACH
    assert len(found) > wanted
    # Every kind of call at its first and last time, then an even spread over all.
    edges = {(name, number) for name, count in seen.items() for number in (1, count)}
    step = len(found) / (wanted - len(edges))
    spread = [found[int(place * step)] for place in range(wanted - len(edges))]
    return sorted(edges) + [point for point in spread if point not in edges]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_any_system_call_is_mended_by_the_next_start(undisturbed: House, tmp_path: Path, part: int) -> None:
    for name, number in points(undisturbed)[part::PARTS]:
        house = undisturbed.twin(tmp_path / f"{name}-{number}")
        files = drop_some(house)

        killed = traced(house, f"{name}:signal=SIGKILL:when={number}", tmp_path / "record")
        mended = house.once()

        where = f"killed at {name} number {number}: {killed.stderr} then: {mended.stderr}"
        assert killed.returncode == -9, where
        assert mended.returncode in (0, 3), where
        check(house, undisturbed, files, where)
        shutil.rmtree(house.root)


@pytest.mark.parametrize("name", ["renameat", "fdatasync", "unlinkat", "pwrite64"])
def test_a_kill_while_the_damage_of_a_kill_is_mended_is_mended_too(
    undisturbed: House, tmp_path: Path, name: str
) -> None:
    house = undisturbed.twin(tmp_path / "house")
    files = drop_some(house)
    places = [number for call, number in points(undisturbed) if call == name]
    killed = traced(house, f"{name}:signal=SIGKILL:when={places[len(places) * 2 // 3]}", tmp_path / "record")
    assert killed.returncode == -9
    deaths = 0
    for number in (1, 2, 4):
        deaths += traced(house, f"{name}:signal=SIGKILL:when={number}", tmp_path / "record").returncode == -9

    mended = house.once()

    assert deaths >= 2
    check(house, undisturbed, files, mended.stderr)
    assert house.mapping("uid") == undisturbed.mapping("uid")


def check(house: House, undisturbed: House, files: dict[str, bytes], where: str) -> None:
    assert house.delivered() == undisturbed.delivered(), where
    assert house.kept() == undisturbed.kept(), where
    assert house.set_aside() == undisturbed.set_aside(), where
    assert Counter([*house.kept().values(), *house.set_aside().values()]) == Counter(files.values()), where
    assert not tree(house.inbox), where
    assert not house.staging(), where
    assert not house.unfinished(), where
    for kind in ("deliveries", "refusals"):
        sql = f"SELECT state, COUNT(*) FROM {kind} WHERE state NOT IN ('abandoned', 'dropped') GROUP BY 1 ORDER BY 1"
        assert house.rows(sql) == undisturbed.rows(sql), where
    sql = "SELECT sop_uid, state, COUNT(*) FROM instances GROUP BY 1, 2 ORDER BY 1, 2"
    assert house.rows(sql) == undisturbed.rows(sql), where
