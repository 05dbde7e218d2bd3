"""How an identity may be spelled where it should not be: as a whole, in parts, in other cases, encodings and orders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from coatcheck.model import Identity

_CODECS = ("utf-8", "latin-1", "gb18030", "shift_jis", "euc_jp", "euc_kr", "iso8859-2", "iso8859-5", "cp874")
_ESCAPES = re.compile(rb"\x1b[$(][@-B()J]?")
_MONTHS = "january february march april may june july august september october november december"
_MONTH = dict(zip((f"{number:02d}" for number in range(1, 13)), _MONTHS.split(), strict=True))
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
# Words that stand where a name or an ID should, and identify nobody.
_PLACEHOLDERS = (
    "anonymous anonymized anonymised anonym unknown none null patient name test removed dummy operator physician "
    "doctor and for from here not the this with"
)
_NOBODY = frozenset(_PLACEHOLDERS.split())


class Patterns:
    """The spellings of a Study's identities, folded for comparison."""

    def __init__(self, identity: Iterable[Identity]) -> None:
        self.uids: set[str] = set()
        self.words: set[str] = set()  # short: whole values and whole words only
        self.parts: set[str] = set()  # anywhere
        self.digits: set[str] = set()  # anywhere but in numbers and UIDs
        self.dates: set[str] = set()
        self.years: set[str] = set()  # one of them is in each spelling of a date
        for kind, text in identity:
            if kind == "uid":
                self.uids.add(text)
            elif kind == "date":
                self.dates.update(date_spellings(text))
                self.years.add(text[:4])
            else:
                for part in _spellings(kind, unicodedata.normalize("NFKC", text.casefold())):
                    self._add(part)
        self.raw = {form for part in self.parts if not part.isascii() for form in _encoded(part)}
        self.longest = max(map(len, (*self.uids, *self.parts, *self.digits, *self.dates, "")))

    def _add(self, text: str) -> None:
        if text in _NOBODY or not any(map(str.isalnum, text)):
            return
        if len(text) < (4 if text.isascii() else 2):
            self.words.add(text)
        elif text.isdigit():
            self.digits.add(text)
        else:
            self.parts.add(text)


def _spellings(kind: str, text: str) -> set[str]:
    """An identity as a whole and in the parts that tell it as well."""
    found = {text}
    if kind == "name":
        found.update(part.strip() for part in re.split(r"[\^=,; ]+", text))
        found.update(plain for part in tuple(found) for plain in _in_ascii(part))
    elif kind == "place":
        found.update(part for part in map(str.strip, re.split(r"[\^,;\r\n]+", text)) if len(part) > 5)
    elif kind == "phone":
        digits = re.sub(r"\D", "", text)
        found.update({digits} if len(digits) > 5 else ())
    elif kind == "id":
        plain = re.sub(r"[\W_]", "", text)
        found.update({plain} if len(plain) > 5 else ())
    return {part for part in found if len(part) > 1}


def _in_ascii(name: str) -> set[str]:
    """A name as those write it who have no such letters; nothing where it would lose some."""
    forms = (unicodedata.normalize("NFKD", form) for form in (name, name.translate(_UMLAUTS)))
    return {plain for form in forms if len(plain := form.encode("ascii", "ignore").decode()) >= len(name)}


def _encoded(text: str) -> Iterable[bytes]:
    """A text beyond ASCII as bytes in the encodings in which it may lie in a value that does not say so."""
    for form in {text, text.upper(), text.title()}:
        for codec in _CODECS:
            data = _bytes_of(form, codec)
            if len(data) > 3:
                yield data
        for data in _ESCAPES.split(_bytes_of(form, "iso2022_jp")):
            if len(data) > 3 and not form.isascii():
                yield data


def _bytes_of(text: str, codec: str) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return b""


def date_spellings(text: str) -> set[str]:
    """The usual spellings of a date that a DA or DT names to the day; none for a partial one."""
    match = re.match(r"(\d{4})([.\-/]?)(\d{2})\2(\d{2})", text)
    if match is None or match[3] not in _MONTH:
        return set()
    year, month, day = match[1], match[3], match[4]
    found = {year + month + day, day + month + year}
    for m, d in ((month, day), (str(int(month)), str(int(day)))):
        for mark in "-./":
            found |= {mark.join((year, m, d)), mark.join((d, m, year)), mark.join((m, d, year))}
        found |= _with_words(year, _MONTH[month], d)
    return found


def _with_words(year: str, name: str, day: str) -> set[str]:
    found = set()
    for month in (name, name[:3]):
        found |= {f"{day}{mark}{month}{mark}{year}" for mark in (" ", "-", ".", "/", "")}
        found |= {f"{month} {day} {year}", f"{month} {day}, {year}", f"{day}. {month} {year}"}
    return found
