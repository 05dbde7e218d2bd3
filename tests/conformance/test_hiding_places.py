"""Where a patient's name could survive: each place is emptied, or the gate finds it. It never comes out."""

from __future__ import annotations

import re

import pytest

from coatcheck.errors import Refused
from coatcheck.ledger.guard import is_detail
from coatcheck.reasons import Reason
from tests.support import (
    IMPLICIT,
    PATIENT,
    RLE,
    SEQUENCE_END,
    STUDY,
    UIDS,
    deidentified,
    raw,
    raw_file,
    raw_implicit,
    raw_instance,
    raw_item,
)

UNDEFINED = 0xFFFFFFFF
NAME = b"Mallory "
AROUND = 0x00082218  # Anatomic Region Sequence: kept, and treated inside
CODE_MEANING, CODE_VALUE = 0x00080104, 0x00080100
PIXELS = (raw(0x00280010, "US", b"\2\0") + raw(0x00280011, "US", b"\2\0") + raw(0x00280100, "US", b"\x08\0")) + raw(
    0x7FE00010, "OB", b"abcd"
)


def around(content: bytes) -> bytes:
    return raw(AROUND, "SQ", raw_item(content))


def meta_with(element: bytes) -> bytes:
    """The Instance with one more element at the end of its file meta."""
    whole = raw_instance()
    start = whole.index(UIDS)
    return whole[:start] + element + whole[start:]


def nested(levels: int, content: bytes) -> bytes:
    for _ in range(levels):
        content = around(content)
    return content


JAPANESE = b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"  # Yamada^Tarou in ISO 2022 IR 87
JAPAN = raw(0x00080005, "CS", b"\\ISO 2022 IR 87 ")
JAPANESE_PATIENT = raw(0x00100010, "PN", b"Yamada^Tarou=" + JAPANESE + b" ") + raw(0x00100020, "LO", b"MRN-7755")

