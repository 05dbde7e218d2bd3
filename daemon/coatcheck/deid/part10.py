"""DICOM files by their content (PS3.10 section 7): where the Data Set begins, how it is encoded, and a new File Meta.

A file may lack the preamble, the File Meta Information or both; what it is then is read from its first Data Element.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from struct import Struct, pack, unpack_from
from typing import IO, NamedTuple

from coatcheck.deid.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    VRS,
    Encoding,
    Window,
    elements,
)
from coatcheck.deid.standard import registered_uids
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
# Ours for ever: a UUID (PS3.5 B.2) drawn once.
IMPLEMENTATION_CLASS_UID = "2.25.215837712430551269473187720186413561249"
IMPLEMENTATION_VERSION_NAME = "COATCHECK"

INFLATED_MAX = 1 << 29  # what a deflated Data Set may grow to; beyond that it is taken for a bomb
_META_MAX = 1 << 20
_HEADER = Struct("<HH2sH").unpack_from
_LENGTH = Struct("<L").unpack_from
_LONG = frozenset(vr.encode() for vr in LONG_VRS)
_LOW_GROUPS = frozenset({0x0002, 0x0004, 0x0008, 0x0010})


class Head(NamedTuple):
    """What stands before the Data Set. ``transfer_syntax`` is the one of the Data Set as it will be walked."""

    transfer_syntax: str
    encoding: Encoding
    start: int
    deflated: bool
    sop_class: str  # Media Storage SOP Class UID, "" where there is none


def text_of(value: bytes) -> str:
    """An ASCII value without its padding; other bytes become replacement marks, so that no comparison succeeds."""
    return value.decode("ascii", "replace").strip(" \0")


def is_encapsulated(transfer_syntax: str) -> bool:
    """Whether Pixel Data is in fragments (PS3.5 A.4): all Transfer Syntaxes but the native ones and deflated."""
    native = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, DEFLATED, EXPLICIT_VR_BIG_ENDIAN)
    return transfer_syntax not in native


def read_head(window: Window) -> Head:
    """Recognises a DICOM file; refuses as not-dicom, truncated or unsupported-encoding."""
    size = window.size
    start = 128 + 4 if size >= 132 and window.bytes(128, 132) == b"DICM" else 0
    if size < start + 8:
        raise Refused(Reason.TRUNCATED if start else Reason.NOT_DICOM)
    if start == 0 and not _begins_like_a_data_set(window.bytes(0, 8)):
        raise Refused(Reason.NOT_DICOM)
    start, meta = _read_meta(window, start)
    syntax, sop_class = meta.get(0x00020010, ""), meta.get(0x00020002, "")
    if start + 8 > size:
        raise Refused(Reason.TRUNCATED)
    if syntax == DEFLATED:
        return Head(EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_LITTLE, start, True, sop_class)
    encoding = _encoding(window.bytes(start, start + 8))
    if not syntax:
        syntax = _SYNTAX_OF[encoding]
    if registered_uids().get(syntax) != "Transfer Syntax":
        raise Refused(Reason.UNSUPPORTED, "(0002,0010)")
    if encoding != _ENCODING_OF.get(syntax, EXPLICIT_LITTLE):
        if is_encapsulated(syntax):
            raise Refused(Reason.UNSUPPORTED, "(0002,0010)")
        syntax = _SYNTAX_OF[encoding]  # The content decides: writers that set the wrong one are common.
    return Head(syntax, encoding, start, False, sop_class)


_SYNTAX_OF = {
    IMPLICIT_LITTLE: IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_LITTLE: EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_BIG: EXPLICIT_VR_BIG_ENDIAN,
}
_ENCODING_OF = {syntax: encoding for encoding, syntax in _SYNTAX_OF.items()}


def _begins_like_a_data_set(head: bytes) -> bool:
    """A file without a preamble begins with a low group, and with a VR or a length that is not absurd."""
    group, number = unpack_from("<HH", head)
    big_group = unpack_from(">H", head)[0]
    if head[4:6] in VRS:
        return group in _LOW_GROUPS or big_group in _LOW_GROUPS
    length = int(unpack_from("<L", head, 4)[0])
    return group in _LOW_GROUPS and number < 0x100 and length < 0x10000


def _encoding(head: bytes) -> Encoding:
    """The encoding of the Data Set that begins with these 8 bytes."""
    if head[4:6] in VRS:
        little, big = unpack_from("<H", head)[0], unpack_from(">H", head)[0]
        return EXPLICIT_BIG if big < little else EXPLICIT_LITTLE
    return IMPLICIT_LITTLE


def _read_meta(window: Window, start: int) -> tuple[int, dict[int, str]]:
    """The File Meta Information's UIDs, and where the Data Set begins. Group 0002 is always explicit little endian."""
    found: dict[int, str] = {}
    pos, size = start, window.size
    limit = min(size, start + _META_MAX)
    while pos + 8 <= limit:
        if not window.base <= pos <= window.base + len(window.buf) - 12:
            window.need(pos, min(12, size - pos))
        buf, offset = window.buf, pos - window.base
        group, number, vr, length = _HEADER(buf, offset)
        if group != 2:
            break
        tag, value = 0x00020000 | number, pos + 8
        if vr in _LONG and pos + 12 <= size:
            value, length = pos + 12, _LENGTH(buf, offset + 8)[0]
        end = value + length
        if vr not in VRS or end > size:  # it is rare, and needs a walk
            one = next(elements(window, pos, size, EXPLICIT_LITTLE if vr in VRS else IMPLICIT_LITTLE, {}))
            tag, value, end = one.tag, one.value, one.end
        if tag in (0x00020002, 0x00020010) and end - value <= 64:
            found[tag] = text_of(window.bytes(value, end))
        pos = end
    return pos, found


