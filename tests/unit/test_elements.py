"""The walker finds every element, checks every length, and never crashes."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    MAX_DEPTH,
    Element,
    Encoding,
    Window,
    elements,
    items,
    tag_text,
)
from coatcheck.errors import Refused
from coatcheck.reasons import Reason
from tests.support import SEQUENCE_END, raw, raw_implicit, raw_item, window_of

UNDEFINED = 0xFFFFFFFF
ENCODINGS = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)


def walked(data: bytes, encoding: Encoding = EXPLICIT_LITTLE) -> list[Element]:
    return list(elements(window_of(data), 0, len(data), encoding, {}))


def reason(data: bytes, encoding: Encoding = EXPLICIT_LITTLE) -> Reason:
    with pytest.raises(Refused) as refused:
        everything(data, encoding)
    return refused.value.reason


def everything(data: bytes, encoding: Encoding = EXPLICIT_LITTLE) -> None:
    """The whole tree."""
    window, ends = window_of(data), dict[int, int]()

    def enter(begin: int, end: int, depth: int) -> None:
        for found in elements(window, begin, end, encoding, ends, depth):
            if found.vr == "SQ":
                for first, last in items(window, found, encoding, ends, depth + 1):
                    enter(first, last, depth + 1)

    enter(0, len(data), 0)


def test_an_element_is_found_in_every_encoding() -> None:
    little = walked(raw(0x00080060, "CS", b"CT"))
    assert little == [Element(0x00080060, "CS", 0, 8, 10, 10)]
    assert walked(raw(0x00080060, "CS", b"CT", big=True), EXPLICIT_BIG) == little
    assert walked(raw_implicit(0x00080060, b"CT"), IMPLICIT_LITTLE) == little


def test_a_long_vr_has_a_long_length() -> None:
    assert walked(raw(0x00282000, "OB", b"abcd")) == [Element(0x00282000, "OB", 0, 12, 16, 16)]


def test_an_implicit_tag_outside_the_dictionary_is_un() -> None:
    assert [found.vr for found in walked(raw_implicit(0x00280999, b"ab"), IMPLICIT_LITTLE)] == ["UN"]
    assert [found.vr for found in walked(raw_implicit(0x00290010, b"ab"), IMPLICIT_LITTLE)] == ["LO"]


@pytest.mark.parametrize("item_length", [None, UNDEFINED])
@pytest.mark.parametrize("length", [None, UNDEFINED])
def test_items_are_found_with_and_without_lengths(length: int | None, item_length: int | None) -> None:
    inside = raw(0x00080060, "CS", b"CT")
    content = raw_item(inside, item_length) * 2 + (SEQUENCE_END if length else b"")
    data = raw(0x00082218, "SQ", content, length)
    window, ends = window_of(data), dict[int, int]()
    (found,) = elements(window, 0, len(data), EXPLICIT_LITTLE, ends)

    spans = list(items(window, found, EXPLICIT_LITTLE, ends, 1))

    assert [data[begin:end] for begin, end in spans] == [inside, inside]
    assert found.end == len(data)
    assert found.value_end == len(data) - (8 if length else 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(raw(0x00080060, "CS", b"CT", 4), Reason.TRUNCATED, id="a length past the end"),
        pytest.param(raw(0x00282000, "OB", b"", 0xFFFFFFFE), Reason.TRUNCATED, id="a length of 4 GiB"),
        pytest.param(raw(0x00080060, "CS", b"CT")[:6], Reason.TRUNCATED, id="half a header"),
        pytest.param(raw(0x00080060, "??", b"CT"), Reason.MALFORMED, id="no VR"),
        pytest.param(raw(0x00080060, "LT", b"", 0), None, id="an empty value"),
        pytest.param(raw(0x00104000, "UT", b"ab", UNDEFINED), Reason.MALFORMED, id="text of undefined length"),
        pytest.param(raw(0x00082218, "SQ", b"", UNDEFINED), Reason.TRUNCATED, id="a sequence without an end"),
        pytest.param(
            raw(0x00082218, "SQ", raw_item(b"", UNDEFINED)[:8], UNDEFINED),
            Reason.TRUNCATED,
            id="an item without an end",
        ),
        pytest.param(raw(0x00082218, "SQ", b"abcdefgh"), Reason.MALFORMED, id="a sequence of no items"),
        pytest.param(
            raw(0x00082218, "SQ", raw_item(b"", 100)), Reason.MALFORMED, id="an item that is longer than its sequence"
        ),
        pytest.param(
            raw(0x00082218, "SQ", raw_item(raw(0x00080060, "CS", b"CT", 50))) + bytes(60),
            Reason.MALFORMED,
            id="an element that is longer than its item",
        ),
        pytest.param(
            raw(0x00082218, "SQ", raw_item(b"\x08\0\x60")) + bytes(9), Reason.MALFORMED, id="a rest that is no element"
        ),
        pytest.param(SEQUENCE_END, Reason.MALFORMED, id="a delimiter of no sequence"),
        pytest.param(
            raw(0x7FE00010, "OB", raw_item(b"ab", UNDEFINED), UNDEFINED), Reason.MALFORMED, id="an endless fragment"
        ),
    ],
)
def test_what_does_not_fit_is_refused(data: bytes, expected: Reason | None) -> None:
    if expected is None:
        everything(data)
    else:
        assert reason(data) == expected


@pytest.mark.parametrize("zeros", [1, 2, 7, 8, 100, 1 << 17])
def test_zeros_after_the_last_element_are_padding(zeros: int) -> None:
    assert len(walked(raw(0x00080060, "CS", b"CT") + bytes(zeros))) == 1


@pytest.mark.parametrize("zeros", [2, 30])
def test_zeros_and_then_something_are_no_padding(zeros: int) -> None:
    assert reason(raw(0x00080060, "CS", b"CT") + bytes(zeros) + b"abcdef") in (Reason.MALFORMED, Reason.TRUNCATED)


def nested(levels: int, length: int | None) -> bytes:
    """Sequences in sequences, made from the inside out in one go."""
    if length is None:
        data = b""
        for _ in range(levels):
            data = raw(0x00082218, "SQ", raw_item(data))
        return data
    start = raw(0x00082218, "SQ", b"", UNDEFINED) + pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
    return start * levels + (pack("<HHL", 0xFFFE, 0xE00D, 0) + SEQUENCE_END) * levels


@pytest.mark.parametrize("length", [None, UNDEFINED])
def test_deep_nesting_is_read_up_to_the_limit(length: int | None) -> None:
    everything(nested(MAX_DEPTH, length))
    assert reason(nested(MAX_DEPTH + 1, length)) == Reason.TOO_LARGE


def test_nesting_5000_deep_is_too_large_and_no_crash() -> None:
    assert reason(nested(5000, UNDEFINED)) == Reason.TOO_LARGE
    assert reason(nested(5000, None)) == Reason.TOO_LARGE


def test_the_walk_of_wide_undefined_sequences_is_linear() -> None:
    """The end of each sequence is looked for once, though every level asks for it."""
    inner = raw(0x00082218, "SQ", raw_item(raw(0x00080060, "CS", b"CT"), UNDEFINED) + SEQUENCE_END, UNDEFINED)
    data = inner
    for _ in range(20):
        data = raw(0x00082218, "SQ", raw_item(data, UNDEFINED) + SEQUENCE_END, UNDEFINED)
    calls = 0

    class Counting(Window):
        def need(self, pos: int, length: int) -> None:
            nonlocal calls
            calls += 1
            super().need(pos, length)

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    window, ends = Counting(read, len(data)), dict[int, int]()
    list(elements(window, 0, len(data), EXPLICIT_LITTLE, ends))

    assert len(ends) == 2 * 21  # an end for each sequence and each item
    assert calls < 200


def test_a_window_is_small_and_gives_exactly_what_is_asked_for() -> None:
    data = bytes(range(256)) * 2048
    window = window_of(data)

    assert window.bytes(300_000, 300_010) == data[300_000:300_010]
    assert window.bytes(5, 200_000) == data[5:200_000]
    assert len(window.buf) <= 1 << 16
    with pytest.raises(Refused, match="truncated"):
        window.bytes(len(data) - 2, len(data) + 2)


@given(st.binary(max_size=200), st.sampled_from(ENCODINGS))
def test_any_bytes_are_walked_or_refused(data: bytes, encoding: Encoding) -> None:
    try:
        everything(data, encoding)
    except Refused as refused:
        assert refused.reason in (Reason.TRUNCATED, Reason.MALFORMED, Reason.TOO_LARGE)


@given(st.integers(0, 0xFFFFFFFF))
def test_a_tag_is_told_as_group_and_element(tag: int) -> None:
    text = tag_text(tag)
    assert (int(text[1:5], 16) << 16 | int(text[6:10], 16), len(text)) == (tag, 11)
