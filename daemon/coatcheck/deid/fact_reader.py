"""Reads what coatcheck must know of a file before it decides anything: its UIDs, whether it is whole, whether the
profile can clean this kind of object, and all that identifies its patient. One walk, at every depth; nothing changes.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

from coatcheck.deid import identity
from coatcheck.deid.charsets import LONGEST_SET, decode, encodings_of, is_set
from coatcheck.deid.dictionary import are_too_many, vr_of
from coatcheck.deid.elements import (
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
from coatcheck.deid.facts import (
    BURNED_IN,
    CHARACTER_SET,
    CONTENT_SEQUENCE,
    ENCAPSULATED_DOCUMENT,
    IMAGE_TYPE,
    ISSUER,
    MANUFACTURER,
    MODALITY,
    PATIENT_ID,
    SERIES,
    SERIES_DESCRIPTION,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    Facts,
    concern,
    letters,
    without_maker,
)
from coatcheck.deid.part10 import Head, is_encapsulated, text_of
from coatcheck.deid.pixels import PHOTOMETRIC, PIXEL_TAGS, PIXEL_VRS, SHAPE_TAGS, check_native, is_fragmented, number_of
from coatcheck.deid.repeats import ALIKE, Part, Repeats
from coatcheck.deid.same import Known, Seen
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

_NAMED = frozenset({PATIENT_ID, ISSUER})
_KEYS = frozenset({SOP_CLASS, SOP_INSTANCE, STUDY, SERIES, PATIENT_ID, ISSUER})
_KEYS |= {IMAGE_TYPE, SERIES_DESCRIPTION, BURNED_IN, MODALITY, MANUFACTURER}
_TOP = _KEYS | SHAPE_TAGS | {ENCAPSULATED_DOCUMENT}
_OVERLAY_BIT_POSITION = 0x0102  # of a group 60xx
_DEFAULT_CHARSET: tuple[str, ...] = ("latin-1",)
_IDENTITY_MAX = 1 << 16  # bytes of one value; what identifies a patient is never that long
_CODE_VALUE, _CONTENT_UID = 0x00080100, 0x0040A124
_DEVICE_UIDS = frozenset({b"121012", b"121198"})  # Device Observer UID, Device Subject UID (PS3.15 Table E.3.4-1)


class FactReader:
    """Reads the facts of one file. ``known`` may be shared by many files."""

    def __init__(self, window: Window, head: Head, known: Known | None = None) -> None:
        self._window = window
        self._head = head
        known = known or Known()
        self._repeats = known.repeats
        self._same = known.same[head.encoding]
        self._ends: Ends = {}
        self._runs: list[Part[Seen]] = []
        self._code = b""  # the last code's value: in a Content Item the concept stands before what is said of it
        self.facts = Facts()

    def read(self) -> Facts:
        """All facts; refuses what is truncated, malformed or lacks a UID."""
        facts, same = self.facts, self._same
        self._walk()
        for tag in (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES):
            if not facts.keys.get(tag):
                raise Refused(Reason.MISSING_UID, tag_text(tag))
            if "\\" in facts.keys[tag]:
                raise Refused(Reason.MALFORMED, tag_text(tag))
        facts.concern, facts.concern_detail = concern(facts)
        maker = letters(facts.keys.get(MANUFACTURER, ""))
        facts.own = set(without_maker(maker, facts.own))
        facts.common, facts.tags = same.common(maker), same.tags(frozenset(facts.seen))
        if identity.are_too_many(facts.own, facts.common) or are_too_many(facts.tags):
            raise Refused(Reason.TOO_LARGE)
        return facts

    def _walk(self) -> None:
        """The top level, part by part."""
        same, encoding, charset = self._same, self._head.encoding, _DEFAULT_CHARSET
        parts: list[Part[Seen]] = []
        pixels: Element | None = None
        for part in self._repeats.walk(self._window, self._head.start, encoding, self._ends):
            if part.tags[0] in PIXEL_TAGS:
                pixels = part.found[0]
                break
            parts.append(part)
            if part.fixed is not None:
                charset = self._said(part, encoding, 0, charset).charset
                continue
            for one in part.found:
                charset = self._element(one, encoding, 0, charset, self._repeats)
        as_before = same.holds(parts, self._runs)
        if not as_before:
            same.remember(self._runs)
        self.facts.decide(same.facts)
        if pixels is not None:
            self._pixels(pixels)
        if not as_before:
            _check_once([tag for part in parts for tag in part.tags])
        same.parts, same.runs = parts, self._runs

    def _said(self, part: Part[Seen], encoding: Encoding, depth: int, charset: tuple[str, ...]) -> Seen:
        """What a run says that may have been read before."""
        said = part.memo
        if said is None or said.before != self._code:
            self._same.parts = None  # for what the runs said together is not so any more
            said = part.memo = self._part(part.elements(self._window, encoding, self._ends), encoding, depth, charset)
        self._code = said.code
        self._runs.append(part)
        return said

    def _part(self, found: Sequence[Element], encoding: Encoding, depth: int, charset: tuple[str, ...]) -> Seen:
        whole, before, self.facts = self.facts, self._code, Facts()
        try:
            for one in found:
                charset = self._element(one, encoding, depth, charset)
            return Seen(self.facts, charset, before, self._code)
        except Refused:
            whole.add(self.facts)  # What cannot be read may be left out, and who is named in it is still searched for.
            raise
        finally:
            self.facts = whole

    def _item(
        self, begin: int, end: int, encoding: Encoding, depth: int, charset: tuple[str, ...], repeats: Repeats[Seen]
    ) -> None:
        """An item's Data Set, of which much may repeat."""
        tags: list[int] = []
        parts = repeats.walk(self._window, begin, encoding, self._ends, end)
        for part in parts:
            tags.extend(part.tags)
            if part.fixed is not None:
                charset = self._said(part, encoding, depth, charset).charset
                continue
            for one in part.found:
                charset = self._element(one, encoding, depth, charset, repeats)
        if parts is not repeats.sound:
            _check_once(tags)
            repeats.sound = parts

    def _data_set(self, begin: int, end: int, encoding: Encoding, depth: int, charset: tuple[str, ...]) -> None:
        """An item's Data Set."""
        last, seen = -1, None
        for found in elements(self._window, begin, end, encoding, self._ends, depth):
            tag, start = found.tag, found.start
            if tag > last and seen is None:
                last = tag
            else:
                seen = self._seen(begin, start, encoding, depth) if seen is None else seen
                if tag in seen:
                    raise Refused(Reason.MALFORMED, tag_text(tag))
                seen.add(tag)
            charset = self._element(found, encoding, depth, charset)
        if self._ends.get(begin, end) not in (end, end - 8):
            raise Refused(Reason.MALFORMED)  # An item's delimiter in the middle would hide what follows it.

    def _element(
        self,
        found: Element,
        encoding: Encoding,
        depth: int,
        charset: tuple[str, ...],
        repeats: Repeats[Seen] | None = None,
    ) -> tuple[str, ...]:
        """One element, at any depth; gives the character set of those that follow. ``repeats`` is of what varies."""
        tag, vr, _, value, value_end, _ = found
        if not tag & 0x10000:
            self.facts.seen.add(tag)
        if vr == "SQ" or (vr == "UN" and (is_sequence(found) or vr_of(tag) == "SQ")):
            self._sequence(found, encoding, depth, charset, repeats)
        elif value != value_end:
            if tag == CHARACTER_SET:
                charset = self._charset(found)
            if tag == _CODE_VALUE:
                self._code = self._window.bytes(value, min(value_end, value + 16)).strip(b" \0")
            kind = identity.kind_of(tag, vr)
            if tag == _CONTENT_UID and self._code in _DEVICE_UIDS:
                kind = "device"
            if kind is not None:
                if value_end - value > _IDENTITY_MAX:
                    raise Refused(Reason.TOO_LARGE, tag_text(tag))  # The gate would not know what to search for.
                raw = self._window.bytes(value, value_end)
                self.facts.own.update(identity.values(kind, raw, charset))
            if depth == 0 and (tag in _TOP or (tag >> 24 == 0x60 and tag & 0xFFFF == _OVERLAY_BIT_POSITION)):
                self._key(tag, found, encoding, charset)
        return charset

    def _charset(self, found: Element) -> tuple[str, ...]:
        value = self._window.bytes(found.value, min(found.value_end, found.value + LONGEST_SET))
        if found.vr not in ("CS", "UN") or not is_set(value):
            raise Refused(Reason.MALFORMED, tag_text(CHARACTER_SET))  # Text cannot be read with certainty.
        return encodings_of(value)

    def _seen(self, begin: int, end: int, encoding: Encoding, depth: int) -> set[int]:
        """The tags in [begin, end): only asked for where a Data Set is out of order and may hold one twice."""
        return {found.tag for found in elements(self._window, begin, end, encoding, self._ends, depth)}

    def _sequence(
        self, found: Element, encoding: Encoding, depth: int, charset: tuple[str, ...], repeats: Repeats[Seen] | None
    ) -> None:
        if depth == 0 and found.tag == CONTENT_SEQUENCE:
            self.facts.note(found.tag)
        inside = item_encoding(found, encoding)
        try:
            for index, (begin, end) in enumerate(items(self._window, found, inside, self._ends, depth + 1)):
                known = repeats.inside((found.tag, min(index, ALIKE), charset)) if repeats else None
                if known is None:
                    self._data_set(begin, end, inside, depth + 1, charset)
                else:
                    self._item(begin, end, inside, depth + 1, charset, known)
        except Refused:
            if found.vr != "UN" or found.end != found.value_end:
                raise  # UN of a defined length that holds no items is only bytes, and is removed as such.

    def _key(self, tag: int, found: Element, encoding: Encoding, charset: tuple[str, ...]) -> None:
        """Attributes of the top level that decide what happens to the file."""
        if tag in _KEYS:
            raw = self._window.bytes(found.value, min(found.value_end, found.value + 1024))
            # One ID is one text, however it is encoded: other keys are of the default repertoire.
            text = unicodedata.normalize("NFC", decode(raw, charset)) if tag in _NAMED else raw.decode("latin-1")
            self.facts.keys[tag] = text.strip(" \0")
        elif tag == PHOTOMETRIC:
            self.facts.photometric = text_of(self._window.bytes(found.value, min(found.value_end, found.value + 64)))
        elif tag in SHAPE_TAGS:
            raw = self._window.bytes(found.value, min(found.value_end, found.value + 16))
            number = number_of(raw, tag, little=encoding.little)
            if number is not None:
                self.facts.shape[tag] = number
        elif tag == ENCAPSULATED_DOCUMENT:
            self.facts.note(tag)
        elif any(self._window.bytes(found.value, min(found.value_end, found.value + 2))):
            self.facts.overlay = min(tag, self.facts.overlay or tag)

    def _pixels(self, found: Element) -> None:
        self.facts.has_pixels = True
        if found.vr not in PIXEL_VRS[found.tag]:
            raise Refused(Reason.MALFORMED, tag_text(found.tag))
        encapsulated = is_encapsulated(self._head.transfer_syntax)
        if is_fragmented(found) != encapsulated and found.value_end > found.value:
            raise Refused(Reason.UNSUPPORTED, tag_text(found.tag))
        if not encapsulated:
            check_native(found, self._window, self.facts.shape, self.facts.photometric)


def _check_once(tags: list[int]) -> None:
    """Refuses a Data Set in which an element comes twice (PS3.5 7.1)."""
    if len(set(tags)) != len(tags):
        raise Refused(Reason.MALFORMED, tag_text(next(tag for tag, number in Counter(tags).items() if number > 1)))
