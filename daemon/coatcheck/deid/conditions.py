"""Conditions: when a rule of a profile holds, told by the top-level Attributes of the same object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from coatcheck.deid import selectors
from coatcheck.deid.settings import SettingError, checked_pattern, flag, found, leftover

Attributes = Mapping[int, tuple[str, ...]]
"""Top-level values by tag, decoded and stripped. An Attribute that is absent or empty is not in it."""

_NO_TEXT = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)  # PS3.5 6.2, DS and IS
_LONGEST_NUMBER = 64
_DEEPEST = 20
_TESTS = ("equals", "in", "matches", "exists")
_HINT = "write it as {Modality: MR}, {Modality: {in: [MR, CT]}}, {SliceThickness: {exists: true}} or {not: {…}}"


@dataclass(frozen=True, slots=True)
class Equals:
    """One value of an Attribute is one of the operands: a text, or a Decimal, to which any way to write it is equal."""

    tag: int
    operands: tuple[str | Decimal, ...]

    def holds(self, attributes: Attributes) -> bool:
        """Whether it is so."""
        values = attributes.get(self.tag, ())
        return any(value in self.operands or as_number(value) in self.operands for value in values)

    def reads(self) -> frozenset[int]:
        """The tags that it asks for."""
        return frozenset({self.tag})


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression is found in one value of an Attribute."""

    tag: int
    expression: str

    def holds(self, attributes: Attributes) -> bool:
        """Whether it is so."""
        return any(found(self.expression, value) for value in attributes.get(self.tag, ()))

    def reads(self) -> frozenset[int]:
        """The tags that it asks for."""
        return frozenset({self.tag})


@dataclass(frozen=True, slots=True)
class Exists:
    """An Attribute is present and not empty; ``wanted`` False: it is absent or empty."""

    tag: int
    wanted: bool

    def holds(self, attributes: Attributes) -> bool:
        """Whether it is so."""
        return any(attributes.get(self.tag, ())) is self.wanted

    def reads(self) -> frozenset[int]:
        """The tags that it asks for."""
        return frozenset({self.tag})


@dataclass(frozen=True, slots=True)
class Combined:
    """All of the parts hold (``every``), or at least one."""

    parts: tuple[Condition, ...]
    every: bool

    def holds(self, attributes: Attributes) -> bool:
        """Whether it is so."""
        results = (part.holds(attributes) for part in self.parts)
        return all(results) if self.every else any(results)

    def reads(self) -> frozenset[int]:
        """The tags that the parts ask for."""
        return frozenset[int]().union(*(part.reads() for part in self.parts))


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition

    def holds(self, attributes: Attributes) -> bool:
        """Whether it is so."""
        return not self.part.holds(attributes)

    def reads(self) -> frozenset[int]:
        """The tags that the part asks for."""
        return self.part.reads()


Condition = Equals | Matches | Exists | Combined | Not


def as_number(value: str) -> Decimal | None:
    """The number that a text is, by the rules of DS and IS (PS3.5 6.2); None for other texts."""
    if len(value) > _LONGEST_NUMBER or _NUMBER.fullmatch(value) is None:
        return None
    return Decimal(value)


def attribute(name: object) -> int:
    """The tag of the one public Attribute that a keyword or tag names, whose value can be read as text.

    Raises SettingError where it names no Attribute, several, or one whose value is bytes or items.
    """
    if not isinstance(name, str):
        raise SettingError("an attribute must be named by a text", "put the keyword or tag into quotes")
    selector = selectors.parse(name)
    tags = selector.tags()
    if not tags or selector.sequences or selector.top:
        raise SettingError(f"`{name}` is not one public attribute", "write a keyword or a tag such as (0010,0040)")
    (tag,) = tags
    if selectors.vrs(tag) and _NO_TEXT.issuperset(selectors.vrs(tag)):
        raise SettingError(f"the value of `{name}` cannot be read as text", "take an attribute with text or numbers")
    return tag


def parse(content: object) -> Condition:
    """The condition that a mapping from YAML stands for. Raises SettingError for what is none."""
    return _mapping(content, 0)


def _mapping(content: object, depth: int) -> Condition:
    if not isinstance(content, Mapping) or not content:
        raise SettingError("a condition must be a mapping with something in it", _HINT)
    if depth > _DEEPEST:
        raise SettingError("the condition is too deep", f"at most {_DEEPEST} conditions within each other")
    return _all_of([_entry(key, value, depth + 1) for key, value in content.items()])


def _all_of(parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Combined(tuple(parts), every=True)


def _entry(key: object, value: object, depth: int) -> Condition:
    if key == "not":
        return Not(_mapping(value, depth))
    if key in ("all", "any"):
        if not isinstance(value, list) or not value:
            raise SettingError(f"`{key}` must be a list of conditions", f"write {{{key}: [{{…}}, {{…}}]}}")
        return Combined(tuple(_mapping(part, depth) for part in value), every=key == "all")
    tag = attribute(key)
    if not isinstance(value, Mapping):
        return Equals(tag, (_operand(key, value),))
    leftover(value, *_TESTS)
    if not value:
        raise SettingError(f"`{key}` is not compared with anything", _HINT)
    return _all_of([_test(tag, test, value) for test in value])


def _test(tag: int, test: str, given: Mapping[str, object]) -> Condition:
    operand = given[test]
    if test == "exists":
        return Exists(tag, flag(given, test))
    if test == "equals":
        return Equals(tag, (_operand(test, operand),))
    if test == "in":
        if not isinstance(operand, list) or not operand:
            raise SettingError("`in` must be a list of values", "write {in: [MR, CT]}")
        return Equals(tag, tuple(_operand(test, one) for one in operand))
    if not isinstance(operand, str):
        raise SettingError("`matches` must be a regular expression", "put it into quotes")
    return Matches(tag, checked_pattern(operand))


def _operand(key: object, value: object) -> str | Decimal:
    """A text stays a text, a number becomes one that any way to write it is equal to."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, list):
        raise SettingError(f"`{key}` is compared with a list", "write {in: [MR, CT]}")
    if isinstance(value, str):
        raise SettingError(f"`{key}` is compared with nothing", "write {exists: false}")
    if isinstance(value, (int, float)):
        number = as_number(repr(value))  # None for true and false
        if number is not None:
            return number
    raise SettingError(f"`{key}` must be compared with a text or a number", "put it into quotes")
