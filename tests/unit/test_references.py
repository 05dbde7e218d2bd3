"""References are collected from finished bytes at every depth, in every encoding, and never twice."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from coatcheck.deid.elements import EXPLICIT_LITTLE, WINDOW, Encoding, Window
from coatcheck.deid.gate import Gate
from coatcheck.deid.references import MOST

CT, STUDY, STEP = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.3.1.2.3.1", "1.2.840.10008.3.1.2.3.3"
ENCODINGS = [Encoding(explicit, little) for explicit, little in ((True, True), (False, True), (True, False))]
SEQUENCES = ["ReferencedImageSequence", "SourceImageSequence", "DerivationImageSequence", "ReferencedSeriesSequence"]


def encoded(ds: Dataset, encoding: Encoding) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = not encoding.explicit, encoding.little
    if "PixelData" in ds:
        ds["PixelData"].VR = "OW"
    write_dataset(out, ds)
    return out.getvalue()


def window(data: bytes) -> Window:
    return Window(lambda offset, length: data[offset : offset + length], len(data))


def collected(ds: Dataset, encoding: Encoding = EXPLICIT_LITTLE, references: Gate | None = None) -> list[str]:
    data = bytes(132) + encoded(ds, encoding)
    return list((references or Gate((), "S")).check(window(data), 132, encoding, set()))


def reference(uid: str, sop_class: str | None = CT) -> Dataset:
    item = Dataset()
    if sop_class is not None:
        item.ReferencedSOPClassUID = UID(sop_class)
    item.ReferencedSOPInstanceUID = UID(uid)
    return item


def referring(*items: Dataset, keyword: str = "ReferencedImageSequence") -> Dataset:
    ds = Dataset()
    ds.Modality = "CT"
    setattr(ds, keyword, list(items))
    return ds


def nested(ds: Dataset, keywords: list[str]) -> Dataset:
    for keyword in keywords:
        ds = referring(ds, keyword=keyword)
    return ds


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_reference_is_found_in_every_encoding(encoding: Encoding) -> None:
    ds = referring(reference("2.25.1"), reference("2.25.22"))
    ds.PixelData = b"\0\0"
    assert collected(ds, encoding) == ["2.25.1", "2.25.22"]


@given(st.lists(st.sampled_from(SEQUENCES), max_size=12), st.sampled_from(ENCODINGS))
def test_a_reference_is_found_at_every_depth(keywords: list[str], encoding: Encoding) -> None:
    assert collected(nested(referring(reference("2.25.7")), keywords), encoding) == ["2.25.7"]


def test_a_reference_that_stands_twice_counts_once() -> None:
    ds = referring(reference("2.25.1"), reference("2.25.1"))
    ds.SourceImageSequence = [reference("2.25.1"), reference("2.25.2")]
    assert collected(ds) == ["2.25.1", "2.25.2"]


def test_a_reference_without_a_class_counts() -> None:
    assert collected(referring(reference("2.25.1", None))) == ["2.25.1"]


def test_a_study_is_referred_to_and_a_procedure_step_is_no_file() -> None:
    assert collected(referring(reference("2.25.1", STUDY), reference("2.25.2", STEP))) == ["2.25.1"]


def test_the_class_of_one_reference_is_not_that_of_the_next() -> None:
    assert collected(referring(reference("2.25.2", STEP), reference("2.25.3", None))) == ["2.25.3"]


def test_what_the_standard_registers_and_what_is_no_uid_do_not_count() -> None:
    ds = referring(reference(CT), reference(""), reference("2.25.1"))
    data = encoded(ds, EXPLICIT_LITTLE).replace(b"2.25.1", b"DOE^JN")
    assert list(Gate((), "S").check(window(bytes(132) + data), 132, EXPLICIT_LITTLE, set())) == []


def test_an_object_without_references_has_none() -> None:
    ds = referring(Dataset())
    ds.SOPInstanceUID = UID("2.25.1")
    assert collected(ds) == []


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_sequence_in_a_value_of_unknown_vr_is_entered(order: str, depth: int) -> None:
    """It is Implicit VR Little Endian there, also in a big endian file (PS3.5 6.2.2 note 2)."""
    item = encoded(reference("2.25.77"), Encoding(False, True))
    value = pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    data = pack(order + "HH2s2xL", 0x0008, 0x1140, b"UN", len(value)) + value
    for _ in range(depth):
        value = pack(order + "HHL", 0xFFFE, 0xE000, len(data)) + data
        data = pack(order + "HH2s2xL", 0x0008, 0x2112, b"SQ", len(value)) + value
    assert Gate((), "S").check(window(bytes(132) + data), 132, Encoding(True, order == "<"), set()) == ("2.25.77",)


@pytest.mark.parametrize("shift", range(12))
def test_a_reference_on_the_border_of_two_pieces_is_found(shift: int) -> None:
    filler = Dataset()
    filler.TextValue = "x" * (WINDOW - 40 + 2 * shift)
    ds = referring(filler, reference("2.25.5", None))
    assert collected(ds) == ["2.25.5"]


def test_the_number_of_references_of_one_file_is_bounded() -> None:
    found = collected(referring(*(reference(f"2.25.{number}", None) for number in range(MOST + 10))))
    assert len(found) == MOST


@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 3), max_size=3), st.lists(st.integers(4, 6), max_size=3), st.booleans()),
        max_size=6,
    )
)
def test_what_repeats_from_file_to_file_changes_nothing(files: list[tuple[list[int], list[int], bool]]) -> None:
    shared = Gate((), "S")
    for first, second, more in files:
        ds = referring(*(reference(f"2.25.{number}") for number in first))
        ds.SourceImageSequence = [reference(f"2.25.{number}") for number in second]
        if more:
            ds.SeriesDescription = "more"
        ds.PixelData = b"\0\0"
        assert collected(ds, references=shared) == collected(ds)
        assert collected(ds) == [f"2.25.{number}" for number in dict.fromkeys([*first, *second])]
