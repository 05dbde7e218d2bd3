"""The gate: what identifies a Study is searched in every value of every result before anything is released.

It walks the finished bytes by itself and trusts nothing that the rewriting said, but for the dates that an action
wrote: a shifted date may well be another date of the same Study. A value that was found clean is not searched again.

Short identities (under four letters; under two beyond ASCII) count as whole values and whole words of text only, or a
Patient ID `1` would be found in everything. Digits alone are not searched in UIDs, and in numbers only as a whole
value. Text is read by its character set and as other ones, behind escapes and in base64, and streams are inflated.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from coatcheck.deid.charsets import LONGEST_SET, encodings_of
from coatcheck.deid.dictionary import vr_of
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
from coatcheck.deid.facts import CHARACTER_SET
from coatcheck.deid.hidden import INFLATED_MAX, Read, streams
from coatcheck.deid.hits import kind_found
from coatcheck.deid.patterns import patterns_of
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.references import MOST, REFERENCE_TAGS, Noted
from coatcheck.deid.repeats import ALIKE, Part, Repeats, Shelf
from coatcheck.errors import Refused
from coatcheck.model import Identity
from coatcheck.reasons import Reason

_DATES = frozenset({"DA", "DT"})
_PACKED = frozenset({"OB", "OW", "UN"})  # their values may hold deflated streams
_CHUNK = 1 << 18
_CLEAN_MAX = 20_000  # values, of
_CLEAN_LENGTH = 512  # bytes at most; of what is longer, the digest is remembered
_DEPTH = 3  # streams in streams

Written = set[tuple[int, bytes]]
Path = tuple[int, ...]
Permits = Callable[[Path, int, str], bool]


class Clean(NamedTuple):
    """What a part that names nobody said: how text is to be read from its end on, and what it refers to, which began
    ``before`` it and goes on ``after`` it. ``shifted`` are the dates in it that an action had written.
    """

    charset: tuple[str, ...]
    references: tuple[str, ...]
    before: str
    after: str
    shifted: frozenset[tuple[int, bytes]]


class Gate:
    """Searches results for one Study's identities. Kept for the Study's batches: it remembers what it found clean.

    ``kept`` are the kinds of identity that an option of the profile keeps: they are not searched.
    """

    def __init__(self, identity: Iterable[Identity], subject: str, kept: frozenset[str] = frozenset()) -> None:
        self._patterns = patterns_of(frozenset(one for one in identity if one.kind not in kept))
        self._own = frozenset({subject.encode("ascii"), b"REMOVED", b"COATCHECK"})
        self._clean: set[tuple[str, tuple[str, ...], bytes]] = set()
        self._repeats = Shelf[Clean]()
        self._meta = Repeats[Clean]()

    def check(
        self,
        window: Window,
        start: int,
        encoding: Encoding,
        written: Written,
        permits: Permits | None = None,
        kind: Hashable = None,
    ) -> tuple[str, ...]:
        """Refuses a result as identity-found, with the path of the tag and the kind of identity.

        Gives the UIDs of Instances and Studies that the result refers to, each once.

        ``start`` is where its Data Set begins. ``permits`` is asked with the tags of the sequences around an element,
        its own tag and its VR, and only where it names somebody: whether a rule of the profile allows that in writing.
        Raises Refused as too-large where a deflated stream holds more than can be searched.
        """
        walk = _Walk(self, window, written, permits)
        walk.item(132, start, EXPLICIT_LITTLE, (), (), self._meta)  # the File Meta Information
        walk.top(start, encoding, self._repeats.of(kind))
        return tuple(walk.references)[:MOST]

    def names_nobody(self, value: bytes, vr: str, charset: tuple[str, ...]) -> bool:
        """Whether none of the identities is in a value."""
        return self.kind_in(value, vr, charset) is None

    def kind_in(self, value: bytes, vr: str, charset: tuple[str, ...]) -> str | None:
        """The kind of an identity that is in a value; None where there is none."""
        key = _key(value, vr, charset)
        if key in self._clean or value.strip(b" \0") in self._own:
            return None
        kind = kind_found(self._patterns, value, vr, charset)
        if kind is None and vr in _PACKED:
            kind = self.kind_in_streams(value, 0, len(value), lambda begin, end: value[begin:end])
        if kind is None:
            if len(self._clean) >= _CLEAN_MAX:
                self._clean.clear()
            self._clean.add(key)
        return kind

    def overlap(self) -> int:
        """How many bytes two pieces of a value must share, so that nothing is missed where they meet."""
        return 4 * self._patterns.longest + 64

    def kind_in_streams(self, piece: bytes, at: int, end: int, read: Read, depth: int = 1) -> str | None:
        """The kind of an identity in what is deflated in a value, of which ``piece`` begins at ``at``."""
        total = 0
        for _, _, content in streams(piece, at, end, read):
            for part in _overlapping(content, self.overlap()):
                total += len(part)
                if total > INFLATED_MAX:
                    raise Refused(Reason.TOO_LARGE)
                kind = kind_found(self._patterns, part, "UN", ())
                if kind is None and depth < _DEPTH:
                    kind = self.kind_in_streams(part, 0, len(part), _reader(part), depth + 1)
                if kind is not None:
                    return kind
        return None


def _key(value: bytes, vr: str, charset: tuple[str, ...]) -> tuple[str, tuple[str, ...], bytes]:
    """What a value is remembered by: itself, or its digest where it is long."""
    return (vr, charset, value) if len(value) <= _CLEAN_LENGTH else (f"#{vr}", charset, sha256(value).digest())


def _reader(data: bytes) -> Read:
    return lambda begin, end: data[begin:end]


def _overlapping(content: Iterator[bytes], overlap: int) -> Iterator[bytes]:
    """What comes in small pieces, in larger ones that share some bytes."""
    held = b""
    for piece in content:
        held += piece
        if len(held) >= _CHUNK:
            yield held
            held = held[-overlap:]
    if held:
        yield held


class _Walk:
    """One result on its way through the gate."""

    def __init__(self, gate: Gate, window: Window, written: Written, permits: Permits | None) -> None:
        self._gate = gate
        self._window = window
        self._written = written
        self._permits = permits
        self._permitted = 0
        self._shifted: Written = set()  # dates that were not searched, for an action had written them
        self._ends: Ends = {}
        self._noted = Noted()
        self.references: Iterable[str] = ()

    def top(self, start: int, encoding: Encoding, repeats: Repeats[Clean]) -> None:
        """The top level. A run of elements that was found clean, as a whole, in another file is so in this one."""
        charset: tuple[str, ...] = ()
        for part in repeats.walk(self._window, start, encoding, self._ends):
            if part.tags[0] in PIXEL_TAGS:
                break
            charset = self._part(part, encoding, charset, (), repeats)
        self.references = self._noted.uids

    def _part(
        self, part: Part[Clean], encoding: Encoding, charset: tuple[str, ...], path: Path, repeats: Repeats[Clean]
    ) -> tuple[str, ...]:
        if part.fixed is None:
            for found in part.found:
                charset = self._element(found, encoding, charset, path, len(path) // 2, repeats)
            return charset
        clean, noted = part.memo, self._noted
        if clean is None or clean.before != noted.sop_class or not clean.shifted <= self._written:
            clean = self._searched(part, encoding, charset, path)
        if clean.references or clean.after != noted.sop_class:
            noted.take(clean.references, clean.after)
        return clean.charset

    def _searched(self, part: Part[Clean], encoding: Encoding, charset: tuple[str, ...], path: Path) -> Clean:
        """A run of elements; it is remembered as clean if nothing in it had to be permitted."""
        whole, self._noted = self._noted, Noted(self._noted.sop_class)
        before, permitted, self._shifted = whole.sop_class, self._permitted, set()
        for found in part.elements(self._window, encoding, self._ends):
            charset = self._element(found, encoding, charset, path, len(path) // 2)
        clean = Clean(charset, tuple(self._noted.uids), before, self._noted.sop_class, frozenset(self._shifted))
        part.memo = clean if self._permitted == permitted else None
        self._noted = whole
        return clean

    def data_set(
        self, begin: int, end: int, encoding: Encoding, charset: tuple[str, ...], path: Path, depth: int
    ) -> None:
        """An item's Data Set."""
        for found in elements(self._window, begin, end, encoding, self._ends, depth):
            charset = self._element(found, encoding, charset, path, depth)

    def _element(
        self,
        found: Element,
        encoding: Encoding,
        charset: tuple[str, ...],
        path: Path,
        depth: int,
        repeats: Repeats[Clean] | None = None,
    ) -> tuple[str, ...]:
        """One element; gives the character set of those that follow. Raises Refused where it names somebody."""
        tag, vr, _, value, value_end, _ = found
        if vr == "SQ" or (vr == "UN" and (is_sequence(found) or vr_of(tag) == "SQ")):
            self._sequence(found, encoding, charset, path, depth + 1, repeats)
        elif value_end - value > _CHUNK:
            self._bulk(found, path)
        elif value != value_end:
            data = self._window.bytes(value, value_end)
            if tag == CHARACTER_SET:
                charset = encodings_of(data[:LONGEST_SET])
            elif tag in REFERENCE_TAGS:
                self._noted.note(tag, data)
            if vr in _DATES and (date := (tag, data.rstrip(b" \0"))) in self._written:
                self._shifted.add(date)
            else:
                try:
                    kind = self._gate.kind_in(data, vr, charset)
                except Refused as refused:
                    raise Refused(refused.reason, _path_text(path, tag)) from None
                self._judge(kind, found, path)
        return charset

    def _judge(self, kind: str | None, found: Element, path: Path) -> None:
        """Refuses an element that names somebody, unless a rule permits it."""
        if kind is None:
            return
        if self._permits is None or not self._permits(path[::2], found.tag, found.vr):
            raise Refused(Reason.IDENTITY_FOUND, f"{_path_text(path, found.tag)} {kind}")
        self._permitted += 1

    def _sequence(
        self,
        found: Element,
        encoding: Encoding,
        charset: tuple[str, ...],
        path: Path,
        depth: int,
        repeats: Repeats[Clean] | None,
    ) -> None:
        inside = item_encoding(found, encoding)
        for index, (begin, end) in enumerate(items(self._window, found, inside, self._ends, depth)):
            place = (*path, found.tag, index)
            known = repeats.inside((found.tag, min(index, ALIKE), charset)) if repeats else None
            if known is None:
                self.data_set(begin, end, inside, charset, place, depth)
            else:
                self.item(begin, end, inside, charset, place, known)

    def item(
        self, begin: int, end: int, encoding: Encoding, charset: tuple[str, ...], path: Path, repeats: Repeats[Clean]
    ) -> None:
        """A Data Set with a known end, of which much may repeat."""
        for part in repeats.walk(self._window, begin, encoding, self._ends, end):
            charset = self._part(part, encoding, charset, path, repeats)

    def _bulk(self, found: Element, path: Path) -> None:
        """A large value that is no pixel data, searched piece by piece with an overlap."""
        gate, window = self._gate, self._window
        for begin in range(found.value, found.value_end, _CHUNK - gate.overlap()):
            piece = window.bytes(begin, min(begin + _CHUNK, found.value_end))
            kind = gate.kind_in(piece, "OF", ())
            if kind is None and found.vr in _PACKED:
                try:
                    kind = gate.kind_in_streams(piece, begin, found.value_end, window.bytes)
                except Refused as refused:
                    raise Refused(refused.reason, _path_text(path, found.tag)) from None
            self._judge(kind, found, path)


def _path_text(path: Path, tag: int) -> str:
    """A path as text; in ``path`` stand tags of sequences and numbers of items by turns."""
    around = zip(path[::2], path[1::2], strict=True)
    return "".join(f"{tag_text(outer)}[{index}]" for outer, index in around) + tag_text(tag)
