"""Judge pixel data: unchanged, unchanged but for a box, and whether text still shows in a box."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from tests.tools.plant.planted import RLE

_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_VISIBLE = 0.2
"""The share of the text's pixels that may keep the highest value by chance."""


def decoded(ds: Dataset, syntax: str) -> bytes | None:
    """The pixels as native bytes, or None for a Transfer Syntax that this tool does not decode."""
    if syntax in _NATIVE:
        return bytes(ds.PixelData)
    if syntax == RLE and ds.SamplesPerPixel == 1 and ds.BitsAllocated == 8:
        return b"".join(_unpack(frame[64:])[: ds.Rows * ds.Columns] for frame in generate_frames(ds.PixelData))
    return None


def _unpack(segment: bytes) -> bytes:
    """PackBits, PS3.5 G.3.2."""
    out, at = bytearray(), 0
    while at < len(segment):
        count, at = segment[at], at + 1
        if count < 128:
            out += segment[at : at + count + 1]
            at += count + 1
        elif count > 128:
            out += segment[at : at + 1] * (257 - count)
            at += 1
    return bytes(out)


def _offsets(ds: Dataset, box: list[int], frames: int) -> list[int]:
    """Where each pixel of the box begins, in every frame."""
    left, top, width, height = box
    step = ds.SamplesPerPixel * ds.BitsAllocated // 8
    return [
        ((frame * ds.Rows + y) * ds.Columns + x) * step
        for frame in range(frames)
        for y in range(top, top + height)
        for x in range(left, left + width)
    ]


def text_shows(before: bytes, after: bytes, ds: Dataset, box: list[int], frames: int) -> bool:
    """Whether the pixels that were at the highest value in the box are so still."""
    step = ds.SamplesPerPixel * ds.BitsAllocated // 8
    white = b"\xff" * step
    text = [at for at in _offsets(ds, box, frames) if before[at : at + step] == white]
    return bool(sum(after[at : at + step] == white for at in text) >= len(text) * _VISIBLE)


def same_outside(before: bytes, after: bytes, ds: Dataset, box: list[int], frames: int) -> bool:
    """Whether nothing but the box differs."""
    if len(before) != len(after):
        return False
    step, first, second = ds.SamplesPerPixel * ds.BitsAllocated // 8, bytearray(before), bytearray(after)
    for at in _offsets(ds, box, frames):
        first[at : at + step] = second[at : at + step] = b"\0" * step
    return bytes(first) == bytes(second)
