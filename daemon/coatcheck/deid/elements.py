"""Walks an encoded Data Set (PS3.5 section 7): finds each Data Element's tag, VR and value span, and decodes nothing.

The bytes are seen through one bounded :class:`Window`, so that memory does not grow with a file. Every length is
checked against its parent and against the file. A sequence of undefined length is walked once to find its end, and
what was found is remembered in ``ends``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple

from coatcheck.deid.dictionary import vr_of
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
MAX_DEPTH = 64  # no IOD nests nearly so deep; Python's own stack ends at about 300 levels
WINDOW = 1 << 14  # most headers fit in one reading

_SHORT_VRS = "AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US"
_LONG_VRS = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
_SHORT = {vr.encode(): vr for vr in _SHORT_VRS.split(" ")}
_LONG = {vr.encode(): vr for vr in _LONG_VRS.split(" ")}
LONG_VRS = frozenset(_LONG.values())
VRS = frozenset((*_SHORT, *_LONG))  # as they stand in a file

_EXPLICIT = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
_IMPLICIT = {True: Struct("<HHL").unpack_from, False: Struct(">HHL").unpack_from}
_LENGTH = {True: Struct("<L").unpack_from, False: Struct(">L").unpack_from}


class Encoding(NamedTuple):
    """How a Data Set is encoded: with explicit VRs or without, little endian or big."""

    explicit: bool
    little: bool


IMPLICIT_LITTLE = Encoding(False, True)
EXPLICIT_LITTLE = Encoding(True, True)
EXPLICIT_BIG = Encoding(True, False)


class Element(NamedTuple):
    """One Data Element's place: it starts at ``start``, its value is [value, value_end), the next begins at ``end``.

    ``end`` differs from ``value_end`` by the delimiter of an undefined length. ``vr`` is the file's own in explicit
    encodings, else the dictionary's, and "UN" where neither knows.
    """

    tag: int
    vr: str
    start: int
    value: int
    value_end: int
    end: int


def tag_text(tag: int) -> str:
    """The tag as (gggg,eeee)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


class Window:
    """A file's bytes, read through one buffer of bounded size. ``read(offset, length)`` gives exactly those bytes."""

    __slots__ = ("_read", "base", "buf", "size")

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self.size = size
        self.base = 0
        self.buf = b""

    def need(self, pos: int, length: int) -> None:
        """Moves the buffer so that it covers [pos, pos+length); refuses as truncated past the end of the file."""
        if pos + length > self.size:
            raise Refused(Reason.TRUNCATED)
        if pos < self.base or pos + length > self.base + len(self.buf):
            self.buf = self._read(pos, min(max(WINDOW, length), self.size - pos))
            self.base = pos

    def bytes(self, pos: int, end: int) -> bytes:
        """The bytes [pos, end). The caller sees to it that this is little."""
        offset = pos - self.base
        if offset < 0 or end - self.base > len(self.buf):
            if end - pos > WINDOW:
                return self._read(pos, end - pos)
            self.need(pos, end - pos)
            offset = pos - self.base
        return self.buf[offset : offset + end - pos]

    def only_zeros(self, pos: int) -> bool:
        """Whether nothing but zero bytes follows."""
        while pos < self.size:
            chunk = self.bytes(pos, min(pos + WINDOW, self.size))
            if chunk.count(0) != len(chunk):
                return False
            pos += len(chunk)
        return True


Ends = dict[int, int]


def is_sequence(element: Element) -> bool:
    """Whether the value is made of items of Data Sets; UN of undefined length is (PS3.5 6.2.2 note 2)."""
    return element.vr == "SQ" or (element.vr == "UN" and element.end != element.value_end)


def item_encoding(element: Element, encoding: Encoding) -> Encoding:
    """The encoding inside a sequence: implicit little endian inside UN (PS3.5 6.2.2 note 2)."""
    return IMPLICIT_LITTLE if element.vr == "UN" else encoding


