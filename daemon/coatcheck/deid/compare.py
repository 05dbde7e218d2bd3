"""Two Data Sets side by side: each element of both by its place, and what can be read there before and after.

For people who look, not for the service: what is shown here identifies patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from coatcheck.deid.actions.numbers import BINARY, unpacked
from coatcheck.deid.charsets import LONGEST_SET, decode, encodings_of
from coatcheck.deid.elements import (
    EXPLICIT_LITTLE,
    Element,
    Encoding,
    Ends,
    Window,
    elements,
    is_sequence,
    item_encoding,
    items,
    tag_text,
)
from coatcheck.deid.part10 import read_head
from coatcheck.deid.private import is_creator, vrs_of_private, without_block
from coatcheck.deid.repeats import CHARACTER_SET
from coatcheck.deid.selectors import Path, PrivateTag, keyword, vrs
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

Place = tuple[int, ...]
"""Where an element stands: tags, and between them the numbers of items, from 1. Sorted, an outer one comes first."""

_TEXT_MAX = 1 << 16  # bytes of one value that are decoded; a longer one is known by its digest
_NUMBERS_MAX = 1 << 10
_CHUNK = 1 << 16
_CREATOR_MAX = 64  # LO
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


class DataSet(NamedTuple):
    """Where an encoded Data Set lies: it goes from ``start`` to the end of the window, or to ``end``."""

    window: Window
    start: int
    encoding: Encoding
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One element as it was met.

    ``name`` is its path for a reader: keywords with the numbers of items. ``path`` holds the sequences around it as
    selectors want them, ``creator`` whose a private element is. ``text`` is its value; where that is no text, or is
    too long, it says how many bytes there are, and ``digest`` tells one from another. ``charset`` is how it was read.
    """

    place: Place
    name: str
    path: Path
    creator: str
    vr: str
    text: str
    digest: bytes
    found: Element
    charset: tuple[str, ...]
    encoding: Encoding

    @property
    def tag(self) -> int:
        """The tag as it stands in the file, a private one with its block."""
        return self.found.tag

    @property
    def inside(self) -> Path:
        """The path of what is in the items of this sequence."""
        return (*self.path, _path_step(self.tag, self.creator))


