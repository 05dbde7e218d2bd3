"""Selectors: which Data Elements a rule of a profile is about, by keyword, tag, VR, creator and enclosing sequences.

Selectors of private elements name the creator; no other selector ever matches a private element. Tags are numbers,
0xGGGGEEEE; a private one is without its block (PS3.5 7.8.1), so that only the low byte of its element stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from coatcheck.deid import standard
from coatcheck.deid.dictionary import is_private, keyword_of, vrs_of
from coatcheck.deid.elements import tag_text
from coatcheck.deid.pydicom_data import attributes, repeaters
from coatcheck.deid.settings import SettingError, checked_pattern, found, nearest

_EXACT = 0xFFFFFFFF
_EXAMPLES = 'write a keyword, (0010,0010), (60xx,3000), VR:PN, /regular expression/ or (0029,"CREATOR",10)'
_PRIVATE_HINT = 'name a private attribute with its creator: (0029,"CREATOR",10)'


class PrivateTag(NamedTuple):
    """A private element on the way to another: its group, the low byte of its element, and its creator, stripped."""

    group: int
    element: int
    creator: str


Path = tuple[int | PrivateTag, ...]
"""The sequences around an element, outermost first."""


def keyword(tag: int) -> str:
    """The keyword by PS3.6, or by PS3.15 Table E.1-1 where that is newer than the dictionary; "" without one."""
    row = standard.annex_e().get(tag)
    return keyword_of(tag) or (row.keyword if row else "")


@lru_cache(maxsize=8192)
def vrs(tag: int) -> tuple[str, ...]:
    """The VRs by PS3.6, or by Table E.1-1 where that is newer than the dictionary; none for an unknown tag."""
    row = standard.annex_e().get(tag)
    return vrs_of(tag) or ((row.vr,) if row and row.vr else ())


@dataclass(frozen=True, slots=True)
class Public:
    """The tags with ``tag & mask == value``: one, or those of repeating groups (PS3.5 7.6)."""

    value: int
    mask: int = _EXACT

    def matches(self, tag: int, vr: str) -> bool:
        """Whether this is one of the tags."""
        return tag & self.mask == self.value

    def __str__(self) -> str:
        if self.mask == _EXACT:
            return f"{keyword(self.value)} {tag_text(self.value)}".strip()
        digits = zip(tag_text(self.value), tag_text(self.mask), strict=True)
        return "every attribute with the tag " + "".join("x" if free == "0" else digit for digit, free in digits)


@dataclass(frozen=True, slots=True)
class Range:
    """The public tags from ``first`` to ``last``, both included."""

    first: int
    last: int

    def matches(self, tag: int, vr: str) -> bool:
        """Whether this is one of the tags."""
        return self.first <= tag <= self.last

    def __str__(self) -> str:
        return f"every attribute from {tag_text(self.first)} to {tag_text(self.last)}"


@dataclass(frozen=True, slots=True)
class Representation:
    """Attributes by their Value Representation."""

    name: str

    def matches(self, tag: int, vr: str) -> bool:
        """By the VR of PS3.6. Where it allows several, the file's decides among them; where it has none, the file's."""
        allowed = vrs(tag)
        return vr == self.name if vr in allowed or not allowed else self.name in allowed

    def __str__(self) -> str:
        return f"every attribute with the VR {self.name}"


@dataclass(frozen=True, slots=True)
class Keyword:
    """Attributes in whose keyword a regular expression is found."""

    expression: str

    def matches(self, tag: int, vr: str) -> bool:
        """Whether the tag has such a keyword."""
        name = keyword(tag)
        return bool(name) and found(self.expression, name)

    def __str__(self) -> str:
        return f"every attribute with /{self.expression}/ in its keyword"


@dataclass(frozen=True, slots=True)
class Private:
    """The private elements of a creator in a group: the one with the low byte ``element``, or all of them (None)."""

    group: int
    creator: str
    element: int | None

    def matches(self, tag: int, creator: str) -> bool:
        """Whether this is one of the elements."""
        same = tag >> 16 == self.group and creator == self.creator
        return same and self.element in (None, tag & 0xFF)

    def __str__(self) -> str:
        which = "every element" if self.element is None else f"the element {self.element:02X}"
        return f'{which} of the private creator "{self.creator}" in the group {self.group:04X}'


Target = Public | Range | Representation | Keyword
Step = Public | Private


@dataclass(frozen=True, slots=True)
class Selector:
    """What a rule is ``at``. ``text`` is as it was written, ``top`` means that nothing is around the first sequence."""

    text: str
    target: Target | Private
    sequences: tuple[Step, ...] = ()
    top: bool = False

    @property
    def private(self) -> bool:
        """Whether it is about private elements."""
        return isinstance(self.target, Private)

    def matches(self, tag: int, vr: str, path: Path, creator: str | None = None) -> bool:
        """Whether it is about this element. ``creator`` is that of a private one, stripped; None where it has none."""
        if isinstance(self.target, Private):
            if creator is None or not self.target.matches(tag, creator):
                return False
        elif is_private(tag) or not self.target.matches(tag, vr):
            return False
        return self._is_inside(path)

    def _is_inside(self, path: Path) -> bool:
        count = len(self.sequences)
        if len(path) < count or (self.top and len(path) > count):
            return False
        around = path[len(path) - count :]
        return all(_is_step(step, place) for step, place in zip(self.sequences, around, strict=True))

    def tags(self) -> frozenset[int] | None:
        """The one public tag that it is about, none for private elements; None where it is about several."""
        if isinstance(self.target, Public) and self.target.mask == _EXACT:
            return frozenset({self.target.value})
        return frozenset() if self.private else None

    def creators(self) -> frozenset[tuple[int, str, int | None]]:
        """Group, creator and low byte (None: all) of the private elements that it is about."""
        target = self.target
        return frozenset({(target.group, target.creator, target.element)} if isinstance(target, Private) else ())


def _is_step(step: Step, place: int | PrivateTag) -> bool:
    if isinstance(place, PrivateTag):
        tag = place.group << 16 | place.element
        return isinstance(step, Private) and step.matches(tag, place.creator)
    return isinstance(step, Public) and step.value == place


def describe(selector: Selector) -> str:
    """What the selector is about, as a part of a sentence."""
    parts = [str(selector.target)]
    parts += [f"directly in an item of {sequence}" for sequence in reversed(selector.sequences)]
    return ", ".join(parts) + (" at the top level" if selector.top else ", at any depth" if len(parts) == 1 else "")


_SEARCHED = r"/(?:\\.|[^/\\])+/"
_QUOTED = r'"(?:[^"]|"")*"'
_PIECE = re.compile(rf"{_SEARCHED}|{_QUOTED}|.", re.DOTALL)
_TAG = re.compile(r"\( *([0-9A-Fa-fx]{4}) *, *([0-9A-Fa-fx]{4}) *\)|([0-9A-Fa-fx]{4})([0-9A-Fa-fx]{4})")
_PRIVATE = re.compile(rf"\( *([0-9A-Fa-f]{{4}}) *, *({_QUOTED}) *, *(\*|[0-9A-Fa-f]{{2}}) *\)")


def parse(text: object) -> Selector:
    """The selector that a text stands for. Raises SettingError, with the nearest keyword for one that is not known."""
    if not isinstance(text, str):
        raise SettingError("a selector must be a text", "put it into quotes: YAML reads digits alone as a number")
    steps = _steps(text)
    top = len(steps) > 1 and steps[0] == "top"
    steps = steps[1:] if top else steps
    sequences = tuple(_sequence(step) for step in steps[:-1])
    return Selector(text.strip(), _target(steps[-1]), sequences, top)


def _steps(text: str) -> list[str]:
    """The parts between the signs > that are not within quotes or a regular expression."""
    steps = [""]
    for piece in _PIECE.findall(text):
        if piece == ">":
            steps.append("")
        else:
            steps[-1] += piece
    return [step.strip() for step in steps]


def _sequence(text: str) -> Step:
    step = _target(text)
    if isinstance(step, Private):
        return step
    if not isinstance(step, Public) or step.mask != _EXACT:
        raise SettingError(
            f"`{text}` cannot stand before `>`", "write the keyword, the tag or the creator of a sequence"
        )
    if vrs(step.value) and "SQ" not in vrs(step.value):
        raise SettingError(f"`{text}` is no sequence", "only a sequence can have other attributes in its items")
    return step


def _target(text: str) -> Target | Private:
    """What a selector without any > is about."""
    if text in _keywords():
        return _keywords()[text]
    if re.fullmatch(_SEARCHED, text, re.DOTALL):
        return Keyword(checked_pattern(text[1:-1]))
    if text.startswith("VR:"):
        return _representation(text.removeprefix("VR:").strip())
    if match := _PRIVATE.fullmatch(text):
        return _private(match[1], match[2][1:-1].replace('""', '"').strip(), match[3])
    first, dash, last = text.partition("-")
    if dash and _TAG.fullmatch(first.strip()):
        return _range(_tag(first.strip()), _tag(last.strip()), text)
    return _tag(text)


def _tag(text: str) -> Public:
    match = _TAG.fullmatch(text)
    if match is None:
        raise _unknown(text)
    digits = "".join(part for part in match.groups() if part)
    if digits[3] in "13579BDFbdf":
        raise SettingError(f"`{text}` is private", _PRIVATE_HINT)
    mask = "".join("0" if digit == "x" else "F" for digit in digits)
    return Public(int(digits.replace("x", "0"), 16), int(mask, 16))


def _unknown(text: str) -> SettingError:
    if text == "top":
        return SettingError("`top` stands for no attribute", "write it first, as in `top > StudyDate`")
    if not text.isidentifier():
        return SettingError(f"`{text}` is no selector", _PRIVATE_HINT if '"' in text else _EXAMPLES)
    return SettingError(f"there is no attribute `{text}`", nearest(text, _keywords()) or _EXAMPLES)


def _representation(name: str) -> Representation:
    if name not in standard.vr_limits():
        raise SettingError(
            f"there is no VR `{name}`", nearest(name, standard.vr_limits()) or "write VR:PN, for example"
        )
    return Representation(name)


def _private(group: str, creator: str, element: str) -> Private:
    if not int(group, 16) & 1:
        raise SettingError(f"the group {group} is not private", "the group of a private attribute is odd")
    if not creator:
        raise SettingError("a private attribute needs its creator", _PRIVATE_HINT)
    return Private(int(group, 16), creator, None if element == "*" else int(element, 16))


def _range(first: Public, last: Public, text: str) -> Range:
    if first.mask != _EXACT or last.mask != _EXACT:
        raise SettingError(f"`{text}` has an x in it", "write both ends of a range in full")
    if first.value > last.value:
        raise SettingError(f"`{text}` is the wrong way round", "write the lower tag first")
    return Range(first.value, last.value)


@cache
def _keywords() -> dict[str, Public]:
    """Every keyword of PS3.6 and of PS3.15 Table E.1-1, with what it stands for."""
    known = {row.keyword: Public(tag) for tag, row in standard.annex_e().items() if row.keyword}
    known |= {entry[4]: _tag(digits) for digits, entry in repeaters().items() if entry[4]}
    known |= {entry[4]: Public(tag) for tag, entry in attributes().items() if entry[4] and entry[0] != "NONE"}
    return known
