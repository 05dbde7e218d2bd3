"""Two Data Sets side by side: every element is met once, at its place, and only what differs counts as changed."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from coatcheck.deid.compare import DataSet, Pair, Row, Seen, listing, meta, row_of, side_by_side
from coatcheck.errors import Refused
from tests.support import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    file_of,
    instance,
    opened,
    raw,
    raw_instance,
    raw_item,
    read,
    window_of,
)

SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
READABLE = ("CT_small.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "reportsi.dcm", "priv_SQ.dcm", "image_dfl.dcm")


def seen(data: bytes) -> list[Seen]:
    _, window, head = opened(data)
    return list(listing(DataSet(window, head.start, head.encoding)))


def pairs(before: bytes, after: bytes) -> list[Pair]:
    return side_by_side(seen(before), seen(after))


def rows(before: bytes, after: bytes | None = None) -> dict[str, Row]:
    found = [row_of(pair) for pair in pairs(before, before if after is None else after)]
    assert len({row.path for row in found}) == len(found)
    return {row.path: row for row in found}


def changed(before: bytes, after: bytes) -> list[str]:
    return [path for path, row in rows(before, after).items() if row.changed]


def with_items(*names: str) -> bytes:
    ds = instance()
    ds.RequestAttributesSequence = []
    for name in names:
        item = Dataset()
        item.ScheduledProcedureStepID = name
        ds.RequestAttributesSequence.append(item)
    return file_of(ds)


def count(ds: Dataset) -> int:
    return sum(1 + (sum(map(count, one.value)) if one.VR == "SQ" else 0) for one in ds)


@pytest.mark.parametrize("name", READABLE)
def test_every_element_that_pydicom_finds_is_listed_once(name: str) -> None:
    data = (SAMPLES / name).read_bytes()

    found = seen(data)

    assert len({one.place for one in found}) == len(found) == count(read(data))
    assert changed(data, data) == []


def test_a_path_names_the_sequences_with_the_numbers_of_their_items() -> None:
    found = rows(with_items("A", "B"))

    row = found["RequestAttributesSequence[2] > ScheduledProcedureStepID"]
    assert (row.tag, row.keyword, row.vr, row.before) == ("(0040,0009)", "ScheduledProcedureStepID", "SH", "B")
    assert found["RequestAttributesSequence"].before == "<2 items>"


def test_what_stands_on_one_side_only_is_named_with_its_items() -> None:
    found = rows(with_items("A"), with_items("A", "B"))

    row = found["RequestAttributesSequence[2] > ScheduledProcedureStepID"]
    assert (row.before, row.after, row.changed) == (None, "B", True)
    assert found["RequestAttributesSequence"].changed
    assert not found["RequestAttributesSequence[1] > ScheduledProcedureStepID"].changed


def test_an_outer_element_comes_before_those_inside_and_tags_are_in_order() -> None:
    places = [pair.seen.place for pair in pairs(with_items("A", "B"), with_items())]

    assert places == sorted(places)
    at = places.index((0x00400275,))
    assert places[at + 1 : at + 3] == [(0x00400275, 1, 0x00400009), (0x00400275, 2, 0x00400009)]


def test_a_private_element_is_named_by_its_creator_and_shown_with_its_block() -> None:
    private = raw(0x00290011, "LO", b"ACME ") + raw(0x00291105, "LO", b"SECRET")
    found = rows(raw_instance(rest=private))

    row = found['(0029,"ACME",05)']
    assert (row.tag, row.keyword, row.before) == ("(0029,1105)", "", "SECRET")
    assert found["(0029,0011)"].before == "ACME"


def test_padding_and_encoding_are_no_change() -> None:
    ds = instance()
    ds.Rows, ds.WindowCenter, ds.StudyDescription = 512, "40.5", "odd"
    ds.FrameIncrementPointer = 0x00181063

    explicit, implicit, big = (file_of(ds, syntax) for syntax in (EXPLICIT, IMPLICIT, BIG))

    assert changed(explicit, implicit) == changed(explicit, big) == []
    assert rows(big)["Rows"].before == "512"
    assert rows(big)["FrameIncrementPointer"].before == "(0018,1063)"
    blank, zero = (raw_instance(group_8=raw(0x00081030, "LO", b"odd" + one)) for one in (b" ", b"\0"))
    assert changed(blank, zero) == []


def test_bytes_of_one_length_are_told_from_each_other() -> None:
    before, after = (raw_instance(rest=raw(0x00420011, "OB", one * 5000)) for one in (b"\1\2", b"\1\3"))

    row = rows(before, after)["EncapsulatedDocument"]

    assert (row.before, row.after, row.changed) == ("<10000 bytes>", "<10000 bytes>", True)
    assert changed(before, before) == []


def test_a_very_long_text_is_known_by_its_size() -> None:
    before, after = (raw_instance(rest=raw(0x0040A160, "UT", b"a" * 70_000 + end)) for end in (b"bb", b"cc"))

    assert rows(before)["TextValue"].before == "<70002 bytes>"
    assert changed(before, after) == ["TextValue"]


def test_text_is_read_by_the_character_set_that_stands_before_it() -> None:
    ds = instance()
    ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 192", "Müller^Żofia"
    item = Dataset()
    item.PersonName = "Čapek"
    ds.VerifyingObserverSequence = [item]

    found = rows(file_of(ds))

    assert found["PatientName"].before == "Müller^Żofia"
    assert found["VerifyingObserverSequence[1] > PersonName"].before == "Čapek"


def test_unknown_bytes_are_read_where_they_are_text() -> None:
    private = raw(0x00290010, "LO", b"ACME") + raw(0x00291001, "UN", b"DOE^JANE") + raw(0x00291002, "UN", b"\0\1\2\3")
    found = rows(raw_instance(rest=private))

    assert found['(0029,"ACME",01)'].before == "DOE^JANE"
    assert found['(0029,"ACME",02)'].before == "<4 bytes>"


def test_items_that_hide_in_unknown_bytes_are_entered() -> None:
    item = raw_item(b"\x40\x00\x09\x00\x02\x00\x00\x00AB")
    found = rows(raw_instance(rest=raw(0x00400275, "UN", item)))

    assert found["RequestAttributesSequence[1] > ScheduledProcedureStepID"].before == "AB"
    assert found["RequestAttributesSequence"].vr == "SQ"
    broken = rows(raw_instance(rest=raw(0x00400275, "UN", b"\1\2\3\4")))
    assert broken["RequestAttributesSequence"].before == "<4 bytes>"


def test_a_tag_that_stands_twice_is_refused_instead_of_left_out() -> None:
    twice = raw(0x00081030, "LO", b"A ") + raw(0x00081030, "LO", b"B ")

    with pytest.raises(Refused, match=r"malformed: \(0008,1030\)"):
        seen(raw_instance(group_8=twice))


def test_the_file_meta_information_is_listed_where_there_is_one() -> None:
    found = {one.name: one.text for one in meta(window_of(raw_instance()))}

    assert found["TransferSyntaxUID"] == EXPLICIT
    assert meta(window_of(b"no DICOM at all")) == []
    _, _, head = opened(raw_instance())
    assert meta(window_of(raw_instance()[head.start :])) == []


@given(before=st.lists(st.text("ABC", max_size=4), max_size=4), after=st.lists(st.text("ABC", max_size=4), max_size=4))
def test_exactly_what_differs_is_changed(before: list[str], after: list[str]) -> None:
    found = rows(with_items(*before), with_items(*after))

    for number in range(max(len(before), len(after))):
        row = found[f"RequestAttributesSequence[{number + 1}] > ScheduledProcedureStepID"]
        pair = [side[number] if number < len(side) else None for side in (before, after)]
        assert [row.before, row.after] == pair
        assert row.changed == (pair[0] != pair[1])
