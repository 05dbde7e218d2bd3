"""What must be known of a file before anything is decided: its UIDs, what identifies its patient, and whether the
profile can clean this kind of object. ``fact_reader`` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from coatcheck.deid.elements import tag_text
from coatcheck.deid.standard import registered_uids
from coatcheck.model import Identity
from coatcheck.reasons import Reason

CHARACTER_SET, IMAGE_TYPE, SERIES_DESCRIPTION, BURNED_IN = 0x00080005, 0x00080008, 0x0008103E, 0x00280301
SOP_CLASS, SOP_INSTANCE, STUDY, SERIES, PATIENT_ID = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00100020
ISSUER = 0x00100021
ENCAPSULATED_DOCUMENT, CONTENT_SEQUENCE, MODALITY, MANUFACTURER = 0x00420011, 0x0040A730, 0x00080060, 0x00080070
_IMAGE = "1.2.840.10008.5.1.4.1.1."
# Ultrasound, secondary capture, visible light: images that habitually carry text in their pixels.
_RISKY = tuple(_IMAGE + kind for kind in ("3", "3.1", "6", "6.1", "6.2", "7", "7.1", "7.2", "7.3", "7.4"))
_VISIBLE_LIGHT = _IMAGE + "77."
_RISKY_WORDS = re.compile(r"SCREEN[ _]?S|SCREENSHOT|CAPTURE|DOSE|REPORT|PROTOCOL|PROT\b|\bSUMMARY", re.IGNORECASE)
_PLACES = frozenset({"place", "institution", "station"})
_MAKER_MIN = 4  # letters of a line that can be a maker's name
_REPORTS, _ENCAPSULATED = _IMAGE + "88.", _IMAGE + "104."  # structured reports and key object selections; documents


@dataclass(slots=True, kw_only=True)
class Facts:
    """What one Data Set said. ``concern`` is why it may not leave although it is whole, with the tag that says so."""

    keys: dict[int, str] = field(default_factory=dict, repr=False)
    own: set[Identity] = field(default_factory=set, repr=False)
    seen: set[int] = field(default_factory=set)  # the tags of standard Attributes
    common: frozenset[Identity] = field(default=frozenset(), repr=False)  # what was said in the files before, too
    tags: frozenset[int] = frozenset()  # of all standard Attributes, at any depth, once the file is read
    shape: dict[int, int] = field(default_factory=dict)
    photometric: str = ""
    document: int | None = None
    overlay: int | None = None  # the tag that says that an overlay lies in unused bits of the pixels
    has_pixels: bool = False
    concern: Reason | None = None
    concern_detail: str = ""

    @property
    def identity(self) -> frozenset[Identity]:
        """All that identifies the patient."""
        return self.common.union(self.own)

    def add(self, other: Facts) -> None:
        """Takes over what another part of the same Data Set said."""
        self.own.update(other.own)
        self.seen.update(other.seen)
        self.decide(other)

    def decide(self, other: Facts) -> None:
        """Takes over what decides what happens to the file."""
        self.keys.update(other.keys)
        self.shape.update(other.shape)
        self.photometric = other.photometric or self.photometric
        self.note(other.document)
        self.overlay = self.overlay if other.overlay is None else min(other.overlay, self.overlay or other.overlay)

    def note(self, document: int | None) -> None:
        """Takes the tag of content that is a document. What is encapsulated stands over what is structured."""
        if self.document != ENCAPSULATED_DOCUMENT and document is not None:
            self.document = document


def without_maker(maker: str, found: Iterable[Identity]) -> frozenset[Identity]:
    """Identities without the maker of the device: an institution that is called like it is the maker, whose name stays.

    ``maker`` is given by :func:`letters`.
    """
    left = (one if one.kind not in _PLACES else _without_maker(maker, one) for one in found)
    return frozenset(one for one in left if one is not None)


@lru_cache(maxsize=4096)
def _without_maker(maker: str, one: Identity) -> Identity | None:
    """What is left of a place where the maker's name is taken out of it, whole or as a line of the address."""
    if letters(one.text) in maker:
        return None
    lines = one.text.split(",")
    left = [line for line in lines if len(letters(line)) < _MAKER_MIN or letters(line) not in maker]
    return one if len(left) == len(lines) else Identity(one.kind, ",".join(left).strip())


@lru_cache(maxsize=256)
def letters(text: str) -> str:
    """A name of a firm as it is compared: "G.E. Medical" is "GE MEDICAL"."""
    return "".join(filter(str.isalnum, text.casefold()))


def concern(facts: Facts) -> tuple[Reason | None, str]:
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
