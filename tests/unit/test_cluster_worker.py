from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coatcheck import worker
from coatcheck.cluster_post import Answer, Letter, Mark, Order, build, write
from coatcheck.cluster_worker import answer, carry_out
from coatcheck.delivery.afar import make_room, take_in
from coatcheck.files import fingerprint
from coatcheck.model import Arrival, Instance
from tests.acceptance import studies


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """One file in an inbox, as a service on another machine sees it: under another number of its device."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "file").write_bytes(studies.instance(1, 1))
    there = os.stat(inbox)
    mark = fingerprint(os.stat(inbox / "file"))._replace(device=there.st_dev + 7)
    arrival = Arrival(project="lung", path="file", fingerprint=mark)
    return Order(
        function=worker.examine,
        context=worker.Reading(inbox=inbox, device_here=there.st_dev + 7),
        items=(arrival,),
        inbox=Mark(device=there.st_dev + 7, inode=there.st_ino),
    )


def carried_out(order: Order) -> Answer:
    found: Answer = Letter(content=carry_out(write(order))).read()
    return found


def test_a_file_is_the_same_on_a_machine_that_has_another_number_for_its_device(order: Order) -> None:
    [result] = carried_out(order).results

    assert isinstance(result, Instance)


def test_a_file_that_changed_is_noticed_there_too(order: Order) -> None:
    [arrival] = order.items
    other = replace(arrival, fingerprint=arrival.fingerprint._replace(size=1))

    [result] = carried_out(replace(order, items=(other,))).results

    assert type(result).__name__ == "Unready"


def test_a_worker_that_has_another_folder_at_the_inboxs_path_is_blind(order: Order, tmp_path: Path) -> None:
    assert carried_out(replace(order, inbox=replace(order.inbox, inode=order.inbox.inode + 1))).blind
    assert carried_out(replace(order, context=replace(order.context, inbox=tmp_path / "none"))).blind
    assert carried_out(replace(order, room=tmp_path / "none")).blind


def failing(error: Exception, context: object, items: Sequence[Any]) -> list[Any]:
    raise error


def test_an_error_comes_back_as_weather_without_its_words(order: Order) -> None:
    found = carried_out(replace(order, function=partial(failing, KeyError("Vandermeulen^Ottokar"))))

    assert "KeyError" in str(found.weather)
    assert "Vandermeulen" not in repr(found.weather)
    assert carried_out(replace(order, function=partial(failing, MemoryError()))).died


def ending(context: object, items: Sequence[Any]) -> list[Any]:
    os._exit(9)


def test_a_process_that_ends_is_told_and_the_next_batch_has_another(order: Order) -> None:
    answers: list[Answer] = []

    def relay() -> None:
        for function in (ending, worker.examine):
            letter = Letter(content=write(replace(order, function=function)))
            answers.append(answer(letter).read())

    thread = threading.Thread(target=relay)
    thread.start()
    thread.join(60)

    assert [one.died for one in answers] == [True, False]
    assert len(answers[1].results) == 1


def test_a_letter_shows_nothing_of_what_is_in_it(order: Order) -> None:
    letter = Letter(content=write(order))

    shown = repr(letter) + repr(order) + repr(carried_out(order))

    assert "file" not in shown.replace("profile", "")
    assert pickle.loads(letter.content) == order


def test_results_of_a_lost_attempt_never_stand_among_those_that_are_released(tmp_path: Path) -> None:
    staging = tmp_path / ".coatcheck" / "0123456789-1"
    results = staging / "study"
    results.mkdir(parents=True)
    room = make_room(results)
    for attempt in ("lost", "answered"):
        (room / attempt / "1.2").mkdir(parents=True)
        (room / attempt / "1.2" / "3.dcm").write_text(attempt)
        (room / attempt / "1.2" / "extra.dcm").write_text(attempt)

    assert take_in(staging, [("answered", ["1.2/3.dcm"])]) == [True]

    assert [path.relative_to(results).as_posix() for path in results.rglob("*.dcm")] == ["1.2/3.dcm"]
    assert (results / "1.2" / "3.dcm").read_text() == "answered"
    assert [path.name for path in room.iterdir()] == ["lost"]


def test_the_build_is_told_by_a_version_and_a_digest() -> None:
    assert build().startswith("coatcheck-0.")
    assert build() == build()
