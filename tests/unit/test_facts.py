"""What intake learns of a file: its UIDs, whether it is whole, and whether its kind can be cleaned."""

from __future__ import annotations

import pytest

from coatcheck.deid.facts import Facts
from coatcheck.deid.same import Known
from coatcheck.errors import Refused
from coatcheck.ledger.guard import is_detail
from coatcheck.model import Identity
from coatcheck.reasons import Reason
from tests.support import (
    CT,
    PATIENT,
    STUDY,
    UIDS,
    facts_of,
    raw,
    raw_file,
    raw_implicit,
    raw_instance,
    raw_item,
)

STORAGE = "1.2.840.10008.5.1.4.1.1."
SHAPE = b"".join(raw(tag, "US", number) for tag, number in ((0x00280010, b"\2\0"), (0x00280011, b"\2\0")))
BITS = raw(0x00280100, "US", b"\x08\0")
PIXELS = raw(0x7FE00010, "OB", b"abcd")


def of_class(sop_class: str, group_8: bytes = b"", rest: bytes = b"") -> Facts:
    uid = sop_class.encode() + b"\0" * (len(sop_class) % 2)
    return facts_of(raw_file(raw(0x00080016, "UI", uid), UIDS[-18:], group_8, PATIENT, STUDY, rest))


def refused(data: bytes) -> Refused:
    with pytest.raises(Refused) as error:
        facts_of(data)
    assert is_detail(error.value.detail)
    return error.value


def test_the_keys_are_read_without_their_padding() -> None:
    keys = facts_of(raw_instance()).keys

    assert (keys[0x00080016], keys[0x00080018], keys[0x00100020]) == (CT, "1.2.3.4.30", "MRN-7755")
    assert (keys[0x0020000D], keys[0x0020000E]) == ("1.2.3.4.10", "1.2.3.4.20")


KEYS = {0x00080016: CT.encode() + b"\0", 0x00080018: b"1.2.34", 0x0020000D: b"1.2.35", 0x0020000E: b"1.2.36"}


@pytest.mark.parametrize("tag", sorted(KEYS))
@pytest.mark.parametrize("empty", [b"", b"  ", b"\0\0", None])
def test_an_instance_needs_four_uids(tag: int, empty: bytes | None) -> None:
    values = {**KEYS, tag: empty}
    data = raw_file(*(raw(one, "UI", value) for one, value in values.items() if value is not None))

    assert refused(data).reason == Reason.MISSING_UID
    assert facts_of(raw_file(*(raw(one, "UI", value) for one, value in KEYS.items()))).keys


def test_two_values_where_one_uid_stands_are_malformed() -> None:
    data = raw_file(UIDS, PATIENT, raw(0x0020000D, "UI", b"1.2\\1.3 "), raw(0x0020000E, "UI", b"1.22"))

    assert (refused(data).reason, refused(data).detail) == (Reason.MALFORMED, "(0020,000D)")


@pytest.mark.parametrize(
    "sop_class",
    ["1.2.3.4", STORAGE + "88.11", STORAGE + "88.59", STORAGE + "104.1", STORAGE + "104.2", "1.2.840.10008.1.2"],
)
def test_a_kind_that_cannot_be_cleaned_needs_a_policy(sop_class: str) -> None:
    assert of_class(sop_class).concern == Reason.NEEDS_POLICY


@pytest.mark.parametrize(
    "content",
    [raw(0x0040A730, "SQ", raw_item(raw(0x0040A160, "UT", b"text"))), raw(0x00420011, "OB", b"%PDF")],
)
def test_a_document_inside_any_object_needs_a_policy(content: bytes) -> None:
    assert of_class(CT, rest=content).concern == Reason.NEEDS_POLICY


@pytest.mark.parametrize(
    ("sop_class", "group_8", "burned_in", "at_risk"),
    [
        (STORAGE + "6.1", b"", "", True),
        (STORAGE + "3.1", b"", "", True),
        (STORAGE + "7", b"", "", True),
        (STORAGE + "7.4", b"", "", True),
        (STORAGE + "77.1.4", b"", "", True),
        (CT, b"", "", False),
        (CT, b"", "YES", True),
        (CT, b"", "yes", True),
        (STORAGE + "7", b"", "NO", False),
        (CT, raw(0x00080008, "CS", b"DERIVED\\SECONDARY\\SCREEN SAVE "), "", True),
        (CT, raw(0x0008103E, "LO", b"Dose Report "), "", True),
        (CT, raw(0x0008103E, "LO", b"Patient Protocol"), "", True),
        (CT, raw(0x0008103E, "LO", b"Thorax"), "", False),
        (CT, raw(0x00080060, "CS", b"US"), "", True),
    ],
)
def test_pixels_that_may_hold_text_are_at_risk(sop_class: str, group_8: bytes, burned_in: str, at_risk: bool) -> None:
    said = raw(0x00280301, "CS", burned_in.encode() + b" " * (len(burned_in) % 2)) if burned_in else b""

    assert of_class(sop_class, group_8, SHAPE + BITS + said + PIXELS).concern == (
        Reason.PIXEL_RISK if at_risk else None
    )
    assert of_class(sop_class, group_8, said).concern is None, "without pixels there is no risk"