def elements(window: Window, pos: int, end: int, encoding: Encoding, ends: Ends, depth: int = 0) -> Iterator[Element]:
    """The Data Elements of one Data Set in [pos, end), sequences not entered.

    Stops at an item delimiter and remembers its place. Refuses what does not fit (truncated), what is not a Data
    Element (malformed) and what nests too deep (too-large).
    """
    first, little, explicit = pos, encoding.little, encoding.explicit
    head, long_length = (_EXPLICIT if explicit else _IMPLICIT)[little], _LENGTH[little]
    buf, base = window.buf, window.base
    top = base + len(buf)
    while pos < end:
        if pos < base or pos + 12 > top:
            if end - pos < 8:
                _check_rest(window, pos, end)
                return
            window.need(pos, min(12, end - pos))
            buf, base = window.buf, window.base
            top = base + len(buf)
        offset = pos - base
        if explicit:
            group, number, raw, length = head(buf, offset)
            tag = group << 16 | number
            vr = _SHORT.get(raw)
            if vr is not None:
                value = pos + 8
            elif raw in _LONG and pos + 12 <= end:
                vr = _LONG[raw]
                (length,) = long_length(buf, offset + 8)
                value = pos + 12
            elif tag == ITEM_END:
                ends[first] = pos
                return
            elif tag == 0 and end == window.size and window.only_zeros(pos):
                return
            else:
                cut = raw in _LONG and end == window.size
                raise Refused(Reason.TRUNCATED if cut else Reason.MALFORMED, tag_text(tag))
        else:
            group, number, length = head(buf, offset)
            tag = group << 16 | number
            if group == 0xFFFE:
                if tag == ITEM_END:
                    ends[first] = pos
                    return
                raise Refused(Reason.MALFORMED, tag_text(tag))
            if tag == 0 and end == window.size and window.only_zeros(pos):
                return
            vr = vr_of(tag) or "UN"
            value = pos + 8
        if length == UNDEFINED:
            element = _undefined(window, tag, vr, pos, value, end, encoding, ends, depth)
        else:
            value_end = value + length
            if value_end > end:
                raise Refused(Reason.TRUNCATED if end == window.size else Reason.MALFORMED, tag_text(tag))
            element = Element(tag, vr, pos, value, value_end, value_end)
        yield element
        pos = element.end


def _check_rest(window: Window, pos: int, end: int) -> None:
    """Refuses a rest that is too short for a Data Element, unless it is padding after the last one."""
    if end != window.size:
        raise Refused(Reason.MALFORMED)
    if not window.only_zeros(pos):
        raise Refused(Reason.TRUNCATED)


def _undefined(
    window: Window, tag: int, vr: str, start: int, value: int, limit: int, encoding: Encoding, ends: Ends, depth: int
) -> Element:
    """An element of undefined length: a sequence, or fragments (PS3.5 7.5.1, A.4)."""
    if not encoding.explicit and vr not in ("SQ", "UN", "OB", "OW"):
        vr = "SQ"
    fragments = vr in ("OB", "OW")
    if not fragments and vr not in ("SQ", "UN"):
        raise Refused(Reason.MALFORMED, tag_text(tag))
    inside = IMPLICIT_LITTLE if vr == "UN" else encoding
    stop = ends.get(value)
    if stop is None:
        stop = _sequence_end(window, value, limit, inside, ends, depth + 1, fragments)
    return Element(tag, vr, start, value, stop, stop + 8)


def _item_header(window: Window, pos: int, limit: int, encoding: Encoding) -> tuple[int, int]:
    if pos + 8 > limit:
        raise Refused(Reason.TRUNCATED if limit == window.size else Reason.MALFORMED)
    if pos < window.base or pos + 8 > window.base + len(window.buf):
        window.need(pos, 8)
    group, number, length = _IMPLICIT[encoding.little](window.buf, pos - window.base)
    return group << 16 | number, length


def _sequence_end(
    window: Window, pos: int, limit: int, encoding: Encoding, ends: Ends, depth: int, fragments: bool
) -> int:
    """Where the delimiter of the sequence that begins at ``pos`` stands."""
    if depth > MAX_DEPTH:
        raise Refused(Reason.TOO_LARGE)
    first = pos
    while True:
        tag, length = _item_header(window, pos, limit, encoding)
        if tag == SEQUENCE_END:
            ends[first] = pos
            return pos
        if tag != ITEM or (fragments and length == UNDEFINED):
            raise Refused(Reason.MALFORMED, tag_text(tag))
        if length == UNDEFINED:
            pos = _item_end(window, pos + 8, limit, encoding, ends, depth) + 8
        else:
            pos += 8 + length


def _item_end(window: Window, pos: int, limit: int, encoding: Encoding, ends: Ends, depth: int) -> int:
    """Where the delimiter of the item of undefined length that begins at ``pos`` stands."""
    known = ends.get(pos)
    if known is not None:
        return known
    for _ in elements(window, pos, limit, encoding, ends, depth):
        pass
    if pos not in ends:
        raise Refused(Reason.TRUNCATED if limit == window.size else Reason.MALFORMED)
    return ends[pos]


def items(window: Window, element: Element, encoding: Encoding, ends: Ends, depth: int) -> Iterator[tuple[int, int]]:
    """The [begin, end) of each item's Data Set in a sequence. ``encoding`` is the one inside the sequence."""
    if depth > MAX_DEPTH:
        raise Refused(Reason.TOO_LARGE, tag_text(element.tag))
    pos = element.value
    while pos < element.value_end:
        tag, length = _item_header(window, pos, element.value_end, encoding)
        if tag != ITEM:
            raise Refused(Reason.MALFORMED, tag_text(element.tag))
        pos += 8
        if length == UNDEFINED:
            stop = _item_end(window, pos, element.value_end, encoding, ends, depth)
            yield pos, stop
            pos = stop + 8
        else:
            if pos + length > element.value_end:
                raise Refused(Reason.MALFORMED, tag_text(element.tag))
            yield pos, pos + length
            pos += length
