"""ARCHITECTURE.md's promise, line by line: each state is brought about by a kill, looked at, and left to a new start.

A kill comes at the beginning of a system call, so what stands before it has happened, and the call itself has not.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree
from tests.faults.conftest import Report
from tests.faults.crash import Life, Point, doctor, judge, killed, live, traced

RENAMED = r"renameat\(.*\"study\""
STORED = r"renameat\(.*inbox>?, \"(one|two)\""


STUDY = {"one": studies.instance(1, 1), "two": studies.instance(1, 2)}
TEXT = {"text": b"just text"}
MIXED = {f"mix {number}": studies.instance(3, number, patient=f"MIX-{number}") for number in range(2)}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return live(tmp_path_factory.mktemp("study"), STUDY, 0)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return live(tmp_path_factory.mktemp("text"), TEXT, 3)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return live(tmp_path_factory.mktemp("mixed"), MIXED, 3)


@pytest.fixture
def whole(sweep: bool) -> None:
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")


def dead_at(life: Life, root: Path, point: Point, files: dict[str, bytes]) -> House:
    """A house with the same keys that died at a point."""
    house = life.house.twin(root / "dead")
    for name, content in files.items():
        house.drop(name, content)
    dead = killed(house, point, root / "dead.record")
    assert dead.returncode == -9, dead.stderr
    return house


def fates(house: House) -> list[str]:
    """What the vault has planned and done, by state."""
    with closing(sqlite3.connect(f"file:{house.state / 'vault.db'}?mode=ro", uri=True)) as db:
        return [row[0] for row in db.execute("SELECT state FROM files ORDER BY id")]


def states(house: House) -> list[str]:
    return [row[0] for row in house.rows("SELECT state FROM deliveries ORDER BY id")]


def events(house: House) -> list[str]:
    return [row[0] for row in house.rows("SELECT to_state FROM events WHERE delivery_id IS NOT NULL ORDER BY id")]


def staged(house: House) -> int:
    """How many results lie in staging."""
    return len([path for path in tree(house.outbox) if path.startswith(".coatcheck/") and path.endswith(".dcm")])


@dataclass(frozen=True)
class Instant:
    """What is to be seen after a kill: the delivery's state, and how many files are where."""

    where: Callable[[Life], Point]
    state: str
    staged: int = 0
    out: int = 0
    inbox: int = 2
    fates: tuple[str, ...] = ()
    again: bool = False  # the work is repeated as another delivery


INSTANTS = {
    "opened": Instant(lambda life: life.at(r"mkdirat\(.*\"\w{10}-1\""), "open", again=True),
    "half made": Instant(lambda life: life.at(r"sync_file_range\(.*study/2"), "open", staged=1, again=True),
    "made": Instant(lambda life: life.at(r"syncfs\("), "open", staged=2, again=True),
    "recorded in the vault": Instant(
        lambda life: life.behind_vault(RENAMED), "open", staged=2, fates=("planned",) * 2, again=True
    ),
    "staged": Instant(lambda life: life.at(RENAMED), "staged", staged=2, fates=("planned",) * 2),
    "renamed": Instant(lambda life: life.at(RENAMED, r"fsync\("), "staged", out=2, fates=("planned",) * 2),
    "released": Instant(lambda life: life.at(STORED), "released", out=2, fates=("planned",) * 2),
    "originals away": Instant(
        lambda life: life.at(STORED, STORED, r"fsync\("), "released", out=2, inbox=0, fates=("planned",) * 2
    ),
    "fates settled": Instant(
        lambda life: life.at(STORED, STORED, r"fdatasync\(.*vault", r"pwrite64\(.*ledger"),
        *("released", 0, 2, 0),
        fates=("done",) * 2,
    ),
}
WHOLE = pytest.mark.usefixtures("whole")
CI = ("recorded in the vault",)


@pytest.mark.parametrize("name", list(INSTANTS))
def test_what_is_on_disk_when_a_delivery_dies_and_what_the_next_start_makes_of_it(
    study: Life, tmp_path: Path, name: str, sweep: bool, report: Report
) -> None:
    if not sweep and name not in CI:
        pytest.skip("the whole of it runs with scripts/faults")
    instant = INSTANTS[name]

    house = dead_at(study, tmp_path, instant.where(study), STUDY)

    assert states(house) == [instant.state]
    assert staged(house) == instant.staged
    assert len(house.delivered()) == instant.out
    assert len(tree(house.inbox)) == instant.inbox
    assert len(house.kept()) == 2 - instant.inbox
    assert tuple(fates(house)) == instant.fates
    if instant.out:
        assert house.delivered() == study.house.delivered()
    house.deliver()
    judge(house, study.house, STUDY, name)
    doctor(house)
    first = ["open", "abandoned"] if instant.again else []
    assert events(house) == [*first, "open", "staged", "released", "done"]
    if instant.again:
        [note] = house.rows("SELECT note FROM events WHERE to_state = 'abandoned'")
        assert note == ("found unfinished when the service started",)
    report(f"the promise: killed when a delivery was {name}", fired=1)


