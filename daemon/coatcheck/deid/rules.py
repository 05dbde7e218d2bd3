"""From the standard's tables to one rule for each Data Element: which action, and which row of which table decided.

Composed as PS3.15 E.1 does: what stands outside the tables is treated by its group and VR, the Basic Profile's rows
come over that, and the options' columns over those. What no rule allows is removed. A profile's own rules come later,
in ``plan``.
"""

from __future__ import annotations

from typing import NamedTuple

from coatcheck.deid import standard
from coatcheck.deid.actions import KINDS, Do
from coatcheck.deid.dictionary import is_retired, vrs_of
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.profile import FULL_DATES, MODIFIED_DATES, Profile
from coatcheck.deid.repeats import CHARACTER_SET

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
IDENTITY_REMOVED, METHOD, METHOD_CODES, TEMPORAL = 0x00120062, 0x00120063, 0x00120064, 0x00280303
STAMPS = (PATIENT_NAME, PATIENT_ID, IDENTITY_REMOVED, METHOD, METHOD_CODES, TEMPORAL)


class Rule(NamedTuple):
    """What to do with an element, what to do where that cannot be done to its value, and what decided.

    ``do`` is the action itself where it has settings. ``permits`` says that an option or a profile's own rule lets the
    value stand here although it identifies somebody, so that the gate does not refuse it.
    """

    action: str
    fallback: str
    origin: str
    do: Do | None = None
    permits: bool = False


def rule_of(action: str, origin: str, fallback: str = "remove") -> Rule:
    """A rule whose action has no settings."""
    return Rule(action, fallback, origin)


PRIVATE = rule_of("remove", "PS3.15 Table E.1-1, private Attributes: X")
UNKNOWN = rule_of("remove", "not in PS3.6: removed")
REPEATING = rule_of("remove", "PS3.15 Table E.1-1, overlays and curves: the whole group goes")
OUTSIDE = rule_of("remove", "no part of a stored Data Set (group 0000, 0002, 0004 or 0006, or a group length)")
CONTRADICTION = rule_of("remove", "the VR in the file contradicts PS3.6")
RETIRED_TEXT = rule_of("remove", "retired text outside Table E.1-1")
FREE_TEXT = rule_of("remove", "free text outside Table E.1-1")
CLEANED_TEXT = rule_of("clean-text", "free text outside Table E.1-1, clean-descriptors")
UNLISTED = rule_of("remove", "not in Table E.1-1, and the profile says `unlisted: remove`")
NAMED = rule_of("remove", "coatcheck: identifies although it is not in Table E.1-1")
KEEP = rule_of("keep", "not in Table E.1-1: kept")

_OUTSIDE_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0x0006, 0xFFFC, 0xFFFE})
_FREE_TEXT = frozenset({"LO", "LT", "SH", "ST", "UC", "UT", "UR", "AE", "UN", "OB"})
_LONG_TEXT = frozenset({"LT", "ST", "UC", "UR", "UT"})
# Long texts that codes are made of, and what names a coding scheme (PS3.3 Table 8.8-1, C.12.1.1.7); nobody types them.
_CODES = frozenset({0x00080119, 0x00080120, 0x0008010E, 0x00080114, 0x00080115})
# What Table E.1-1 does not name and what identifies all the same.
_NAMED = frozenset(
    {
        0x00100033,  # Patient's Birth Date in Alternative Calendar
        0x00100034,  # Patient's Death Date in Alternative Calendar
        0x00100035,  # Patient's Alternative Calendar
        0x00102295,  # Breed Registration Number
        0x00181801,  # Time Source
        0x00181803,  # NTP Source Address
        0x21000160,  # Owner ID
        0x04000500,  # Encrypted Attributes Sequence: the identity, sealed for others by an earlier pass
        0x04000510,  # Encrypted Content Transfer Syntax UID
        0x04000520,  # Encrypted Content
    }
)
# VRs that can stand for each other without a doubt about what the value is.
_KINDS = ("AE CS LO SH ST LT UT UC UR", "DS IS", "US SS UL SL FL FD AT SV UV", "OB OW OF OD OL OV", "UN")
_KIND_OF = {vr: kind for kind in _KINDS for vr in kind.split()}

