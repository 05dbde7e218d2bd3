"""Makes an input from seeds, and damages it in ways that a decoder of DICOM can be wrong about. All from one number."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

from coatcheck.deid.elements import LONG_VRS, VRS, elements
from coatcheck.deid.part10 import read_head
from coatcheck.errors import Refused
from tests.support import DEFLATED, SEQUENCE_END, raw, raw_file, raw_implicit, raw_item, window_of
from tests.tools.fuzz.targets import NAME, NUMBER

UNDEFINED = 0xFFFFFFFF
LARGEST = 1 << 16  # bytes of one input: what is wrong shows in little
LENGTHS = (0, 1, 2, 3, 7, 8, 11, 255, 0x7FFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, UNDEFINED)
TAGS = (
    *(0x00000000, 0x00020000, 0x00020010, 0x00080000, 0x00080005, 0x00080016, 0x00080018, 0x00081030, 0x00100010),
    *(0x00100020, 0x0020000D, 0x0020000E, 0x00280010, 0x00290010, 0x00291001, 0x00420011, 0x0040A730, 0x00082218),
    *(0x00120063, 0x00120064, 0x50003000, 0x60003000, 0x7FE00008, 0x7FE00010, 0xFFFAFFFA, 0xFFFCFFFC, 0xFFFEE000),
    *(0xFFFEE00D, 0xFFFEE0DD, 0xFFFFFFFF, 0x00080104, 0x00080020, 0x0008002A, 0x00181000, 0x00091001, 0x00190010),
)
SETS = (
    *(b"ISO_IR 192", b"ISO_IR 100", b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"GB18030", b"ISO_IR 13", b"GBK"),
    *(b"ISO 2022 IR 6\\ISO 2022 IR 58", b"utf_7", b"punycode", b"idna", b"unicode_escape", b"zlib_codec", b"utf-16"),
    *(b"ISO_IR 999", b"\\\\\\", b"ISO_IR", b"rot13", b"undefined", b"\0\0", b"ISO 2022 IR 87\\ISO 2022 IR 87"),
)
WORDS = (
    *(
        NAME.encode(),
        NAME.encode().upper(),
        NUMBER.encode(),
        b"Zyqorvald",
        NAME.encode("utf-16-le"),
        b"\x1b$B;3ED\x1b(",
    ),
    *(
        b"1.2.826.0.1.3680043.8.498.77.1",
        b"19410307",
        b"7.3.1941",
        b"\\",
        b"=",
        b"^",
        b"\x1b",
        b"&#90;",
        b"%5A",
        b"\\u",
    ),
    *(b"x\x9c", b"PK\x03\x04", b"\x1f\x8b\x08", b"SV10\4\3\2\1", b"\xff", b"\0" * 8, b"'s", b"\xcc\x88" * 9, b"Jr."),
)
Change = Callable[[random.Random, bytearray], None]


def mutated(rng: random.Random, seeds: Sequence[bytes], *, plain: bool = False) -> bytes:
    """One input: a seed with some changes. ``plain``: it is a value, and no file."""
    data = bytearray(rng.choice(seeds))
    changes = _BYTES if plain else _CHANGES
    for _ in range(1 + int(rng.expovariate(0.5))):
        rng.choice(changes)(rng, data)
        if not data:
            break
    if not plain and rng.random() < 0.02:
        return _deflated(data)
    if not plain and rng.random() < 0.05:
        other = bytearray(rng.choice(seeds))
        data[_place(rng, data) :] = other[_place(rng, other) :]
    return bytes(data[:LARGEST])


def _place(rng: random.Random, data: bytearray) -> int:
    return rng.randrange(len(data) + 1)


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice(
            (0, 1, 0x1B, 0x20, 0x5C, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256))
        )


def _cut(rng: random.Random, data: bytearray) -> None:
    begin = _place(rng, data)
    del data[begin : begin + rng.choice((1, 2, 4, 8, 64, len(data)))]


def _double(rng: random.Random, data: bytearray) -> None:
    begin = _place(rng, data)
    part = data[begin : begin + rng.choice((1, 2, 8, 12, 40, 200))]
    at = _place(rng, data)
    data[at:at] = part * rng.choice((1, 1, 2, 50))


def _word(rng: random.Random, data: bytearray) -> None:
    """Writes a word over others, or between them."""
    word, at = rng.choice(WORDS), _place(rng, data)
    data[at : at + (len(word) if rng.random() < 0.7 else 0)] = word


def _noise(rng: random.Random, data: bytearray) -> None:
    at = _place(rng, data)
    data[at : at + rng.choice((0, 4, 16))] = rng.randbytes(rng.choice((1, 4, 16, 300)))


def _number(rng: random.Random, data: bytearray) -> None:
    """A length anywhere."""
    at, number = _place(rng, data), rng.choice(LENGTHS)
    new = struct.pack(rng.choice("<>") + "L", number) if rng.random() < 0.6 else struct.pack("<H", number & 0xFFFF)
    data[at : at + len(new)] = new


def _heads(data: bytearray) -> list[int]:
    """Where the elements of the top level begin, as far as they can be read."""
    found: list[int] = []
    window = window_of(bytes(data))
    try:
        head = read_head(window)
        if not head.deflated:
            found.extend(one.start for one in elements(window, head.start, window.size, head.encoding, {}))
    except Refused:
        pass
    return found


def _length(rng: random.Random, data: bytearray) -> None:
    """Another length of an element."""
    if heads := _heads(data):
        at = rng.choice(heads)
        vr = bytes(data[at + 4 : at + 6]).decode("latin-1")
        if vr.encode("latin-1") not in VRS:
            data[at + 4 : at + 8] = struct.pack("<L", rng.choice(LENGTHS))
        elif vr in LONG_VRS:
            data[at + 8 : at + 12] = struct.pack("<L", rng.choice(LENGTHS))
        else:
            data[at + 6 : at + 8] = struct.pack("<H", rng.choice(LENGTHS) & 0xFFFF)


def _vr(rng: random.Random, data: bytearray) -> None:
    if heads := _heads(data):
        at = rng.choice(heads)
        data[at + 4 : at + 6] = rng.choice((*sorted(VRS), b"??", b"\0\0", b"sq"))


def _tag(rng: random.Random, data: bytearray) -> None:
    if heads := _heads(data):
        at, tag = rng.choice(heads), rng.choice(TAGS)
        data[at : at + 4] = struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _swap(rng: random.Random, data: bytearray) -> None:
    """Elements out of their order."""
    heads = _heads(data)
    if len(heads) > 3:
        first, middle, last = sorted(rng.sample(heads, 3))
        data[first:last] = data[middle:last] + data[first:middle]


def _insert(rng: random.Random, data: bytearray) -> None:
    """A new element of some kind."""
    if heads := _heads(data):
        at = rng.choice(heads)
        data[at:at] = _element(rng, 0)


def _element(rng: random.Random, depth: int) -> bytes:
    tag, word = rng.choice(TAGS), rng.choice(WORDS)
    kind = rng.randrange(8 if depth < 6 else 4)
    if kind == 0:
        return raw(0x00080005, "CS", rng.choice(SETS))
    if kind <= 3:
        vr = rng.choice(sorted(VRS)).decode()
        return raw(tag, vr, (word * rng.choice((1, 1, 1, 30)))[:60000])
    if kind == 4:
        inside = b"".join(raw_implicit(rng.choice(TAGS), rng.choice(WORDS)) for _ in range(rng.randrange(3)))
        return raw(tag, "UN", raw_item(inside, UNDEFINED) + SEQUENCE_END, UNDEFINED)
    inside = b"".join(_element(rng, depth + 1) for _ in range(rng.randrange(3)))
    items = raw_item(inside, rng.choice((None, UNDEFINED))) * rng.choice((0, 1, 1, 2))
    if kind == 5:
        return raw(tag, rng.choice(("SQ", "UN", "OB")), items)
    return raw(tag, rng.choice(("SQ", "SQ", "OB", "UN")), items + SEQUENCE_END, UNDEFINED)


def _charset(rng: random.Random, data: bytearray) -> None:
    if heads := _heads(data):
        data[heads[0] : heads[0]] = raw(0x00080005, "CS", rng.choice(SETS))


def _nest(rng: random.Random, data: bytearray) -> None:
    """The file's own elements inside items of items."""
    heads = _heads(data)
    if len(heads) > 2:
        first, last = sorted(rng.sample(heads, 2))
        inside = bytes(data[first:last])
        for _ in range(rng.choice((1, 2, 30, 70))):
            inside = raw(rng.choice((0x00082218, 0x00400275, 0x00291001)), "SQ", raw_item(inside))
        data[first:last] = inside


def _deflated(data: bytearray) -> bytes:
    """What follows the head, deflated; at times with something wrong."""
    heads = _heads(data)
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return raw_file(machine.compress(bytes(data[heads[0] if heads else 0 :])) + machine.flush(), syntax=DEFLATED)


_BYTES: tuple[Change, ...] = (_flip, _set, _cut, _double, _word, _word, _noise)
_CHANGES: tuple[Change, ...] = (*_BYTES, _number, _length, _length, _vr, _tag, _swap, _insert, _insert, _charset, _nest)
