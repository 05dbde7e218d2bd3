"""Files that mean harm, or were damaged in the worst way: each with the same canaries in it, and what must come of it.

Each is a Study of its own, so that no verdict over one touches another.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from struct import pack
from typing import Final, NamedTuple

from tests.support import CT, DEFLATED, EXPLICIT, RLE, SEQUENCE_END, raw, raw_file, raw_implicit, raw_item

UNDEFINED: Final = 0xFFFFFFFF
NAME, NUMBER = b"Zyqorvald^Halmar", b"MRN77Q12345 "
CANARIES: Final = (b"zyqorvald", b"mrn77q12345", b"1.2.3.4.99.", b"halmar-in-a-name")
OUT: Final = "delivered"
AROUND = 0x00082218  # a sequence that is kept, and treated inside
PIXELS = raw(0x00280010, "US", b"\2\0") + raw(0x00280011, "US", b"\2\0") + raw(0x00280100, "US", b"\x08\0")


class Hostile(NamedTuple):
    """One file, and its outcome: ``OUT``, or the reason of its quarantine."""

    content: bytes
    outcome: str


class Study:
    """The parts of a file whose patient is the canary, in a Study of this number."""

    def __init__(self, number: int, instance: int = 1) -> None:
        uid = f"1.2.3.4.99.{number}"
        self.uids = raw(0x00080016, "UI", CT.encode() + b"\0") + raw(0x00080018, "UI", _even(f"{uid}.3.{instance}"))
        self.patient = raw(0x00100010, "PN", NAME) + raw(0x00100020, "LO", NUMBER)
        self.study = raw(0x0020000D, "UI", _even(f"{uid}.1")) + raw(0x0020000E, "UI", _even(f"{uid}.2"))

    def file(self, group_8: bytes = b"", rest: bytes = b"", *, before: bytes = b"", syntax: str = EXPLICIT) -> bytes:
        """A whole file with more elements at three places."""
        return raw_file(before, self.uids, group_8, self.patient, self.study, rest, syntax=syntax)


def _even(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def nested(levels: int, content: bytes, length: int | None = None) -> bytes:
    """Sequences in sequences. Built from both ends, for thousands of levels."""
    if length is not None:
        head = raw(AROUND, "SQ", b"", UNDEFINED) + pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
        return head * levels + content + (pack("<HHL", 0xFFFE, 0xE00D, 0) + SEQUENCE_END) * levels
    heads, size = [], len(content)
    for _ in range(levels):
        heads.append(
            pack("<HH2s2xL", AROUND >> 16, AROUND & 0xFFFF, b"SQ", size + 8) + pack("<HHL", 0xFFFE, 0xE000, size)
        )
        size += 20
    return b"".join(reversed(heads)) + content


def private(number: int) -> bytes:
    """So many tiny private elements that name the patient."""
    groups = range(0x29, 0xFFF, 2)
    tags = ((group << 16 | one) for group in groups for one in range(0x1000, 0xFF00))
    return b"".join(raw(tag, "SH", b"Zyqorvald ") for tag, _ in zip(tags, range(number), strict=False))


def named(count: int, first: int = 0) -> bytes:
    """A sequence that names so many people."""
    people = (raw_item(raw(0x00100010, "PN", b"N%07d" % (first + one))) for one in range(count))
    return raw(AROUND, "SQ", b"".join(people))


def bomb(size: int) -> bytes:
    """Zeros, deflated a thousandfold."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    pieces = [machine.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join(pieces) + machine.flush()


Make = Callable[[Study], bytes]
_META_ITEM = raw(0x00020102, "OB", NAME * 4)