class Pair(NamedTuple):
    """What stands at one place before and after; None where nothing does."""

    before: Seen | None
    after: Seen | None

    @property
    def seen(self) -> Seen:
        """The element as it was, or as it came."""
        one = self.before or self.after
        assert one is not None  # a pair is made of at least one
        return one

    @property
    def changed(self) -> bool:
        """Whether the two differ in more than their encoding: padding and VR do not count."""
        one, other = self.before, self.after
        return one is None or other is None or (one.text, one.digest) != (other.text, other.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A Pair as plain texts. ``before`` and ``after`` are None where the element is not there."""

    path: str
    tag: str
    keyword: str
    vr: str
    before: str | None
    after: str | None
    changed: bool


def row_of(pair: Pair) -> Row:
    """What a person reads of a Pair."""
    one = pair.seen
    return Row(
        path=one.name,
        tag=tag_text(one.tag),
        keyword=keyword(one.tag),
        vr=one.vr,
        before=pair.before.text if pair.before else None,
        after=pair.after.text if pair.after else None,
        changed=pair.changed,
    )


def side_by_side(before: Iterable[Seen], after: Iterable[Seen]) -> list[Pair]:
    """The elements of both by their places, in the order of tags."""
    one = {seen.place: seen for seen in before}
    other = {seen.place: seen for seen in after}
    return [Pair(one.get(place), other.get(place)) for place in sorted({*one, *other})]


def listing(content: DataSet, numbers: Mapping[Place, Sequence[int]] | None = None) -> Iterator[Seen]:
    """Every element at every depth, an outer one before those inside.

    ``numbers`` says, for a sequence that lost items, which numbers those that are left had before. Raises Refused where
    the bytes cannot be read, or where a tag stands twice in one Data Set.
    """
    window, start, encoding, end = content
    inside = _Inside((), "", (), ("latin-1",))
    yield from _Listing(window, numbers or {}).data_set(start, window.size if end is None else end, encoding, inside)


def meta(window: Window) -> list[Seen]:
    """The File Meta Information of a file; nothing where there is none, or none that can be read."""
    try:
        begin = 132 if window.size >= 132 and window.bytes(128, 132) == b"DICM" else 0
        return list(listing(DataSet(window, begin, EXPLICIT_LITTLE, read_head(window).start)))
    except Refused:
        return []


class _Inside(NamedTuple):
    """What is known of a Data Set before its elements are read."""

    place: Place
    name: str
    path: Path
    charset: tuple[str, ...]


class _Listing:
    """One walk over one file."""

    def __init__(self, window: Window, numbers: Mapping[Place, Sequence[int]]) -> None:
        self._window = window
        self._numbers = numbers
        self._ends: Ends = {}

    def data_set(self, begin: int, end: int, encoding: Encoding, inside: _Inside) -> Iterator[Seen]:
        creators: dict[int, str] = {}
        charset, known = inside.charset, set[int]()
        for found in elements(self._window, begin, end, encoding, self._ends, len(inside.path)):
            if found.tag in known:
                raise Refused(Reason.MALFORMED, tag_text(found.tag))
            known.add(found.tag)
            if found.tag == CHARACTER_SET:
                charset = encodings_of(self._window.bytes(found.value, min(found.value_end, found.value + LONGEST_SET)))
            elif found.tag & 0x10000 and is_creator(found.tag):
                value = self._window.bytes(found.value, min(found.value_end, found.value + _CREATOR_MAX))
                creators[found.tag >> 16 << 8 | found.tag & 0xFF] = value.decode("ascii", "replace").strip(" \0")
            creator = creators.get(found.tag >> 8, "") if found.tag & 0x10000 else ""
            yield from self.element(found, creator, encoding, inside._replace(charset=charset))

    def element(self, found: Element, creator: str, encoding: Encoding, inside: _Inside) -> Iterator[Seen]:
        known = _vrs(found.tag, creator)
        content: list[Seen] | None = None
        count = 0
        if is_sequence(found) or (found.vr == "UN" and known[:1] == ("SQ",)):
            count, content = self.items(found, creator, encoding, inside)
        single = known[:1] if found.vr == "UN" and known[:1] != ("SQ",) else ()
        vr = "SQ" if content is not None else (*single, found.vr)[0]
        text, digest = _counted(count) if content is not None else self.value(found, vr, encoding, inside.charset)
        yield Seen(
            place=(*inside.place, found.tag),
            name=f"{inside.name}{_step(found.tag, creator)}",
            path=inside.path,
            creator=creator,
            vr=vr,
            text=text,
            digest=digest,
            found=found,
            charset=inside.charset,
            encoding=encoding,
        )
        yield from content or ()

    def items(self, found: Element, creator: str, encoding: Encoding, around: _Inside) -> tuple[int, list[Seen] | None]:
        """How many items there are, and what is in them; None where UN of a defined length holds no items."""
        tag, place = found.tag, (*around.place, found.tag)
        path = (*around.path, _path_step(tag, creator))
        inner, content, count = item_encoding(found, encoding), list[Seen](), 0
        known = self._numbers.get(place, ())
        try:
            for begin, end in items(self._window, found, inner, self._ends, len(path)):
                number = known[count] if count < len(known) else count + 1
                count += 1
                name = f"{around.name}{_step(tag, creator)}[{number}] > "
                inside = _Inside((*place, number), name, path, around.charset)
                content += self.data_set(begin, end, inner, inside)
        except Refused:
            if found.vr == "UN" and found.end == found.value_end:
                return 0, None
            raise
        return count, content

    def value(self, found: Element, vr: str, encoding: Encoding, charset: tuple[str, ...]) -> tuple[str, bytes]:
        """A value as text, or its size and digest."""
        length = found.value_end - found.value
        if length <= _TEXT_MAX:
            text = _text(self._window.bytes(found.value, found.value_end), vr, encoding, charset)
            if text is not None:
                return text, b""
        return f"<{length} byte{'s' if length != 1 else ''}>", self.digest(found)

    def digest(self, found: Element) -> bytes:
        hasher = hashlib.blake2b(digest_size=16)
        for begin in range(found.value, found.value_end, _CHUNK):
            hasher.update(self._window.bytes(begin, min(begin + _CHUNK, found.value_end)))
        return hasher.digest()


def _text(value: bytes, vr: str, encoding: Encoding, charset: tuple[str, ...]) -> str | None:
    """A value as a person reads it, without its padding; None where it is no text."""
    if vr in BINARY:
        numbers = unpacked(value, vr, little=encoding.little) if len(value) <= _NUMBERS_MAX else None
        return None if numbers is None else "\\".join(numbers)
    if vr == "AT":
        halves = unpacked(value, "US", little=encoding.little) if len(value) % 4 == 0 else None
        pairs = zip(halves[::2], halves[1::2], strict=True) if halves is not None else None
        return None if pairs is None else "\\".join(tag_text(int(one) << 16 | int(other)) for one, other in pairs)
    if vr in _BYTES:
        plain = value.rstrip(b" \0")
        return plain.decode("ascii") if plain.isascii() and plain.decode("ascii").isprintable() else None
    return decode(value, charset).rstrip(" \0")


def _counted(count: int) -> tuple[str, bytes]:
    return f"<{count} item{'s' if count != 1 else ''}>", b""


def _vrs(tag: int, creator: str) -> tuple[str, ...]:
    if tag & 0x10000:
        return ("LO",) if is_creator(tag) else vrs_of_private(without_block(tag), creator)
    return vrs(tag)


def _path_step(tag: int, creator: str) -> int | PrivateTag:
    return PrivateTag(tag >> 16, tag & 0xFF, creator) if creator else tag


def _step(tag: int, creator: str) -> str:
    """A tag as a selector names it."""
    if creator:
        return f'({tag >> 16:04X},"{creator}",{tag & 0xFF:02X})'
    return keyword(tag) or tag_text(tag)