GONE = {
    "a private creator": raw_instance(rest=raw(0x00290010, "LO", NAME)),
    "a private value": raw_instance(rest=raw(0x00290010, "LO", b"MAKER ") + raw(0x00291001, "LT", NAME)),
    "a private block in a kept sequence": raw_instance(
        around(raw(0x00090010, "LO", b"MAKER ") + raw(0x00091001, "OB", NAME))
    ),
    "a private sequence of undefined length": raw_instance(
        rest=raw(0x00291001, "SQ", raw_item(raw(CODE_MEANING, "LO", NAME), UNDEFINED) + SEQUENCE_END, UNDEFINED)
    ),
    "UN of undefined length": raw_instance(
        rest=raw(0x00291001, "UN", raw_item(raw_implicit(CODE_MEANING, NAME)) + SEQUENCE_END, UNDEFINED)
    ),
    "an unknown standard tag": raw_instance(rest=raw(0x00280999, "LO", NAME)),
    "a retired text": raw_instance(raw(0x00080041, "LO", NAME)),
    "a VR that contradicts PS3.6": raw_instance(rest=raw(0x00280010, "LT", NAME)),
    "a sequence where PS3.6 has text": raw_instance(raw(CODE_MEANING, "SQ", raw_item(raw(CODE_VALUE, "SH", NAME)))),
    "text where PS3.6 has a sequence": raw_instance(raw(AROUND, "LT", NAME)),
    "bytes where PS3.6 has a sequence, as UN": raw_instance(raw(AROUND, "UN", NAME)),
    "a group length": raw_instance(raw(0x00080000, "LO", NAME)),
    "an AE title in the file meta": meta_with(raw(0x00020016, "AE", NAME)),
    "a presentation address in the file meta": meta_with(raw(0x00020026, "UR", b"http://mallory")),
    "private information in the file meta": meta_with(
        raw(0x00020100, "UI", b"1.2.3.4\0") + raw(0x00020102, "OB", NAME)
    ),
    "the preamble": NAME * 16 + raw_instance()[128:],
    "group 0004": raw_file(raw(0x00041130, "CS", NAME), UIDS, PATIENT, STUDY),
    "group 0006 in a sequence": raw_instance(around(raw(0x00060010, "LO", NAME))),
    "group 0003": raw_file(raw(0x00030010, "LO", NAME), UIDS, PATIENT, STUDY),
    "group 0005": raw_file(raw(0x00051010, "LO", NAME), UIDS, PATIENT, STUDY),
    "group 0007": raw_file(raw(0x00071010, "LO", NAME), UIDS, PATIENT, STUDY),
    "an odd group in a sequence in a sequence": raw_instance(nested(2, raw(0x00091010, "UT", NAME))),
    "overlay data": raw_instance(rest=raw(0x60003000, "OW", NAME)),
    "an overlay's label": raw_instance(rest=raw(0x60021500, "LO", NAME)),
    "an overlay in an odd group": raw_instance(rest=raw(0x60013000, "OW", NAME)),
    "a curve": raw_instance(rest=raw(0x50003000, "OW", NAME)),
    "a curve's label in a sequence": raw_instance(around(raw(0x50042500, "LO", NAME))),
    "an icon": raw_instance(rest=raw(0x00880200, "SQ", raw_item(raw(0x7FE00010, "OB", NAME)))),
    "trailing padding": raw_instance(rest=raw(0xFFFCFFFC, "OB", NAME)),
    "a digital signature": raw_instance(rest=raw(0xFFFAFFFA, "SQ", raw_item(raw(0x04000105, "DT", b"2004")))),
    "bytes after the pixels": raw_instance(rest=PIXELS) + NAME * 4,
    "an element after the pixels": raw_instance(rest=PIXELS + raw(0x7FE10010, "LO", NAME)),
    "original attributes": raw_instance(rest=raw(0x04000561, "SQ", raw_item(raw(0x04000550, "SQ", raw_item(PATIENT))))),
    "the text of an earlier de-identification": raw_instance(group_18=raw(0x00120063, "LO", b"of Mallory")),
    "a name in a kept sequence": raw_instance(around(raw(0x00100010, "PN", NAME))),
    "a name outside the table": raw_instance(group_18=raw(0x00140104, "PN", NAME)),
    "a date that is none": raw_instance(raw(0x00080020, "DA", NAME)),
    "a time that is none": raw_instance(raw(0x00080030, "TM", NAME)),
    "a time outside the table that is none": raw_instance(group_18=raw(0x00140103, "TM", NAME)),
    "an offset from UTC that is none": raw_instance(raw(0x00080201, "SH", NAME)),
    "an age that is none": raw_instance(group_10=raw(0x00101010, "AS", NAME[:4])),
    "a UID that is none": raw_instance(raw(0x00081155, "UI", NAME)),
    "a characteristic with another VR": raw_instance(group_10=raw(0x00101020, "OB", NAME)),
    "a second name, out of order": raw_file(UIDS, raw(0x00100020, "LO", b"MRN-7755"), PATIENT[:20], STUDY),
    "seven levels down": raw_instance(nested(7, raw(0x00081030, "LO", NAME))),
    "an AE title": raw_instance(raw(0x00080054, "AE", NAME)),
    "an item of undefined length": raw_instance(
        raw(AROUND, "SQ", raw_item(raw(0x00081030, "LO", NAME), UNDEFINED) + SEQUENCE_END, UNDEFINED)
    ),
    "a UN-encoded sequence of known items": raw_instance(raw(AROUND, "UN", raw_item(raw_implicit(0x00081030, NAME)))),
}