LENGTHS: dict[str, tuple[Make, str]] = {
    "4 GiB of text": (lambda s: s.file(raw(0x00081030, "UT", NAME, 0xFFFFFFFE)), "truncated"),
    "4 GiB of bytes at the end": (lambda s: s.file(rest=raw(0x00291001, "OB", NAME, 0xFFFFFFFE)), "truncated"),
    "4 GiB in an item": (lambda s: s.file(raw(AROUND, "SQ", raw_item(NAME, 0xFFFFFFF0))), "malformed"),
    "4 GiB of pixels": (lambda s: s.file(rest=PIXELS + raw(0x7FE00010, "OB", b"abcd", 0xFFFFFFFE)), "truncated"),
    "undefined length of text": (lambda s: s.file(raw(0x00081030, "UT", NAME, UNDEFINED)), "malformed"),
    "a sequence without an end": (lambda s: s.file(rest=raw(0x00291001, "SQ", raw_item(b""), UNDEFINED)), "truncated"),
    "an item without an end": (
        lambda s: s.file(rest=raw(0x00880200, "SQ", pack("<HHL", 0xFFFE, 0xE000, UNDEFINED), UNDEFINED)),
        "truncated",
    ),
    "UN without an end": (lambda s: s.file(rest=raw(0x00291001, "UN", NAME, UNDEFINED)), "malformed"),
    "fragments without an end": (
        lambda s: s.file(rest=PIXELS + raw(0x7FE00010, "OB", raw_item(b"ab"), UNDEFINED), syntax=RLE),
        "truncated",
    ),
    "odd lengths": (lambda s: s.file(raw(0x00081030, "LO", NAME[:9]) + raw(0x00081090, "LO", b"abc")), OUT),
    "a length that runs into the next element": (lambda s: s.file(raw(0x00081090, "LO", b"abcd", 10)), "malformed"),
    "a length that takes the UIDs along": (
        lambda s: raw_file(s.uids, s.patient, raw(0x00104000, "LT", s.study, len(s.study))),
        "missing-uid",
    ),
    "an item longer than its sequence": (lambda s: s.file(raw(AROUND, "SQ", raw_item(NAME, 400))), "malformed"),
    "an element longer than its item": (
        lambda s: s.file(raw(AROUND, "SQ", raw_item(raw(0x00080104, "LO", NAME, 200)))),
        "malformed",
    ),
    "wrong group lengths": (
        lambda s: s.file(raw(0x00080000, "UL", b"\xff\xff\xff\xff"), raw(0x00280000, "UL", NAME)),
        OUT,
    ),
    "a wrong length of the file meta": (
        lambda s: s.file()[:140] + b"\xff" * 4 + s.file()[144:],
        OUT,
    ),
}
DEPTHS: dict[str, tuple[Make, str]] = {
    "nested 5,000 deep": (lambda s: s.file(nested(5000, raw(0x00080104, "LO", NAME))), "too-large"),
    "nested 5,000 deep without lengths": (
        lambda s: s.file(nested(5000, raw(0x00080104, "LO", NAME), UNDEFINED)),
        "too-large",
    ),
    "nested 60 deep": (lambda s: s.file(nested(60, raw(0x00100010, "PN", NAME))), OUT),
    "50,000 empty items": (lambda s: s.file(raw(AROUND, "SQ", raw_item(b"") * 50_000)), OUT),
    "20,000 items without lengths": (
        lambda s: s.file(raw(AROUND, "SQ", raw_item(b"", UNDEFINED) * 20_000 + SEQUENCE_END, UNDEFINED)),
        OUT,
    ),
    "more tags than there are": (
        lambda s: s.file(rest=b"".join(raw(0x00220000 + 2 * one + 0x4000, "CS", b"AB") for one in range(2000))),
        "too-large",
    ),
    "more names than anybody has": (lambda s: s.file(named(2500)), "too-large"),
}
TWICE: dict[str, tuple[Make, str]] = {
    "the patient twice": (lambda s: s.file(rest=s.patient), "malformed"),
    "pixels twice": (lambda s: s.file(rest=PIXELS + raw(0x7FE00010, "OB", b"abcd") + raw(0x7FE00010, "OB", NAME)), OUT),
    "an element twice in an item": (
        lambda s: s.file(raw(AROUND, "SQ", raw_item(raw(0x00080104, "LO", b"ab") + raw(0x00080104, "LO", NAME)))),
        "malformed",
    ),
    "elements out of order": (lambda s: raw_file(s.study, s.patient, s.uids), OUT),
    "a private creator twice": (
        lambda s: s.file(rest=raw(0x00290010, "LO", b"SIEMENS CSA HEADER") + raw(0x00290010, "LO", NAME)),
        "malformed",
    ),
    "one creator in many blocks": (
        lambda s: s.file(
            rest=b"".join(raw(0x00290000 | block, "LO", b"SIEMENS CSA HEADER") for block in range(0x10, 0x100))
            + b"".join(raw(0x00290000 | block << 8 | 1, "LT", NAME) for block in range(0x10, 0x100))
        ),
        OUT,
    ),
    "a creator that is the patient": (
        lambda s: s.file(rest=raw(0x00290010, "LO", NAME) + raw(0x00291001, "OB", NAME)),
        OUT,
    ),
}
KINDS: dict[str, tuple[Make, str]] = {
    "a name that only the gate finds": (
        lambda s: s.file(raw(AROUND, "SQ", raw_item(raw(0x00080104, "LO", b"of Zyqorvald")))),
        "identity-found",
    ),
    "a name as bytes": (lambda s: raw_file(s.uids, raw(0x00100010, "OB", NAME), s.patient[24:], s.study), OUT),
    "a name as UN": (lambda s: raw_file(s.uids, raw(0x00100010, "UN", NAME), s.patient[24:], s.study), OUT),
    "a name as a sequence": (
        lambda s: raw_file(
            s.uids, raw(0x00100010, "SQ", raw_item(raw(0x00100010, "PN", NAME))), s.patient[24:], s.study
        ),
        OUT,
    ),
    "a date as a number": (lambda s: s.file(raw(0x00080020, "US", b"\1\0")), OUT),
    "numbers of an odd length": (lambda s: s.file(rest=raw(0x00280010, "US", b"\1\0\2")), OUT),
    "a VR that is none": (lambda s: s.file(raw(0x00081030, "ZZ", NAME)), "malformed"),
    "explicit items in UN": (
        lambda s: s.file(rest=raw(0x00291001, "UN", raw_item(raw(0x00100010, "PN", NAME)))),
        OUT,
    ),
    "a kept sequence as UN, with explicit items": (
        lambda s: s.file(raw(AROUND, "UN", raw_item(raw(0x00081030, "LO", NAME)))),
        OUT,
    ),
    "implicit items in UN without a length": (
        lambda s: s.file(
            rest=raw(0x00291001, "UN", raw_item(raw_implicit(0x00100010, NAME), UNDEFINED) + SEQUENCE_END, UNDEFINED)
        ),
        OUT,
    ),
    "fragments without an offset table": (
        lambda s: s.file(
            rest=PIXELS + raw(0x7FE00010, "OB", raw_item(b"abcd") * 3 + SEQUENCE_END, UNDEFINED), syntax=RLE
        ),
        OUT,
    ),
    "fragments in fragments": (
        lambda s: s.file(
            rest=PIXELS
            + raw(0x7FE00010, "OB", raw_item(raw(0x00100010, "PN", NAME), UNDEFINED) + SEQUENCE_END, UNDEFINED),
            syntax=RLE,
        ),
        "malformed",
    ),
    "native pixels in an encapsulated file": (
        lambda s: s.file(rest=PIXELS + raw(0x7FE00010, "OB", b"abcd"), syntax=RLE),
        "unsupported-encoding",
    ),
    "a Transfer Syntax that is a name": (lambda s: s.file(syntax="1.2.3.4.99.7"), "unsupported-encoding"),
}
TEXTS: dict[str, tuple[Make, str]] = {
    "an unknown character set": (lambda s: s.file(before=raw(0x00080005, "CS", b"ISO_IR 999")), OUT),
    "a character set that is a codec": (lambda s: s.file(before=raw(0x00080005, "CS", b"punycode")), OUT),
    "a character set of control characters": (
        lambda s: s.file(before=raw(0x00080005, "CS", b"ISO\0\1IR ")),
        "malformed",
    ),
    "a thousand character sets": (lambda s: s.file(before=raw(0x00080005, "CS", b"ISO 2022 IR 87\\" * 1000)), OUT),
    "broken escapes": (
        lambda s: s.file(
            raw(0x00080104, "LO", b"\x1b$B;3\x1b(\x1b$)Z\xff\x1b"), before=raw(0x00080005, "CS", b"\\ISO 2022 IR 87 ")
        ),
        OUT,
    ),
    "an escape in the middle of the name": (
        lambda s: raw_file(
            raw(0x00080005, "CS", b"\\ISO 2022 IR 87 "),
            s.uids,
            raw(0x00081030, "LO", b"of Zyq\x1b(Borvald "),
            s.patient,
            s.study,
        ),
        OUT,
    ),
    "a run of marks": (lambda s: s.file(raw(0x00081030, "LO", "\u0327\u0301".encode() * 15_000)), OUT),
    "a text of 300 kB": (lambda s: s.file(rest=raw(0x00402400, "UT", b"1.2-3/4 " * 37_500)), OUT),
}
WHOLE: dict[str, tuple[Make, str]] = {
    "nothing": (lambda s: b"", "not-dicom"),
    "zeros": (lambda s: bytes(70_000), "not-dicom"),
    "zeros behind the preamble": (lambda s: bytes(128) + b"DICM" + bytes(70_000), "missing-uid"),
    "zeros behind the last element": (lambda s: s.file() + bytes(100_001), OUT),
    "a huge file meta": (lambda s: _with_meta(s, _META_ITEM * 16_000), "malformed"),
    "one huge element in the file meta": (lambda s: _with_meta(s, raw(0x00020102, "OB", NAME * 100_000)), OUT),
    "nothing but file meta": (lambda s: raw_file(), "truncated"),
    "damaged deflated data": (lambda s: raw_file(b"\xff" * 100, syntax=DEFLATED), "malformed"),
    "cut deflated data": (lambda s: raw_file(bomb(1 << 20)[:-3], syntax=DEFLATED), "truncated"),
    "deflated zeros": (lambda s: raw_file(bomb(1 << 20), syntax=DEFLATED), "missing-uid"),
}


def _with_meta(study: Study, element: bytes) -> bytes:
    whole = study.file()
    start = whole.index(study.uids)
    return whole[:start] + element + whole[start:]


def large(sweep: bool) -> dict[str, tuple[Make, str]]:
    """What takes a while: all of it in a sweep."""
    million = 1_000_000 if sweep else 30_000
    files: dict[str, tuple[Make, str]] = {f"{million} elements": (lambda s: s.file(rest=private(million)), OUT)}
    if sweep:
        files["a bomb of 600 MiB"] = (lambda s: raw_file(bomb(600 << 20), syntax=DEFLATED), "too-large")
        files["a million items"] = (lambda s: s.file(raw(AROUND, "SQ", raw_item(b"") * million)), OUT)
    return files


def specimens(sweep: bool) -> Iterator[tuple[str, Hostile]]:
    """All of them, by a name that says what is wrong."""
    kinds = (LENGTHS, DEPTHS, TWICE, KINDS, TEXTS, WHOLE, large(sweep))
    for number, (name, (make, outcome)) in enumerate(one for kind in kinds for one in kind.items()):
        yield name, Hostile(make(Study(number)), outcome)
