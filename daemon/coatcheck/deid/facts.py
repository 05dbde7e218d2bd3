"""Reads what coatcheck must know of a file before it decides anything: its UIDs, whether it is whole, whether the
profile can clean this kind of object, and all that identifies its patient. One walk, at every depth; nothing changes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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
from coatcheck.deid.part10 import Head, is_encapsulated, text_of
from coatcheck.deid.pixels import PHOTOMETRIC, PIXEL_TAGS, PIXEL_VRS, SHAPE_TAGS, check_native, is_fragmented
from coatcheck.deid.repeats import Repeats
from coatcheck.deid.standard import registered_uids
from coatcheck.errors import Refused
from coatcheck.model import Identity
from coatcheck.reasons import Reason

CHARACTER_SET, IMAGE_TYPE, SERIES_DESCRIPTION, BURNED_IN = 0x00080005, 0x00080008, 0x0008103E, 0x00280301
SOP_CLASS, SOP_INSTANCE, STUDY, SERIES, PATIENT_ID = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00100020
ISSUER = 0x00100021
_NAMED = frozenset({PATIENT_ID, ISSUER})
ENCAPSULATED_DOCUMENT, CONTENT_SEQUENCE, MODALITY, MANUFACTURER = 0x00420011, 0x0040A730, 0x00080060, 0x00080070
OVERLAY_BIT_POSITION = 0x0102  # of a group 60xx
_KEYS = frozenset({SOP_CLASS, SOP_INSTANCE, STUDY, SERIES, PATIENT_ID, ISSUER})
_KEYS |= {IMAGE_TYPE, SERIES_DESCRIPTION, BURNED_IN, MODALITY, MANUFACTURER}
_TOP = _KEYS | SHAPE_TAGS | {ENCAPSULATED_DOCUMENT}
_IMAGE = "1.2.840.10008.5.1.4.1.1."
# Ultrasound, secondary capture, visible light: images that habitually carry text in their pixels.
_RISKY = tuple(_IMAGE + kind for kind in ("3", "3.1", "6", "6.1", "6.2", "7", "7.1", "7.2", "7.3", "7.4"))
_VISIBLE_LIGHT = _IMAGE + "77."
_RISKY_WORDS = re.compile(r"SCREEN[ _]?S|SCREENSHOT|CAPTURE|DOSE|REPORT|PROTOCOL|PROT\b|\bSUMMARY", re.IGNORECASE)
_DEFAULT_CHARSET = ("latin-1",)
_MAKER_MIN = 4  # letters of a line that can be a maker's name
_IDENTITY_MAX = 1 << 16  # bytes of one value; what identifies a patient is never that long
_REPORTS, _ENCAPSULATED = _IMAGE + "88.", _IMAGE + "104."  # structured reports and key object selections; documents
CODE_VALUE, CONTENT_UID = 0x00080100, 0x0040A124
_DEVICE_UIDS = frozenset({b"121012", b"121198"})  # Device Observer UID, Device Subject UID (PS3.15 Table E.3.4-1)


@dataclass(slots=True, kw_only=True)
class Facts:
    """What one Data Set said. ``concern`` is why it may not leave although it is whole, with the tag that says so."""

    keys: dict[int, str] = field(default_factory=dict, repr=False)
    identity: set[Identity] = field(default_factory=set, repr=False)
    tags: set[int] = field(default_factory=set)  # of all standard Attributes, at any depth
    shape: dict[int, int] = field(default_factory=dict)
    photometric: str = ""
    document: int | None = None
    overlay: int | None = None  # the tag that says that an overlay lies in unused bits of the pixels
    has_pixels: bool = False
    concern: Reason | None = None
    concern_detail: str = ""

    def add(self, other: Facts) -> None:
        """Takes over what another part of the same Data Set said."""
        self.keys.update(other.keys)
        self.identity.update(other.identity)
        self.tags.update(other.tags)
        self.shape.update(other.shape)
        self.photometric = other.photometric or self.photometric
        self.note(other.document)
        self.overlay = other.overlay if other.overlay is not None else self.overlay

    def note(self, document: int | None) -> None:
        """Takes the tag of content that is a document. What is encapsulated stands over what is structured."""
        if self.document != ENCAPSULATED_DOCUMENT and document is not None:
            self.document = document


class Seen(NamedTuple):
    """What one part of a Data Set said, and how text is to be read from its end on."""

    facts: Facts
    charset: tuple[str, ...]


class FactReader:
    """Reads the facts of one file. ``repeats`` may be shared by the files of a batch."""

    def __init__(self, window: Window, head: Head, repeats: Repeats[Seen] | None = None) -> None:
        self._window = window
        self._head = head
        self._repeats = repeats or Repeats[Seen]()
        self._ends: Ends = {}
        self._code = b""  # the last code's value: in a Content Item the concept stands before what is said of it
        self.facts = Facts()

    def read(self) -> Facts:
        """All facts; refuses what is truncated, malformed or lacks a UID."""
        facts = self.facts
        self._walk()
        for tag in (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES):
            if not facts.keys.get(tag):
                raise Refused(Reason.MISSING_UID, tag_text(tag))
            if "\\" in facts.keys[tag]:
                raise Refused(Reason.MALFORMED, tag_text(tag))
        facts.concern, facts.concern_detail = _concern(facts)
        # An institution that is called like the maker of its device is the maker, and the maker's name stays.
        maker = _letters(facts.keys.get(MANUFACTURER, ""))
        facts.identity = {known for one in facts.identity if (known := _without(maker, one)) is not None}
        if identity.are_too_many(facts.identity) or are_too_many(facts.tags):
            raise Refused(Reason.TOO_LARGE)
        return facts

    def _walk(self) -> None:
        """The top level, part by part."""
        head = self._head
        charset: tuple[str, ...] = _DEFAULT_CHARSET
        tags: list[int] = []
        for part in self._repeats.walk(self._window, head.start, head.encoding, self._ends):
            tags.extend(part.tags)
            if part.tags[0] in PIXEL_TAGS:
                self._pixels(part.found[0])
                break
            said = part.memo
            if said is None:
                said = self._part(part.found, head.encoding, charset)
                if part.fixed is not None:
                    part.memo = said
            self.facts.add(said.facts)
            charset = said.charset
        if len(set(tags)) != len(tags):
            raise Refused(Reason.MALFORMED, tag_text(next(tag for tag, number in Counter(tags).items() if number > 1)))

    def _part(self, found: Sequence[Element], encoding: Encoding, charset: tuple[str, ...]) -> Seen:
        whole, self.facts = self.facts, Facts()
        try:
            for one in found:
                charset = self._element(one, encoding, 0, charset)
            return Seen(self.facts, charset)
        finally:
            self.facts = whole

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

    def _element(self, found: Element, encoding: Encoding, depth: int, charset: tuple[str, ...]) -> tuple[str, ...]:
        """One element, at any depth; gives the character set of those that follow."""
        tag, vr, _, value, value_end, _ = found
        if not tag & 0x10000:
            self.facts.tags.add(tag)
        if vr == "SQ" or (vr == "UN" and (is_sequence(found) or vr_of(tag) == "SQ")):
            self._sequence(found, encoding, depth, charset)
        elif value != value_end:
            if tag == CHARACTER_SET:
                charset = self._charset(found)
            if tag == CODE_VALUE:
                self._code = self._window.bytes(value, min(value_end, value + 16)).strip(b" \0")
            kind = identity.kind_of(tag, vr)
            if tag == CONTENT_UID and self._code in _DEVICE_UIDS:
                kind = "device"
            if kind is not None:
                if value_end - value > _IDENTITY_MAX:
                    raise Refused(Reason.TOO_LARGE, tag_text(tag))  # The gate would not know what to search for.
                raw = self._window.bytes(value, value_end)
                self.facts.identity.update(identity.values(kind, raw, charset))
            if depth == 0 and (tag in _TOP or (tag >> 24 == 0x60 and tag & 0xFFFF == OVERLAY_BIT_POSITION)):
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

    def _sequence(self, found: Element, encoding: Encoding, depth: int, charset: tuple[str, ...]) -> None:
        if depth == 0 and found.tag == CONTENT_SEQUENCE:
            self.facts.note(found.tag)
        inside = item_encoding(found, encoding)
        try:
            for begin, end in items(self._window, found, inside, self._ends, depth + 1):
                self._data_set(begin, end, inside, depth + 1, charset)
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
            number = _number(raw, "IS" if tag == 0x00280008 else "US", encoding)
            if number is not None:
                self.facts.shape[tag] = number
        elif tag == ENCAPSULATED_DOCUMENT:
            self.facts.note(tag)
        elif any(self._window.bytes(found.value, min(found.value_end, found.value + 2))):
            self.facts.overlay = tag

    def _pixels(self, found: Element) -> None:
        self.facts.has_pixels = True
        if found.vr not in PIXEL_VRS[found.tag]:
            raise Refused(Reason.MALFORMED, tag_text(found.tag))
        encapsulated = is_encapsulated(self._head.transfer_syntax)
        if is_fragmented(found) != encapsulated and found.value_end > found.value:
            raise Refused(Reason.UNSUPPORTED, tag_text(found.tag))
        if not encapsulated:
            check_native(found, self._window, self.facts.shape, self.facts.photometric)


def _without(maker: str, one: Identity) -> Identity | None:
    """What is left of a place where the maker's name is taken out of it, whole or as a line of the address."""
    if one.kind not in ("place", "institution", "station"):
        return one
    if _letters(one.text) in maker:
        return None
    lines = one.text.split(",")
    left = [line for line in lines if len(_letters(line)) < _MAKER_MIN or _letters(line) not in maker]
    return one if len(left) == len(lines) else Identity(one.kind, ",".join(left).strip())


