"""SIGKILL while archives are unpacked, worked on and put away: nothing of them is lost, doubled or partial."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree
from tests.faults.conftest import Report
from tests.faults.crash import NEVER, killed, points, traced
from tests.faults.need import needs_strace
from tests.flow.test_archives import tarred, zipped

ARCHIVES = {
    "a/one.zip": zipped(
        {
            "IM1": studies.instance(1, 1),
            "IM2": studies.instance(2, 1),
            "letter": b"text",
            "DICOMDIR": studies.directory(),
        }
    ),
    "two.tgz": tarred({"deep/IM1": studies.instance(1, 2), "again": studies.instance(2, 1)}, "w:gz"),
    "bad.zip": zipped({"IM1": studies.instance(3, 1)})[:-9],
}
PART = 5  # points of the fixed part of the sweep


def drop_all(house: House) -> None:
    for name, content in ARCHIVES.items():
        house.drop(name, content)


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> House:
    needs_strace()
    house = House(tmp_path_factory.mktemp("peace") / "house")
    drop_all(house)
    done = traced(house, NEVER, house.root.parent / "record")
    assert done.returncode == 3, done.stderr
    return house


def kept(house: House) -> list[bytes]:
    """What the archive holds. An archive's folder there is called by what the file system says of it."""
    return sorted(house.kept().values())


def fates(house: House) -> Counter[str]:
    with closing(sqlite3.connect(f"file:{house.state / 'vault.db'}?mode=ro", uri=True)) as db:
        assert not db.execute("SELECT id FROM files WHERE state = 'planned'").fetchall()
        return Counter(dict(db.execute("SELECT fate, COUNT(*) FROM files WHERE state = 'done' GROUP BY 1").fetchall()))


def judge(house: House, peace: House, where: str) -> None:
    assert house.delivered() == peace.delivered(), where
    assert house.set_aside() == peace.set_aside(), where
    assert kept(house) == kept(peace), where
    assert house.refusals() == peace.refusals(), where
    assert not house.unfinished(), where
    assert not house.staging(), where
    assert not tree(house.inbox), where
    assert not (house.inbox / ".coatcheck").exists(), where
    assert fates(house) == fates(peace), where
    sql = "SELECT sop_uid, state, COUNT(*) FROM instances GROUP BY 1, 2 ORDER BY 1, 2"
    assert house.rows(sql) == peace.rows(sql), where


def test_a_kill_while_archives_are_worked_on_is_mended_by_the_next_start(
    peace: House, tmp_path: Path, sweep: bool, report: Report
) -> None:
    assert len(peace.delivered()) == 3
    assert peace.refusals() == {"not-dicom": 1, "bad-archive": 1}
    assert kept(peace) == sorted(content for name, content in ARCHIVES.items() if name != "bad.zip")
    found = points(peace.root.parent / "record")
    # What is of archives alone: their spool is made, filled, renamed and swept.
    lines = (peace.root.parent / "record").read_text(errors="replace").splitlines()
    assert sum("inbox/.coatcheck" in line for line in lines) > 10
    middle = found[len(found) // 6 : -len(found) // 12]
    chosen = found if sweep else middle[:: max(1, len(middle) // PART)]
    fired = 0
    for point in chosen:
        house = peace.twin(tmp_path / f"{point.call}-{point.number}")
        drop_all(house)
        dead = killed(house, point, tmp_path / "record")
        fired += dead.returncode == -9
        mended = house.once()
        assert mended.returncode in (0, 3), mended.stderr
        judge(house, peace, f"killed at {point}: {dead.stderr} then: {mended.stderr}")
        shutil.rmtree(house.root)
    report("SIGKILL while archives are worked on", fired=fired)
