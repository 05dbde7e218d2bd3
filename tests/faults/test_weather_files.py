"""Single files that fail: a result that cannot be made durable is made anew, an original that cannot be read waits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until
from tests.faults.conftest import Report
from tests.faults.crash import attach
from tests.faults.need import needs_strace
from tests.faults.storm import HEALTHY, STRUCK, storm


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", STRUCK, HEALTHY)


def test_results_that_could_not_be_made_durable_are_not_trusted_and_made_anew(
    house: House, tmp_path: Path, report: Report
) -> None:
    """The kernel tells once of pages that it lost. A second sync that succeeds proves nothing."""
    needs_strace()
    record = tmp_path / "record"
    options = ["-e", "trace=syncfs,openat", "-e", "inject=syncfs:error=EIO:when=1..3"]
    with storm(house, tmp_path) as weather:
        with attach(weather.service, options, record):
            house.drop("dropped 1", studies.instance(1, 1))
            house.drop("dropped 2", studies.instance(1, 2))
            weather.shows("EIO")
            weather.is_tried_again()
            assert not house.folders()
            weather.is_over()
        weather.others_go_on()

    lines = record.read_text().splitlines()
    failed = [place for place, line in enumerate(lines) if "INJECTED" in line]
    made = [place for place, line in enumerate(lines) if ".dcm" in line and "O_CREAT" in line]
    assert len(failed) == 3
    for place in failed:
        assert len([one for one in made if one > place]) >= 2, "both results are made again after each failure"
    assert len(made) == 2 * 4
    assert len(house.delivered()) == len(house.kept()) == 2
    assert house.rows("SELECT state FROM deliveries WHERE id = 1") == [("done",)]
    report("outbox: EIO at sync", fired=len(failed))


def test_a_result_that_cannot_be_written_pauses_its_study(
    house: House, tmp_path: Path, sweep: bool, report: Report
) -> None:
    needs_strace()
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    twin = house.twin(tmp_path / "twin")
    twin.drop("a", studies.instance(1, 1, side=200))
    twin.deliver()
    [(ticket,)] = twin.rows("SELECT ticket FROM studies")
    [path] = twin.delivered()
    result = house.outbox / f".coatcheck/{ticket}-1/study" / path.split("/", 2)[2]
    options = ["-e", "trace=write,writev", "-P", os.fspath(result), "-e", "inject=write,writev:error=EIO"]
    record = tmp_path / "record"
    with storm(house, tmp_path) as weather:
        with attach(weather.service, options, record):
            house.drop("dropped", studies.instance(1, 1, side=200))
            weather.shows("EIO")
            weather.others_go_on()
            weather.is_tried_again()
            assert not house.folders()
            assert len(tree(house.inbox)) == 1
        weather.is_over()
    assert house.delivered() == twin.delivered()
    report("outbox: EIO at write", fired=record.read_text().count("INJECTED"))


def test_an_original_that_may_not_be_read_waits_alone_and_is_shown(
    house: House, tmp_path: Path, report: Report
) -> None:
    house.bound_by_rights()
    for number in range(1, 4):
        (house.root / STRUCK / f"{number}").write_bytes(studies.instance(1, number))
    (house.root / STRUCK / "2").chmod(0)
    with storm(house, tmp_path) as weather:
        for number in range(1, 4):
            (house.root / STRUCK / f"{number}").rename(house.inbox / f"dropped {number}")
        weather.shows("a file in the inbox cannot be read (EACCES)")
        weather.others_go_on()
        wait_until(lambda: len(house.delivered()) == 2, "the others of its Study are out")
        assert [path.name for path in house.inbox.iterdir()] == ["dropped 2"]
        weather.is_tried_again()
        (house.inbox / "dropped 2").chmod(0o644)
        weather.is_over()
    assert len(house.delivered()) == 3
    report("inbox: one file may not be read", fired=1)


def test_an_original_that_lies_on_bad_sectors_waits_alone_and_is_shown(
    house: House, tmp_path: Path, sweep: bool, report: Report
) -> None:
    """Its header can be read, its pixels cannot: each attempt gets as far as the transform."""
    needs_strace()
    if not sweep:
        pytest.skip("the whole of it runs with scripts/faults")
    bad = house.inbox / "dropped 2"
    options = ["-e", "trace=preadv,preadv2", "-P", os.fspath(bad), "-e", "inject=preadv,preadv2:error=EIO"]
    record = tmp_path / "record"
    with storm(house, tmp_path) as weather:
        with attach(weather.service, options, record):
            for number in range(1, 4):
                house.drop(f"dropped {number}", studies.instance(1, number, side=200))
            weather.shows("a file in the inbox cannot be read (EIO)")
            weather.others_go_on()
            wait_until(lambda: len(house.delivered()) == 2, "the others of its Study are out")
            weather.is_tried_again()
            assert list(tree(house.inbox)) == ["dropped 2"]
            assert house.rows("SELECT note FROM events WHERE to_state = 'abandoned'")
        weather.is_over()
    assert len(house.delivered()) == len(house.kept()) == 3
    report("inbox: EIO at read of one file", fired=record.read_text().count("INJECTED"))
