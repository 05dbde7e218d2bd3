"""Whether Pixel Data is whole (PS3.5 section 8, A.4). The pixels themselves are never decoded, nor changed."""

from __future__ import annotations

from coatcheck.deid.elements import Element, Window, tag_text
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA = 0x7FE00008, 0x7FE00009, 0x7FE00010
PIXEL_TAGS = frozenset({FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA})
# No other VR may stand there: what is called pixels is neither cleaned nor searched.
PIXEL_VRS = {FLOAT_PIXEL_DATA: ("OF",), DOUBLE_FLOAT_PIXEL_DATA: ("OD",), PIXEL_DATA: ("OB", "OW")}

ROWS, COLUMNS, SAMPLES, BITS, FRAMES, PHOTOMETRIC = (
    0x00280010,
    0x00280011,
    0x00280002,
    0x00280100,
    0x00280008,
    0x00280004,
)
SHAPE_TAGS = frozenset({ROWS, COLUMNS, SAMPLES, BITS, FRAMES, PHOTOMETRIC})
_CHUNK = 1 << 18


def number_of(raw: bytes, tag: int, *, little: bool) -> int | None:
    """One of the numbers that shape pixels, or None: that of frames is an IS, the others are US."""
    if tag != FRAMES:
        return int.from_bytes(raw[:2], "little" if little else "big") if len(raw) >= 2 else None
    text = raw.decode("ascii", "replace").strip(" \0").split("\\")[0].strip()
    return int(text) if text.isascii() and text.isdigit() else None


def native_lengths(tag: int, shape: dict[int, int], photometric: str) -> tuple[int, ...]:
    """How many bytes native pixels may have, the fewest first; empty where the header does not say."""
    rows, columns = shape.get(ROWS), shape.get(COLUMNS)
    bits = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}.get(tag, shape.get(BITS))
    if not rows or not columns or not bits:
        return ()
    samples = rows * columns * max(1, shape.get(SAMPLES, 1)) * max(1, shape.get(FRAMES, 1))
    whole = (samples * bits + 7) // 8
    if photometric == "YBR_FULL_422":  # two of three samples are shared by two pixels (PS3.3 C.7.6.3.1.2), or none is
        return (samples * 2 // 3 * bits + 7) // 8, whole
    return (whole,)


def check_native(element: Element, window: Window, shape: dict[int, int], photometric: str) -> None:
    """Refuses pixels that are fewer than the header promises as truncated, and what is more than them as malformed.

    Zeros may follow, as some devices pad. Anything else there is no pixel, and nobody searches it for names.
    """
    wanted = native_lengths(element.tag, shape, photometric)
    length = element.value_end - element.value
    if not wanted:
        if length:
            raise Refused(Reason.MALFORMED, tag_text(ROWS))
        return
    if length < wanted[0]:
        raise Refused(Reason.TRUNCATED, tag_text(element.tag))
    begin = element.value + max(one for one in wanted if one <= length)
    if length & 1 == 0 and element.value_end - begin == 1:
        return  # the pad byte (PS3.5 8.1.1), whatever is in it
    while begin < element.value_end:
        end = min(begin + _CHUNK, element.value_end)
        if window.bytes(begin, end).strip(b"\0"):
            raise Refused(Reason.MALFORMED, tag_text(element.tag))
        begin = end


def is_fragmented(element: Element) -> bool:
    """Whether the pixels are in fragments; the walk that found the end has seen each of them and the delimiter."""
    return element.end != element.value_end
