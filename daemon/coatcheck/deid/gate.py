"""The gate: what identifies a Study is searched in every value of every result before anything is released.

It walks the finished bytes by itself and trusts nothing that the rewriting said, but for the dates that an action
wrote: a shifted date may well be another date of the same Study. A value that was found clean is not searched again.

Short identities (under four letters; under two beyond ASCII) count as whole values and whole words of text only, or a
Patient ID `1` would be found in everything. Digits alone are not searched in UIDs, and in numbers only as a whole
value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from coatcheck.deid.charsets import decode, encodings_of
from coatcheck.deid.dictionary import vr_of
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
from coatcheck.deid.repeats import Repeats
from coatcheck.deid.spellings import Patterns
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
_CLEAN_MAX = 20_000  # values, of
_CLEAN_LENGTH = 512  # bytes at most: what repeats in a Study is short

Written = set[tuple[int, bytes]]


class Gate:
    """Searches results for one Study's identities. Kept for the Study's batches: it remembers what it found clean."""

    def __init__(self, identity: Iterable[Identity], subject: str) -> None:
        self._patterns = Patterns(identity)
        self._own = frozenset({subject.encode("ascii"), b"REMOVED", b"COATCHECK"})
        self._clean: set[tuple[str, tuple[str, ...], bytes]] = set()
        self._repeats = Repeats[tuple[str, ...]]()

    def check(self, window: Window, start: int, encoding: Encoding, written: Written) -> None:
        """Refuses a result as identity-found, with the path of the tag. ``start`` is where its Data Set begins."""
        walk = _Walk(self, window, written)
        walk.data_set(132, start, EXPLICIT_LITTLE, (), "", 0)
        walk.top(start, encoding, self._repeats)

    def names_nobody(self, value: bytes, vr: str, charset: tuple[str, ...]) -> bool:
        """Whether none of the identities is in a value."""
        key = (vr, charset, value)
        if key in self._clean or value.strip(b" \0") in self._own:
            return True
        if self._found(value, vr, charset):
            return False
        if len(value) <= _CLEAN_LENGTH:
            if len(self._clean) >= _CLEAN_MAX:
                self._clean.clear()
            self._clean.add(key)
        return True

    def overlap(self) -> int:
        """How many bytes two pieces of a value must share, so that nothing is missed where they meet."""
        return 4 * self._patterns.longest + 64

    def _found(self, value: bytes, vr: str, charset: tuple[str, ...]) -> bool:
        known = self._patterns
        if vr == "UI":
            return any(one.strip(" \0") in known.uids for one in value.decode("latin-1").split("\\"))
        folded = _folded(value, vr, charset)
        if any(part in folded for part in known.parts):
            return True
        if vr in _NUMBERS:
            return any(len(one) > 5 and one in known.digits for one in map(str.strip, folded.split("\\")))
        if any(part in folded for part in known.digits):
            return True
        if any(year in folded for year in known.years) and any(date in folded for date in known.dates):
            return True
        if known.uids and any(_names_uid(one, known.uids) for one in _UID.findall(folded)):
            return True
        if vr in _WORDY and known.words and not known.words.isdisjoint((folded.strip(), *_WORD.findall(folded))):
            return True
        return not (value.isascii() and b"\x1b" not in value) and any(form in value for form in known.raw)


def _folded(value: bytes, vr: str, charset: tuple[str, ...]) -> str:
    """A value as it is compared: text by its character set; other bytes as they are, and without zeros (UTF-16)."""
    if vr in _TEXT:
        text = decode(value, charset or ("latin-1",)).casefold()
        return text if text.isascii() else unicodedata.normalize("NFKC", text)
    text = value.decode("latin-1").casefold()
    return text + " " + text.replace("\0", "") if "\0" in text else text


def _names_uid(token: str, uids: set[str]) -> bool:
    """Whether a run of digits and dots is one of the UIDs, or goes on from one."""
    while token.count(".") >= 2:
        if token in uids:
            return True
        token = token.rpartition(".")[0]
    return False


class _Walk:
    """One result on its way through the gate."""

    def __init__(self, gate: Gate, window: Window, written: Written) -> None:
        self._gate = gate
        self._window = window
        self._written = written
        self._ends: Ends = {}

    def top(self, start: int, encoding: Encoding, repeats: Repeats[tuple[str, ...]]) -> None:
        """The top level. A run of elements that was found clean, as a whole, in another file is so in this one."""
        charset: tuple[str, ...] = ()
        for part in repeats.walk(self._window, start, encoding, self._ends):
            if part.tags[0] in PIXEL_TAGS:
                return
            if part.memo is None:
                for found in part.found:
                    charset = self._element(found, encoding, charset, "", 0)
                if part.fixed is not None:
                    part.memo = charset
            else:
                charset = part.memo

    def data_set(
        self, begin: int, end: int, encoding: Encoding, charset: tuple[str, ...], path: str, depth: int
    ) -> None:
        """A Data Set of an item, or the File Meta Information."""
        for found in elements(self._window, begin, end, encoding, self._ends, depth):
            charset = self._element(found, encoding, charset, path, depth)

    def _element(
        self, found: Element, encoding: Encoding, charset: tuple[str, ...], path: str, depth: int
    ) -> tuple[str, ...]:
        """One element; gives the character set of those that follow. Raises Refused where it names somebody."""
        tag, vr, _, value, value_end, _ = found
        if vr == "SQ" or (vr == "UN" and (is_sequence(found) or vr_of(tag) == "SQ")):
            self._sequence(found, encoding, charset, path, depth + 1)
        elif value_end - value > _CHUNK:
            self._bulk(found, path)
        elif value != value_end:
            data = self._window.bytes(value, value_end)
            if tag == CHARACTER_SET:
                charset = encodings_of(data)
            written = vr in _DATES and (tag, data.rstrip(b" \0")) in self._written
            if not written and not self._gate.names_nobody(data, vr, charset):
                raise _refused(path, tag)
        return charset

    def _sequence(self, found: Element, encoding: Encoding, charset: tuple[str, ...], path: str, depth: int) -> None:
        inside, before = item_encoding(found, encoding), path + tag_text(found.tag)
        for index, (begin, end) in enumerate(items(self._window, found, inside, self._ends, depth)):
            self.data_set(begin, end, inside, charset, f"{before}[{index}]", depth)

    def _bulk(self, found: Element, path: str) -> None:
        """A large value that is no pixel data, searched piece by piece with an overlap."""
        for begin in range(found.value, found.value_end, _CHUNK - self._gate.overlap()):
            piece = self._window.bytes(begin, min(begin + _CHUNK, found.value_end))
            if not self._gate.names_nobody(piece, "UN", ()):
                raise _refused(path, found.tag)


def _refused(path: str, tag: int) -> Refused:
    return Refused(Reason.IDENTITY_FOUND, path + tag_text(tag))
