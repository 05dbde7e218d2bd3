"""Text as it is compared: without case, and with or without what ASCII lacks. Each letter knows where it came from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from os.path import commonprefix
from typing import NamedTuple

# Letters that no decomposition takes apart.
_BASES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "œ": "oe", "æ": "ae", "ħ": "h"})
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
_ASCII_RUN = re.compile(r"[\x00-\x7f]+(?![\u0300-\U0010ffff])")  # without a letter that a mark may join
_GREEDY_DEPTH = 12  # forks; what is alike behind more of them is written out
_CLUSTER_MAX = 64  # a letter with its marks; Unicode sorts marks in a time that is the square of their number


class View(NamedTuple):
    """A text as it is compared. ``begins`` and ``ends`` tell the place of each letter in the text; None: the same."""

    text: str
    begins: list[int] | None = None
    ends: list[int] | None = None

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """Where [begin, end) of the view, which is not empty, stands in the text."""
        if self.begins is None or self.ends is None:
            return begin, end
        return self.begins[begin], self.ends[end - 1]


def normalized(text: str) -> str:
    """A text in Unicode's form NFC, letter by letter."""
    return "".join(unicodedata.normalize("NFC", part) for _, part in _clusters(text))


def fold(text: str) -> str:
    """A text without case and compatibility forms (Unicode's casefold and NFKC), letter by letter."""
    return text.lower() if text.isascii() else "".join(_folded(part) for _, part in _clusters(text))


def plain(folded: str) -> str:
    """A folded text with letters of ASCII for those that are made of one and a mark."""
    if folded.isascii():
        return folded
    parts = unicodedata.normalize("NFKD", folded.translate(_BASES))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def digraphs(folded: str) -> str:
    """A folded text with ae, oe and ue for the umlauts, and the like."""
    return folded if folded.isascii() else plain(folded.translate(_DIGRAPHS))


def views(text: str) -> list[View]:
    """The text as it is compared; where it is not ASCII, also as those write it who have no such letters."""
    if text.isascii():
        return [View(text.lower())]
    parts = list(_parts(text))
    found = [_view((begin, end, spelled(part)) for begin, end, part in parts) for spelled in (str, plain, digraphs)]
    return [view for index, view in enumerate(found) if view.text not in [one.text for one in found[:index]]]


def _view(parts: Iterable[tuple[int, int, str]]) -> View:
    letters: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    for begin, end, part in parts:
        letters.append(part)
        if part.isascii() and len(part) == end - begin:
            begins += range(begin, end)
            ends += range(begin + 1, end + 1)
        else:
            begins += [begin] * len(part)
            ends += [end] * len(part)
    return View("".join(letters), begins, ends)


def _parts(text: str) -> Iterator[tuple[int, int, str]]:
    """Runs of ASCII, and else each letter with what joins it: where it begins and ends, and as it is compared."""
    at = 0
    for run in _ASCII_RUN.finditer(text):
        yield from (
            (at + begin, at + begin + len(part), _folded(part)) for begin, part in _clusters(text[at : run.start()])
        )
        yield run.start(), run.end(), run[0].lower()
        at = run.end()
    yield from ((at + begin, at + begin + len(part), _folded(part)) for begin, part in _clusters(text[at:]))


@lru_cache(maxsize=4096)
def _folded(part: str) -> str:
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", part).casefold())


def _clusters(text: str) -> Iterator[tuple[int, str]]:
    """Each letter with the marks and the vowels that join it."""
    begin = 0
    for index in range(1, len(text)):
        if not _joins(text[index]) or index - begin >= _CLUSTER_MAX:
            yield begin, text[begin:index]
            begin = index
    if text:
        yield begin, text[begin:]


def _joins(letter: str) -> bool:
    """Whether a letter may become one with the one before: marks, vowels and finals of Hangul, voicing."""
    if letter < "\u0300":
        return False
    return unicodedata.combining(letter) != 0 or "\u1160" <= letter <= "\u11ff" or letter in "\uff9e\uff9f"


def one_of(texts: Iterable[str], between: str = "") -> str:
    """A regular expression for any of the texts, the longest that fits; ``between`` may stand between two letters.

    What begins alike is told once, so that the number of texts matters little.
    """
    return _branches(sorted(set(texts)), between, 0)


def _branches(texts: list[str], between: str, depth: int) -> str:
    """The same for sorted texts. Letters of which only one can follow stand side by side: it is compiled each time."""
    if depth == _GREEDY_DEPTH:
        return "|".join(_spelled(text, between) for text in sorted(texts, key=len, reverse=True))
    found = []
    for _, group in groupby(texts, key=lambda text: text[0]):
        alike = list(group)
        shared = commonprefix((alike[0], alike[-1]))  # noqa: RUF071  # of sorted ones, that of all
        rests = [text[len(shared) :] for text in alike if len(text) > len(shared)]
        more = f"(?:{_branches(rests, between, depth + 1)})" if rests else ""
        more = f"(?:{between}{more})" if more and between else more
        found.append(_spelled(shared, between) + more + ("?" if more and len(rests) < len(alike) else ""))
    return "|".join(found)


def _spelled(text: str, between: str) -> str:
    return between.join(map(re.escape, text))
