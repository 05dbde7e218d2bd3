"""How an identity may be spelled where it should not be: as a whole, in parts, in other orders, with other letters."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from itertools import permutations

from coatcheck.deid.folding import digraphs, plain

_MONTHS = "january february march april may june july august september october november december"
_MONTH = dict(zip((f"{number:02d}" for number in range(1, 13)), _MONTHS.split(), strict=True))
# Words that stand where a name or an ID should, or beside a name, and identify nobody.
_PLACEHOLDERS = (
    "anonymous anonymized anonymised anonym unknown none null patient name test removed dummy operator physician "
    "doctor and for from here not the this with dr prof mr mrs ms md phd"
)
NOBODY = frozenset(_PLACEHOLDERS.split())
_BOUNDED_MIN = 6  # letters and digits of what is searched whatever stands between them
_NAME_PARTS_MAX = 6
_PARTS = re.compile(r"[\^=,; ]+")
_FINER_PARTS = re.compile(r"[\^=,; .\-'’`()/_&+]+")
BETWEEN = re.compile(r"[\W_]+")


def spellings(kind: str, text: str) -> set[str]:
    """An identity as a whole and in the parts that tell it as well."""
    found = {text}
    if kind == "name":
        # PANCREAS_0001 is the name that a collection gave, and no patient is called Pancreas.
        finer = _PARTS if re.search(r"\d", text) and "_" in text else _FINER_PARTS
        parts = [part for part in finer.split(text) if part]
        found.update(part.strip() for part in _PARTS.split(text))
        found.update(parts)
        found.update(_joined(parts))
        found.update(BETWEEN.sub("", part) for part in _PARTS.split(text))
        found.update(spelled(part) for part in tuple(found) for spelled in (plain, digraphs))
    elif kind in ("place", "institution"):
        found.update(part for part in map(str.strip, re.split(r"[\^,;\r\n]+", text)) if len(part) > 5)
    elif kind == "phone":
        found.update(digits for digits in (re.sub(r"\D", "", text),) if len(digits) > 5)
    else:
        found.update(code for code in (BETWEEN.sub("", text), text.split("^")[0].strip()) if len(code) > 5)
    if kind != "name":
        found.update(spelled(part) for part in tuple(found) for spelled in (plain, digraphs))
    # A family name may be one sign in Chinese, and one Latin letter is an initial.
    return {part for part in found if len(part) > 1 or not part.isascii()}


def _joined(parts: list[str]) -> Iterator[str]:
    """Parts of a name that are short and would be words, written together with another one."""
    for first, second in permutations(parts[:_NAME_PARTS_MAX], 2):
        if min(len(first), len(second)) < 4 and min(len(first), len(second)) > 1:
            yield first + second


def bounded(kind: str, text: str) -> Iterator[str]:
    """The letters and digits of an identity; a telephone number also as it is dialled from nearby."""
    if kind == "name":
        return
    for part in {text, *(re.split(r"[\^,;\r\n]+", text) if kind in ("place", "institution") else ())}:
        close = BETWEEN.sub("", part)
        if len(close) >= _BOUNDED_MIN and close not in NOBODY:
            yield close
    digits = re.sub(r"[^0-9]", "", text) if kind == "phone" else ""
    if len(digits) > 7:
        yield from (digits[-7:], *("0" + digits[cut:] for cut in (1, 2, 3) if len(digits) - cut > 6))


def day(text: str) -> set[datetime.date]:
    """The day that a DA or DT names; none for a partial one."""
    try:
        return {datetime.date.fromisoformat(re.sub(r"[.\-/]", "", text[:10])[:8])}
    except ValueError:
        return set()


def date_spellings(text: str) -> set[str]:
    """The usual spellings of a date that a DA or DT names to the day; none for a partial one."""
    match = re.match(r"(\d{4})([.\-/]?)(\d{2})\2(\d{2})", text)
    if match is None or match[3] not in _MONTH:
        return set()
    year, month, number = match[1], match[3], match[4]
    found = {year + month + number, number + month + year}
    for m, d in ((month, number), (str(int(month)), str(int(number)))):
        for mark in "-./":
            found |= {mark.join((year, m, d)), mark.join((d, m, year)), mark.join((m, d, year))}
        found |= _with_words(year, _MONTH[month], d)
    return found


def _with_words(year: str, name: str, number: str) -> set[str]:
    found = set()
    for month in (name, name[:3]):
        found |= {f"{number}{mark}{month}{mark}{year}" for mark in (" ", "-", ".", "/", "")}
        found |= {f"{month} {number} {year}", f"{month} {number}, {year}", f"{number}. {month} {year}"}
    return found
