"""A kill at chosen system calls, one after the other: wherever the power goes, the next start ends as if it had not.

tests/faults/test_crash_sweep.py does the same at every point.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.faults.crash import NEVER, drop_some, judge, killed, points, spread, traced
from tests.faults.need import needs_strace

PARTS, POINTS_IN_EACH = 4, 4


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that did it in peace, under strace. Its record tells which system calls there are to die at."""
    needs_strace()
    root = tmp_path_factory.mktemp("undisturbed")
    house = House(root / "house")
    drop_some(house)
    done = traced(house, NEVER, root / "record")
    assert done.returncode == 3, done.stderr
    return house


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_any_system_call_is_mended_by_the_next_start(undisturbed: House, tmp_path: Path, part: int) -> None:
    found = spread(points(undisturbed.root.parent / "record"), PARTS * POINTS_IN_EACH)
    fired = 0
    for point in found[part::PARTS]:
        house = undisturbed.twin(tmp_path / f"{point.call}-{point.number}")
        files = drop_some(house)

        dead = killed(house, point, tmp_path / "record")
        if point.call == "write" and dead.returncode in (0, 3):
            continue  # Each ring of the bell is a write too, and it may ring less often than it did in peace.
        fired += 1
        mended = house.once()

        where = f"killed at {point}: {dead.stderr} then: {mended.stderr}"
        assert dead.returncode == -9, where
        assert mended.returncode in (0, 3), where
        judge(house, undisturbed, files, where)
        shutil.rmtree(house.root)
    assert fired >= POINTS_IN_EACH - 1


@pytest.mark.parametrize("name", ["renameat", "fdatasync", "unlinkat", "pwrite64"])
def test_a_kill_while_the_damage_of_a_kill_is_mended_is_mended_too(
    undisturbed: House, tmp_path: Path, name: str
) -> None:
    house = undisturbed.twin(tmp_path / "house")
    files = drop_some(house)
    places = [point for point in points(undisturbed.root.parent / "record") if point.call == name]
    first = killed(house, places[len(places) // 2], tmp_path / "record")
    assert first.returncode == -9
    deaths = 0
    for number in (1, 2, 4):
        deaths += killed(house, places[0]._replace(number=number), tmp_path / "record").returncode == -9

    mended = house.once()

    assert deaths >= 2
    judge(house, undisturbed, files, mended.stderr)
    assert house.mapping("uid") == undisturbed.mapping("uid")
