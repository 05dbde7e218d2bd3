"""The gate: what identifies a Study is searched in every value of every result before anything is released.

It walks the finished bytes by itself and trusts nothing that the rewriting said, but for the dates that an action
wrote: a shifted date may well be another date of the same Study. A value that was found clean is not searched again.

Short identities (under four letters; under two beyond ASCII) count as whole values and whole words of text only, or a
Patient ID `1` would be found in everything. Digits alone are not searched in UIDs, and in numbers only as a whole value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from coatcheck.deid.charsets import decode, encodings_of
from coatcheck.deid.elements import (
    EXPLICIT_LITTLE,
    Element,
    Encoding,
    Ends,
    Window,
    elements,
    is_sequence,
    item_encoding,
    items,
    tag_text,
)
from coatcheck.deid.facts import CHARACTER_SET
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.errors import Refused
from coatcheck.model import Identity
from coatcheck.reasons import Reason

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_WORDY = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NUMBERS = frozenset({"AS", "DS", "IS", "TM"})
_DATES = frozenset({"DA", "DT"})
_UID = re.compile(r"\d+(?:\.\d+){2,}")
_WORD = re.compile(r"\w+")
_CHUNK = 1 << 18
_CLEAN_MAX = 20_000
# Words that stand where a name or an ID should, and identify nobody.
_NOBODY = frozenset(
    "anonymous anonymized anonymised anonym unknown none null patient name test removed dummy operator physician doctor "
    "and for from here not the this with".split()
)


class Patterns:
    """The spellings of a Study's identities, folded for comparison."""

    def __init__(self, identity: Iterable[Identity]) -> None:
        self.uids: set[str] = set()
        self.words: set[str] = set()  # short: whole values and whole words only
        self.parts: set[str] = set()  # anywhere
        self.digits: set[str] = set()  # anywhere but in numbers and UIDs
        self.dates: set[str] = set()
        for kind, text in identity:
            if kind == "uid":
                self.uids.add(text)
            elif kind == "date":
                self.dates.update(date_spellings(text))
            else:
                for part in _spellings(kind, text.casefold()):
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
    elif kind == "place":
        found.update(part for part in map(str.strip, re.split(r"[\^,;\r\n]+", text)) if len(part) > 5)
    elif kind == "phone":
        digits = re.sub(r"\D", "", text)
        found.update({digits} if len(digits) > 5 else ())
    return {part for part in found if len(part) > 1}


def _encoded(text: str) -> Iterable[bytes]:
    """A text beyond ASCII as bytes in the encodings in which it may lie in a value that is no text."""
    for form in {text, text.upper(), text.title()}:
        for codec in ("utf-8", "latin-1", "gb18030", "shift_jis", "euc_kr", "iso8859-5", "cp874"):
            try:
                data = form.encode(codec)
            except UnicodeEncodeError:
                continue
            if len(data) > 3:
                yield data


def date_spellings(text: str) -> set[str]:
    """The usual spellings of a date that a DA or DT names to the day; none for a partial one."""
    match = re.match(r"(\d{4})([.\-/]?)(\d{2})\2(\d{2})", text)
    if match is None:
        return set()
    year, month, day = match[1], match[3], match[4]
    orders = [(year, month, day), (day, month, year), (month, day, year)]
    found = {mark.join(order) for order in orders for mark in "-./"}
    return found | {f"{int(order[0])}.{int(order[1])}.{order[2]}" for order in orders[1:]} | {year + month + day}


class Gate:
    """Searches results for one Study's identities. Kept for the Study's batches: it remembers what it found clean."""

    def __init__(self, identity: Iterable[Identity], subject: str) -> None:
        self._patterns = Patterns(identity)
        self._own = frozenset({subject.encode("ascii"), b"REMOVED", b"COATCHECK"})
        self._clean: set[tuple[str, tuple[str, ...], bytes]] = set()

    def check(self, window: Window, start: int, encoding: Encoding, written: set[tuple[int, bytes]]) -> None:
        """Refuses a result as identity-found, with the path of the tag. ``start`` is where its Data Set begins."""
        ends: Ends = {}
        self._data_set(window, 132, start, EXPLICIT_LITTLE, ends, written, (), "")
        self._data_set(window, start, window.size, encoding, ends, written, (), "")

    def _data_set(
        self,
        window: Window,
        begin: int,
        end: int,
        encoding: Encoding,
        ends: Ends,
        written: set[tuple[int, bytes]],
        charset: tuple[str, ...],
        path: str,
    ) -> None:
        for found in elements(window, begin, end, encoding, ends, path.count("[")):
            tag, vr = found.tag, found.vr
            if tag in PIXEL_TAGS and not path:
                return
            if is_sequence(found):
                inside = item_encoding(found, encoding)
                for index, (first, last) in enumerate(items(window, found, inside, ends, path.count("[") + 1)):
                    deeper = f"{path}{tag_text(tag)}[{index}]"
                    self._data_set(window, first, last, inside, ends, written, charset, deeper)
            elif found.value_end - found.value > _CHUNK:
                self._bulk(window, found, path)
            elif found.value != found.value_end:
                value = window.bytes(found.value, found.value_end)
                if tag == CHARACTER_SET:
                    charset = encodings_of(value)
                self._value(value, "UN" if vr == "UN" else vr, tag, charset, written, path)

    def _value(
        self,
        value: bytes,
        vr: str,
        tag: int,
        charset: tuple[str, ...],
        written: set[tuple[int, bytes]],
        path: str,
    ) -> None:
        key = (vr, charset, value)
        if key in self._clean or value.strip(b" \0") in self._own:
            return
        if vr in _DATES and (tag, value.rstrip(b" \0")) in written:
            return
        if self._found(value, vr, charset):
            raise Refused(Reason.IDENTITY_FOUND, path + tag_text(tag))
        if len(self._clean) >= _CLEAN_MAX:
            self._clean.clear()
        self._clean.add(key)

    def _found(self, value: bytes, vr: str, charset: tuple[str, ...]) -> bool:
        known = self._patterns
        text = decode(value, charset or ("latin-1",)) if vr in _TEXT else value.decode("latin-1")
        folded = text.casefold()
        if vr == "UI":
            return any(one.strip(" \0") in known.uids for one in text.split("\\"))
        if any(part in folded for part in known.parts):
            return True
        if vr in _NUMBERS:
            return any(len(one) > 5 and one in known.digits for one in map(str.strip, folded.split("\\")))
        if any(part in folded for part in known.digits) or any(date in folded for date in known.dates):
            return True
        if known.uids and any(_names_uid(one, known.uids) for one in _UID.findall(text)):
            return True
        if vr in _WORDY and known.words and not known.words.isdisjoint((folded.strip(), *_WORD.findall(folded))):
            return True
        return vr not in _TEXT and any(form in value for form in known.raw)

    def _bulk(self, window: Window, found: Element, path: str) -> None:
        """A large value that is no pixel data, searched piece by piece with an overlap."""
        overlap = 4 * self._patterns.longest + 64
        for begin in range(found.value, found.value_end, _CHUNK - overlap):
            piece = window.bytes(begin, min(begin + _CHUNK, found.value_end))
            if self._found(piece, "UN", ()):
                raise Refused(Reason.IDENTITY_FOUND, path + tag_text(found.tag))


def _names_uid(token: str, uids: set[str]) -> bool:
    """Whether a run of digits and dots is one of the UIDs, or goes on from one."""
    while token.count(".") >= 2:
        if token in uids:
            return True
        token = token.rpartition(".")[0]
    return False
