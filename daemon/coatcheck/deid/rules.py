"""From a profile to one rule for each Data Element: which action, and which row of which table decided.

Composed as PS3.15 E.1 does: what stands outside the tables is treated by its group and VR, the Basic Profile's rows
come over that, the options' columns over those, and what coatcheck promises for every profile over all. What no rule
allows is removed.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from coatcheck.deid import standard
from coatcheck.deid.dictionary import is_retired, vrs_of
from coatcheck.deid.profile import Profile

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
IDENTITY_REMOVED, METHOD, METHOD_CODES, TEMPORAL = 0x00120062, 0x00120063, 0x00120064, 0x00280303
STAMPS = (PATIENT_NAME, PATIENT_ID, IDENTITY_REMOVED, METHOD, METHOD_CODES, TEMPORAL)


class Rule(NamedTuple):
    """What to do with an element, what to do where that cannot be done to its value, and what decided."""

    action: str
    fallback: str
    origin: str


def _rule(action: str, origin: str, fallback: str = "remove") -> Rule:
    return Rule(action, fallback, origin)


PRIVATE = _rule("remove", "PS3.15 Table E.1-1, private Attributes: X")
UNKNOWN = _rule("remove", "not in PS3.6: removed")
REPEATING = _rule("remove", "PS3.15 Table E.1-1, overlays and curves: the whole group goes")
OUTSIDE = _rule("remove", "no part of a stored Data Set (group 0000, 0002, 0004 or 0006, or a group length)")
CONTRADICTION = _rule("remove", "the VR in the file contradicts PS3.6")
RETIRED_TEXT = _rule("remove", "retired text outside Table E.1-1")
KEEP = _rule("keep", "not in Table E.1-1: kept")

_OUTSIDE_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0x0006, 0xFFFC, 0xFFFE})
_FREE_TEXT = frozenset({"LO", "LT", "SH", "ST", "UC", "UT", "UR", "AE", "UN", "OB"})
# VRs that can stand for each other without a doubt about what the value is.
_KINDS = ("AE CS LO SH ST LT UT UC UR", "DS IS", "US SS UL SL FL FD AT SV UV", "OB OW OF OD OL OV", "UN")
_KIND_OF = {vr: kind for kind in _KINDS for vr in kind.split()}

_BY_VR = {
    "DA": _rule("dummy", "a date outside Table E.1-1, by its VR"),
    "DT": _rule("dummy", "a date outside Table E.1-1, by its VR"),
    "TM": _rule("dummy", "a time outside Table E.1-1, by its VR"),
    "PN": _rule("dummy", "a name outside Table E.1-1, by its VR"),
    "UI": _rule("uid", "a UID outside Table E.1-1, by its VR"),
    "AS": _rule("cap-age", "an age outside Table E.1-1, by its VR"),
}
_BY_VR_DATES = {
    "DA": _rule("shift-date", "a date outside Table E.1-1, by its VR", "dummy"),
    "DT": _rule("shift-date", "a date outside Table E.1-1, by its VR", "dummy"),
    "TM": _rule("keep-time", "a time outside Table E.1-1: its day is shifted", "dummy"),
}
_FIXED = {
    PATIENT_NAME: _rule("subject", "coatcheck: Patient's Name becomes the subject"),
    PATIENT_ID: _rule("subject", "coatcheck: Patient ID becomes the subject"),
    IDENTITY_REMOVED: _rule("remove", "written anew (PS3.15 E.1.1)"),
    METHOD: _rule("remove", "written anew (PS3.15 E.1.1)"),
    METHOD_CODES: _rule("remove", "written anew (PS3.15 E.1.1)"),
    TEMPORAL: _rule("remove", "written anew (PS3.15 E.3.6)"),
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
_CACHE_MAX = 50_000
_Key = TypeVar("_Key")


def _compound(code: str, kind: str | None) -> str:
    """The action for a compound code. An unknown IOD (None) gets the one that is legal for every Type."""
    required, empty_allowed, optional = _COMPOUND[code]
    if kind is None or kind[0] == "1":
        return required
    return empty_allowed if kind[0] == "2" else optional


class Plan:
    """The rules of one profile for the objects of one IOD. Look-ups are remembered, and bounded in number."""

    def __init__(self, profile: Profile, sop_class: str) -> None:
        self.profile = profile
        self.iod = standard.iods_of(sop_class)
        self._by_vr = {**_BY_VR, **(_BY_VR_DATES if profile.temporal_information == "MODIFIED" else {})}
        self._rows = standard.annex_e()
        self._plain: dict[tuple[int, str], Rule] = {}
        self._by_path: dict[tuple[tuple[int, ...], int, str], Rule] = {}

    def rule(self, tag: int, vr: str, path: tuple[int, ...]) -> Rule:
        """The rule for an element with this tag and the file's VR, inside the sequences of ``path``."""
        if tag & 0x10000:
            return PRIVATE
        known = self._plain.get((tag, vr))
        if known is not None:
            return known
        known = self._by_path.get((path, tag, vr))
        if known is not None:
            return known
        row = self._rows.get(tag)
        rule = self._decide(tag, vr, path, row)
        if row is not None and row.basic in _COMPOUND:
            _remember(self._by_path, (path, tag, vr), rule)
        else:
            _remember(self._plain, (tag, vr), rule)
        return rule

    def _decide(self, tag: int, vr: str, path: tuple[int, ...], row: standard.Row | None) -> Rule:
        if tag in _FIXED:
            return _FIXED[tag]
        group = tag >> 16
        if group in _OUTSIDE_GROUPS or tag & 0xFFFF == 0:
            return OUTSIDE
        if group >> 8 in (0x50, 0x60):
            return REPEATING
        allowed = vrs_of(tag) or ((row.vr,) if row and row.vr else ())
        if row is not None:
            rule = self._listed(row, allowed[0] if allowed else vr, tag, path)
            return rule._replace(action=rule.fallback) if rule.action == "keep" and _contradicts(vr, allowed) else rule
        if not allowed:
            return UNKNOWN
        return self._unlisted(tag, vr, allowed)

    def _listed(self, row: standard.Row, vr: str, tag: int, path: tuple[int, ...]) -> Rule:
        """A row of Table E.1-1: its Basic code, or an option's where that says otherwise."""
        kind = None if self.iod is None else standard.attribute_type(self.iod, path, tag)
        basic = _PLAIN.get(row.basic) or _compound(row.basic, kind)
        if basic == "dummy" and vr == "UI":
            basic = "uid"
        named = f"PS3.15 Table E.1-1, {row.keyword or row.tag}"
        resolved = "" if row.basic in _PLAIN else f" (Type {kind or 'unknown'}: {basic})"
        rule = _rule(basic, f"{named}: {row.basic}{resolved}", "remove" if basic == "keep" else basic)
        for option in self.profile.options:
            code = row.options.get(option)
            action = _with_option(option, code, vr, basic) if code else None
            if action is not None:
                rule = _rule(action, f"{named}, {option}: {code}", basic)
        return rule

    def _unlisted(self, tag: int, vr: str, allowed: tuple[str, ...]) -> Rule:
        """An Attribute of PS3.6 outside Table E.1-1: dates, times, names, UIDs and ages by VR; the rest stays."""
        if _contradicts(vr, allowed):
            return CONTRADICTION
        if allowed[0] in self._by_vr:
            return self._by_vr[allowed[0]]
        if is_retired(tag) and allowed[0] in _FREE_TEXT:
            return RETIRED_TEXT
        return KEEP


def _contradicts(vr: str, allowed: tuple[str, ...]) -> bool:
    """Whether a VR in a file is of another kind than those of PS3.6; UN is of every kind."""
    if vr in allowed or vr == "UN":
        return False
    return _KIND_OF.get(vr, vr) not in {_KIND_OF.get(one, one) for one in allowed}


def _remember(cache: dict[_Key, Rule], key: _Key, rule: Rule) -> None:
    if len(cache) >= _CACHE_MAX:
        cache.clear()
    cache[key] = rule


def _with_option(option: str, code: str, vr: str, basic: str) -> str | None:
    """The action for an option's code, or None where this version leaves the Basic Profile's action in force."""
    if option == "retain-longitudinal-modified-dates":
        if vr in ("DA", "DT"):
            return "shift-date"
        return "keep-time" if vr in ("TM", "SH") else None  # SH: Timezone Offset From UTC
    if code == "K":
        return "cap-age" if vr == "AS" else "keep"
    return None
