"""Numbers, dates, times, ages and UIDs as text: what PS3.5 6.2 allows for one value of a VR."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal, localcontext

_INTEGER = re.compile(r"[+-]?\d{1,11}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[Ee][+-]?\d+)?", re.ASCII)
_UID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+", re.ASCII)
_AGE = re.compile(r"\d{3}[DWMY]", re.ASCII)
_DATE = re.compile(r"\d{8}", re.ASCII)
_CLOCK = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
_TIME = re.compile(_CLOCK, re.ASCII)
_DATE_TIME = re.compile(rf"(\d{{4}})(?:(\d\d)(?:(\d\d)(?:{_CLOCK})?)?)?([+-]\d{{4}})?", re.ASCII)
_OFFSET = re.compile(r"\+(?:0\d|1[0-3])[0-5]\d|\+1400|-(?:0\d|1[01])[0-5]\d|-1200", re.ASCII)
_LARGEST_EXPONENT = 400  # beyond any double, and small enough for exact arithmetic
DS_LENGTH = 16


def formed(text: str, vr: str) -> bytes | None:
    """A text without padding as one value of a VR that has a form; None where it has not that form."""
    form = FORMS.get(vr)
    shaped = None if form is None else form(text)
    return None if shaped is None else shaped.encode("ascii")


def number(text: str) -> Decimal | None:
    """A decimal number, or None where a text is none or too large for any use."""
    if len(text) > 64 or not _DECIMAL.fullmatch(text):
        return None
    with localcontext() as context:
        context.clear_traps()
        found = Decimal(text)
    return found if found.is_finite() and abs(found.adjusted()) <= _LARGEST_EXPONENT else None


def decimal_string(value: Decimal) -> str:
    """A finite number as a DS: all of its digits where 16 characters hold them, and else as many as they do."""
    if abs(value.adjusted()) < DS_LENGTH and len(plain := f"{value:f}") <= DS_LENGTH:
        return plain
    pairs = ((f"{value:.{digits}g}", f"{value:.{digits - 1}e}") for digits in range(DS_LENGTH, 0, -1))
    shorter = (one for pair in pairs for one in pair)
    return next((one for one in shorter if len(one) <= DS_LENGTH), "0")


def is_date(text: str) -> bool:
    """Whether these 8 digits are a day of the calendar."""
    try:
        return bool(_DATE.fullmatch(text)) and bool(datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])))
    except ValueError:
        return False


def _whole(text: str) -> str | None:
    short = text if len(text) <= 12 else ""
    return short if _INTEGER.fullmatch(short) and -(2**31) <= int(short) < 2**31 else None


def _decimal(text: str) -> str | None:
    if len(text) <= DS_LENGTH and _DECIMAL.fullmatch(text):
        return text
    found = number(text)
    return None if found is None else decimal_string(found)


def _date(text: str) -> str | None:
    return text if is_date(text) else None


def _date_time(text: str) -> str | None:
    match = _DATE_TIME.fullmatch(text)
    if match is None or len(text) > 26:
        return None
    year, month, day, offset = match.groups()
    if not is_date(year + (month or "01") + (day or "01")):
        return None
    right = offset is None or (offset != "-0000" and _OFFSET.fullmatch(offset))
    return text if right else None


def _matching(pattern: re.Pattern[str], longest: int) -> Callable[[str], str | None]:
    def form(text: str) -> str | None:
        return text if len(text) <= longest and pattern.fullmatch(text) else None

    return form


FORMS: dict[str, Callable[[str], str | None]] = {
    "AS": _matching(_AGE, 4),
    "DA": _date,
    "DS": _decimal,
    "DT": _date_time,
    "IS": _whole,
    "TM": _matching(_TIME, 14),
    "UI": _matching(_UID, 64),
}
"""What makes one value of a VR, or None, from a text without padding."""
