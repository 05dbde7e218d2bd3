"""Dates moved by whole days (PS3.5 6.2 DA, DT), with everything that real files hold: partial dates, ranges, fractions,
offsets, the old form with dots. A partial date moves as its first day would and stays as partial as it was.

``None`` means that a value cannot be understood, so that the caller falls back to what needs no understanding.
"""

from __future__ import annotations

import datetime
import re

_DATE = re.compile(r"(\d{4})(?:([.\-/]?)(\d{2})(?:\2(\d{2}))?)?", re.ASCII)
_TIMED = re.compile(r"(\d{4,8})((?:\d{2}){0,3}(?:(?<=\d{14})\.\d{1,6})?)([+-](?:0\d|1[0-4])[0-5]\d)?", re.ASCII)


def _shift_date(text: str, days: int) -> str | None:
    """One date YYYY[MM[DD]], separators of old forms taken out."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, _, month, day = match.groups()
    try:
        moved = datetime.date(int(year), int(month or 1), int(day or 1)) + datetime.timedelta(days)
    except (ValueError, OverflowError):
        return None
    whole = (f"{moved.year:04d}", f"{moved.month:02d}", f"{moved.day:02d}")
    return "".join(whole[: 1 + (month is not None) + (day is not None)])


def _shift_timed(text: str, days: int) -> str | None:
    """One date and time YYYY[MM[DD[HH[MM[SS[.F]]]]]][±ZZXX]; the clock and the offset stay."""
    match = _TIMED.fullmatch(text)
    if match is None:
        return None
    date, clock, offset = match.groups()
    if clock and len(date) != 8:
        return None
    moved = _shift_date(date, days)
    return None if moved is None else moved + clock + (offset or "")


def _shift_range(text: str, days: int, timed: bool) -> str | None:
    """A value or a range A-B, A-, -B (PS3.4 C.2.2.2.5)."""
    shift = _shift_timed if timed else _shift_date
    if not text:
        return ""
    single = shift(text, days)
    if single is not None:
        return single
    for place in (index for index, letter in enumerate(text) if letter == "-"):
        ends = [shift(end, days) if end else "" for end in (text[:place].strip(), text[place + 1 :].strip())]
        if any(ends) and None not in ends:
            return f"{ends[0]}-{ends[1]}"
    return None


def shift(value: str, days: int, *, timed: bool) -> str | None:
    """All values of a DA (or, ``timed``, a DT) moved by ``days``; blank ones stay blank."""
    moved = [_shift_range(one.strip(" \0"), days, timed) for one in value.split("\\")]
    return None if None in moved else "\\".join(one or "" for one in moved)


_AGE = re.compile(r"(\d{3})([DWMY])", re.ASCII)
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}


def cap_age(value: str) -> str | None:
    """Ages (AS, PS3.5 6.2) with those over 89 years told as 090Y; None where a value is not an age."""
    capped = []
    for one in value.split("\\"):
        text = one.strip(" \0")
        match = _AGE.fullmatch(text)
        if text and match is None:
            return None
        over = match is not None and int(match[1]) / _PER_YEAR[match[2]] >= 90
        capped.append("090Y" if over else text)
    return "\\".join(capped)