def test_a_study_that_was_collected_before_the_service_could_note_that_it_is_out_does_not_come_out_again(
    study: Life, tmp_path: Path, report: Report
) -> None:
    house = dead_at(study, tmp_path, INSTANTS["renamed"].where(study), STUDY)
    for folder in house.outbox.glob("[!.]*"):
        shutil.rmtree(folder)

    house.deliver()

    assert not house.delivered()
    assert states(house) == ["done"]
    assert events(house) == ["open", "staged", "released", "done"]
    assert Counter(house.kept().values()) == Counter(STUDY.values())
    assert not house.staging()
    assert not house.unfinished()
    report("the promise: killed after the rename, and collected before the next start", fired=1)


@WHOLE
def test_results_that_were_lost_with_all_of_staging_are_made_again(study: Life, tmp_path: Path) -> None:
    house = dead_at(study, tmp_path, INSTANTS["staged"].where(study), STUDY)
    shutil.rmtree(house.outbox / ".coatcheck")

    house.deliver()

    judge(house, study.house, STUDY)
    assert events(house) == ["open", "staged", "abandoned", "open", "staged", "released", "done"]


def refusals(house: House) -> list[str]:
    return [row[0] for row in house.rows("SELECT state FROM refusals ORDER BY id")]


@WHOLE
def test_a_file_that_was_refused_and_is_not_journalled_yet_is_refused_anew(text: Life, tmp_path: Path) -> None:
    house = dead_at(text, tmp_path, text.behind_vault(r"renameat\(.*\"text\""), TEXT)

    assert refusals(house) == []
    assert fates(house) == ["planned"]
    assert list(tree(house.inbox)) == ["text"]
    house.deliver(expect=3)
    assert fates(house) == ["superseded", "done"]
    judge(house, text.house, TEXT)
    doctor(house)


@pytest.mark.parametrize("moved", [False, True])
def test_a_planned_refusal_is_carried_out_by_the_next_start(
    text: Life, tmp_path: Path, moved: bool, report: Report
) -> None:
    where = (r"renameat\(.*\"text\"", r"fsync\(")[: 1 + moved]

    house = dead_at(text, tmp_path, text.at(*where), TEXT)

    assert refusals(house) == ["planned"]
    assert fates(house) == ["planned"]
    assert len(tree(house.inbox)) == 1 - moved
    house.deliver()
    assert refusals(house) == ["quarantined"]
    judge(house, text.house, TEXT)
    doctor(house)
    report("the promise: killed when a file was refused", fired=1)


@WHOLE
def test_a_refused_file_that_becomes_another_one_before_it_is_set_aside_is_looked_at_anew(
    text: Life, tmp_path: Path
) -> None:
    house = dead_at(text, tmp_path, text.at(r"renameat\(.*\"text\""), TEXT)
    house.drop("text", studies.instance(1, 1))

    house.deliver()

    assert refusals(house) == ["dropped"]
    assert not house.set_aside()
    assert len(house.delivered()) == 1
    assert house.line()["quarantined"] == {}
    doctor(house)


@WHOLE
def test_a_study_that_was_refused_as_a_whole_goes_to_quarantine_at_the_next_start(
    mixed: Life, tmp_path: Path, report: Report
) -> None:
    house = dead_at(mixed, tmp_path, mixed.at(r"renameat\(.*\"mix 0\""), MIXED)

    assert states(house) == ["quarantined"]
    assert refusals(house) == ["planned"]
    assert len(tree(house.inbox)) == 2
    house.deliver()
    assert events(house) == ["open", "quarantined", "planned", "quarantined"]
    judge(house, mixed.house, MIXED)
    doctor(house)
    report("the promise: killed when a Study was refused", fired=1)


@WHOLE
def test_work_that_was_stopped_is_abandoned_and_repeated(study: Life, tmp_path: Path) -> None:
    house = study.house.twin(tmp_path / "house")
    for name, content in STUDY.items():
        house.drop(name, content)

    stopped = traced(house, "syncfs:signal=SIGTERM:when=1", tmp_path / "record")

    assert stopped.returncode == 0, stopped.stderr
    assert len(tree(house.inbox)) + len(house.kept()) == 2
    house.deliver()
    judge(house, study.house, STUDY)


@WHOLE
def test_what_was_delivered_is_a_duplicate_when_it_comes_again(study: Life, tmp_path: Path) -> None:
    house = study.house.twin(tmp_path / "house")
    for _ in range(2):
        for name, content in STUDY.items():
            house.drop(name, content)
        house.deliver()

    assert house.delivered() == study.house.delivered()
    assert house.rows("SELECT state, duplicates FROM deliveries ORDER BY id") == [("done", 0), ("done", 2)]
    assert Counter(house.kept().values()) == Counter(STUDY.values())
