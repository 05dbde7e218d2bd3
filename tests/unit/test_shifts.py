"""A shift is drawn once for each of its scope, within its range, and is never 0 by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid import pseudonyms
from coatcheck.deid.settings import SettingError
from coatcheck.deid.shifts import SCOPES, Ids, Shift, shift_of
from tests.support import SECRET

IDS = Ids(patient="MRN-1", study="1.2.3", series="1.2.3.4", instance="1.2.3.4.5")
TEXTS = st.text(max_size=20)
DAYS = st.integers(-400, 400)


@given(TEXTS, DAYS, st.integers(1, 400))
def test_a_studys_shift_is_the_one_that_always_was(study: str, lowest: int, width: int) -> None:
    shift = Shift(lowest=lowest, highest=lowest + width)

    assert shift.days(SECRET, Ids(study=study), "P") == pseudonyms.shift_days(SECRET, study, lowest, lowest + width)


@given(st.sampled_from(SCOPES), TEXTS, DAYS, st.integers(14, 400), st.booleans())
def test_a_shift_is_within_its_range_and_never_zero(
    scope: str, original: str, lowest: int, width: int, weeks: bool
) -> None:
    shift = Shift(scope=scope, lowest=lowest, highest=lowest + width, whole_weeks=weeks)
    days = shift.days(SECRET, Ids(original, original, original, original), original)

    assert lowest <= days <= lowest + width
    assert days != 0
    assert not weeks or days % 7 == 0


@pytest.mark.parametrize("scope", SCOPES)
def test_a_shift_depends_on_its_scope_and_on_nothing_else(scope: str) -> None:
    shift = Shift(scope=scope, lowest=-30000, highest=30000)
    days = shift.days(SECRET, IDS, "P")
    project = shift.days(SECRET, IDS, "Q")
    changed = {name: shift.days(SECRET, IDS._replace(**{name: "other"}), "P") for name in Ids._fields}

    assert {name for name, other in changed.items() if other != days} | ({"project"} if project != days else set()) == {
        scope
    }
    assert shift.days(SECRET[::-1], IDS, "P") != days


def test_scopes_are_drawn_apart_from_each_other() -> None:
    same = Ids("1.2", "1.2", "1.2", "1.2")
    drawn = {Shift(scope=scope, lowest=-30000, highest=30000).days(SECRET, same, "1.2") for scope in SCOPES}

    assert len(drawn) == len(SCOPES)


def test_a_patient_without_an_id_is_one_of_its_study() -> None:
    shift = Shift(scope="patient", lowest=-365, highest=-1)

    assert shift.days(SECRET, Ids(study="1.2.3"), "P") == pseudonyms.shift_days(SECRET, "1.2.3", -365, -1)


def test_they_are_the_same_for_ever() -> None:
    """Whoever changes one of these breaks every project that has delivered something."""
    days = {scope: Shift(scope=scope, lowest=-365, highest=-1).days(SECRET, IDS, "P") for scope in SCOPES}

    assert days == {"study": -253, "patient": -231, "project": -341, "series": -174, "instance": -99}


@pytest.mark.parametrize("days", [-100, 0, 7])
def test_a_fixed_shift_is_what_it_says(days: int) -> None:
    shift = Shift(lowest=days, highest=days)

    assert shift.fixed
    assert shift.days(SECRET, IDS, "P") == days


def test_every_week_of_a_range_is_drawn() -> None:
    shift = Shift(lowest=-20, highest=15, whole_weeks=True)

    assert {shift.days(SECRET, Ids(study=str(one)), "P") for one in range(200)} == {-14, -7, 7, 14}


@pytest.mark.parametrize(
    ("lowest", "highest", "weeks"),
    [(1, 0, False), (-6, 6, True), (1, 6, True), (-100, -100, True), (-36501, 0, False), (0, 40000, False)],
)
def test_a_range_that_holds_no_number_is_an_error(lowest: int, highest: int, weeks: bool) -> None:
    with pytest.raises(ValueError, match="date shift"):
        Shift(lowest=lowest, highest=highest, whole_weeks=weeks)


def test_an_unknown_scope_is_an_error() -> None:
    with pytest.raises(ValueError, match="scope is one of"):
        Shift(scope="ward", lowest=-2, highest=-1)


def test_settings_say_what_a_shift_is() -> None:
    assert shift_of({"days": -100}) == Shift(lowest=-100, highest=-100)
    assert shift_of({"days": [-364, -7], "scope": "patient", "whole_weeks": True}) == Shift(
        scope="patient", lowest=-364, highest=-7, whole_weeks=True
    )


@pytest.mark.parametrize("given", [{}, {"days": 0}, {"days": [-6, -1], "whole_weeks": True}, {"days": 1, "scope": "x"}])
def test_settings_that_are_no_shift_are_an_error(given: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        shift_of(given)
