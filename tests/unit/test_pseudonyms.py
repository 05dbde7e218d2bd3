"""Pseudonyms are the same everywhere and for ever, and nothing can be told from them."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid import pseudonyms
from tests.support import SECRET

TEXTS = st.text(max_size=64)


@given(TEXTS)
def test_a_new_uid_is_a_uuid_of_version_8_and_legal(original: str) -> None:
    uid = pseudonyms.uid(SECRET, original)
    number = uuid.UUID(int=int(uid.removeprefix("2.25.")))

    assert uid.startswith("2.25.")
    assert len(uid) <= 64
    assert not uid.removeprefix("2.25.").startswith("0")
    assert (number.version, number.variant) == (8, uuid.RFC_4122)


@given(st.lists(TEXTS, min_size=2, max_size=50, unique=True))
def test_different_originals_have_different_pseudonyms(originals: list[str]) -> None:
    assert len({pseudonyms.uid(SECRET, one) for one in originals}) == len(originals)
    assert len({pseudonyms.subject(SECRET, one, "1.2") for one in originals}) == len(originals)


def test_they_are_the_same_for_ever() -> None:
    """Whoever changes one of these breaks every project that has delivered something."""
    assert pseudonyms.uid(SECRET, "1.2.3") == "2.25.242519741957384552886518508456172302620"
    assert pseudonyms.subject(SECRET, "MRN-1", "1.2.3") == "SM1MCV7RFSP53"
    assert pseudonyms.ticket(SECRET, "1.2.3") == "Q2S4CXKETA"
    assert pseudonyms.pseudonym(SECRET, "Mallory") == "X84YGHJMX3D"
    assert pseudonyms.shift_days(SECRET, "1.2.3", -365, -1) == -253


@given(TEXTS)
def test_another_secret_or_kind_gives_another_pseudonym(original: str) -> None:
    assert pseudonyms.uid(SECRET, original) != pseudonyms.uid(b"x" + SECRET[1:], original)
    assert pseudonyms.derive(SECRET, "uid", original) != pseudonyms.derive(SECRET, "text", original)


def test_kind_and_original_cannot_be_shifted_into_each_other() -> None:
    assert pseudonyms.derive(SECRET, "a", "bc") != pseudonyms.derive(SECRET, "ab", "c")


def test_a_patient_is_one_subject_in_all_studies_and_without_an_id_one_in_each() -> None:
    assert pseudonyms.subject(SECRET, "MRN", "1.2") == pseudonyms.subject(SECRET, "MRN", "1.3")
    assert pseudonyms.subject(SECRET, "", "1.2") != pseudonyms.subject(SECRET, "", "1.3")
    assert pseudonyms.subject(SECRET, "1.2", "1.3") != pseudonyms.subject(SECRET, "", "1.2")


@given(TEXTS)
def test_subjects_tickets_and_texts_are_short_and_plain(original: str) -> None:
    letters = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert len(pseudonyms.subject(SECRET, original, "1.2")) == 13
    assert len(pseudonyms.ticket(SECRET, original)) == 10
    assert set(pseudonyms.ticket(SECRET, original)) <= letters
    assert len(pseudonyms.pseudonym(SECRET, original)) <= 16


@given(TEXTS, st.integers(-400, 400), st.integers(0, 400))
def test_a_shift_is_within_its_range_and_never_zero(study: str, lowest: int, width: int) -> None:
    if lowest == 0 == width:
        return
    days = pseudonyms.shift_days(SECRET, study, lowest, lowest + width)

    assert lowest <= days <= lowest + width
    assert days != 0


def test_every_day_of_a_range_is_drawn() -> None:
    days = {pseudonyms.shift_days(SECRET, f"1.2.{number}", -3, 3) for number in range(300)}

    assert days == {-3, -2, -1, 1, 2, 3}


def test_a_range_of_nothing_but_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="other than 0"):
        pseudonyms.shift_days(SECRET, "1.2.3", 0, 0)


def test_a_text_that_is_no_unicode_has_a_pseudonym_too() -> None:
    assert pseudonyms.uid(SECRET, "1.2\udcff").startswith("2.25.")


def test_a_content_digest_depends_on_the_secret() -> None:
    assert pseudonyms.content_digest(SECRET, b"d") != pseudonyms.content_digest(SECRET[::-1], b"d")
    assert len(pseudonyms.content_digest(SECRET, b"d")) == 16
