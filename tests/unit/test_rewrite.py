"""What a rule changes is made anew; all that lies between stays as it was, byte for byte."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence

from coatcheck.errors import Refused
from coatcheck.reasons import Reason
from tests.support import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    NATIVE,
    PATIENT,
    STUDY,
    SUBJECT,
    UIDS,
    deidentified,
    file_of,
    instance,
    raw,
    raw_file,
    raw_implicit,
    raw_instance,
    raw_item,
    read,
    refusal,
    rewritten,
)

TOKEN = "Mallory"
KEPT = {
    0x00080060: ("CS", st.sampled_from(["CT", "MR", "PT"])),
    0x00180050: ("DS", st.decimals(0, 99, places=2).map(str)),
    0x00180060: ("DS", st.just("")),
    0x00280010: ("US", st.integers(0, 65535)),
    0x00281050: ("DS", st.lists(st.integers(0, 999), min_size=1, max_size=3)),
    0x00189327: ("FD", st.floats(0, 1e9)),
    0x00282000: ("OB", st.binary(max_size=9).map(lambda data: data + b"\0" * (len(data) % 2))),
    0x00080104: ("LO", st.sampled_from(["Brain", "Heart", "Größe", ""])),
}
TEXTS = {0x00081030: "LO", 0x00104000: "LT", 0x00204000: "LT", 0x00081048: "PN", 0x00402400: "LT", 0x00091001: "LO"}
DATES = {0x00080020: "DA", 0x00080022: "DA", 0x0008002A: "DT", 0x00140102: "DA"}
UID_TAGS = (0x00081155, 0x00200052, 0x00081195)
SEQUENCES = (0x00082218, 0x00082228, 0x00409096, 0x00540016)
DAYS_OF = st.dates(datetime.date(1950, 1, 1), datetime.date(2050, 1, 1)).map(lambda day: day.strftime("%Y%m%d"))
UIDS_OF = st.integers(1, 40).map(lambda number: f"1.2.826.0.1.3680043.8.498.{number}")


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """A Data Set with some of everything, nested up to four levels."""
    ds = Dataset()
    for tag in draw(st.sets(st.sampled_from(sorted(KEPT)))):
        vr, values = KEPT[tag]
        ds.add_new(tag, vr, draw(values))
    for tag in draw(st.sets(st.sampled_from(sorted(TEXTS)))):
        ds.add_new(tag, TEXTS[tag], TOKEN)
    for tag in draw(st.sets(st.sampled_from(sorted(DATES)))):
        ds.add_new(tag, DATES[tag], draw(DAYS_OF))
    for tag in draw(st.sets(st.sampled_from(UID_TAGS))):
        ds.add_new(tag, "UI", draw(UIDS_OF))
    if depth < 4:
        for tag in draw(st.sets(st.sampled_from(SEQUENCES), max_size=2)):
            items = draw(st.lists(data_sets(depth + 1), max_size=2))
            for item in items:
                item.is_undefined_length_sequence_item = draw(st.booleans())
            element = DataElement(tag, "SQ", Sequence(items))
            element.is_undefined_length = draw(st.booleans())
            ds.add(element)
    return ds


@st.composite
def instances(draw: st.DrawFn) -> Dataset:
    ds = draw(data_sets())
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.update(instance())
    return ds


def flat(ds: Dataset, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Every value by its path."""
    found: dict[tuple[Any, ...], Any] = {}
    for element in ds:
        here = (*path, int(element.tag))
        if element.VR == "SQ":
            found[here] = len(element.value)
            for number, item in enumerate(element.value):
                found |= flat(item, (*here, number))
        else:
            found[here] = element.value
    return found


@settings(max_examples=80, deadline=None)
@given(instances(), st.sampled_from([*NATIVE, DEFLATED]), st.sampled_from(["basic", "research"]))
def test_any_nested_data_set_survives_and_its_identity_does_not(ds: Dataset, syntax: str, name: str) -> None:
    data = file_of(ds, syntax)

    result = rewritten(data, name)

    assert TOKEN.encode() not in result
    assert rewritten(data, name) == result
    before, after = flat(read(data)), flat(read(result))
    for path, value in before.items():
        if path[-1] in KEPT or path[-1] in SEQUENCES:
            assert after[path] == value
    assert not [path for path in after if path not in before and path[0] >> 16 not in (0x12, 0x28)]
    assert_uids_are_mapped(before, after)
    if name == "research":
        assert_dates_are_shifted(before, after)


