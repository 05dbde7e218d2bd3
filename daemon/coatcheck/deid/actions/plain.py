"""The actions that need no settings, which are all that the standard's tables need. What comes out is ASCII, so it fits
every character set (PS3.5 6.1.1).
"""

from __future__ import annotations

import re

from coatcheck.deid import dates, pseudonyms
from coatcheck.deid.actions.context import Context

_DUMMIES = {
    "AE": b"REMOVED",
    "AS": b"000Y",
    "CS": b"REMOVED",
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "IS": b"0",
    "LT": b"REMOVED",
    "ST": b"REMOVED",
    "TM": b"000000",
    "UR": b"http://invalid.invalid/",
    "UT": b"REMOVED",
}
# PS3.5 6.2 TM, with the colons of its old form and with ranges; PS3.3 C.12.1.1.8 for offsets.
_TIME = rb"(?: *\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)? *)"
_TIMES = re.compile(rb"(?:%b?(?:-%b?)?|[+-]\d{4} *)(?:\\(?:%b?(?:-%b?)?))*\0?" % (_TIME, _TIME, _TIME, _TIME))
_ZEROS = {"US": 2, "SS": 2, "OB": 2, "OW": 2, "UN": 2, "FD": 8, "OD": 8, "SV": 8, "UV": 8, "OV": 8}


def remove(value: bytes, vr: str, context: Context) -> bytes | None:
    """X: the element goes."""
    return None


def empty(value: bytes, vr: str, context: Context) -> bytes | None:
    """Z: the element stays without a value."""
    return b""


def dummy(value: bytes, vr: str, context: Context) -> bytes | None:
    """D: a value that is legal for the VR (PS3.5 6.2). Short texts and names get a keyed pseudonym, so that equal
    values stay equal; all others a constant."""
    if vr in ("LO", "SH", "PN", "UC"):
        return pseudonyms.pseudonym(context.secret, value.decode("latin-1").strip(" \0")).encode()
    return _DUMMIES.get(vr) or bytes(_ZEROS.get(vr, 4))


def uid(value: bytes, vr: str, context: Context) -> bytes | None:
    """U: each UID becomes its keyed one; registered ones stay, empty ones stay empty."""
    originals = (one.strip(" \0") for one in value.decode("latin-1").split("\\"))
    return "\\".join(context.uid(one) if one else "" for one in originals).encode("ascii")


def subject(value: bytes, vr: str, context: Context) -> bytes | None:
    """The Study's subject."""
    return context.subject.encode("ascii")


def shift_date(value: bytes, vr: str, context: Context) -> bytes | None:
    """Every date of a DA or DT moved by the Study's days; None where one is not a date."""
    moved = dates.shift(value.decode("latin-1"), context.shift_days, timed=vr == "DT")
    return None if moved is None else moved.encode("ascii")


def keep_time(value: bytes, vr: str, context: Context) -> bytes | None:
    """Times of the day (TM) and offsets from UTC as they are; None where one is neither."""
    return value.strip(b" \0") if _TIMES.fullmatch(value) else None


def cap_age(value: bytes, vr: str, context: Context) -> bytes | None:
    """Ages over 89 years become 090Y; None where one is not an age."""
    capped = dates.cap_age(value.decode("latin-1"))
    return None if capped is None else capped.encode("ascii")


def keep(value: bytes, vr: str, context: Context) -> bytes | None:
    """K: the value as it is."""
    return value
