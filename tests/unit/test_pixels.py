"""Pixel Data is as long as the header promises: less is truncated, and more is searched by nobody."""

from __future__ import annotations

from struct import pack

import pytest

from coatcheck.deid.elements import Element, Window
from coatcheck.deid.pixels import (
    BITS,
    COLUMNS,
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    FRAMES,
    PIXEL_DATA,
    ROWS,
    SAMPLES,
    check_native,
    native_lengths,
)
from coatcheck.errors import Refused
from coatcheck.reasons import Reason
from tests.support import EXPLICIT, PATIENT, RLE, SEQUENCE_END, STUDY, UIDS, facts_of, raw, raw_file, raw_item


@pytest.mark.parametrize(
    ("tag", "shape", "photometric", "length"),
    [
        (PIXEL_DATA, {ROWS: 4, COLUMNS: 5, BITS: 16}, "", (40,)),
        (PIXEL_DATA, {ROWS: 4, COLUMNS: 5, BITS: 8, SAMPLES: 3}, "RGB", (60,)),
        (PIXEL_DATA, {ROWS: 4, COLUMNS: 6, BITS: 8, SAMPLES: 3}, "YBR_FULL_422", (48, 72)),
        (PIXEL_DATA, {ROWS: 3, COLUMNS: 3, BITS: 1}, "", (2,)),
        (PIXEL_DATA, {ROWS: 3, COLUMNS: 3, BITS: 12}, "", (14,)),
        (PIXEL_DATA, {ROWS: 2, COLUMNS: 2, BITS: 8, FRAMES: 7}, "", (28,)),
        (PIXEL_DATA, {ROWS: 2, COLUMNS: 2, BITS: 8, FRAMES: 0}, "", (4,)),
        (FLOAT_PIXEL_DATA, {ROWS: 2, COLUMNS: 2, BITS: 8}, "", (16,)),
        (DOUBLE_FLOAT_PIXEL_DATA, {ROWS: 2, COLUMNS: 2}, "", (32,)),
        (PIXEL_DATA, {ROWS: 2, COLUMNS: 2}, "", ()),
        (PIXEL_DATA, {ROWS: 0, COLUMNS: 2, BITS: 8}, "", ()),
    ],
)
def test_the_length_follows_from_the_header(
    tag: int, shape: dict[int, int], photometric: str, length: tuple[int, ...]
) -> None:
    assert native_lengths(tag, shape, photometric) == length


def check(pixels: bytes, shape: dict[int, int], photometric: str = "") -> None:
    data = raw(PIXEL_DATA, "OB", pixels) if len(pixels) % 2 == 0 else raw(PIXEL_DATA, "OB", pixels + b"?")
    begin = len(data) - len(pixels) - len(pixels) % 2
    window = Window(lambda offset, length: data[offset : offset + length], len(data))
    check_native(
        Element(PIXEL_DATA, "OB", 0, begin, begin + len(pixels), begin + len(pixels)), window, shape, photometric
    )


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (b"x" * 39, Reason.TRUNCATED),
        (b"", Reason.TRUNCATED),
        (b"x" * 40, None),
        (b"x" * 40 + bytes(600_000), None),
        (b"x" * 40 + b"DOE^JANE", Reason.MALFORMED),
        (b"x" * 40 + bytes(600_000) + b"DOE^JANE", Reason.MALFORMED),
    ],
)
def test_pixels_are_as_many_as_the_header_says(pixels: bytes, reason: Reason | None) -> None:
    shape = {ROWS: 4, COLUMNS: 5, BITS: 16}
    if reason is None:
        check(pixels, shape)
    else:
        with pytest.raises(Refused) as refused:
            check(pixels, shape)
        assert refused.value.reason == reason


def test_the_pad_byte_may_be_anything_and_colours_may_be_shared_or_not() -> None:
    check(b"x" * 9 + b"?", {ROWS: 3, COLUMNS: 3, BITS: 8})
    for length in (48, 72):
        check(b"x" * length, {ROWS: 4, COLUMNS: 6, BITS: 8, SAMPLES: 3}, "YBR_FULL_422")
    with pytest.raises(Refused):
        check(b"x" * 60, {ROWS: 4, COLUMNS: 6, BITS: 8, SAMPLES: 3}, "YBR_FULL_422")


def test_pixels_without_a_shape_are_malformed() -> None:
    check(b"", {})
    with pytest.raises(Refused) as refused:
        check(b"%PDF-1.4", {})
    assert (refused.value.reason, refused.value.detail) == (Reason.MALFORMED, "(0028,0010)")


SHAPE = b"".join(raw(tag, "US", pack("<H", number)) for tag, number in ((ROWS, 2), (COLUMNS, 2), (BITS, 8)))
FRAGMENTS = raw(PIXEL_DATA, "OB", raw_item(b"") + raw_item(b"abcd") + SEQUENCE_END, 0xFFFFFFFF)


def test_fragments_are_whole_with_their_delimiter_only() -> None:
    whole = raw_file(UIDS, PATIENT, STUDY, SHAPE, FRAGMENTS, syntax=RLE)

    assert facts_of(whole).has_pixels
    for cut in (1, 8, 9, 15):
        with pytest.raises(Refused) as refused:
            facts_of(whole[:-cut])
        assert refused.value.reason == Reason.TRUNCATED


@pytest.mark.parametrize(("pixels", "syntax"), [(FRAGMENTS, EXPLICIT), (raw(PIXEL_DATA, "OB", b"abcd"), RLE)])
def test_pixels_that_contradict_the_transfer_syntax_are_unsupported(pixels: bytes, syntax: str) -> None:
    with pytest.raises(Refused) as refused:
        facts_of(raw_file(UIDS, PATIENT, STUDY, SHAPE, pixels, syntax=syntax))
    assert refused.value.reason == Reason.UNSUPPORTED