def inflate(window: Window, start: int, out: IO[bytes], limit: int = INFLATED_MAX) -> int:
    """Writes the inflated Data Set (PS3.5 A.5) to ``out`` and returns its length; refuses a bomb as too-large."""
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    pos, total = start, 0
    try:
        while pos < window.size and not machine.eof:
            data = window.bytes(pos, min(pos + (1 << 16), window.size))
            pos += len(data)
            while data and not machine.eof:
                piece = machine.decompress(data, 1 << 20)
                data = machine.unconsumed_tail
                total += out.write(piece)
                if total > limit:
                    raise Refused(Reason.TOO_LARGE)
        total += out.write(machine.flush())
    except zlib.error:
        raise Refused(Reason.MALFORMED, "deflated data") from None
    if not machine.eof:
        raise Refused(Reason.TRUNCATED)
    return total


def new_meta(sop_class: str, sop_uid: str, transfer_syntax: str) -> bytes:
    """A preamble of zeros and new File Meta Information (PS3.10 7.1): nothing of the old one comes along."""
    before, behind = _around_uid(sop_class, transfer_syntax)
    body = before + _meta_element(0x03, b"UI", sop_uid) + behind
    return bytes(128) + b"DICM" + pack("<HH2sHL", 2, 0, b"UL", 4, len(body)) + body


@lru_cache(maxsize=256)
def _around_uid(sop_class: str, transfer_syntax: str) -> tuple[bytes, bytes]:
    """What stands before and behind Media Storage SOP Instance UID."""
    version = pack("<HH2s2xL2s", 2, 1, b"OB", 2, b"\0\1")
    behind = (
        _meta_element(0x10, b"UI", transfer_syntax)
        + _meta_element(0x12, b"UI", IMPLEMENTATION_CLASS_UID)
        + _meta_element(0x13, b"SH", IMPLEMENTATION_VERSION_NAME)
    )
    return version + _meta_element(0x02, b"UI", sop_class), behind


def _meta_element(number: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return pack("<HH2sH", 2, number, vr, len(value)) + value
