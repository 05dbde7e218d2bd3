"""Values of top-level Attributes are read for conditions and templates as a person would read them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.deid.attributes import attributes_of
from coatcheck.errors import Refused
from tests.support import BIG, EXPLICIT, IMPLICIT, file_of, instance, opened, raw, raw_file, raw_instance, raw_item

MODALITY, DESCRIPTION, COMMENTS, ROWS, SEX = 0x00080060, 0x00081030, 0x00204000, 0x00280010, 0x00100040
THICKNESS = 0x00180050
EVERY = frozenset({MODALITY, DESCRIPTION, COMMENTS, ROWS, SEX, THICKNESS})


def read(data: bytes, wanted: frozenset[int] = EVERY) -> Mapping[int, tuple[str, ...]]:
    _, window, head = opened(data)
    return attributes_of(window, head.start, head.encoding, wanted)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_texts_and_numbers_are_read_in_every_encoding(syntax: str) -> None:
    ds = instance()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.Modality, ds.StudyDescription, ds.Rows, ds.SliceThickness = "MR", "Größe", 512, "2.50"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]

    found = read(file_of(ds, syntax), EVERY | {0x00080008})

    assert found == {
        MODALITY: ("MR",),
        DESCRIPTION: ("Größe",),
        ROWS: ("512",),
        THICKNESS: ("2.50",),
        0x00080008: ("ORIGINAL", "PRIMARY"),
    }


def test_only_what_is_wanted_is_read() -> None:
    assert read(raw_instance(raw(MODALITY, "CS", b"MR")), frozenset({SEX})) == {}
    assert read(raw_instance(raw(MODALITY, "CS", b"MR")), frozenset()) == {}


@pytest.mark.parametrize("value", [b"", b"  ", b"\0\0", b" \\ ", b"\\"])
def test_what_is_empty_counts_as_absent(value: bytes) -> None:
    assert MODALITY not in read(raw_instance(raw(MODALITY, "CS", value)))


def test_padding_goes_and_empty_values_among_others_stay() -> None:
    assert read(raw_instance(raw(MODALITY, "CS", b" MR \\\\CT\0")))[MODALITY] == ("MR", "", "CT")


def test_a_backslash_parts_values_but_in_long_texts() -> None:
    both = raw_instance(raw(DESCRIPTION, "LO", b"a\\b "), rest=raw(COMMENTS, "LT", b"a\\b "))

    assert read(both) == {DESCRIPTION: ("a", "b"), COMMENTS: ("a\\b",)}


def test_a_backslash_within_a_letter_parts_nothing() -> None:
    """The second byte of some letters of GB18030 is that of a backslash."""
    charset, letters = raw(0x00080005, "CS", b"GB18030 "), "乗俓".encode("gb18030")
    assert letters.count(b"\\") == 2

    assert read(raw_instance(charset + raw(DESCRIPTION, "LO", letters)))[DESCRIPTION] == ("乗俓",)


@pytest.mark.parametrize(("vr", "value"), [("UN", b"MR"), ("LO", b"MR"), ("CS", b"MR")])
def test_a_condition_does_not_depend_on_the_vr_that_a_sender_writes(vr: str, value: bytes) -> None:
    assert read(raw_instance(raw(MODALITY, vr, value)))[MODALITY] == ("MR",)


def test_numbers_of_an_unknown_vr_are_read_by_the_standard() -> None:
    assert read(raw_instance(rest=raw(ROWS, "UN", struct.pack("<H", 512))))[ROWS] == ("512",)
    assert ROWS not in read(raw_instance(rest=raw(ROWS, "UN", b"abc")))


def test_bytes_and_sequences_have_no_text_and_what_is_inside_is_not_top_level() -> None:
    around = raw(0x00082218, "SQ", raw_item(raw(SEX, "CS", b"F ")))
    bulk = raw(0x00420011, "OB", b"MR")

    assert read(raw_instance(around, rest=bulk), EVERY | {0x00082218, 0x00420011}) == {}


def test_what_is_very_long_counts_as_absent() -> None:
    assert read(raw_instance(rest=raw(0x00404033, "UT", b"x" * 0x10000)), frozenset({0x00404033}))
    assert not read(raw_instance(rest=raw(0x00404033, "UT", b"x" * 0x10002)), frozenset({0x00404033}))


def test_what_stands_after_the_pixels_is_not_looked_for() -> None:
    pixels = raw(0x7FE00010, "OB", b"ab")
    late = raw(MODALITY, "CS", b"MR")

    assert read(raw_instance(rest=pixels + late)) == {}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(EVERY)), st.sampled_from(["CS", "LO", "LT", "US", "FD", "UN", "PN", "DS"]), st.binary())
def test_any_bytes_are_read_or_left_alone(tag: int, vr: str, value: bytes) -> None:
    try:
        found = read(raw_file(raw(tag, vr, value)))
    except Refused:
        return
    assert set(found) <= {tag}
    assert all(any(values) for values in found.values())
