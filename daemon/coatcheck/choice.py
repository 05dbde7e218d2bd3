"""Which of the dropped files a project wants: rules over the dropped path, and conditions over Attributes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Final

from coatcheck.deid.conditions import Attributes, Condition
from coatcheck.deid.settings import found
from coatcheck.paths import is_archive, is_marker


@dataclass(frozen=True, slots=True)
class Wildcard:
    """``*``, ``?`` and ``[…]``, in any case. Without a "/" it is compared with each name in the path, else with all."""

    text: str

    def holds(self, path: str) -> bool:
        """Whether it fits a dropped path."""
        matches = _compiled(self.text).match
        return any(matches(part) is not None for part in ([path] if "/" in self.text else path.split("/")))


@dataclass(frozen=True, slots=True)
class Matching:
    """A regular expression that is found in the dropped path."""

    expression: str

    def holds(self, path: str) -> bool:
        """Whether it is."""
        return found(self.expression, path)


@dataclass(frozen=True, slots=True)
class Having:
    """A condition on top-level Attributes of the file, in the language of a profile's ``when``."""

    condition: Condition


Rule = Wildcard | Matching | Having


@lru_cache(maxsize=1024)
def _compiled(text: str) -> re.Pattern[str]:
    return re.compile(translate(text), re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A file is wanted if ``include`` is empty or one of its rules holds, and none of ``exclude`` does."""

    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()
    marker: str = ""  # the name of markers, which no rule is for

    def leaves_out(self, path: str) -> bool:
        """Whether a file is not wanted, whatever is in it. ``path`` is as it was dropped."""
        if is_marker(path, self.marker):
            return False
        if _any(self.exclude, path, None):
            return True
        undecided = is_archive(path) or any(isinstance(rule, Having) for rule in self.include)
        return bool(self.include) and not undecided and not _any(self.include, path, None)

    @property
    def reads(self) -> frozenset[int]:
        """The tags of the Attributes that decide."""
        rules = (*self.include, *self.exclude)
        return frozenset[int]().union(*(rule.condition.reads() for rule in rules if isinstance(rule, Having)))

    def wants(self, path: str, attributes: Callable[[frozenset[int]], Attributes]) -> bool:
        """Whether an Instance is wanted. ``attributes`` reads the values of these tags from it."""
        if not (self.include or self.exclude):
            return True
        values = attributes(self.reads)
        included = not self.include or _any(self.include, path, values)
        return included and not _any(self.exclude, path, values)


def _any(rules: tuple[Rule, ...], path: str, attributes: Attributes | None) -> bool:
    """Whether one of the rules holds; without Attributes only those over the path can."""
    for rule in rules:
        if isinstance(rule, Having):
            if attributes is not None and rule.condition.holds(attributes):
                return True
        elif rule.holds(path):
            return True
    return False


EVERYTHING: Final = Choice()