_BY_VR = {
    "DA": rule_of("dummy", "a date outside Table E.1-1, by its VR"),
    "DT": rule_of("dummy", "a date outside Table E.1-1, by its VR"),
    "TM": rule_of("dummy", "a time outside Table E.1-1, by its VR"),
    "PN": rule_of("dummy", "a name outside Table E.1-1, by its VR"),
    "UI": rule_of("uid", "a UID outside Table E.1-1, by its VR"),
    "AS": rule_of("cap-age", "an age outside Table E.1-1, by its VR"),
}
_BY_VR_DATES = {
    "DA": rule_of("shift-date", "a date outside Table E.1-1, by its VR", "dummy"),
    "DT": rule_of("shift-date", "a date outside Table E.1-1, by its VR", "dummy"),
    "TM": rule_of("keep-time", "a time outside Table E.1-1: its day is shifted", "dummy"),
}
_BY_VR_FULL = {
    vr: rule_of("keep", "a date or time outside Table E.1-1: dates are retained") for vr in ("DA", "DT", "TM")
}
_KEPT_UID = rule_of("keep", "a UID outside Table E.1-1: UIDs are retained")
SOP_CLASS = 0x00080016
FIXED = {
    SOP_CLASS: rule_of("keep", "coatcheck: without its SOP Class an object is none"),
    PATIENT_NAME: rule_of("subject", "coatcheck: Patient's Name becomes the subject"),
    PATIENT_ID: rule_of("subject", "coatcheck: Patient ID becomes the subject"),
    IDENTITY_REMOVED: rule_of("remove", "written anew (PS3.15 E.1.1)"),
    METHOD: rule_of("remove", "written anew (PS3.15 E.1.1)"),
    METHOD_CODES: rule_of("remove", "written anew (PS3.15 E.1.1)"),
    TEMPORAL: rule_of("remove", "written anew (PS3.15 E.3.6)"),
}
_PLAIN = {"X": "remove", "Z": "empty", "D": "dummy", "K": "keep", "U": "uid"}
# Compound codes by the Attribute's Type (PS3.15 Table E.1-1a). Type 2 under X/D takes D: removing breaks the IOD, and a
# dummy is always legal. Type 1C and 2C: what is present stays present, so that no condition needs to be evaluated.
_COMPOUND = {
    "Z/D": ("dummy", "empty", "empty"),
    "X/Z": ("empty", "empty", "remove"),
    "X/D": ("dummy", "dummy", "remove"),
    "X/Z/D": ("dummy", "empty", "remove"),
    "X/Z/U*": ("keep", "empty", "remove"),
}


def _compound(code: str, kind: str | None) -> str:
    """The action for a compound code. An unknown IOD (None) gets the one that is legal for every Type."""
    required, empty_allowed, optional = _COMPOUND[code]
    if kind is None or kind[0] == "1":
        return required
    return empty_allowed if kind[0] == "2" else optional


def by_vr(profile: Profile) -> dict[str, Rule]:
    """The rules for what stands in no table and is understood by its VR alone."""
    rules = dict(_BY_VR)
    if MODIFIED_DATES in profile.options:
        rules |= _BY_VR_DATES
    if FULL_DATES in profile.options:
        rules |= _BY_VR_FULL
    if profile.retains_uids:
        rules["UI"] = _KEPT_UID
    return rules


