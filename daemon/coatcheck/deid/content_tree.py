"""Reads what decides over Content Items, and judges those of a sequence: which stay, and by which rules.

An item that goes takes what is below it along. But one above a measurement stays with a dummy value, and so does one
that the standard needs (PS3.3 C.17.3: a tree is not empty). Where a tree refers to its items by their place (Referenced
Content Item Identifier), all stay, so that each reference still meets its target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coatcheck.deid.content import (
    ANNOTATED,
    ANNOTATION,
    CODED,
    CONTENT,
    MEASURED,
    MODIFIERS,
    NUMBER,
    REFERENCED,
    STEP_ITEMS,
    VALUES,
    Coded,
    Content,
    Item,
)
from coatcheck.deid.dictionary import vr_of
from coatcheck.deid.elements import (
    WINDOW,
    Element,
    Encoding,
    Ends,
    Window,
    elements,
    is_sequence,
    item_encoding,
    items,
)
from coatcheck.deid.plan import Plan
from coatcheck.deid.selectors import Path
from coatcheck.errors import Refused

_CONCEPT, _VALUE_TYPE, _UNITS, _EQUIVALENT = 0x0040A043, 0x0040A040, 0x004008EA, 0x00080121
_CODE_VALUES, _SCHEME, _MEANING = (0x00080100, 0x00080119, 0x00080120), 0x00080102, 0x00080104
_BY_PLACE = (b"\x40\0\x73\xdb", b"\0\x40\xdb\x73")  # (0040,DB73) in both byte orders
_LONGEST = 1024  # bytes of a text that decides anything
# Value Types by what stands in an item that does not say it, such as a waveform's annotation.
_TOLD_BY = {tag: kind for kind, (tag, _) in VALUES.items() if tag != REFERENCED}
_TOLD_BY |= {ANNOTATED: "TEXT", NUMBER: "NUM", CODED: "CODE", REFERENCED: "COMPOSITE"}


class Judged(NamedTuple):
    """One item of a sequence at [begin, end), and what holds in it where it is a Content Item."""

    begin: int
    end: int
    content: Content | None

    @property
    def goes(self) -> bool:
        """Whether the item is removed, by what ``content.origin`` says."""
        return self.content is not None and self.content.goes


class Read(NamedTuple):
    """What an item says of itself, and the sequence of the items below it."""

    item: Item
    below: Element | None


class ContentTree:
    """Judges the Content Items of one Instance, tree by tree, from above."""

    def __init__(self, window: Window, ends: Ends, plan: Plan) -> None:
        self._window = window
        self._ends = ends
        self._plan = plan
        self._by_place = False

    def judged(self, found: Element, encoding: Encoding, path: Path, outer: Content | None) -> list[Judged]:
        """The items of a sequence of Content Items, which stands in an item where ``outer`` holds.

        ``encoding`` and ``path`` are those inside of it.
        """
        if path.count(CONTENT) == 1 and path[-1] == CONTENT:
            self._by_place = self._mentions_places(found)
        spans = list(items(self._window, found, encoding, self._ends, len(path)))
        stays = (self._by_place and CONTENT in path) or (outer is not None and outer.holds)
        judged = [self._judge(begin, end, encoding, path, stays) for begin, end in spans]
        if not all(one.goes for one in judged) or not _needs_one(path):
            return judged
        return [self._judge(begin, end, encoding, path, True) for begin, end in spans]

    def _judge(self, begin: int, end: int, encoding: Encoding, path: Path, stays: bool) -> Judged:
        read = self._read(begin, end, encoding, len(path))
        content = self._plan.content(read.item, path, stays=stays)
        if content.goes and self._measures(read.below, encoding, path):
            content = self._plan.content(read.item, path, stays=True)
        return Judged(begin, end, content)

    def _measures(self, below: Element | None, encoding: Encoding, path: Path) -> bool:
        """Whether a measurement that may stay is among these items, or below them."""
        if below is None:
            return False
        inside, here = item_encoding(below, encoding), (*path, CONTENT)
        for begin, end in _items_of(self._window, below, inside, self._ends, len(here)):
            read = self._read(begin, end, inside, len(here))
            if read.item.value_type == "NUM" and not self._plan.content(read.item, here).goes:
                return True
            if self._measures(read.below, inside, here):
                return True
        return False

    def _read(self, begin: int, end: int, encoding: Encoding, depth: int) -> Read:
        codes: tuple[Coded, ...] = ()
        value_type = told = unit = ""
        below = None
        for one in elements(self._window, begin, end, encoding, self._ends, depth):
            if one.tag == _VALUE_TYPE:
                value_type = self._text(one).upper()
            elif one.tag == _CONCEPT:
                codes = tuple(self._codes(one, encoding, depth + 1))
            elif one.tag == CONTENT:
                below = one
            elif one.tag == MEASURED or one.tag == _UNITS:
                unit = unit or self._unit(one, encoding, depth + 1)
            told = told or _TOLD_BY.get(one.tag, "")
        value_type = "NUM" if value_type == "NUMERIC" else value_type  # as PS3.3 10.2 calls it outside of documents
        return Read(Item(codes, value_type or told, unit), below)

    def _codes(self, found: Element, encoding: Encoding, depth: int) -> Iterator[Coded]:
        """The code of each item, and the codes that are said to mean the same."""
        inside = item_encoding(found, encoding)
        for begin, end in _items_of(self._window, found, inside, self._ends, depth):
            value = scheme = meaning = ""
            equivalent = None
            for one in elements(self._window, begin, end, inside, self._ends, depth):
                if one.tag in _CODE_VALUES:
                    value = value or self._text(one)
                elif one.tag == _SCHEME:
                    scheme = self._text(one)
                elif one.tag == _MEANING:
                    meaning = self._text(one)
                elif one.tag == _EQUIVALENT:
                    equivalent = one
            yield Coded(value, scheme, meaning)
            if equivalent is not None:
                yield from self._codes(equivalent, inside, depth + 1)

    def _unit(self, found: Element, encoding: Encoding, depth: int) -> str:
        """The code of the unit of a measured value, or of Measurement Units Code Sequence itself."""
        if found.tag == _UNITS:
            return next((code.value for code in self._codes(found, encoding, depth)), "")
        inside = item_encoding(found, encoding)
        for begin, end in _items_of(self._window, found, inside, self._ends, depth):
            for one in elements(self._window, begin, end, inside, self._ends, depth):
                if one.tag == _UNITS:
                    return self._unit(one, inside, depth + 1)
        return ""

    def _text(self, found: Element) -> str:
        data = self._window.bytes(found.value, min(found.value_end, found.value + _LONGEST))
        return data.decode("latin-1").strip(" \0")

    def _mentions_places(self, found: Element) -> bool:
        """Whether a tree refers to its items by their place: to search bytes is quicker than to walk them."""
        for begin in range(found.value, found.value_end, WINDOW - 3):
            piece = self._window.bytes(begin, min(begin + WINDOW, found.value_end))
            if any(needle in piece for needle in _BY_PLACE):
                return True
        return False


def _items_of(window: Window, found: Element, inside: Encoding, ends: Ends, depth: int) -> Iterator[tuple[int, int]]:
    """The items of what should be a sequence; none where bytes of unknown VR turn out to be something else."""
    if not (is_sequence(found) or (found.vr == "UN" and vr_of(found.tag) == "SQ")):
        return
    try:
        yield from items(window, found, inside, ends, depth)
    except Refused:
        if found.vr != "UN":
            raise


def _needs_one(path: Path) -> bool:
    """Whether a sequence may not be empty (Type 1 or 1C): others go with their last item, or stay empty."""
    return path[-1] in (ANNOTATION, STEP_ITEMS) or (path[-1] == CONTENT and path.count(CONTENT) == 1)


def goes_empty(path: Path) -> bool:
    """Whether a sequence without items goes itself (Type 1C or 3, below another item)."""
    return path[-1] in (CONTENT, MODIFIERS)