def _letters(text: str) -> str:
    """A name of a firm as it is compared: "G.E. Medical" is "GE MEDICAL"."""
    return "".join(filter(str.isalnum, text.casefold()))


def _number(raw: bytes, vr: str, encoding: Encoding) -> int | None:
    """One number of VR US or IS, or None."""
    if vr == "US":
        return int.from_bytes(raw[:2], "little" if encoding.little else "big") if len(raw) >= 2 else None
    text = text_of(raw).split("\\")[0].strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _concern(facts: Facts) -> tuple[Reason | None, str]:
    """Why the profile cannot clean this object, or why its pixels are at risk.

    The tag of Content Sequence alone means that an option can clean it: where pixels are at risk too, it cannot.
    """
    sop_class = facts.keys[SOP_CLASS]
    if registered_uids().get(sop_class) != "SOP Class" or sop_class.startswith(_ENCAPSULATED):
        return Reason.NEEDS_POLICY, tag_text(SOP_CLASS)
    if facts.document == ENCAPSULATED_DOCUMENT:
        return Reason.NEEDS_POLICY, tag_text(ENCAPSULATED_DOCUMENT)
    risk, detail = _pixel_concern(facts, sop_class)
    if facts.document is not None or sop_class.startswith(_REPORTS):
        return Reason.NEEDS_POLICY, tag_text(CONTENT_SEQUENCE if risk is None else SOP_CLASS)
    return risk, detail


def _pixel_concern(facts: Facts, sop_class: str) -> tuple[Reason | None, str]:
    burned_in = facts.keys.get(BURNED_IN, "").upper()
    if facts.has_pixels and facts.overlay is not None:
        return Reason.PIXEL_RISK, tag_text(facts.overlay)
    if not facts.has_pixels or burned_in == "NO":
        return None, ""
    if burned_in == "YES":
        return Reason.PIXEL_RISK, tag_text(BURNED_IN)
    if sop_class in _RISKY or sop_class.startswith(_VISIBLE_LIGHT) or facts.keys.get(MODALITY) in ("US", "IVUS"):
        return Reason.PIXEL_RISK, tag_text(SOP_CLASS)
    for tag in (IMAGE_TYPE, SERIES_DESCRIPTION):
        if _RISKY_WORDS.search(facts.keys.get(tag, "")):
            return Reason.PIXEL_RISK, tag_text(tag)
    return None, ""
