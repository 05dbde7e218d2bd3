from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from coatcheck.errors import CoatcheckError, StateError
from coatcheck.weather import Weather


class Records:
    """A ledger and a log that remember; the ledger can fail."""

    def __init__(self) -> None:
        self.faults: dict[str, int] = {}
        self.said: list[str] = []
        self.broken = False
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1

    def fault(self, project: str, kind: str, what: str, hint: str, now: str) -> None:
        if self.broken:
            raise StateError("the ledger cannot be used")
        self.faults[what] = self.faults.get(what, 0) + 1

    def clear_fault(self, project: str, kind: str, now: str) -> None:
        if self.broken:
            raise StateError("the ledger cannot be used")
        self.faults.clear()

    def log(self, level: int, text: str, *args: object, ticket: str = "") -> None:
        self.said.append(text % args)


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def weather(records: Records) -> Weather:
    project = SimpleNamespace(name="lung")
    bench = SimpleNamespace(ledger=records, log=records.log, project=project, utc=lambda: "now", beat=records.beat)
    return Weather(cast(Any, bench), "work")


def failing(error: Exception) -> Any:  # noqa: ANN401
    def step() -> bool:
        raise error

    return step


FULL = CoatcheckError("the disk is full", "make room")


def test_one_piece_pauses_and_another_goes_on(weather: Weather) -> None:
    assert not weather.attempt("a", failing(FULL), 0)
    assert not weather.attempt("a", lambda: True, 0.9)
    assert weather.attempt("b", lambda: True, 0.9)
    assert weather.faults
    assert weather.attempt("a", lambda: True, 1)
    assert not weather.faults


def test_each_step_feeds_the_watchdog_for_a_round_of_many_may_take_minutes(weather: Weather, records: Records) -> None:
    for piece in range(3):
        weather.attempt(piece, failing(FULL), 0)
        weather.attempt(piece, failing(FULL), 0)

    assert records.beats == 3


def test_pieces_of_which_nothing_is_left_to_do_are_forgotten(weather: Weather, records: Records) -> None:
    for piece in range(3):
        weather.attempt(piece, failing(FULL), 0)
    weather.forget_others({1}.__contains__)
    assert weather.faults
    weather.forget_others(set[int]().__contains__)
    assert not weather.faults
    assert not records.faults


def test_pauses_grow_to_a_minute_until_something_was_achieved(weather: Weather) -> None:
    now, pauses = 0.0, []
    for _ in range(8):
        weather.attempt("a", failing(FULL), now)
        pauses.append(weather.until("a") - now)
        now = weather.until("a")
        weather.attempt("a", lambda: False, now)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert weather.failures("a") == 8


def test_what_many_pieces_meet_is_said_and_counted_once(weather: Weather, records: Records) -> None:
    for piece in range(100):
        weather.attempt(piece, failing(FULL), 0)

    assert records.faults == {"the disk is full": 1}
    assert records.said == ["the disk is full: make room"]
    for piece in range(99):
        weather.clear(piece)
    assert records.faults
    weather.clear(99)
    assert not records.faults
    assert len(records.said) == 2


def test_an_unexpected_exception_is_told_without_its_text(weather: Weather, records: Records) -> None:
    weather.attempt("a", failing(KeyError("Vandermeulen")), 0)

    [fault] = weather.faults
    assert fault.what.startswith("unexpected KeyError in test_weather.py:")
    assert "Vandermeulen" not in f"{records.said}{records.faults}{fault}"


def test_faults_that_an_earlier_process_left_in_the_ledger_go_with_the_first_success(
    weather: Weather, records: Records
) -> None:
    records.faults["from before"] = 1
    weather.attempt("a", lambda: True, 0)

    assert not records.faults


def test_the_end_of_a_fault_is_recorded_when_the_ledger_works_again(weather: Weather, records: Records) -> None:
    weather.attempt("a", failing(FULL), 0)
    records.broken = True
    weather.attempt("a", lambda: True, 1)
    records.broken = False
    weather.attempt("b", lambda: True, 2)

    assert not records.faults