FOUND = {
    "a code meaning": raw_instance(around(raw(CODE_MEANING, "LO", b"of Mallory"))),
    "a code value in capitals": raw_instance(around(raw(CODE_VALUE, "SH", b"MALLORY "))),
    "a decimal string": raw_instance(rest=raw(0x00280030, "DS", NAME)),
    "an integer string": raw_instance(rest=raw(0x00280008, "IS", NAME)),
    "a code string": raw_instance(raw(0x00080008, "CS", b"ORIGINAL\\MALLORY")),
    "the second of several values": raw_instance(raw(0x00080008, "CS", b"ORIGINAL\\A\\MALLORY ")),
    "a model name": raw_instance(raw(0x00081090, "LO", b"CT of Mallory ")),
    "a UN of a known text": raw_instance(around(raw(CODE_MEANING, "UN", NAME))),
    "bytes": raw_instance(rest=raw(0x00282000, "OB", b"\0\1\2" + NAME + b"\xff")),
    "bytes, as UTF-16": raw_instance(rest=raw(0x00282000, "OB", "xMallory".encode("utf-16-le"))),
    "bytes, as UTF-16 of the other order": raw_instance(rest=raw(0x00282000, "OB", "Mallory".encode("utf-16-be"))),
    "many bytes": raw_instance(rest=raw(0x00282000, "OB", bytes(300_000) + NAME + bytes(300_000))),
    "many bytes, where two pieces meet": raw_instance(rest=raw(0x00282000, "OB", bytes((1 << 18) - 4) + NAME * 2)),
    "the Patient ID in a code": raw_instance(around(raw(CODE_VALUE, "SH", b"mrn-7755"))),
    "the Patient ID without its dash": raw_instance(around(raw(CODE_VALUE, "SH", b"MRN7755 "))),
    "a UID in a text": raw_instance(around(raw(CODE_MEANING, "LO", b"see 1.2.3.4.10"))),
    "pixels in an item": raw_instance(around(raw(0x7FE00010, "OB", NAME))),
    "a character set": raw_instance(raw(0x00080005, "CS", NAME)),
    "a date in a text": raw_instance(
        around(raw(CODE_MEANING, "LO", b"born 29.2.1960")), raw(0x00100030, "DA", b"19600229")
    ),
    "a date in words": raw_instance(
        around(raw(CODE_MEANING, "LO", b"born 29 Feb 1960")), raw(0x00100030, "DA", b"19600229")
    ),
    "Japanese in an item": raw_file(
        UIDS, JAPAN, around(raw(CODE_MEANING, "LO", b"\x1b$B;3ED\x1b(B")), JAPANESE_PATIENT, STUDY
    ),
    "Japanese in an item that says otherwise": raw_file(
        UIDS,
        JAPAN,
        around(raw(0x00080005, "CS", b"ISO_IR 192") + raw(CODE_MEANING, "LO", "山田".encode())),
        JAPANESE_PATIENT,
        STUDY,
    ),
    "Japanese in an item that says nothing true": raw_file(
        UIDS,
        JAPAN,
        around(raw(0x00080005, "CS", b"ISO_IR 100") + raw(CODE_MEANING, "LO", "山田".encode())),
        JAPANESE_PATIENT,
        STUDY,
    ),
    "Japanese in bytes": raw_file(UIDS, JAPAN, JAPANESE_PATIENT, STUDY, raw(0x00282000, "OB", b"\x1b$B;3ED\x1b(B")),
    "a name without its umlaut": raw_file(
        UIDS,
        raw(0x00080005, "CS", b"ISO_IR 100"),
        around(raw(CODE_MEANING, "LO", b"MUELLER ")),
        raw(0x00100010, "PN", "Müller".encode("latin-1")),
        STUDY,
    ),
    "a short name as a word": raw_file(
        UIDS, around(raw(CODE_MEANING, "LO", b"Li's head ")), raw(0x00100010, "PN", b"Li^X"), STUDY
    ),
}

