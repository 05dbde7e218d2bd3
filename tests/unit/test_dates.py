"""Dates move by whole days, whatever form they have; what is no date is said to be none."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.dates import cap_age, shift

DAYS = st.integers(-3650, 3650).filter(bool)
DATES = st.dates(datetime.date(1850, 1, 1), datetime.date(2200, 1, 1))
CLOCKS = st.sampled_from(["", "10", "1011", "101112", "101112.1", "101112.123456"])
OFFSETS = st.sampled_from(["", "+0000", "-1200", "+1400", "+0530"])


def da(day: datetime.date) -> str:
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


@given(DATES, DAYS)
def test_a_date_moves_by_exactly_the_days(day: datetime.date, days: int) -> None:
    assert shift(da(day), days, timed=False) == da(day + datetime.timedelta(days))


@given(DATES, DAYS, CLOCKS, OFFSETS)
def test_a_date_and_time_keeps_its_clock_and_offset(day: datetime.date, days: int, clock: str, offset: str) -> None:
    moved = shift(da(day) + clock + offset, days, timed=True)

    assert moved == da(day + datetime.timedelta(days)) + clock + offset


@given(DATES, DATES, DAYS)
def test_ranges_and_several_values_move_each(first: datetime.date, second: datetime.date, days: int) -> None:
    one, two = da(first), da(second)
    new_one, new_two = shift(one, days, timed=False), shift(two, days, timed=False)

    for timed in (False, True):
        assert shift(f"{one}-{two}", days, timed=timed) == f"{new_one}-{new_two}"
        assert shift(f"{one}-", days, timed=timed) == f"{new_one}-"
        assert shift(f"-{one}", days, timed=timed) == f"-{new_one}"
        assert shift(f"{one}\\{two}\\", days, timed=timed) == f"{new_one}\\{new_two}\\"


@given(DATES, DATES, DAYS)
def test_intervals_stay(first: datetime.date, second: datetime.date, days: int) -> None:
    moved = [shift(da(day), days, timed=False) for day in (first, second)]
    days_of = [datetime.datetime.strptime(day or "", "%Y%m%d").date() for day in moved]

    assert days_of[1] - days_of[0] == second - first


@given(DATES, DAYS, st.sampled_from(".-/"))
def test_the_old_forms_become_eight_digits(day: datetime.date, days: int, mark: str) -> None:
    text = f"{day.year:04d}{mark}{day.month:02d}{mark}{day.day:02d}"

    assert shift(text, days, timed=False) == da(day + datetime.timedelta(days))


@pytest.mark.parametrize(
    ("text", "moved"),
    [("2004", "2003"), ("200401", "200312"), ("200402", "200401"), ("200401-", "200312-"), ("2004-2005", "2003-2004")],
)
def test_a_partial_date_stays_as_partial_as_it_was(text: str, moved: str) -> None:
    assert shift(text, -1, timed=False) == moved
    assert shift(text, -1, timed=True) == moved


@given(DATES, DAYS)
def test_a_shift_is_undone_by_its_opposite(day: datetime.date, days: int) -> None:
    there = shift(da(day), days, timed=False)

    assert shift(there or "", -days, timed=False) == da(day)


@pytest.mark.parametrize(
    "text",
    [
        *("20041301", "20040230", "00000000", "yesterday", "2004-1-1", "20040", "2004011", "99991231", "20040101T10"),
        *("20040101-x", "-", "20040101--20040102", "20.04.0101", "２００４０１０１"),
    ],
)
@pytest.mark.parametrize("timed", [False, True])
def test_what_is_no_date_is_said_to_be_none(text: str, timed: bool) -> None:
    assert shift(text, 1, timed=timed) is None


@pytest.mark.parametrize("text", ["200401011", "2004010110111", "200410", "20040101+2500", "20040101.5", "20041012."])
def test_what_is_no_date_and_time_is_said_to_be_none(text: str) -> None:
    expected = "200410" if text == "200410" else None
    assert shift(text, 1, timed=True) == expected


@pytest.mark.parametrize("text", ["", " ", "\0", "\\", " \\ "])
def test_blank_values_stay_blank(text: str) -> None:
    assert shift(text, 5, timed=False) == text.replace(" ", "").replace("\0", "")


def test_padding_is_no_part_of_a_date() -> None:
    assert shift("20040101 ", 1, timed=False) == shift("20040101\0", 1, timed=True) == "20040102"


@given(st.text(max_size=30), DAYS, st.booleans())
def test_any_text_is_moved_or_refused(text: str, days: int, timed: bool) -> None:
    moved = shift(text, days, timed=timed)
    assert moved is None or moved.isascii()


@pytest.mark.parametrize(
    ("age", "capped"),
    [
        *(("000D", "000D"), ("089Y", "089Y"), ("090Y", "090Y"), ("120Y", "090Y"), ("999D", "999D"), ("999M", "999M")),
        *(("", ""), (" ", ""), ("100Y\\010Y", "090Y\\010Y"), ("093Y ", "090Y")),
        *(("93", None), ("93Y", None), ("ninety", None), ("093y", None), ("093Y\\x", None)),
    ],
)
def test_ages_over_89_years_are_told_as_90(age: str, capped: str | None) -> None:
    assert cap_age(age) == capped
