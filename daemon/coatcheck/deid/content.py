"""What becomes of one Content Item under the Clean Structured Content Option (PS3.15 E.3.4).

Its concept and its Value Type find the row of Table E.3.4-1, and the profile's other options change that row's code. A
concept outside the table is treated by its Value Type: names, dates and references as everywhere, text cleaned or
replaced, and numbers, codes, coordinates and containers stay. SNOMED concepts are known by their retired SRT codes too,
and those of retired and private schemes by the table's meaning; a listed concept whose value has another type is taken
for what it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from coatcheck.deid import standard
from coatcheck.deid.actions import Context
from coatcheck.deid.elements import tag_text
from coatcheck.deid.forms import decimal_string, number
from coatcheck.deid.profile import Profile
from coatcheck.deid.rules import Rule, rule_of
from coatcheck.reasons import Reason

CONTENT, CONTEXT, PREPARATION, ANNOTATION = 0x0040A730, 0x00400555, 0x00400610, 0x0040B020
MODIFIERS, STEP_ITEMS, PARAMETERS = 0x00400441, 0x00400612, 0x00400440
OPTION = "clean-structured-content"
ROOTS = frozenset({CONTENT, CONTEXT, PREPARATION, ANNOTATION})
"""The sequences of Table E.1-1 that the option keeps."""
ITEMS = frozenset({CONTENT, CONTEXT, ANNOTATION, MODIFIERS, STEP_ITEMS, PARAMETERS})
"""The sequences that are made of Content Items, inside of those."""
UIDREF = 0x0040A124
TEXT, ANNOTATED, NUMBER, MEASURED, CODED, REFERENCED = (
    0x0040A160,
    0x00700006,
    0x0040A30A,
    0x0040A300,
    0x0040A168,
    0x00081199,
)
VALUES = {
    "TEXT": (TEXT, "UT"),
    "PNAME": (0x0040A123, "PN"),
    "UIDREF": (UIDREF, "UI"),
    "DATE": (0x0040A121, "DA"),
    "TIME": (0x0040A122, "TM"),
    "DATETIME": (0x0040A120, "DT"),
    "CODE": (CODED, "SQ"),
    "NUM": (MEASURED, "SQ"),
    "IMAGE": (REFERENCED, "SQ"),
    "COMPOSITE": (REFERENCED, "SQ"),
    "WAVEFORM": (REFERENCED, "SQ"),
}
"""Where the value of each Value Type stands, and its VR (PS3.3 C.17.3)."""
# Numbers beside Numeric Value that say the same: they go where that does not stay as it is.
_MORE_NUMBERS = (0x0040A161, 0x0040A162, 0x0040A163)
_COORDINATES = frozenset({"SCOORD", "SCOORD3D", "TCOORD"})  # nothing without what they lie in (PS3.3 C.18.6, C.18.7)
_DATES = frozenset({"DATE", "TIME", "DATETIME"})
_TELLING = _DATES | {"TEXT", "PNAME", "UIDREF"}
_LISTED = _TELLING | {"NUM", "CODE"}
# SNOMED RT codes of the table's concepts (PS3.16 Annex L), and the designators that they go by.
_SNOMED_RT = {
    "PA-30029": "440252007",
    "DF-0070B": "398164008",
    "DF-0068E": "398325003",
    "R-42B89": "371524004",
    "DD-60002": "116224001",
    "F-00033": "271921002",
    "G-C0E3": "363698007",
    "F-02455": "160476009",
    "G-D321": "398201009",
    "G-D320": "397898000",
}
_RETIRED_SCHEMES = frozenset({"SRT", "SNM3", "99SDM"})
_BIRTH_CODES = frozenset({("21112-8", "LN"), ("184099003", "SCT")})
_BIRTH = re.compile(r"birth ?da(?:te|y)|date ?(?:time)? of birth")
_DUMMIES = {"UIDREF": "uid", "NUM": "empty", "IMAGE": "keep", "COMPOSITE": "keep", "WAVEFORM": "keep"}
_PER_YEAR = {"a": Decimal(1), "mo": Decimal(12), "wk": Decimal("52.18"), "d": Decimal("365.25")}  # UCUM
_OLDEST = 90
_AGE = "121033"


class Coded(NamedTuple):
    """A code that names a concept (PS3.3 8.8): its value, its scheme's designator and its meaning, stripped."""

    value: str
    scheme: str
    meaning: str


class Item(NamedTuple):
    """What decides over a Content Item: its concept with its equivalents, its Value Type, the unit of its number."""

    codes: tuple[Coded, ...]
    value_type: str
    unit: str = ""


class Content(NamedTuple):
    """What holds in one Content Item. ``rules`` are for its own elements and for those of its measured value.

    ``value`` is the tag and VR of what it says, None for an item that says nothing by itself. ``goes``: the item is
    removed with its value. ``holds``: none of the items below it goes.
    """

    rules: Mapping[int, Rule]
    value: tuple[int, str] | None
    goes: bool
    origin: str
    holds: bool = False


def cleans(profile: Profile, reason: Reason | None, detail: str) -> bool:
    """Whether an option cleans what intake was concerned about: a Content Sequence, and nothing else beside it."""
    return OPTION in profile.options and reason is Reason.NEEDS_POLICY and detail == tag_text(CONTENT)


