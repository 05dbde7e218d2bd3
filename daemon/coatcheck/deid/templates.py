"""Templates: texts with names in braces, which become values of Attributes and the project's variables.

``{name|filter|filter:argument}``; ``{{`` and ``}}`` stand for the braces themselves. Filters work from left to right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from coatcheck.deid.conditions import Attributes, as_number, attribute
from coatcheck.deid.settings import SettingError, nearest

GIVEN = ("project", "site", "subject")
"""The names that every project has a text for, beside its own variables."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|.")
_PLACES = re.compile(r"-?\d{1,5}", re.ASCII)
_FORMAT = re.compile(r"(?:0?\d{1,2})?(?:d|(?:\.\d{1,2})?f)", re.ASCII)
_WIDEST = 64  # digits before the point


def _format(value: str, argument: str) -> str:
    """A number in the form of Python's format(); another text, and a fraction where ``d`` wants none, as it is."""
    number = as_number(value)
    if number is None or number.adjusted() > _WIDEST:
        return value
    if argument.endswith("f"):
        return format(number, argument)
    return format(int(number), argument) if number == int(number) else value


def _substring(value: str, argument: str) -> str:
    first, _, last = argument.partition(":")
    return value[int(first or 0) : int(last) if last else None]


def _check_format(argument: str) -> bool:
    return _FORMAT.fullmatch(argument) is not None


def _check_substring(argument: str) -> bool:
    places = argument.split(":")
    return argument not in ("", ":") and len(places) <= 2 and all(not one or _PLACES.fullmatch(one) for one in places)


_Work = Callable[[str, str], str]
_Check = Callable[[str], bool]
# What a filter does, what its argument must be, and how that is written.
_FILTERS: dict[str, tuple[_Work, _Check, str]] = {
    "default": (lambda value, argument: value or argument, lambda argument: argument != "", "default:UNKNOWN"),
    "format": (_format, _check_format, "format:04d or format:.2f"),
    "lower": (lambda value, _: value.lower(), lambda argument: argument == "", "lower"),
    "substring": (_substring, _check_substring, "substring:0:8"),
    "upper": (lambda value, _: value.upper(), lambda argument: argument == "", "upper"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One name in braces: a variable, or the tag of a top-level Attribute, and (filter, argument) for each filter."""

    source: str | int
    filters: tuple[tuple[str, str], ...]

    def render(self, attributes: Attributes, variables: Mapping[str, str]) -> str:
        """The first value, filtered; "" for what is not there."""
        if isinstance(self.source, str):
            value = variables.get(self.source, "")
        else:
            value = next(iter(attributes.get(self.source, ())), "")
        for name, argument in self.filters:
            value = _FILTERS[name][0](value, argument)
        return value


@dataclass(frozen=True, slots=True)
class Template:
    """A text as it was written, and its parts: plain texts and fields."""

    text: str
    parts: tuple[str | Field, ...]

    def render(self, attributes: Attributes, variables: Mapping[str, str]) -> str:
        """The text with a value in each field's place. ``variables`` holds project, subject and site as well."""
        return "".join(part if isinstance(part, str) else part.render(attributes, variables) for part in self.parts)

    def reads(self) -> frozenset[int]:
        """The tags that it asks for."""
        sources = (part.source for part in self.parts if isinstance(part, Field))
        return frozenset(source for source in sources if isinstance(source, int))


def parse(text: str, variables: Collection[str]) -> Template:
    """The template that a text stands for. Raises SettingError for an unknown name or filter, and for odd braces."""
    parts: list[str | Field] = []
    for match in _TOKEN.finditer(text):
        if match[1] is not None:
            parts.append(_field(match[1], variables))
        elif match[0] in ("{", "}"):
            raise SettingError(f"the template has a single `{match[0]}`", "write {{ or }} for a brace itself")
        else:
            parts.append(match[0][0] if match[0] in ("{{", "}}") else match[0])
    return Template(text, tuple(parts))


def _field(content: str, variables: Collection[str]) -> Field:
    name, *filters = content.split("|")
    return Field(_source(name.strip(), variables), tuple(_filter(one) for one in filters))


def _source(name: str, variables: Collection[str]) -> str | int:
    known = {*GIVEN, *variables}
    if name in known:
        return name
    if not name:
        raise SettingError("the template has braces with no name", "write {subject}, or {{ }} for braces themselves")
    if name.islower():
        raise SettingError(f"there is no variable `{name}`", nearest(name, known))
    return attribute(name)


def _filter(text: str) -> tuple[str, str]:
    name, colon, argument = text.partition(":")
    name = name.strip()
    if name not in _FILTERS:
        raise SettingError(f"there is no filter `{name}`", nearest(name, tuple(_FILTERS)))
    _, check, form = _FILTERS[name]
    if not check(argument) or (colon and not argument):
        raise SettingError(f"the filter `{name}` is written otherwise", f"write it as {form}")
    return name, argument
