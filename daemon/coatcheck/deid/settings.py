"""Reading the settings of a profile's rule: each reader says what a setting must be, and what is wrong where it is not.

Regular expressions are checked as well, as matching must not hang on any value: no timeout interrupts it.
"""

from __future__ import annotations

import difflib
import importlib
import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import chain, combinations, product
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

LONGEST_SEARCHED: Final = 10_240
"""How many characters of a value are searched by a regular expression."""

Settings = Mapping[str, object]
"""The settings beside an action, as YAML gives them."""

_LONGEST_PATTERN: Final = 1000
_MOST_DAYS: Final = 36500


class SettingError(Exception):
    """A setting that cannot be used. Shown as ``file:line: what: hint``."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}: {self.hint}" if self.hint else self.what


class Required:
    """Stands in place of a default where there is none."""


REQUIRED: Final = Required()
_Else = TypeVar("_Else")
_Found = TypeVar("_Found")
_Kinds = type[_Found] | tuple[type[_Found], ...]


def nearest(word: str, known: Collection[str]) -> str:
    """A hint for a word that is not known: the nearest one that is, or all of them where they are few."""
    folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{folded[close[0]]}`?"
    return f"known are: {', '.join(sorted(known))}" if 0 < len(known) <= 20 else ""


def leftover(settings: Settings, *known: str) -> None:
    """Raises SettingError for the first key that is not among the known ones; without any, for every key."""
    for key in settings:
        if key not in known:
            hint = nearest(str(key), known) if known else "this action has no settings"
            raise SettingError(f"unknown setting `{key}`", hint)


def _read(
    settings: Settings, key: str, kind: _Kinds[_Found], wanted: tuple[str, str], default: _Else | Required
) -> _Found | _Else:
    """The value of a key, or the default. ``wanted`` is what it must be, in words, and a hint for what is not."""
    if key not in settings:
        if isinstance(default, Required):
            raise SettingError(f"`{key}` is missing", "this action needs it")
        return default
    value = settings[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SettingError(f"`{key}` must be {wanted[0]}", wanted[1])
    return value


def text(settings: Settings, key: str, default: _Else | Required = REQUIRED) -> str | _Else:
    """A text. What YAML reads as something else (12, yes, 2024-01-01) is refused, for its spelling is lost."""
    return _read(settings, key, str, ("a text", "put it into quotes"), default)


def flag(settings: Settings, key: str, default: _Else | Required = REQUIRED) -> bool | _Else:
    """True or false."""
    return _read(settings, key, bool, ("true or false", "write one of the two, without quotes"), default)


def choice(settings: Settings, key: str, allowed: Collection[str], default: _Else | Required = REQUIRED) -> str | _Else:
    """One of the words that are allowed."""
    value = text(settings, key, default)
    if key in settings and value not in allowed:
        raise SettingError(f"`{key}` has an unknown value `{value}`", nearest(str(value), allowed))
    return value


def whole(
    settings: Settings, key: str, default: _Else | Required = REQUIRED, *, least: float = -inf, most: float = inf
) -> int | _Else:
    """A whole number from ``least`` to ``most``."""
    value = _read(settings, key, int, ("a whole number", "write it in digits, without quotes"), default)
    if key in settings:
        _check_bounds(key, cast(int, value), least, most)
    return value


def number(
    settings: Settings, key: str, default: _Else | Required = REQUIRED, *, least: float = -inf, most: float = inf
) -> float | _Else:
    """A finite number from ``least`` to ``most``, with or without a fraction."""
    value = _read(settings, key, (int, float), ("a number", "write it without quotes, such as 0.5"), default)
    if key in settings:
        _check_bounds(key, cast(float, value), least, most)
    return value


def _check_bounds(key: str, value: float, least: float = -inf, most: float = inf) -> None:
    if value != value or value in (inf, -inf):
        raise SettingError(f"`{key}` must be a finite number", "write it in digits, such as 0.5")
    if value < least:
        raise SettingError(f"`{key}` is too small", f"at least {least}")
    if value > most:
        raise SettingError(f"`{key}` is too large", f"at most {most}")


def days_range(settings: Settings, key: str, default: _Else | Required = REQUIRED) -> tuple[int, int] | _Else:
    """Days from the fewest to the most, such as [-365, -1]; one number alone stands for both ends."""
    wanted = ("a number of days other than 0, or a range of them", "write -100 or [-365, -1]")
    value = _read(settings, key, (int, list), wanted, default)
    if key not in settings:
        return cast(_Else, value)
    ends: list[int] = value if isinstance(value, list) else [cast(int, value)] * 2
    if len(ends) == 2 and all(type(end) is int for end in ends) and ends[0] <= ends[1] and any(ends):
        _check_bounds(key, ends[0], least=-_MOST_DAYS)
        _check_bounds(key, ends[1], most=_MOST_DAYS)
        return ends[0], ends[1]
    raise SettingError(f"`{key}` must be {wanted[0]}", wanted[1])


def pattern(settings: Settings, key: str, default: _Else | Required = REQUIRED) -> str | _Else:
    """The text of a regular expression that is checked (see ``checked_pattern``); ``compiled`` makes it ready."""
    value = text(settings, key, default)
    return checked_pattern(value) if key in settings and isinstance(value, str) else value


@lru_cache(maxsize=1024)
def compiled(expression: str) -> re.Pattern[str]:
    """A regular expression that ``checked_pattern`` let pass, ready for use. Kept here, as rules hold its text only."""
    return re.compile(expression)


def found(expression: str, value: str) -> bool:
    """Whether the regular expression is found in a value, as far as LONGEST_SEARCHED."""
    return compiled(expression).search(value[:LONGEST_SEARCHED]) is not None


def checked_pattern(expression: str) -> str:
    """The expression. Raises SettingError for what is no regular expression or may take for ever on some value."""
    if len(expression) > _LONGEST_PATTERN:
        raise SettingError("the regular expression is too long", f"at most {_LONGEST_PATTERN} characters")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Python warns of what it will read otherwise in a later version
        try:
            compiled(expression)
            follow = _Follow(expression)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise SettingError(f"`{expression}` is no regular expression ({error})", "see Python's `re`") from None
    if follow.is_ambiguous() or follow.repeats_in_a_row() > _MOST_IN_A_ROW:
        raise SettingError(
            f"`{expression}` may take for ever on some values",
            "repeats must not share out one text among them, as in `(a+)+` or `.*a.*b`: take one away, "
            "begin with `^`, or let them match less, as `[^;]*` does",
        )
    return expression


# What follows finds expressions that take exponential time. Each part of an expression that matches one character is a
# place; what may follow what is a graph (Glushkov's automaton). Time is exponential where some text leads from a place
# back to it in two ways. Python itself says which of a sample of characters a place matches.
_parse: Any = importlib.import_module("re._parser").parse
_compile: Any = importlib.import_module("re._compiler").compile
_Tree: TypeAlias = Any  # what Python parses an expression into; its typing is not public
_SAMPLE: Final = "".join(map(chr, range(0x100))) + "Ωж日٣\u2003"
_MOST_STEPS: Final = 200_000
_MOST_COPIES: Final = 100
_MOST_IN_A_ROW: Final = 2  # with three, a value of 64 Ki characters could take hours


class _Ends(NamedTuple):
    """The places at which a part of an expression may begin and end, and whether it may match nothing."""

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    empty: bool = True


class _Follow:
    """Which place of an expression follows which, once for each way that leads there."""

    def __init__(self, expression: str) -> None:
        self._sample = {*_SAMPLE, *expression}
        self._sets: list[set[str]] = []
        self._after: list[list[int]] = []
        tree = _parse(expression)
        self._first = self._add(tree, re.NOFLAG).first
        self._anchored = str(tree[:1]).startswith("[(AT, AT_BEGINNING") and not tree.state.flags & re.MULTILINE

    def _add(self, tree: _Tree, flags: int) -> _Ends:
        whole = _Ends()
        for index, (operation, argument) in enumerate(tree):
            part = self._part(str(operation), argument, tree[index : index + 1], flags)
            self._lead(whole.last, part.first)
            first = whole.first + part.first if whole.empty else whole.first
            last = whole.last + part.last if part.empty else part.last
            whole = _Ends(first, last, whole.empty and part.empty)
        return whole

    def _lead(self, sources: Iterable[int], targets: tuple[int, ...]) -> None:
        for source in sources:
            self._after[source].extend(targets)

    def _part(self, operation: str, argument: _Tree, itself: _Tree, flags: int) -> _Ends:
        if operation.endswith("_REPEAT"):
            return self._repeat(argument[0], argument[1], argument[2], flags)
        if operation == "SUBPATTERN":
            return self._add(argument[3], flags | argument[1])
        if operation == "ATOMIC_GROUP":
            return self._add(argument, flags)
        if operation in ("BRANCH", "GROUPREF_EXISTS"):
            return self._either(argument[1] if operation == "BRANCH" else (argument[1], argument[2] or ()), flags)
        if operation in ("ASSERT", "ASSERT_NOT"):
            self._add(argument[1], flags)
        if operation in ("AT", "ASSERT", "ASSERT_NOT", "FAILURE"):
            return _Ends()
        matched = self._sample  # a reference to a group: anything
        if not operation.startswith("GROUPREF"):
            matches = _compile(itself, flags).match
            matched = {character for character in self._sample if matches(character)}
        self._sets.append(matched)
        self._after.append([])
        place = (len(self._sets) - 1,)
        return _Ends(place, place, False)

    def _either(self, ways: Iterable[_Tree], flags: int) -> _Ends:
        first, last, empty = zip(*(self._add(way, flags) for way in ways), strict=True)
        return _Ends(tuple(chain(*first)), tuple(chain(*last)), any(empty))

    def _repeat(self, least: int, most: int, body: _Tree, flags: int) -> _Ends:
        begin = len(self._after)
        ends = self._add(body, flags)
        line = [[place] for place in range(begin + 1, len(self._after))] + [[]]
        one_way = self._after[begin:] == line and ends == _Ends((begin,), (begin + len(line) - 1,), False)
        if least == most and one_way and most * len(line) <= _MOST_COPIES:
            for _ in range(most - 1):
                copy = self._add(body, flags)
                self._lead(ends.last, copy.first)
                ends = ends._replace(last=copy.last)
        elif most > 1:
            ways = 2 if ends.empty else 1  # a count is reached in several ways where matches may be of nothing
            self._lead(ends.last, ends.first * ways)
        return ends._replace(empty=ends.empty or least == 0)

    def is_ambiguous(self) -> bool:
        """Whether some text leads from a place back to it in two ways; also where finding out would take too long."""
        steps = 0
        for place, after in enumerate(self._after):
            waiting = [pair for pair in combinations(after, 2) if self._sets[pair[0]] & self._sets[pair[1]]]
            seen = set(waiting)
            while waiting:
                one, other = waiting.pop()
                if one == other == place or steps > _MOST_STEPS:
                    return True
                steps += len(self._after[one]) * len(self._after[other])
                pairs = set(product(self._after[one], self._after[other])) - seen
                waiting += [pair for pair in pairs if self._sets[pair[0]] & self._sets[pair[1]]]
                seen |= pairs
        return False

    def repeats_in_a_row(self) -> int:
        """How many repeats may share out one text among them, so that time grows by this power of its length."""
        loops = [place for place, after in enumerate(self._after) if place in after]
        if not self._anchored:  # searching is a repeat as well: of anything, before the expression
            loops.insert(0, len(self._after))
            self._sets.append(self._sample)
            self._after.append([loops[0], *self._first])
        chains: dict[int, int] = {}
        for last in loops:
            chains[last] = 1 + max((chains[first] for first in chains if self._share(first, last)), default=0)
        return max(chains.values(), default=0)

    def _share(self, first: int, last: int) -> bool:
        """Whether what both places match leads from one to the other."""
        both = self._sets[first] & self._sets[last]
        reached, waiting = {first}, [first]
        while waiting:
            waiting += (new := {place for place in self._after[waiting.pop()] if both & self._sets[place]} - reached)
            reached |= new
        return last in reached