IMPLICIT_FILE = raw_file(
    raw_implicit(0x00080016, b"1.2.840.10008.5.1.4.1.1.2\0"),
    raw_implicit(0x00080018, b"1.2.3.4.30"),
    raw_implicit(AROUND, raw_item(raw_implicit(CODE_MEANING, NAME))),
    raw_implicit(0x00090010, NAME),
    raw_implicit(0x00100010, b"Mallory^Eve "),
    raw_implicit(0x0020000D, b"1.2.3.4.10"),
    raw_implicit(0x0020000E, b"1.2.3.4.20"),
    syntax=IMPLICIT,
)
TOKENS = re.compile(rb"mallory|MRN.?7755|M\0a\0l\0l\0o|1\.2\.3\.4\.[123]0", re.IGNORECASE)


@pytest.mark.parametrize("profile", ["basic", "research"])
@pytest.mark.parametrize("place", GONE)
def test_nothing_is_left_in(place: str, profile: str) -> None:
    assert TOKENS.search(GONE[place]) is not None

    assert TOKENS.search(deidentified(GONE[place], profile)) is None


@pytest.mark.parametrize("profile", ["basic", "research"])
@pytest.mark.parametrize("place", FOUND)
def test_the_gate_finds_the_patient_in(place: str, profile: str) -> None:
    with pytest.raises(Refused) as refused:
        deidentified(FOUND[place], profile)

    assert refused.value.reason == Reason.IDENTITY_FOUND
    assert is_detail(refused.value.detail)


def test_an_implicit_file_hides_nothing_either() -> None:
    with pytest.raises(Refused, match="identity-found"):
        deidentified(IMPLICIT_FILE)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(raw(0x7FE00010, "UT", NAME), id="text"),
        pytest.param(raw(0x7FE00010, "SQ", raw_item(raw(CODE_MEANING, "LO", NAME))), id="a sequence"),
        pytest.param(raw(0x7FE00008, "OB", NAME), id="bytes that should be floats"),
    ],
)
def test_what_is_only_called_pixels_is_refused(pixels: bytes) -> None:
    with pytest.raises(Refused) as refused:
        deidentified(raw_instance(rest=pixels))

    assert refused.value.reason == Reason.MALFORMED


def test_a_sequence_called_pixels_is_refused_in_an_encapsulated_file() -> None:
    pixels = raw(0x7FE00010, "SQ", raw_item(raw(CODE_MEANING, "LO", NAME)) + SEQUENCE_END, UNDEFINED)

    with pytest.raises(Refused) as refused:
        deidentified(raw_file(UIDS, PATIENT, STUDY, pixels, syntax=RLE))

    assert refused.value.reason == Reason.MALFORMED


@pytest.mark.parametrize("place", ["behind the delimiter of an item", "behind the delimiter of the Data Set"])
def test_what_hides_behind_a_delimiter_is_refused(place: str) -> None:
    hidden = raw_item(b"", 0xFFFFFFFF)[8:] + raw(CODE_MEANING, "LO", NAME)
    inside = place == "behind the delimiter of an item"

    with pytest.raises(Refused) as refused:
        deidentified(raw_instance(around(hidden)) if inside else raw_instance(rest=hidden))

    assert refused.value.reason == Reason.MALFORMED


@pytest.mark.parametrize("adjacent", [True, False])
def test_an_element_that_stands_twice_is_refused(adjacent: bool) -> None:
    second = raw(0x00100020, "LO", b"MRN-1234")
    data = raw_instance(group_10=second) if adjacent else raw_instance(rest=second)

    with pytest.raises(Refused) as refused:
        deidentified(data)

    assert (refused.value.reason, refused.value.detail) == (Reason.MALFORMED, "(0010,0020)")


def test_the_path_of_what_the_gate_found_fits_the_ledger_at_every_depth() -> None:
    with pytest.raises(Refused) as refused:
        deidentified(raw_instance(nested(60, raw(CODE_MEANING, "LO", NAME))))

    assert refused.value.detail == "(0008,2218)[0]" * 60 + "(0008,0104) name"
    assert refused.value.reason == Reason.IDENTITY_FOUND
    assert is_detail(refused.value.detail)
