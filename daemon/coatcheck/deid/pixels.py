"""Whether Pixel Data is whole (PS3.5 section 8, A.4). The pixels themselves are never decoded, nor changed."""

from __future__ import annotations

from coatcheck.deid.elements import Element
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


def native_length(tag: int, shape: dict[int, int], photometric: str) -> int | None:
    """How many bytes native pixels must have at least, or None where the header does not say."""
    rows, columns = shape.get(ROWS), shape.get(COLUMNS)
    bits = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}.get(tag, shape.get(BITS))
    if not rows or not columns or not bits:
        return None
    samples = rows * columns * max(1, shape.get(SAMPLES, 1)) * max(1, shape.get(FRAMES, 1))
    if photometric == "YBR_FULL_422":  # two of three samples are shared by two pixels (PS3.3 C.7.6.3.1.2)
        samples = samples * 2 // 3
    return (samples * bits + 7) // 8


def check_native(element: Element, shape: dict[int, int], photometric: str) -> None:
    """Refuses pixels that are fewer than the header promises as truncated."""
    wanted = native_length(element.tag, shape, photometric)
    if wanted is not None and element.value_end - element.value < wanted:
        raise Refused(Reason.TRUNCATED, "(7FE0,0010)")


def is_fragmented(element: Element) -> bool:
    """Whether the pixels are in fragments; the walk that found the end has seen each of them and the delimiter."""
    return element.end != element.value_end
