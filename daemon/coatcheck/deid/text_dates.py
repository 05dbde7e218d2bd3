"""Dates as people write them in text: found, read, and written again in the same spelling.

Numbers alone do not tell a day from a month, and two digits are no year by themselves: such a date has several
readings, and counts only where one of them is known or the spelling leaves no doubt that it is a date.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

_MONTHS = (
    "january february march april may june july august september october november december",
    "jan feb mar apr may jun jul aug sep oct nov dec",
    "jan feb mar apr may jun jul aug sept oct nov dec",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "jan feb mär apr mai jun jul aug sep okt nov dez",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
)
_TABLES = tuple(tuple(names.split()) for names in _MONTHS)
_NUMBER = {name: index + 1 for names in reversed(_TABLES) for index, name in enumerate(names)}
_NAMES = "(?P<m>" + "|".join(sorted(_NUMBER, key=lambda name: (-len(name), name))) + ")"
_YEAR, _ALONE, _END = r"(?P<y>(?:1[89]|20)\d\d)", r"(?<![0-9])(?<![0-9][.])", r"(?![0-9])(?!\.[0-9])"
_ORDINAL = r"(?P<o>st|nd|rd|th)?"
_FLAGS = re.IGNORECASE | re.ASCII


class _Form(NamedTuple):
    """A way to write dates. ``orders`` are the readings of its groups; ``sure``: what is so written is a date."""

    pattern: re.Pattern[str]
    orders: tuple[str, ...]
    sure: bool


_FORMS = (
    _Form(re.compile(_ALONE + _YEAR + r"(?P<m>\d\d)(?P<d>\d\d)(?:(?=\d{6}(?!\d))|(?![0-9]))", _FLAGS), ("ymd",), True),
    _Form(re.compile(_ALONE + _YEAR + r"([-/._])(?P<m>\d\d?)\2(?P<d>\d\d?)" + _END, _FLAGS), ("ymd",), True),
    _Form(
        re.compile(_ALONE + r"(?P<d>\d\d?)([-/._])(?P<m>\d\d?)\2" + _YEAR + _END, _FLAGS),
        ("ymd", "ydm"),
        True,
    ),
    _Form(
        re.compile(
            r"(?<![0-9])(?P<d>\d\d?)" + _ORDINAL + r"[\s.,/_-]{0,3}(?:(?:of|de)\s)?" + _NAMES + r"[\s.,'/_-]{0,3}"
            r"(?:de[l]?\s)?(?P<y>(?:1[89]|20)\d\d|\d\d)(?![0-9])",
            _FLAGS,
        ),
        ("ymd",),
        True,
    ),
    _Form(
        re.compile(
            r"(?<![A-Za-z])" + _NAMES + r"[\s._-]{0,3}(?P<d>\d\d?)" + _ORDINAL + r"[\s.,/_-]{1,3}" + _YEAR + r"(?!\d)",
            _FLAGS,
        ),
        ("ymd",),
        True,
    ),
    _Form(
        re.compile(_ALONE + _YEAR + r"[\s.,/_-]{0,2}" + _NAMES + r"[\s.,/_-]{0,2}(?P<d>\d\d?)(?!\d)", _FLAGS),
        ("ymd",),
        True,
    ),
    _Form(re.compile(r"(?<![\w./-])(?P<d>\d\d)(/)(?P<m>\d\d)\2(?P<y>\d\d)(?![\w/])", _FLAGS), ("ymd", "ydm"), True),
    _Form(
        re.compile(
            r"(?<![0-9A-Za-z./-])(?P<d>\d\d?)([-/._])(?P<m>\d\d?)\2(?P<y>\d\d)(?![0-9A-Za-z]|[./-][0-9])", _FLAGS
        ),
        ("ymd", "ydm", "dmy"),
        False,
    ),
    _Form(
        re.compile(r"(?<![0-9A-Za-z])(?<![0-9][.])(?P<d>\d\d)(?P<m>\d\d)(?P<y>\d\d)(?![0-9A-Za-z])(?!\.[0-9])", _FLAGS),
        ("ymd", "ydm", "dmy"),
        False,
    ),
    _Form(re.compile(r"(?<![0-9])(?P<d>\d\d)(?P<m>\d\d)" + _YEAR + r"(?![0-9])", _FLAGS), ("ymd", "ydm"), False),
)
# A month of a year: no whole date, and a date without doubt where the month has a name or two digits.
_PARTIAL = re.compile(
    r"(?<![A-Za-z])"
    + _NAMES
    + r"[\s.,/_-]{0,2}"
    + _YEAR
    + r"(?!\d)|(?<![\w./-])(?:0[1-9]|1[0-2])/(?:19|20)\d\d(?![\w/])",
    _FLAGS,
)
_DIGITS = re.compile(r"[0-9][^\n]{0,24}?[0-9]")


class DateFound(NamedTuple):
    """A date in a text. ``readings`` are the days it may mean, none for a part of a date; ``known`` those that are."""

    begin: int
    end: int
    readings: tuple[datetime.date, ...]
    known: tuple[datetime.date, ...]
    sure: bool
    match: re.Match[str]
    orders: tuple[str, ...]


def dates_in(text: str, known: Collection[datetime.date], *, partial: bool = False) -> Iterator[DateFound]:
    """All dates of a text, some of which may overlap; those that are not sure only where they are known."""
    if _DIGITS.search(text) is None:
        return
    for form in _FORMS:
        for match in form.pattern.finditer(text):
            read = [(_read(match, order), order) for order in form.orders]
            days = {day: order for options, order in reversed(read) for day in options}
            those = tuple(day for day in days if day in known)
            if those or (form.sure and days):
                yield DateFound(*match.span(), tuple(days), those, form.sure, match, tuple(days.values()))
    if partial:
        for match in _PARTIAL.finditer(text):
            yield DateFound(*match.span(), (), (), True, match, ())


def _read(match: re.Match[str], order: str) -> list[datetime.date]:
    """The days that a match means where its groups y, m, d stand for the letters of ``order``."""
    y, m, d = (match[letter].lower() for letter in order)
    if len(y) == 1 or len(d) > 2 or not d.isdigit() or not y.isdigit():
        return []
    month = _NUMBER.get(m) or int(m)
    centuries = (0,) if len(y) == 4 else (1900, 2000) if int(y) > 49 else (2000, 1900)
    found = []
    for century in centuries:
        try:
            found.append(datetime.date(century + int(y), month, int(d)))
        except ValueError:
            continue
    return found


def shifted(found: DateFound, days: int) -> str | None:
    """The date moved by ``days``, in the same spelling; None where it is no whole date or not sure which."""
    readings = found.known or found.readings
    orders = {order for day, order in zip(found.readings, found.orders, strict=True) if day in readings}
    if not readings or len(orders) != 1:
        return None
    try:
        day = readings[0] + datetime.timedelta(days)
    except OverflowError:
        return None
    return _spelled(found.match, day, orders.pop())


def _spelled(match: re.Match[str], day: datetime.date, order: str) -> str:
    text, start = match[0], match.start()
    year, month, number = order[0], order[1], order[2]
    new = {year: f"{day.year:04d}"[-len(match[year]) :], number: _number(day.day, match[number])}
    new[month] = (
        _number(day.month, match[month]) if match[month].isdigit() else _name(day.month, match[month], " " in text)
    )
    if match.groupdict().get("o"):
        new["o"] = _cased({1: "st", 2: "nd", 3: "rd"}.get(day.day % 10 if day.day // 10 != 1 else 0, "th"), match["o"])
    for group in sorted(new, key=match.start, reverse=True):
        text = text[: match.start(group) - start] + new[group] + text[match.end(group) - start :]
    return text


def _number(value: int, like: str) -> str:
    return f"{value:0{len(like)}d}"


def _name(month: int, like: str, blanks: bool) -> str:
    # "May" is as long as it is short: written with blanks it is taken for a whole name.
    tables = [names for names in _TABLES if like.lower() in names]
    table = tables[0] if blanks else min(tables, key=lambda names: sum(map(len, names)))
    return _cased(table[month - 1], like)


def _cased(text: str, like: str) -> str:
    if like.isupper():
        return text.upper()
    return text.capitalize() if like[0].isupper() else text
