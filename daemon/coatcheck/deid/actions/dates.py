"""Actions on dates, times of the day and ages: shifted, redacted, told less exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from coatcheck.deid import dates, forms, texts
from coatcheck.deid.actions import plain
from coatcheck.deid.actions.context import Context, Do
from coatcheck.deid.actions.numbers import NUMBERS, Bands
from coatcheck.deid.shifts import Shift

_DATE = re.compile(r"(?P<year>\d{4})(?:([.\-/]?)(?P<month>\d\d)(?:\2(?P<day>\d\d))?)?", re.ASCII)
_TIMED = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:\d\d){0,3}(?:(?<=\d{14})\.\d{1,6})?)?)?"
    r"(?:[+-](?:0\d|1[0-4])[0-5]\d)?",
    re.ASCII,
)
_PER_YEAR = {"D": Decimal("365.25"), "W": Decimal("52.18"), "M": Decimal(12), "Y": Decimal(1)}
_DAYS_IN = {"D": Decimal(1), "W": Decimal(7)}
_MONTH = Decimal("30.4375")
_CAPPED_FROM = 90


class Day(NamedTuple):
    """A date as far as it is known."""

    year: int
    month: int | None
    day: int | None


@dataclass(frozen=True, slots=True)
class ShiftDates:
    """Dates moved by a shift of their own; with None, as far as all other dates of the Study."""

    shift: Shift | None

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """Every date moved, times of the day as they are; None where one is neither."""
        if vr == "TM":
            return plain.keep_time(value, vr, context)
        shift = self.shift
        days = context.shift_days if shift is None else shift.days(context.secret, context.ids, context.project)
        moved = dates.shift(value.decode("latin-1"), days, timed=vr == "DT")
        return None if moved is None else moved.encode("ascii")


def scope(do: Do) -> frozenset[str]:
    """Whether a shift depends on the Series or on the Instance."""
    shift = do.shift if isinstance(do, ShiftDates) else None
    found = shift.scope if shift is not None and not shift.fixed else ""
    return frozenset({found}) & {"series", "instance"}


def redact(value: bytes, vr: str, context: Context) -> bytes | None:
    """Only the year of dates (YYYY0101, or YYYY with a time); no time of the day; ages over 89 as 090Y."""
    if vr == "TM":
        return b""
    if vr == "AS":
        return plain.cap_age(value, vr, context)
    return _coarser(value, vr, lambda day: Day(day.year, None, None))


@dataclass(frozen=True, slots=True)
class Generalise:
    """Dates told to the year, month or decade, or in bands of years; ages and numbers in bands, ages over 89 as 090Y.

    ``to`` is year, month, decade or "". ``bands`` is the width of a band, in years for dates and ages.
    """

    to: str = ""
    bands: Decimal | None = None

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The first day of the time span, or the lower end of the band; None where that makes no sense."""
        if vr in ("DA", "DT"):
            return _coarser(value, vr, self._first)
        if vr == "AS":
            return texts.mapped(value, vr, (), self._age)
        return Bands(self.bands)(value, vr, context) if self.bands is not None and vr in NUMBERS else None

    @property
    def _years(self) -> int:
        """The width of a band in whole years."""
        return 10 if self.to == "decade" else max(int(self.bands or 1), 1)

    def _first(self, day: Day) -> Day:
        if self.to == "month":
            return Day(day.year, day.month, None)
        return Day(max(day.year // self._years * self._years, 1), None, None)

    def _age(self, text: str) -> str | None:
        if forms.formed(text, "AS") is None:
            return None
        number, unit = int(text[:3]), text[3]
        if self.to == "month" and unit in _DAYS_IN:
            return f"{int(number * _DAYS_IN[unit] / _MONTH):03d}M"
        if self.to == "month":
            return dates.cap_age(text)
        years = int(number / _PER_YEAR[unit])
        return f"{_CAPPED_FROM if years >= _CAPPED_FROM else years // self._years * self._years:03d}Y"


def _coarser(value: bytes, vr: str, change: Callable[[Day], Day]) -> bytes | None:
    """Every date of a DA or DT, ranges too (PS3.4 C.2.2.2.5), with the time and all that is not known any more left
    out; a DA has all of its digits. None where one is not a date."""
    changed = []
    for text in texts.parts(value, vr):
        new = _coarser_range(text.strip(), vr, change)
        if new is None:
            return None
        changed.append(new.encode("ascii"))
    return texts.joined(changed, vr)


def _coarser_range(text: str, vr: str, change: Callable[[Day], Day]) -> str | None:
    day = _read(text, vr)
    if not text or day is not None:
        return "" if day is None else _told(change(day), vr)
    for place in (index for index, letter in enumerate(text) if letter == "-"):
        ends = [text[:place].strip(), text[place + 1 :].strip()]
        days = [_read(end, vr) for end in ends]
        if any(ends) and all(day is not None or not end for day, end in zip(days, ends, strict=True)):
            return "-".join("" if day is None else _told(change(day), vr) for day in days)
    return None


def _read(text: str, vr: str) -> Day | None:
    """One date, partial ones too, and the old forms of a DA; the time of a DT is left out."""
    match = (_TIMED if vr == "DT" else _DATE).fullmatch(text)
    if match is None:
        return None
    year, month, day = match["year"], match["month"], match["day"]
    if not forms.is_date(year + (month or "01") + (day or "01")):
        return None
    return Day(int(year), int(month) if month else None, int(day) if day else None)


def _told(day: Day, vr: str) -> str:
    """A date as the VR needs it: a DA whole, a DT as far as it is known."""
    text = f"{day.year:04d}{day.month or 1:02d}{day.day or 1:02d}"
    return text if vr == "DA" else text[: 4 + 2 * (day.month is not None) + 2 * (day.day is not None)]