def assert_uids_are_mapped(before: dict[tuple[Any, ...], Any], after: dict[tuple[Any, ...], Any]) -> None:
    pairs = {(str(before[path]), str(after[path])) for path in before if path[-1] in UID_TAGS and path in after}
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    assert all(new.startswith("2.25.") and len(new) <= 64 for _, new in pairs)


def assert_dates_are_shifted(before: dict[tuple[Any, ...], Any], after: dict[tuple[Any, ...], Any]) -> None:
    for path, value in before.items():
        if path[-1] in DATES:
            moved = datetime.datetime.strptime(str(after[path]), "%Y%m%d")
            assert datetime.datetime.strptime(str(value), "%Y%m%d") - moved == datetime.timedelta(100)


@settings(max_examples=30, deadline=None)
@given(instances(), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_a_second_pass_over_a_result_succeeds_and_says_so(ds: Dataset, syntax: str) -> None:
    again = read(rewritten(rewritten(file_of(ds, syntax))))

    assert again.DeidentificationMethod == read(rewritten(file_of(ds, syntax))).DeidentificationMethod
    assert len(again.DeidentificationMethodCodeSequence) == 2


def test_what_no_rule_touches_is_the_same_bytes() -> None:
    kept = raw(0x00280010, "US", b"\x07\0") + raw(0x00280030, "DS", b"0.50\\ 0.5 ") + raw(0x00281050, "DS", b"40  ")
    around = raw(0x00082218, "SQ", raw_item(raw(0x00080104, "LO", b"Brain ")))

    result = rewritten(raw_instance(around, rest=kept))

    assert around in result
    assert raw(0x00280010, "US", b"\x07\0") + raw(0x00280030, "DS", b"0.50\\ 0.5 ") in result
    assert result.endswith(raw(0x00281050, "DS", b"40  "))


def test_a_changed_sequence_of_undefined_length_gets_a_length() -> None:
    end = raw_item(b"", 0xFFFFFFFF)[8:12]
    content = raw_item(raw(0x00080104, "LO", b"Brain ") + raw(0x00081030, "LO", b"x "), 0xFFFFFFFF)
    delimiter = b"\xfe\xff\xdd\xe0\0\0\0\0"

    result = rewritten(raw_instance(raw(0x00082218, "SQ", content + delimiter, 0xFFFFFFFF)))

    assert end not in result
    assert raw(0x00082218, "SQ", raw_item(raw(0x00080104, "LO", b"Brain "))) in result


@pytest.mark.parametrize(
    ("vr", "tag", "value", "padded"),
    [("LO", 0x00080104, b"abc", b"abc "), ("OB", 0x00282000, b"abc", b"abc\0"), ("UN", 0x00282000, b"abc", b"abc\0")],
)
def test_a_value_of_odd_length_is_padded(vr: str, tag: int, value: bytes, padded: bytes) -> None:
    group_8, rest = (raw(tag, vr, value), b"") if tag < 0x100000 else (b"", raw(tag, vr, value))

    assert raw(tag, vr, padded) in rewritten(raw_instance(group_8, rest=rest))


def test_stamps_are_written_once_where_the_data_set_is_out_of_order() -> None:
    data = raw_file(UIDS, STUDY, PATIENT, raw(0x00280303, "CS", b"UNMODIFIED"), raw(0x00120062, "CS", b"NO"))

    result = rewritten(data)

    assert result.count(SUBJECT.encode()) == 2
    assert result.count(b"\x12\0\x62\0") == result.count(b"\x28\0\x03\x03") == 1
    assert read(result).PatientIdentityRemoved == "YES"


def test_the_subject_stands_in_files_that_had_no_patient() -> None:
    ds = read(rewritten(raw_file(UIDS, STUDY)))

    assert (ds.PatientName, ds.PatientID) == (SUBJECT, SUBJECT)


def test_earlier_method_codes_stay_and_earlier_texts_only_where_they_are_of_cid_7050() -> None:
    code = raw(0x00080100, "SH", b"113101") + raw(0x00080102, "SH", b"DCM ")
    methods = raw(0x00120063, "LO", b"Clean Pixel Data Option\\by Dr. Mallory")
    data = raw_instance(group_18=methods + raw(0x00120064, "SQ", raw_item(code + raw(0x00080104, "LO", b"Clean "))))

    ds = read(rewritten(data))

    assert [item.CodeValue for item in ds.DeidentificationMethodCodeSequence] == ["113101", "113100"]
    assert next(iter(ds.DeidentificationMethod)) == "Clean Pixel Data Option"
    assert "Mallory" not in str(ds.DeidentificationMethod)


def test_a_un_sequence_is_rewritten_as_implicit_and_what_cannot_be_read_goes() -> None:
    inside = raw_implicit(0x00080104, b"Brain ") + raw_implicit(0x00081030, b"Mallory ")
    good = rewritten(raw_instance(raw(0x00082218, "UN", raw_item(inside))))
    bad = rewritten(raw_instance(raw(0x00082218, "UN", b"no items at all!")))

    assert raw(0x00082218, "UN", raw_item(raw_implicit(0x00080104, b"Brain "))) in good
    assert b"Mallory" not in good
    assert b"no items" not in bad
    assert read(good)[0x00082218].value[0].CodeMeaning == "Brain"


def test_a_sequence_that_nothing_in_it_changes_stays_as_it_was_encoded() -> None:
    item = raw_item(raw(0x00080104, "LO", b"Brain "), 0xFFFFFFFF)
    kept = raw(0x00082218, "SQ", item + b"\xfe\xff\xdd\xe0\0\0\0\0", 0xFFFFFFFF)

    assert kept in rewritten(raw_instance(kept))


def test_items_where_ps3_6_has_text_go_with_the_element() -> None:
    items = raw_item(raw_implicit(0x00080104, b"Brain ")) + b"\xfe\xff\xdd\xe0\0\0\0\0"

    assert b"Brain" not in rewritten(raw_instance(raw(0x00081090, "UN", items, 0xFFFFFFFF)))


def test_a_long_value_is_acted_on_as_an_empty_one() -> None:
    huge = raw(0x00181030, "UN", b"Knee of somebody " * 70_000)

    assert b"somebody" not in rewritten(raw_instance(huge))


def test_big_endian_stays_big_endian() -> None:
    result = rewritten(file_of(instance(), BIG))

    assert read(result).file_meta.TransferSyntaxUID == BIG
    assert read(result).PatientID == SUBJECT


def whole_file() -> bytes:
    ds = instance()
    ds.StudyDate, ds.StudyDescription, ds.Rows, ds.Columns, ds.BitsAllocated = "20040101", TOKEN, 2, 2, 8
    item = Dataset()
    item.CodeMeaning, item.is_undefined_length_sequence_item = "Brain", True
    ds.AnatomicRegionSequence = [item]
    ds["AnatomicRegionSequence"].is_undefined_length = True
    ds.add_new(0x7FE00010, "OB", b"abcd")
    return file_of(ds)


def test_a_prefix_of_any_length_is_refused_or_ends_between_two_elements() -> None:
    data = whole_file()
    borders = {len(data)}
    reasons = set()
    for length in range(len(data)):
        refused = refusal(data[:length], "research")
        if refused is None:
            borders.add(length)
        else:
            reasons.add(refused.reason)

    assert reasons == {Reason.NOT_DICOM, Reason.TRUNCATED, Reason.MISSING_UID}
    # What is accepted ends at the end of an element behind the UIDs: as a file without pixels, which there are.
    assert len(borders) <= 6
    pixels = data.index(b"\xe0\x7f\x10\0")
    assert {length for length in borders if length > pixels} == {len(data)}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_byte_is_refused_or_harmless(place: int, byte: int) -> None:
    data = bytearray(whole_file())
    data[132 + place % (len(data) - 132)] = byte
    try:
        deidentified(bytes(data))
    except Refused as refused:
        assert refused.reason in set(Reason) - {Reason.FAILED}