def content_of(profile: Profile, item: Item, *, stays: bool = False) -> Content:
    """What the table and the options make of a Content Item. One that ``stays`` has a dummy where it would go."""
    value_type = item.value_type
    value = VALUES.get(value_type)
    action, origin = _decided(profile, item)
    if action == "remove" and stays:
        action, origin = _DUMMIES.get(value_type, "dummy"), f"{origin}; a dummy, because its place is needed"
    goes = action == "remove"
    if value is None or not action:
        return Content({}, value, goes, origin, value_type in _COORDINATES)
    rules = {value[0]: _rule(action, origin)}
    if value_type == "TEXT":
        rules[ANNOTATED] = rules[TEXT]
    if value_type == "NUM":
        rules |= _of_number(action, item, origin)
    return Content(rules, value, goes, origin)


def _rule(action: str, origin: str) -> Rule:
    """What cannot be cleaned or moved becomes a dummy: without a value an item would be no item."""
    return rule_of(action, origin, "dummy" if action in ("clean-text", "shift-date", "keep-time") else "remove")


def _of_number(action: str, item: Item, origin: str) -> dict[int, Rule]:
    """The rules for the numbers of a measured value, or of an item that holds its number itself."""
    years = _PER_YEAR.get(item.unit)
    if action == "keep" and years is not None and any(code.value == _AGE for code in item.codes):
        capped = Rule("cap-age", "dummy", f"{origin}; over 89 years as 90", CapYears(years))
        return {NUMBER: capped} | {tag: rule_of("remove", capped.origin) for tag in _MORE_NUMBERS}
    if action == "keep":
        return {}
    return {NUMBER: rule_of("dummy", origin)} | {tag: rule_of("remove", origin) for tag in _MORE_NUMBERS}


@dataclass(frozen=True, slots=True)
class CapYears:
    """Ages over 89 years as 90, in a unit of which so many are a year."""

    per_year: Decimal

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The number as it is, or 90 years; None where it is no number."""
        found = number(value.decode("latin-1").strip(" \0"))
        if found is None:
            return None
        oldest = _OLDEST * self.per_year
        return value.strip(b" \0") if found < oldest else decimal_string(oldest).encode("ascii")


def _decided(profile: Profile, item: Item) -> tuple[str, str]:
    """The action for the item's value and what decided; no action where the rules for elements decide."""
    found = _row_of(item)
    value_type = item.value_type
    if found is not None:
        return _by_row(profile, *found, value_type)
    if value_type in _DATES | {"TEXT"} and any(map(_is_birth, item.codes)):
        return "remove", "coatcheck: a date of birth outside Table E.3.4-1"
    origin = f"a {value_type or 'Content Item'} outside Table E.3.4-1"
    if value_type != "TEXT":
        return "", origin
    if "clean-descriptors" in profile.options:
        return "clean-text", f"{origin}, clean-descriptors"
    return "dummy", origin


def _by_row(profile: Profile, row: standard.ContentItem, options: bool, value_type: str) -> tuple[str, str]:
    """X/D is D: what is present stays present, so that no template needs to be known (as in Table E.1-1)."""
    origin = f"PS3.15 Table E.3.4-1, {row.meaning} ({row.value_type}): {row.basic}"
    origin += "" if row.value_type == value_type else f" (here a {value_type})"
    dummy = _DUMMIES.get(value_type, "dummy")
    action = "remove" if row.basic == "X" else dummy
    for option in profile.options if options else ():
        code = row.options.get(option)
        if code is None:
            continue
        origin += f", {option}: {code}"
        action = _KEPT.get(value_type, "keep") if code == "K" else _CLEANED.get(value_type, dummy)
    return action, origin


_KEPT = {"TEXT": "clean-text"}  # of all but what the option keeps: "Praxis Dr. Mallory" names more than a place
_CLEANED = {"TEXT": "clean-text", "DATE": "shift-date", "DATETIME": "shift-date", "TIME": "keep-time"}
Rows = Mapping[str, standard.ContentItem]  # of one concept, by Value Type


def _row_of(item: Item) -> tuple[standard.ContentItem, bool] | None:
    """The row for the item, and whether its options hold: for a value of another type only those of dates do."""
    value_type = item.value_type
    for rows in filter(None, map(_rows_of, item.codes)):
        if value_type in rows:
            return rows[value_type], True
        others = [row for row in rows.values() if row.value_type in _LISTED]
        if value_type in _TELLING and others:
            row = min(others, key=lambda one: (one.basic != "X", one.value_type))
            return row, value_type in _DATES and row.value_type in _DATES
    return None


def _rows_of(code: Coded) -> Rows | None:
    scheme = code.scheme.upper()
    by_code, by_meaning = _index()
    if scheme in _RETIRED_SCHEMES and code.value in _SNOMED_RT:
        return by_code[_SNOMED_RT[code.value], "SCT"]
    found = by_code.get((code.value, scheme))
    if found is None and (scheme in _RETIRED_SCHEMES or scheme.startswith("99") or not scheme):
        return by_meaning.get(code.meaning.casefold())
    return found


@cache
def _index() -> tuple[Mapping[tuple[str, str], Rows], Mapping[str, Rows]]:
    """The table by code and scheme, and by meaning."""
    by_code: dict[tuple[str, str], dict[str, standard.ContentItem]] = {}
    by_meaning: dict[str, dict[str, standard.ContentItem]] = {}
    for row in standard.content_items():
        by_code.setdefault((row.code, row.scheme.upper()), {})[row.value_type] = row
        by_meaning.setdefault(row.meaning.casefold(), {}).setdefault(row.value_type, row)
    return by_code, by_meaning


def _is_birth(code: Coded) -> bool:
    return (code.value, code.scheme.upper()) in _BIRTH_CODES or _BIRTH.search(code.meaning.casefold()) is not None
