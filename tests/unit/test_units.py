"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.units import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0.0), ("500ms", 0.5), ("2s", 2.0), ("1.5s", 1.5), ("5m", 300.0), ("6h", 21600.0), ("30d", 2592000.0)],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_a_bare_zero_is_the_only_number_without_a_unit() -> None:
    assert parse_duration(0) == 0.0
    for value in (5, 0.5, 0.0, True, False, "5", "0"):
        with pytest.raises(ValueError, match="500ms"):
            parse_duration(value)


@pytest.mark.parametrize("text", ["", "s", "-1s", "5 s", "5S", "5w", "1h30m", "5s\n", "\u0665s", "1e3s", None, [], {}])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="write it like"):
        parse_duration(text)


def test_a_duration_beyond_ten_years_is_refused() -> None:
    with pytest.raises(ValueError, match="ten years"):
        parse_duration("3651d")


@given(st.integers(0, 999_999), st.sampled_from(["ms", "s", "m"]))
def test_every_number_with_a_unit_scales_with_it(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") == number * parse_duration(f"1{unit}")


def test_a_duration_is_shown_in_at_most_two_units() -> None:
    shown = [format_duration(seconds) for seconds in (0, 0.04, 0.5, 9.96, 59.7, 65, 3600, 3725, 90000, 86400 * 3 + 5)]
    assert shown == ["0s", "0s", "0.5s", "10s", "1m", "1m 5s", "1h", "1h 2m", "1d 1h", "3d"]
