"""Takes what identifies a patient and a Study out of text that is kept (PS3.15 E.3.5 Clean Descriptors), and out of
bytes. What research needs stays as it is: nothing is touched in a text in which nothing was found.

A part of the patient's own name is removed wherever it stands, also where it means something else ("Head", "Brain"):
safety goes first. What was cleaned passes the gate for the same identities, for both search with the same patterns.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from coatcheck.deid.hidden import INFLATED_MAX, streams, unescaped
from coatcheck.deid.hits import hits_in_text, kind_found
from coatcheck.deid.patterns import Patterns, patterns_of
from coatcheck.deid.recognised import recognised
from coatcheck.deid.text_dates import DateFound, dates_in, shifted
from coatcheck.model import Identity

Place = tuple[int, int]
_ROUNDS = 12  # taking something out may bring two parts of a name together
_REMEMBERED = (1 << 12, 1 << 18)  # bytes of a masked value
_MASKED_MAX = 8  # of them
_GAP = re.compile(r"[^\S\r\n]?[\W_]{0,3}")
_NEW_LINE = re.compile(r"\r\n|\r|\n")
_SIGNS = frozenset("_^,;:|=&#/\\.~+*- \t\r\n\f\xa0")
_BLANK = frozenset(" \t\r\n\f\xa0")
_AFTER = re.compile(r"[_^,;:|=&#/\\.~+*-]*(?:\s+(?:[_^,;:|=&#/\\.~+*-]+(?![0-9.]))?\s*)?")
_BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">", '"': '"', "'": "'"}
_POSSESSIVE = re.compile(r"['’]s\b", re.IGNORECASE)
_ESCAPED_TOKEN = re.compile(rb"[!-~]+")
_NO_TEXT = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


class Cleaner:
    """Cleans text and bytes of one Study. Deterministic; linear in the length of the text.

    ``shift_days`` moves dates in text, in the spelling in which they stand; with None they go. ``kept`` are the kinds
    of identity that an option of the profile keeps. To clean twice is to clean once, but that dates move again.
    """

    def __init__(
        self, identity: Iterable[Identity], shift_days: int | None, kept: frozenset[str] = frozenset()
    ) -> None:
        self._known: Patterns = patterns_of(frozenset(one for one in identity if one.kind not in kept))
        self._days = shift_days
        self._dates = "date" not in kept
        self._uids = "uid" not in kept
        self._masked: dict[bytes, bytes] = {}  # long values: the headers of a maker are the same in a whole Series

    def clean(self, text: str) -> str:
        """The text without identities; the same text where none is in it."""
        text = self._once(text.replace("\x1b", ""), first=True)
        for _ in range(_ROUNDS):
            again = self._once(text, first=self._days is None)
            if again == text:
                again = self._opened(text)
                if again == text:
                    return text
            text = again
        return ""  # built to fall together again and again: nobody needs it

    def mask(self, data: bytes) -> bytes:
        """Bytes of the same length, with X for those that identify somebody. Zeros stay, so that UTF-16 stays text."""
        if not _REMEMBERED[0] <= len(data) <= _REMEMBERED[1]:
            return self._newly_masked(data)
        masked = self._masked.get(data)
        if masked is None:
            if len(self._masked) >= _MASKED_MAX:
                self._masked.clear()
            masked = self._masked[data] = self._newly_masked(data)
        return masked

    def _newly_masked(self, data: bytes) -> bytes:
        for _ in range(_ROUNDS):
            places = list(self._places_in_bytes(data))
            if not places:
                return data
            masked = bytearray(data)
            for begin, end in places:
                masked[begin:end] = _NOT_ZERO.sub(b"X", masked[begin:end])
            data = bytes(masked)
        return b"X" * len(data)

    def _once(self, text: str, *, first: bool) -> str:
        """One round. Dates of all kinds are dealt with in the first; afterwards those that are known."""
        moving = first and self._dates and self._days is not None
        hits = self._known.spans(text, wordy=True, joined=True)
        gone = [(begin, end) for begin, end, kind in hits if not (moving and kind == "date")]
        gone += recognised(text, uids=self._uids)
        gone += () if text.isascii() else self._in_other_encodings(text)
        gone = _merged(text, gone)
        new: list[tuple[int, int, str]] = []
        dropped: list[Place] = []
        for found in self._dates_of(text) if first and self._dates else ():
            spelled = None if self._days is None else shifted(found, self._days)
            if spelled is None or _touches(gone, found):
                dropped.append((found.begin, found.end))
            else:
                new.append((found.begin, found.end, spelled))
        return _without(text, _merged(text, gone + dropped), new) if gone or dropped or new else text

    def _dates_of(self, text: str) -> list[DateFound]:
        """The dates of a text, none of which overlap: what is known, and what is longest, goes first."""
        found = list(dates_in(text, self._known.days, partial=True))
        found.sort(key=lambda one: (one.begin, not one.known, one.begin - one.end))
        apart: list[DateFound] = []
        for one in found:
            if not apart or one.begin >= apart[-1].end:
                apart.append(one)
            elif (bool(one.known), one.end - one.begin) > (bool(apart[-1].known), apart[-1].end - apart[-1].begin):
                apart[-1] = one
        return apart

    def _opened(self, text: str) -> str:
        """The text as it reads without zeros and escapes, if that shows what they hide; else the same text."""
        for opened in dict.fromkeys((text, text.replace("\0", ""))):
            if opened != text and self._names_somebody(opened):
                return opened
            for _ in range(3):
                opened = unescaped(opened)
                if opened != text and self._names_somebody(opened):
                    return opened
        return text

    def _names_somebody(self, text: str) -> bool:
        return next(self._known.spans(text, wordy=True), None) is not None

    def _in_other_encodings(self, text: str) -> Iterator[Place]:
        """Where the text, as bytes, holds a name in another encoding."""
        for codec in ("utf-8", "latin-1"):
            try:
                ends = list(accumulate(len(letter.encode(codec)) for letter in text))
            except UnicodeEncodeError:
                continue
            for begin, end, _ in self._known.in_raw(text.encode(codec)):
                yield bisect_right(ends, begin), bisect_right(ends, end - 1) + 1

    def _places_in_bytes(self, data: bytes) -> Iterator[Place]:
        yield from self._plain_places(data)
        if b"\0" in data:
            close = data.replace(b"\0", b"")
            places = list(self._plain_places(close))
            if places:
                where = [index for index, byte in enumerate(data) if byte]
                yield from ((where[begin], where[end - 1] + 1) for begin, end in places)
        yield from self._streams_in(data)

    def _plain_places(self, data: bytes) -> Iterator[Place]:
        known, text = self._known, data.decode("latin-1")
        wordy = _NO_TEXT.search(data) is None
        hits = [*known.in_raw(data), *known.spans_of_bytes(data)]
        hits += known.spans(text, wordy=True, joined=True) if wordy else ()
        yield from ((begin, end) for begin, end, _ in hits)
        opened = text if hits else unescaped(text)
        if opened != text and next(hits_in_text(known, opened, wordy), None) is not None:
            yield from self._escaped_places(data, wordy)

    def _escaped_places(self, data: bytes, wordy: bool) -> Iterator[Place]:
        """Words with escapes behind which somebody is named; all of it where no single word tells it."""
        alone = False
        for match in _ESCAPED_TOKEN.finditer(data):
            text = match[0].decode("ascii")
            if next(hits_in_text(self._known, unescaped(text), wordy), None) is not None:
                alone = True
                yield match.span()
        if not alone:
            yield 0, len(data)

    def _streams_in(self, data: bytes) -> Iterator[Place]:
        """Deflated streams that name somebody, or hold more than can be searched."""
        for begin, content_begin, content in streams(data, 0, len(data), lambda first, last: data[first:last]):
            inside = bytearray()
            for piece in content:
                inside += piece
                if len(inside) > INFLATED_MAX:
                    break
            whole = bytes(inside)
            named = len(whole) > INFLATED_MAX or kind_found(self._known, whole, "UN", ()) is not None
            if named or next(self._streams_in(whole), None) is not None:
                yield begin, _end_of_stream(data, content_begin)


_NOT_ZERO = re.compile(rb"[^\0]")


def _end_of_stream(data: bytes, begin: int) -> int:
    zipped = data[begin : begin + 1] not in (b"\x78", b"\x1f")
    engine = zlib.decompressobj(-15 if zipped else 47)
    try:
        engine.decompress(data[begin:], INFLATED_MAX)
    except zlib.error:
        return len(data)
    return len(data) - len(engine.unused_data) if engine.eof else len(data)


def _touches(places: list[Place], found: DateFound) -> bool:
    """Whether a date overlaps one of the places, which are in order and apart."""
    after = bisect_right(places, (found.begin, found.end))
    near = places[max(0, after - 1) : after + 1]
    return any(begin < found.end and found.begin < end for begin, end in near)


def _merged(text: str, places: list[Place]) -> list[Place]:
    """The places in order, with those as one between which nothing stands but a few signs."""
    merged: list[Place] = []
    for begin, end in sorted(places):
        owner = _POSSESSIVE.match(text, end)
        end = owner.end() if owner is not None else end
        if merged and (begin <= merged[-1][1] or _is_gap(text, merged[-1][1], begin)):
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _is_gap(text: str, begin: int, end: int) -> bool:
    between = text[begin : min(end, begin + 5)]
    return end - begin < 5 and _GAP.fullmatch(between) is not None and _NEW_LINE.search(between) is None


def _without(text: str, gone: list[Place], new: list[tuple[int, int, str]]) -> str:
    """The text without these places, with the signs around them made tidy, and with new dates."""
    changes: list[tuple[int, int, str | None]] = [*((begin, end, None) for begin, end in gone), *new]
    changes.sort(key=lambda change: change[:2])
    out: list[str] = []
    at, begun, joined = 0, False, False
    for index, (begin, end, spelled) in enumerate(changes):
        limit = changes[index + 1][0] if index + 1 < len(changes) else len(text)
        if spelled is None:
            left, right = _around(text, at, begin, end, limit)
            out.append(text[at:left])
            begun = begun or left > at
            needed = begun and right < len(text) and not (joined and left == at)
            out.append(_joint(text[left:begin], text[end:right]) if needed else "")
            at, joined = right, True
        else:
            out += (text[at:begin], spelled)
            at, begun, joined = end, True, False
    out.append(text[at:])
    return "".join(out)


def _around(text: str, first: int, begin: int, end: int, last: int) -> Place:
    """The place with the signs around it that join it to the rest, and with brackets that hold nothing else."""
    left, right = _signs_before(text, first, begin), _signs_after(text, end, last)
    while left > first and right < last and _BRACKETS.get(text[left - 1]) == text[right]:
        left, right = _signs_before(text, first, left - 1), _signs_after(text, right + 1, last)
    return left, right


def _signs_before(text: str, first: int, begin: int) -> int:
    while begin > first and text[begin - 1] in _SIGNS:
        begin -= 1
    return begin


def _signs_after(text: str, end: int, last: int) -> int:
    match = _AFTER.match(text, end, last)
    return end if match is None else match.end()


def _joint(before: str, after: str) -> str:
    """What stands where something was between these signs."""
    if not (before and after):
        return before or after or " "
    line = _NEW_LINE.search(before + after)
    if line is not None:
        return line[0]
    if after[0] in ".;,!?" and after[1:2] in _BLANK:
        return after
    return " " if not _BLANK.isdisjoint(before + after) else before[0]