class Tables:
    """The rules that the standard's tables give the objects of one IOD under a profile's options."""

    def __init__(self, profile: Profile, sop_class: str) -> None:
        self.iod = standard.iods_of(sop_class)
        self._profile = profile
        self._by_vr = by_vr(profile)
        self._rows = standard.annex_e()
        self._free_text = CLEANED_TEXT if "clean-descriptors" in profile.options else FREE_TEXT

    def rule(self, tag: int, vr: str, path: tuple[int, ...]) -> Rule:
        """The rule for a standard Attribute with the VR that the file gives it, inside the sequences of ``path``."""
        if tag in FIXED and not (tag == SOP_CLASS and path):  # inside a sequence it is a UID like others
            return FIXED[tag]
        group = tag >> 16
        if group in _OUTSIDE_GROUPS or tag & 0xFFFF == 0:
            return OUTSIDE
        if group >> 8 in (0x50, 0x60):
            return REPEATING
        row = self._rows.get(tag)
        allowed = vrs_of(tag) or ((row.vr,) if row and row.vr else ())
        if row is not None:
            rule = self._listed(row, allowed[0] if allowed else vr, tag, path)
            return rule._replace(action=rule.fallback) if rule.action == "keep" and contradicts(vr, allowed) else rule
        if not allowed:
            return UNKNOWN
        return self._unlisted(tag, vr, allowed)

    def kind(self, tag: int, path: tuple[int, ...]) -> str | None:
        """The Attribute's Type (PS3.5 7.4) as far as it is known; None for an object of an unknown IOD."""
        return None if self.iod is None else standard.attribute_type(self.iod, path, tag)

    def _listed(self, row: standard.Row, vr: str, tag: int, path: tuple[int, ...]) -> Rule:
        """A row of Table E.1-1: its Basic code, or an option's where that says otherwise."""
        kind = self.kind(tag, path)
        basic = _PLAIN.get(row.basic) or _compound(row.basic, kind)
        if basic == "dummy" and vr == "UI":
            basic = "uid"
        named = f"PS3.15 Table E.1-1, {row.keyword or row.tag}"
        resolved = "" if row.basic in _PLAIN else f" (Type {kind or 'unknown'}: {basic})"
        rule = rule_of(basic, f"{named}: {row.basic}{resolved}", "remove" if basic == "keep" else basic)
        for option in self._profile.options:
            code = row.options.get(option)
            action = _with_option(option, code, vr) if code else None
            if action is not None:
                rule = rule_of(action, f"{named}, {option}: {code}", basic)._replace(permits=code == "K")
        return rule

    def _unlisted(self, tag: int, vr: str, allowed: tuple[str, ...]) -> Rule:
        """An Attribute of PS3.6 outside Table E.1-1: dates, times, names, UIDs and ages by VR; the rest stays."""
        if contradicts(vr, allowed):
            return CONTRADICTION
        if tag in _NAMED or tag >> 16 == 0x4010:  # 4010: security screening of luggage and people
            return NAMED
        if self._profile.unlisted == "remove" and tag not in PIXEL_TAGS and tag != CHARACTER_SET:
            return UNLISTED
        if allowed[0] in self._by_vr:
            return self._by_vr[allowed[0]]
        if is_retired(tag) and allowed[0] in _FREE_TEXT:
            return RETIRED_TEXT
        return self._free_text if allowed[0] in _LONG_TEXT and tag not in _CODES else KEEP


def contradicts(vr: str, allowed: tuple[str, ...]) -> bool:
    """Whether a VR in a file is of another kind than those of PS3.6; UN is of every kind."""
    if vr in allowed or vr == "UN":
        return False
    return _KIND_OF.get(vr, vr) not in {_KIND_OF.get(one, one) for one in allowed}


def _with_option(option: str, code: str, vr: str) -> str | None:
    """The action for an option's code; None where it leaves the Basic Profile's in force.

    Clean (C) keeps a sequence, with all rules inside, and takes identity out of text. What is neither text nor a date
    cannot be cleaned by machine: overlays and other bytes stay as the Basic Profile has them.
    """
    if option == MODIFIED_DATES:
        if vr in ("DA", "DT"):
            return "shift-date"
        return "keep-time" if vr in ("TM", "SH") else None  # SH: Timezone Offset From UTC
    if code == "K":
        return "cap-age" if vr == "AS" else "keep"
    if vr == "SQ":
        return "keep"
    return "clean-text" if vr in KINDS["clean-text"].vrs else None
