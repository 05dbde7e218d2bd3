"""Dummy items for sequences whose code is D: one item with what its own definition in PS3.3 requires (Type 1 and 2)."""

from __future__ import annotations

from typing import Literal

from coatcheck.deid.elements import LONG_VRS, Encoding

# An item is a list of (tag, VR, value), in ascending order; the value of an SQ is a list of items.
Item = list[tuple[int, str, "bytes | list[Item]"]]

_CODE: Item = [
    (0x00080100, "SH", b"REMOVED"),
    (0x00080102, "SH", b"99COATCHECK"),
    (0x00080104, "LO", b"Removed"),
]
_TEXT_OBJECT: Item = [
    (0x00700004, "CS", b"DISPLAY"),
    (0x00700006, "ST", b"REMOVED"),
    (0x00700014, "FL", bytes(8)),
    (0x00700015, "CS", b"N"),
]
DUMMY_ITEMS: dict[int, Item] = {
    0x00080082: _CODE,  # Institution Code Sequence
    0x00081072: [(0x00080080, "LO", b"REMOVED"), (0x00401101, "SQ", [_CODE])],  # Operator Identification Sequence
    0x00401101: _CODE,  # Person Identification Code Sequence
    0x00340001: [(0x00340002, "OB", bytes(2))],  # Flow Identifier Sequence
    0x0040A073: [  # Verifying Observer Sequence
        (0x0040A027, "LO", b"REMOVED"),
        (0x0040A030, "DT", b"19000101000000"),
        (0x0040A075, "PN", b"REMOVED"),
        (0x0040A088, "SQ", []),
    ],
    0x0040A168: _CODE,  # Concept Code Sequence
    0x0040A730: [  # Content Sequence
        (0x0040A010, "CS", b"CONTAINS"),
        (0x0040A040, "CS", b"TEXT"),
        (0x0040A043, "SQ", [_CODE]),
        (0x0040A160, "UT", b"REMOVED"),
    ],
    0x0040B020: [(0x0040A0B0, "US", bytes(4)), (0x00700006, "ST", b"REMOVED")],  # Waveform Annotation Sequence
    0x00700001: [(0x00700002, "CS", b"REMOVED"), (0x00700008, "SQ", [_TEXT_OBJECT])],  # Graphic Annotation Sequence
    0x00081111: [  # Referenced Performed Procedure Step Sequence: the Modality Performed Procedure Step SOP Class
        (0x00081150, "UI", b"1.2.840.10008.3.1.2.3.3"),
        (0x00081155, "UI", b"2.25.0"),
    ],
}


def header(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    """A Data Element's header (PS3.5 7.1.2, 7.1.3). Raises OverflowError where the VR cannot hold the length."""
    order: Literal["little", "big"] = "little" if encoding.little else "big"
    start = (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)
    if not encoding.explicit:
        return start + length.to_bytes(4, order)
    if vr in LONG_VRS:
        return start + vr.encode() + b"\0\0" + length.to_bytes(4, order)
    return start + vr.encode() + length.to_bytes(2, order)


def element(tag: int, vr: str, value: bytes, encoding: Encoding) -> bytes:
    """A whole Data Element, its value padded to an even length (PS3.5 6.2)."""
    if len(value) & 1:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    return header(tag, vr, len(value), encoding) + value


def item_header(length: int, encoding: Encoding) -> bytes:
    """The header of an item of defined length (PS3.5 7.5)."""
    return header(0xFFFEE000, "", length, Encoding(False, encoding.little))


def encode_item(item: Item, encoding: Encoding) -> bytes:
    """An item with its header, encoded as the Data Set around it is."""
    parts = []
    for tag, vr, value in item:
        if isinstance(value, list):
            value = b"".join(encode_item(inner, encoding) for inner in value)
        parts.append(element(tag, vr, value, encoding))
    content = b"".join(parts)
    return item_header(len(content), encoding) + content


def dummy_sequence(tag: int, encoding: Encoding) -> bytes:
    """The value of a sequence that was replaced by a dummy. An unknown one gets an item without content."""
    return encode_item(DUMMY_ITEMS.get(tag, []), encoding)