@pytest.mark.parametrize(("bit", "at_risk"), [(b"\0\0", False), (b"\x0f\0", True)])
def test_an_overlay_in_unused_bits_of_the_pixels_is_a_risk_whatever_the_header_says(bit: bytes, at_risk: bool) -> None:
    overlay = raw(0x60020102, "US", bit)

    found = of_class(CT, rest=SHAPE + BITS + raw(0x00280301, "CS", b"NO") + overlay + PIXELS)

    assert (found.concern, found.concern_detail) == ((Reason.PIXEL_RISK, "(6002,0102)") if at_risk else (None, ""))


def test_one_patient_id_is_one_text_in_every_character_set() -> None:
    def patient_id(charset: bytes, value: bytes) -> str:
        data = raw_file(raw(0x00080005, "CS", charset), UIDS, raw(0x00100020, "LO", value), STUDY)
        return facts_of(data).keys[0x00100020]

    assert patient_id(b"ISO_IR 192", "Jürgen-7 ".encode()) == "Jürgen-7"
    assert patient_id(b"ISO_IR 192", "Ju\u0308rgen-7 ".encode() + b" ") == "Jürgen-7"
    assert patient_id(b"ISO_IR 100", "Jürgen-7".encode("latin-1")) == "Jürgen-7"


def test_what_identifies_is_never_too_long_to_be_known() -> None:
    padded = raw(0x00081030, "LO", b"x ") + raw(0x00081048, "PN", b"Trent^T" + b" " * 9_001)

    assert Identity("name", "Trent^T") in facts_of(raw_instance(padded)).identity
    assert refused(raw_instance(raw(0x00081048, "UN", b"Trent^T " * 9_000))).reason == Reason.TOO_LARGE


def test_identity_is_collected_at_every_depth_and_in_every_encoding() -> None:
    deep = raw(0x00081110, "SQ", raw_item(raw(0x00100010, "PN", b"Trent^T ")))
    private = raw(0x00091010, "UN", raw_item(raw_implicit(0x00100020, b"ID-99 ")))
    listed = raw(0x00082218, "UN", raw_item(raw_implicit(0x00100020, b"ID-77 ")))

    identity = facts_of(raw_instance(deep + listed, rest=private)).identity

    assert Identity("name", "Trent^T") in identity
    assert Identity("id", "ID-77") in identity
    assert Identity("id", "ID-99") not in identity  # bytes of a private UN: removed unread


def test_the_character_set_of_an_item_holds_for_it_alone() -> None:
    item = raw(0x00080005, "CS", b"ISO_IR 192") + raw(0x00100010, "PN", "Å^É".encode() + b" ")
    data = raw_file(
        UIDS,
        raw(0x00080005, "CS", b"ISO_IR 100"),
        raw(0x00082218, "SQ", raw_item(item) + raw_item(raw(0x00100010, "PN", b"\xc5^\xca "))),
        STUDY,
    )

    assert {one.text for one in facts_of(data).identity if one.kind == "name"} == {"Å^É", "Å^Ê"}


def test_an_institution_that_is_called_like_the_maker_identifies_nobody() -> None:
    data = raw_instance(raw(0x00080070, "LO", b"ACME Inc") + raw(0x00080080, "LO", b"Acme"))

    assert not [one for one in facts_of(data).identity if one.kind in ("institution", "place")]


def test_pixels_in_an_icon_are_not_the_pixels() -> None:
    icon = raw(0x00880200, "SQ", raw_item(PIXELS))

    assert not facts_of(raw_instance(rest=icon)).has_pixels


@pytest.mark.parametrize("place", ["top", "item"])
@pytest.mark.parametrize("adjacent", [True, False])
def test_a_repeated_element_is_malformed_in_order_or_out_of_order(place: str, adjacent: bool) -> None:
    first, other = raw(0x00081030, "LO", b"ab"), raw(0x00081032, "SQ", b"")
    twice = first * 2 if adjacent else first + other + first
    content = twice if place == "top" else raw(0x00082218, "SQ", raw_item(twice))

    assert (refused(raw_instance(content)).reason, refused(raw_instance(content)).detail) == (
        Reason.MALFORMED,
        "(0008,1030)",
    )


def test_elements_out_of_order_are_read_where_none_stands_twice() -> None:
    assert facts_of(raw_file(STUDY, PATIENT, UIDS)).keys[0x00080018] == "1.2.3.4.30"


def test_a_huge_out_of_order_data_set_is_read_in_linear_time() -> None:
    many = b"".join(raw(0x00090000 | 0xFFFF - number, "LO", b"") for number in range(60_000))

    assert facts_of(raw_file(many, UIDS, PATIENT, STUDY)).keys


def test_an_item_may_have_both_a_length_and_a_delimiter() -> None:
    delimiter = raw_item(b"", 0xFFFFFFFF)[8:]

    assert facts_of(raw_instance(raw(0x00082218, "SQ", raw_item(raw(0x00080104, "LO", b"ab") + delimiter)))).keys


def test_a_file_takes_nothing_from_one_before_it_that_was_refused() -> None:
    known = Known()
    with pytest.raises(Refused):
        facts_of(raw_instance(rest=SHAPE + BITS + raw(0x7FE00010, "OB", b"ab")), known)

    with pytest.raises(Refused) as error:
        facts_of(raw_file(PIXELS), known)
    assert error.value.reason == Reason.MALFORMED  # as it is alone


def test_facts_show_no_identity_when_printed() -> None:
    assert "Mallory" not in repr(facts_of(raw_instance()))
    assert "1.2.3.4" not in repr(facts_of(raw_instance()))
