"""Each action does what its docstring says, and what comes out is legal for its VR."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config
from pydicom.valuerep import validate_value

from coatcheck.deid.actions import ACTIONS
from coatcheck.deid.elements import VRS as ALL_VRS
from tests.support import SUBJECT, context

VRS = sorted(vr.decode() for vr in ALL_VRS if vr != b"SQ")
SIZES = {"US": 2, "SS": 2, "AT": 4, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "OD": 8, "SV": 8, "UV": 8, "OV": 8, "OL": 4}


def done(action: str, value: bytes, vr: str = "LO") -> bytes | None:
    return ACTIONS[action](value, vr, context())


@pytest.mark.parametrize("vr", [vr for vr in VRS if vr != "UI"])
def test_a_dummy_is_legal_for_its_vr_and_not_empty(vr: str) -> None:
    value = done("dummy", b"Mallory", vr)

    assert value
    if vr in SIZES:
        assert len(value) == SIZES[vr]
    elif not vr.startswith("O") and vr != "UN":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            validate_value(vr, value.decode("ascii"), config.RAISE)
    assert b"Mallory" not in value


@given(st.binary(max_size=40), st.sampled_from(VRS), st.sampled_from(sorted(ACTIONS)))
def test_any_value_is_acted_on_or_told_to_be_impossible(value: bytes, vr: str, action: str) -> None:
    result = done(action, value, vr)

    assert result is None or result.isascii()


def test_equal_texts_have_equal_pseudonyms_whatever_their_padding() -> None:
    assert done("dummy", b"Ward 7") == done("dummy", b"Ward 7 \0") != done("dummy", b"Ward 8")


def test_a_date_is_a_constant_dummy() -> None:
    assert done("dummy", b"20040101", "DA") == b"19000101"


def test_uids_become_new_ones_and_registered_ones_stay() -> None:
    known = context()
    value = ACTIONS["uid"](b"1.2.3\\1.2.840.10008.1.2\\\\1.2.3 \0", "UI", known)

    assert value is not None
    first, registered, empty, last = value.decode().split("\\")
    assert first == last == known.uids["1.2.3"]
    assert (registered, empty) == ("1.2.840.10008.1.2", "")
    assert set(known.uids) == {"1.2.3"}


def test_what_only_begins_like_a_registered_uid_is_replaced() -> None:
    assert (done("uid", b"1.2.840.10008.1.2.999", "UI") or b"").startswith(b"2.25.")


def test_the_subject_stands_for_name_and_id() -> None:
    assert done("subject", b"Mallory^Eve", "PN") == SUBJECT.encode()


@pytest.mark.parametrize("action", ["empty", "remove"])
def test_what_is_emptied_or_removed_has_no_value(action: str) -> None:
    assert not done(action, b"Mallory")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((b"101112", True), (b"10", True), (b"1011 ", True), (b"101112.123456", True), (b"10:11:12", True)),
        *((b"", True), (b"1011-1213", True), (b"1011-", True), (b"-1011", True), (b"1011\\1213", True)),
        *((b"+0130", True), (b"-0500 ", True), (b"101112\0", True)),
        *((b"10 Mallory", False), (b"19600315", False), (b"1", False), (b"101112.1234567", False), (b"+01300", False)),
        (b"ten", False),
    ],
)
def test_a_time_is_kept_where_it_is_one(value: bytes, kept: bool) -> None:
    assert done("keep-time", value, "TM") == (value.strip(b" \0") if kept else None)
