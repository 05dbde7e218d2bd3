"""The same input gives the same bytes: in another house, by another executor, and after any number of kills."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, Service, alive, descendants, tree, wait_until
from tests.acceptance.keyring import key_file

STUDIES = 12
SLICES = 25


def drop_many(house: House) -> dict[str, bytes]:
    """Studies, copies, and files of every fate. Gives them all by name."""
    files = {
        f"study {study}/IM{number:03}": studies.instance(study, number, patient=f"PAT-{study % 5:04}", side=48)
        for study in range(STUDIES)
        for number in range(SLICES)
    }
    files |= {f"bad/{number}": b"text number %d" % number for number in range(8)}
    files |= {f"copy/{number}": studies.instance(1, number, patient="PAT-0001", side=48) for number in range(5)}
    files |= {f"zz other/{number}": studies.instance(2, number, patient="PAT-0002", side=16) for number in range(3)}
    files |= {f"mixed/{number}": studies.instance(90, number, patient=f"MIX-{number}") for number in range(2)}
    files |= {"risky": studies.instance(3, 900, patient="PAT-0003", BurnedInAnnotation="YES")}
    for name, content in files.items():
        house.drop(name, content)
    return files


def check_that_all_is_in_order(house: House, files: dict[str, bytes]) -> None:
    """Every original exactly once, nothing left over, nothing left to do."""
    assert not tree(house.inbox)
    assert not house.staging()
    assert not house.unfinished()
    found = Counter([*house.kept().values(), *house.set_aside().values()])
    assert found == Counter(files.values())
    assert not [path for path in (*tree(house.archive), *tree(house.quarantine)) if Path(path).name.startswith(".")]
    assert house.rows("SELECT COUNT(*) FROM instances WHERE state = 'staged'") == [(0,)]
    delivered = house.rows("SELECT COUNT(*), COUNT(DISTINCT sop_uid) FROM instances WHERE state = 'delivered'")
    assert delivered == [(len(house.delivered()), len(house.delivered()))]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that did all of it in peace, inline."""
    house = House(tmp_path_factory.mktemp("undisturbed") / "house", profile="research")
    files = drop_many(house)
    house.deliver(expect=3)
    check_that_all_is_in_order(house, files)
    return house


def test_two_houses_with_one_key_give_the_same_outbox(undisturbed: House, tmp_path: Path) -> None:
    house = undisturbed.twin(tmp_path / "house")
    drop_many(house)
    house.deliver(expect=3)

    assert house.delivered() == undisturbed.delivered()
    assert house.kept() == undisturbed.kept()
    assert house.set_aside() == undisturbed.set_aside()


def test_another_key_gives_other_names_throughout(undisturbed: House, tmp_path: Path) -> None:
    house = House(tmp_path / "house", profile="research")
    key_file(house).unlink()
    assert house.command("key", "new", "--project", "lung").returncode == 0
    drop_many(house)
    house.deliver(expect=3)

    theirs = {part for path in undisturbed.delivered() for part in Path(path).parts}
    ours = {part for path in house.delivered() for part in Path(path).parts}
    assert len(ours) == len(theirs)
    assert not ours & theirs


def test_worker_processes_give_the_same_bytes_as_the_service_itself(undisturbed: House, tmp_path: Path) -> None:
    house = undisturbed.twin(tmp_path / "house", executor="processes", workers=2)
    files = drop_many(house)
    house.deliver(expect=3)

    assert house.delivered() == undisturbed.delivered()
    check_that_all_is_in_order(house, files)


@pytest.mark.parametrize(("executor", "seed"), [("inline", 1), ("processes", 2)])
def test_a_service_that_is_killed_at_any_moments_ends_up_with_the_same(
    undisturbed: House, tmp_path: Path, executor: str, seed: int
) -> None:
    house = undisturbed.twin(tmp_path / "house", executor=executor, workers=2)
    files = drop_many(house)
    # Each life is a little longer than the one before, so that all of it is reached however quick the machine is.
    dice, kills = random.Random(seed), 0
    for life in range(12):
        service = house.start()
        time.sleep(0.25 + dice.uniform(0, 0.08 * life))  # a life, not a wait for something
        ended = service.process.poll() is not None
        assert not ended, service.said()
        service.kill()
        kills += bool(tree(house.inbox))
    last = house.once()

    assert last.returncode in (0, 3), last.stderr
    assert kills >= 3  # the others came too late to disturb anything
    assert house.delivered() == undisturbed.delivered()
    check_that_all_is_in_order(house, files)


def test_no_worker_outlives_a_service_that_is_killed(tmp_path: Path) -> None:
    house = House(tmp_path / "house", executor="processes", workers=2)
    for study in range(20):
        house.drop(f"{study}", studies.instance(study, 1, side=512))
    service = house.start()
    wait_until(lambda: len(service.workers()) == 2, "the workers are there")
    family = descendants(service.pid)

    service.process.kill()
    service.process.wait()

    try:
        wait_until(lambda: not any(alive(pid) for pid in family), "its workers are gone", seconds=5)
    finally:
        _put_away(family)


def _put_away(pids: list[int]) -> None:
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_the_next_start_takes_over_while_workers_of_a_killed_service_may_still_live(
    undisturbed: House, tmp_path: Path
) -> None:
    house = undisturbed.twin(tmp_path / "house", executor="processes", workers=2)
    files = drop_many(house)
    left: list[int] = []
    for life in range(5):
        service: Service = house.start()
        time.sleep(0.4 + 0.15 * life)  # a life, not a wait for something
        left += descendants(service.pid)
        service.process.kill()  # the service only, and at once the next
        service.process.wait()
    try:
        house.once()

        assert house.delivered() == undisturbed.delivered()
        check_that_all_is_in_order(house, files)
    finally:
        _put_away(left)


def test_files_of_an_outbox_do_not_depend_on_the_order_of_arrival(undisturbed: House, tmp_path: Path) -> None:
    house = undisturbed.twin(tmp_path / "house", study_settle="400ms")
    source = House(tmp_path / "source")
    files = drop_many(source)
    names = sorted(files)
    random.Random(7).shuffle(names)
    with house.service():
        for name in names:
            house.drop(name, files[name])
        house.wait_until_done()
    shutil.rmtree(source.root)

    by_uid = {Path(path).name: content for path, content in undisturbed.delivered().items()}
    assert {Path(path).name: content for path, content in house.delivered().items()} == by_uid
