"""The gate finds what identifies a Study, in every spelling, and does not cry over what is no identity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.elements import EXPLICIT_LITTLE
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import new_meta
from coatcheck.deid.spellings import Patterns, date_spellings
from coatcheck.errors import Refused
from coatcheck.ledger.guard import is_detail
from coatcheck.model import Identity
from coatcheck.reasons import Reason
from tests.support import EXPLICIT, SUBJECT, UIDS, raw, raw_item, window_of

NAME = Identity("name", "Mallory^Eve Anne^^Dr.")


def found(data_set: bytes, *identity: Identity, written: set[tuple[int, bytes]] | None = None) -> str | None:
    """The detail of the refusal, or None where the gate lets the result pass."""
    meta = new_meta("1.2.840.10008.5.1.4.1.1.2", "2.25.1", EXPLICIT)
    gate = Gate(identity, SUBJECT)
    try:
        gate.check(window_of(meta + data_set), len(meta), EXPLICIT_LITTLE, written or set())
    except Refused as refused:
        assert refused.reason == Reason.IDENTITY_FOUND
        assert is_detail(refused.detail)
        return refused.detail
    return None


def text(value: str, vr: str = "LO") -> bytes:
    return raw(0x00080104, vr, value.encode("latin-1"))


@pytest.mark.parametrize("value", ["Mallory", "of mallory's", "EVE", "Anne", "x Mallory^Eve Anne^^Dr. y"])
def test_a_name_is_found_whole_and_in_its_parts(value: str) -> None:
    assert found(text(value), NAME) == "(0008,0104)"


@pytest.mark.parametrize("value", ["Evening", "Dr. Who", "Annex", "Malory", "believer"])
def test_short_parts_of_a_name_count_as_words_only(value: str) -> None:
    assert (found(text(value), NAME) is not None) == (value in ("Annex",))


@pytest.mark.parametrize("nobody", ["Anonymous", "UNKNOWN^PATIENT", "test", "^", "..", "X"])
def test_placeholders_identify_nobody(nobody: str) -> None:
    assert found(text(nobody), Identity("name", nobody)) is None or ("^" in nobody and "UNKNOWN" in nobody)


@pytest.mark.parametrize(
    ("identity", "value", "vr", "seen"),
    [
        (Identity("id", "4711"), "room 47110", "LO", True),
        (Identity("id", "4711"), "4711", "DS", False),
        (Identity("id", "471100"), "471100", "DS", True),
        (Identity("id", "471100"), "47110055", "DS", False),
        (Identity("id", "1"), "1", "LO", False),
        (Identity("id", "12"), "12", "LO", True),
        (Identity("id", "12"), "120", "LO", False),
        (Identity("id", "12"), "a 12 b", "LO", True),
        (Identity("id", "12"), "12", "CS", False),
        (Identity("id", "AB-12-34"), "ab1234", "LO", True),
        (Identity("phone", "+49 (30) 123-456"), "4930123456", "LO", True),
        (Identity("place", "Saint Elsewhere, Springfield"), "springfield", "LO", True),
        (Identity("uid", "1.2.3.4"), "1.2.3.4", "UI", True),
        (Identity("uid", "1.2.3.4"), "1.2.3.45", "UI", False),
        (Identity("uid", "1.2.3.4"), "see 1.2.3.4.5", "LO", True),
        (Identity("uid", "1.2.3.4"), "see 1.2.3.45", "LO", False),
        (Identity("date", "19600229"), "29.02.1960", "LO", True),
        (Identity("date", "19600229"), "2/29/1960", "LO", True),
        (Identity("date", "19600229"), "Feb 29, 1960", "LT", True),
        (Identity("date", "19600229"), "29-FEB-1960", "LO", True),
        (Identity("date", "19600229"), "1960-02-28", "LO", False),
        (Identity("date", "19600229101112"), "19600229", "DA", True),
        (Identity("date", "1960"), "1960", "LO", False),
    ],
)
def test_it_finds(identity: Identity, value: str, vr: str, seen: bool) -> None:
    assert (found(text(value, vr), identity) is not None) == seen


@given(st.dates())
def test_a_date_has_many_spellings_and_its_year_is_in_each(day: object) -> None:
    compact = str(day).replace("-", "")
    spelled = date_spellings(compact)

    assert {compact, str(day), str(day).replace("-", "/")} <= spelled
    assert all(compact[:4] in one for one in spelled)
    assert Patterns([Identity("date", compact)]).years == {compact[:4]}


def test_dates_that_an_action_wrote_are_no_find_and_others_are() -> None:
    data = raw(0x00080020, "DA", b"19600229")

    assert found(data, Identity("date", "19600229")) == "(0008,0020)"
    assert found(data, Identity("date", "19600229"), written={(0x00080020, b"19600229")}) is None
    assert found(data, Identity("date", "19600229"), written={(0x00080021, b"19600229")}) == "(0008,0020)"


def test_the_subject_is_its_own_and_no_find() -> None:
    assert found(raw(0x00100020, "LO", SUBJECT.encode()), Identity("id", SUBJECT.lower())) is None


def test_the_path_names_the_items() -> None:
    inside = raw(0x00082218, "SQ", raw_item(b"") + raw_item(text("Mallory")))

    assert found(raw(0x00081140, "SQ", raw_item(inside)), NAME) == "(0008,1140)[0](0008,2218)[1](0008,0104)"


def test_pixels_are_not_searched_and_what_stands_before_them_is() -> None:
    assert found(raw(0x7FE00010, "OB", b"Mallory "), NAME) is None
    assert found(raw(0x7FE00001, "OV", b"Mallory "), NAME) == "(7FE0,0001)"


def test_the_file_meta_is_searched() -> None:
    assert found(UIDS, Identity("uid", "2.25.1")) == "(0002,0003)"


@pytest.mark.parametrize("place", [0, (1 << 18) - 3, 2 * (1 << 18) - 100, 3 * (1 << 18) - 8])
def test_a_large_value_is_searched_at_every_place(place: int) -> None:
    data = bytearray(3 * (1 << 18))
    data[place : place + 8] = b"Mallory "

    assert found(raw(0x00282000, "OB", bytes(data)), NAME) == "(0028,2000)"
    assert found(raw(0x00282000, "OB", bytes(len(data))), NAME) is None


def test_what_was_found_clean_is_remembered_and_bounded() -> None:
    gate = Gate([NAME], SUBJECT)
    for number in range(20_010):
        assert gate.names_nobody(b"%d" % number, "LO", ())
    assert gate.names_nobody(bytes(100_000), "OB", ())

    assert len(gate._clean) <= 20_000
    assert max(len(value) for _, _, value in gate._clean) <= 512


def test_a_find_is_never_remembered_as_clean() -> None:
    gate = Gate([NAME], SUBJECT)

    assert [gate.names_nobody(b"Mallory", "LO", ()) for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "shift_jis", "euc_jp", "iso2022_jp"])
def test_a_name_beyond_ascii_is_found_in_bytes_of_any_encoding(codec: str) -> None:
    assert found(raw(0x00282000, "OB", b"\0\1" + "山田".encode(codec)), Identity("name", "山田^太郎")) is not None


@pytest.mark.parametrize("spelled", ["Müller", "MÜLLER", "Muller", "Mueller", "Mu\u0308ller"])
def test_an_umlaut_has_several_spellings(spelled: str) -> None:
    charset = raw(0x00080005, "CS", b"ISO_IR 192")

    assert found(charset + raw(0x00080104, "LO", spelled.encode()), Identity("name", "Müller^A")) is not None


def test_an_empty_identity_finds_nothing() -> None:
    assert found(text("anything") + raw(0x00282000, "OB", bytes(10))) is None
