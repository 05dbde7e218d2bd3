from __future__ import annotations

import zlib
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.elements import EXPLICIT_LITTLE, Window
from coatcheck.deid.repeats import REMEMBERED_MAX, RUN_MAX, Repeats
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

CHARACTER_SET, PIXELS = 0x00080005, 0x7FE00010
Header = dict[int, bytes]


def encoded(header: Header) -> bytes:
    """A Data Set in Explicit VR Little Endian; every value is LO, pixels are OB."""
    parts = []
    for tag, value in sorted(header.items()):
        vr = b"OB" if tag == PIXELS else b"LO" if len(value) < 65536 else b"UT"
        length = pack("<2xL", len(value)) if vr != b"LO" else pack("<H", len(value))
        parts.append(pack("<HH2s", tag >> 16, tag & 0xFFFF, vr) + length + value)
    return b"".join(parts)


def window(data: bytes) -> Window:
    return Window(lambda offset, length: data[offset : offset + length], len(data))


def walked(repeats: Repeats[int], data: bytes) -> tuple[list[int], int]:
    """The tags in order, and how many of them needed no work. What is remembered must be true for this file."""
    tags: list[int] = []
    pos = spared = 0
    for part in repeats.walk(window(data), 0, EXPLICIT_LITTLE, {}):
        end = pos + len(part.fixed) if part.fixed is not None else part.found[-1].end
        here = zlib.crc32(data[pos:end])
        if part.memo is None:
            assert [one.tag for one in part.found] == list(part.tags)
            if part.fixed is not None:
                part.memo = here
        else:
            assert part.memo == here
            spared += len(part.tags)
        tags += part.tags
        pos = end
    assert pos == len(data)
    return tags, spared


headers = st.dictionaries(
    st.sampled_from([CHARACTER_SET, *(0x00100000 + 2 * number for number in range(12)), PIXELS]),
    st.sampled_from([b"", b"AA", b"BB", b"LONGER", b"X" * (RUN_MAX + 2)]),
)


@given(st.lists(headers, max_size=8))
def test_every_file_is_walked_whole_and_nothing_is_remembered_that_is_not_so(files: list[Header]) -> None:
    repeats = Repeats[int]()
    for header in files:
        assert walked(repeats, encoded(header))[0] == sorted(header)


def test_what_was_the_same_in_two_files_is_spared_in_the_third() -> None:
    repeats = Repeats[int]()
    header = {0x00100000 + 2 * number: b"AA" for number in range(10)}

    assert walked(repeats, encoded(header))[1] == 0
    assert walked(repeats, encoded(header | {0x00100008: b"BB"}))[1] == 0
    assert walked(repeats, encoded(header | {0x00100008: b"CC"}))[1] == 9


def test_another_character_set_means_other_text() -> None:
    repeats = Repeats[int]()
    header = {CHARACTER_SET: b"ISO_IR 100", 0x00100010: b"AA"}
    walked(repeats, encoded(header))

    for other in (b"ISO_IR 101", b"ISO_IR 109", b"ISO_IR 110"):
        assert walked(repeats, encoded(header | {CHARACTER_SET: other}))[1] == 0


def test_a_caller_that_leaves_no_memo_gets_its_elements_again() -> None:
    repeats = Repeats[int]()
    data = encoded({0x00100010: b"AA", 0x00100020: b"AA"})
    for _ in range(3):
        assert [len(part.found) for part in repeats.walk(window(data), 0, EXPLICIT_LITTLE, {})] == [2]


def test_a_caller_that_stops_at_the_pixels_loses_nothing() -> None:
    repeats = Repeats[int]()
    data = encoded({0x00100010: b"AA", PIXELS: b"\1\2"})
    for part in repeats.walk(window(data), 0, EXPLICIT_LITTLE, {}):
        if PIXELS in part.tags:
            break
        part.memo = zlib.crc32(part.fixed or b"")

    assert walked(repeats, data)[1] == 1


def test_a_file_that_was_given_up_in_the_middle_leaves_nothing_behind() -> None:
    repeats = Repeats[int]()
    data = encoded({0x00100010: b"AA", 0x00100020: b"AA"})
    next(iter(repeats.walk(window(data), 0, EXPLICIT_LITTLE, {})))

    assert walked(repeats, data)[1] == 0


def test_memory_does_not_grow_with_a_header() -> None:
    repeats = Repeats[int]()
    many = {0x00100000 + 2 * number: b"A" * 1000 for number in range(1000)}
    walked(repeats, encoded(many))
    remembered = [part.fixed for part in repeats.walk(window(encoded(many)), 0, EXPLICIT_LITTLE, {}) if part.fixed]

    assert 0 < sum(map(len, remembered)) <= REMEMBERED_MAX
    assert max(map(len, remembered)) <= RUN_MAX


def test_a_delimiter_outside_of_any_item_is_malformed_in_every_file() -> None:
    repeats = Repeats[int]()
    data = encoded({0x00100010: b"AA"})
    walked(repeats, data)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            list(repeats.walk(window(data + pack("<HHL", 0xFFFE, 0xE00D, 0) + data), 0, EXPLICIT_LITTLE, {}))
        assert refused.value.reason is Reason.MALFORMED
