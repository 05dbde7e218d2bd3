"""Searches a Study's identities, in all their spellings, cases and encodings, in text and in bytes.

The gate and the cleaning of text search with the same :class:`Patterns`, so that what was cleaned passes the gate.
Short identities (under four letters; under two beyond ASCII) count as whole values and whole words only.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from coatcheck.deid.folding import View, fold, one_of, views
from coatcheck.deid.hidden import encoded, in_base64, in_hex
from coatcheck.deid.spellings import BETWEEN, NOBODY, bounded, date_spellings, day, spellings
from coatcheck.deid.text_dates import dates_in
from coatcheck.model import Identity

_UID_TEXT = re.compile(r"(?<![0-9])[0-9]++(?:\.[0-9]++){2,}+")
_WORD = re.compile(r"\w+")
_RUN = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_UPPER, _LOWER = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ÿ"
_HUMP = re.compile(f"[{_UPPER}]+(?![{_LOWER}])|[{_UPPER}]?[{_LOWER}]+")
_HEX_SIGNS = frozenset("0123456789abcdefABCDEF")
_BASE64_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_TOKEN_MAX = 256  # signs on each side
_BETWEEN_MAX = 3  # signs between two parts of a number


class Span(NamedTuple):
    """Where an identity stands in a text, and of what kind it is."""

    begin: int
    end: int
    kind: str


class Patterns:
    """The spellings of a Study's identities, folded for comparison."""

    def __init__(self, identity: Iterable[Identity]) -> None:
        self.uids: dict[str, str] = {}
        self.words: dict[str, str] = {}  # short: whole values and whole words only
        self.codes: dict[str, str] = {}  # short, and no names: whole words with all letters and digits that touch them
        self.parts: dict[str, str] = {}  # anywhere
        self.digits: dict[str, str] = {}  # anywhere but in numbers and UIDs
        self.bounded: dict[str, str] = {}  # whatever stands between their letters and digits
        self.dates: set[str] = set()
        self.years: set[str] = set()  # one of them is in each spelling of a date
        self.days: set[datetime.date] = set()
        # Of a date and time only the day is searched, and a multi-frame Instance may have thousands on one day.
        named = {(kind, text[:10] if kind == "date" else text) for kind, text in identity if kind != "uid"}
        for kind, text in sorted(named):
            self._learn(kind, text)
        self.uids = {text: kind for kind, text in identity if kind == "uid"} | self.uids  # there are thousands
        self._compile()

    def _learn(self, kind: str, text: str) -> None:
        if kind == "device" and _UID_TEXT.fullmatch(text):
            self.uids.setdefault(text, kind)
        elif kind == "date":
            spelled = date_spellings(text)
            self.dates |= spelled
            self.years |= {text[:4]} if spelled else set()
            self.days |= day(text)
        else:
            for part in spellings(kind, fold(text)):
                self._add(part, kind)
            for part in bounded(kind, fold(text)):
                self.bounded.setdefault(part, kind)

    def _add(self, text: str, kind: str) -> None:
        if text in NOBODY or not any(map(str.isalnum, text)):
            return
        if len(text) < (4 if text.isascii() else 2):
            (self.words if kind == "name" else self.codes).setdefault(text, kind)
        elif text.isdigit():
            self.digits.setdefault(text, kind)
        else:
            self.parts.setdefault(text, kind)

    def _compile(self) -> None:
        known = self.parts | self.digits
        self._hex = {form: kind for text, kind in known.items() for form in in_hex(text)}
        self.base64 = {form: kind for text, kind in known.items() for form in in_base64(text)}
        self.raw = {form: kind for text, kind in self.parts.items() if not text.isascii() for form in encoded(text)}
        self._part = _regex(self.parts)
        self._anywhere = _regex(known | self._hex)
        self._base64 = _regex(self.base64)
        self._raw = (
            re.compile(one_of(form.decode("latin-1") for form in self.raw).encode("latin-1")) if self.raw else None
        )
        self._date = _regex(self.dates)
        self._bounded = _regex(self.bounded)
        lengths = map(len, (*known, *self.dates, *self.uids, *self.bounded, ""))
        self.longest = max(lengths)

    def in_number(self, text: str) -> str | None:
        """The kind of identity in a value that should be a number: digits count as a whole value only."""
        text = text.lower()
        hit = self._part.search(text) if self._part else None
        if hit is not None:
            return self.parts[hit[0]]
        return next(
            (self.digits[one] for one in map(str.strip, text.split("\\")) if len(one) > 5 and one in self.digits), None
        )

    def in_raw(self, value: bytes) -> Iterator[Span]:
        """Texts beyond ASCII in bytes of whatever encoding."""
        if self._raw is not None and not (value.isascii() and b"\x1b" not in value):
            for match in self._raw.finditer(value):
                yield Span(*match.span(), self.raw[match[0]])

    def in_uids(self, text: str) -> str | None:
        """The kind of a value of VR UI, if it is known."""
        return next(
            (self.uids[one] for one in (part.strip(" \0") for part in text.split("\\")) if one in self.uids), None
        )

    def spans(self, text: str, *, wordy: bool, joined: bool = False) -> Iterator[Span]:
        """Where identities stand in a text. ``wordy``: it is a text for people, and short ones count as words.

        Two letters are a word between underscores and digits only if ``joined``: most often they are no name there.
        """
        shown = views(text) if wordy or not text.isascii() else [View(text.lower())]
        for view in shown:
            yield from self._in_view(view)
        yield from self._in_base64(text)
        yield from self._uids_in(text)
        if wordy:
            yield from self._words_in(text, shown, joined)
            for view in shown:
                yield from self._bounded_in(view)
            yield from self._days_in(text)

    def spans_of_bytes(self, value: bytes) -> Iterator[Span]:
        """The same in bytes that are no text: each stands for a letter."""
        text = value.decode("latin-1")
        yield from self._in_view(View(value.lower().decode("latin-1")))
        yield from self._in_base64(text)
        yield from self._uids_in(text)

    def _in_view(self, view: View) -> Iterator[Span]:
        if self._anywhere is not None:
            for match in self._anywhere.finditer(view.text):
                kind = self.parts.get(match[0]) or self.digits.get(match[0])
                begin, end = match.span() if kind else _grown(view.text, match, _HEX_SIGNS)
                yield Span(*view.place(begin, end), kind or self._hex[match[0]])
        if self._date is not None and any(year in view.text for year in self.years):
            for match in self._date.finditer(view.text):
                yield Span(*view.place(*match.span()), "date")

    def _in_base64(self, text: str) -> Iterator[Span]:
        if self._base64 is not None:
            for match in self._base64.finditer(text):
                yield Span(*_grown(text, match, _BASE64_SIGNS), self.base64[match[0]])

    def _uids_in(self, text: str) -> Iterator[Span]:
        """Runs of digits and dots that are one of the UIDs, or go on from one."""
        for match in _UID_TEXT.finditer(text) if self.uids else ():
            kind = self.kind_of_uid(match[0])
            if kind is not None:
                yield Span(*match.span(), kind)

    def kind_of_uid(self, token: str) -> str | None:
        """The kind of a run of digits and dots that is one of the UIDs, or goes on from one."""
        token = token[:256]
        while token.count(".") >= 2:
            if token in self.uids:
                return self.uids[token]
            token = token.rpartition(".")[0]
        return None

    def _words_in(self, text: str, shown: list[View], joined: bool) -> Iterator[Span]:
        known = self.words | self.codes
        if not known:
            return
        whole = shown[0].text.strip()
        if whole in known:
            yield Span(0, len(text), known[whole])
        for view in shown:
            for match in chain(_WORD.finditer(view.text), _RUN.finditer(view.text) if joined else ()):
                if match[0] in known:
                    yield Span(*view.place(*match.span()), known[match[0]])
            for match in _LETTERS.finditer(view.text) if self.words else ():
                if match[0] in self.words and (joined or len(match[0]) > 2):
                    yield Span(*view.place(*match.span()), self.words[match[0]])
        for match in _HUMP.finditer(text) if self.words else ():
            if len(match[0]) == 3 or (joined and len(match[0]) == 2):
                kind = self.words.get(fold(match[0]))
                if kind is not None:
                    yield Span(*match.span(), kind)

    def _bounded_in(self, view: View) -> Iterator[Span]:
        """Numbers and the like with other signs between their parts than those that are known."""
        if self._bounded is None or self._bounded.search(close := BETWEEN.sub("", view.text)) is None:
            return
        places = [index for index, letter in enumerate(view.text) if letter.isalnum()]
        for match in self._bounded.finditer(close):
            inside = places[match.start() : match.end()]
            begin, end = inside[0], inside[-1] + 1
            near = all(second - first <= _BETWEEN_MAX + 1 for first, second in pairwise(inside))
            free = not view.text[begin - 1 : begin].isalnum() and not view.text[end : end + 1].isalnum()
            if near and free:
                yield Span(*view.place(begin, end), self.bounded[match[0]])

    def _days_in(self, text: str) -> Iterator[Span]:
        if self.days:
            for found in dates_in(text, self.days):
                if found.known:
                    yield Span(found.begin, found.end, "date")


def _grown(text: str, match: re.Match[str], signs: frozenset[str]) -> tuple[int, int]:
    """The token around what was found in it: the rest of an encoded value is of no use."""
    begin, end = match.span()
    while begin > 0 and match.start() - begin < _TOKEN_MAX and text[begin - 1] in signs:
        begin -= 1
    while end < len(text) and end - match.end() < _TOKEN_MAX and text[end] in signs:
        end += 1
    return begin, end


@lru_cache(maxsize=4)
def patterns_of(identity: frozenset[Identity]) -> Patterns:
    """The patterns of one Study, made once: they take some time."""
    patterns = Patterns(identity)
    re.purge()  # else Python keeps the last 512 that it compiled: a patient's identity, long after the Study
    return patterns


def _regex(texts: Iterable[str]) -> re.Pattern[str] | None:
    source = one_of(texts)
    return re.compile(source) if source else None
