"""Pixel Data that is shorter than the header promises is truncated."""

from __future__ import annotations

from struct import pack

import pytest

from coatcheck.deid.elements import Element
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
    native_length,
)
from coatcheck.errors import Refused
from coatcheck.reasons import Reason
from tests.support import EXPLICIT, PATIENT, RLE, SEQUENCE_END, STUDY, UIDS, facts_of, raw, raw_file, raw_item


@pytest.mark.parametrize(
    ("tag", "shape", "photometric", "length"),
    [
        (PIXEL_DATA, {ROWS: 4, COLUMNS: 5, BITS: 16}, "", 40),
        (PIXEL_DATA, {ROWS: 4, COLUMNS: 5, BITS: 8, SAMPLES: 3}, "RGB", 60),
        (PIXEL_DATA, {ROWS: 4, COLUMNS: 6, BITS: 8, SAMPLES: 3}, "YBR_FULL_422", 48),
        (PIXEL_DATA, {ROWS: 3, COLUMNS: 3, BITS: 1}, "", 2),
        (PIXEL_DATA, {ROWS: 3, COLUMNS: 3, BITS: 12}, "", 14),
        (PIXEL_DATA, {ROWS: 2, COLUMNS: 2, BITS: 8, FRAMES: 7}, "", 28),
        (PIXEL_DATA, {ROWS: 2, COLUMNS: 2, BITS: 8, FRAMES: 0}, "", 4),
        (FLOAT_PIXEL_DATA, {ROWS: 2, COLUMNS: 2, BITS: 8}, "", 16),
        (DOUBLE_FLOAT_PIXEL_DATA, {ROWS: 2, COLUMNS: 2}, "", 32),
        (PIXEL_DATA, {ROWS: 2, COLUMNS: 2}, "", None),
        (PIXEL_DATA, {ROWS: 0, COLUMNS: 2, BITS: 8}, "", None),
    ],
)
def test_the_length_follows_from_the_header(
    tag: int, shape: dict[int, int], photometric: str, length: int | None
) -> None:
    assert native_length(tag, shape, photometric) == length


@pytest.mark.parametrize(("length", "whole"), [(39, False), (40, True), (41, True), (0, False)])
def test_pixels_that_are_too_few_are_truncated(length: int, whole: bool) -> None:
    found = Element(PIXEL_DATA, "OW", 0, 12, 12 + length, 12 + length)
    shape = {ROWS: 4, COLUMNS: 5, BITS: 16}
    if whole:
        check_native(found, shape, "")
    else:
        with pytest.raises(Refused) as refused:
            check_native(found, shape, "")
        assert refused.value.reason == Reason.TRUNCATED


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
