"""Profiles: what a project promises, in writing. The options of PS3.15 Annex E it chose, and its own rules over them.

A profile is composed as the standard does: the Basic Profile, then options, then rules; the later wins. It is read from
YAML by ``profile_file`` and turned into one rule for each element by ``plan``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from coatcheck.deid import standard
from coatcheck.deid.actions import KINDS, Context, Do
from coatcheck.deid.conditions import Condition
from coatcheck.deid.selectors import Selector
from coatcheck.deid.shifts import Dates

FULL_DATES, MODIFIED_DATES = "retain-longitudinal-full-dates", "retain-longitudinal-modified-dates"
# What this version can do. The other options of Annex E are refused, never silently left out.
AVAILABLE = (
    "clean-descriptors",
    "clean-graphics",
    "clean-structured-content",
    "retain-device-identity",
    "retain-institution-identity",
    FULL_DATES,
    MODIFIED_DATES,
    "retain-patient-characteristics",
    "retain-safe-private",
    "retain-uids",
)
# Kinds of identity that an option keeps on purpose: the gate does not search for them.
_KEPT_KINDS = {
    FULL_DATES: "date",
    "retain-device-identity": "device station",
    "retain-institution-identity": "institution",
    "retain-uids": "uid",
}


@dataclass(frozen=True, kw_only=True)
class WrittenRule:
    """One rule as it stands in a file. ``do`` is None for what needs no settings; ``place`` is ``file:line``."""

    selectors: tuple[Selector, ...]
    action: str
    do: Do | None = None
    when: Condition | None = None
    because: str = ""
    place: str = field(default="", compare=False)
    content: str = ""  # what it says, in one spelling, for the digest

    @property
    def varies(self) -> frozenset[str]:
        """What its results depend on beyond the Study: attributes, series, instance."""
        return KINDS[self.action].varies(self.do) if self.do is not None else frozenset()

    @property
    def reads(self) -> frozenset[int]:
        """The top-level Attributes that it reads."""
        found: frozenset[int] = getattr(getattr(self.do, "template", None), "reads", frozenset)()
        return found | (self.when.reads() if self.when is not None else frozenset())


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A profile as it is applied. ``digest`` names its content and the standard's edition, for records."""

    name: str
    title: str
    options: tuple[str, ...] = ()
    unlisted: str = "keep"  # or "remove"
    private: str = "remove"  # or "safe", "keep-listed"
    dates: Dates = Dates()  # noqa: RUF009 - frozen
    variables: tuple[tuple[str, str], ...] = ()
    rules: tuple[WrittenRule, ...] = ()

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change when anything that the profile does changes."""
        content: tuple[object, ...] = (standard.EDITION, *self.options)
        more = (self.unlisted, self.private, self.dates, self.variables, *(one.content for one in self.rules))
        if more != ("keep", "remove", Dates(), ()):
            content = (*content, *more)
        return hashlib.sha256("\n".join(map(str, content)).encode()).hexdigest()[:16]

    @property
    def methods(self) -> tuple[standard.Option, ...]:
        """The codes of CID 7050 for what was done, the profile's own first."""
        known = standard.options()
        return (known["basic"], *(known[option] for option in self.options))

    @property
    def temporal_information(self) -> str:
        """The value of Longitudinal Temporal Information Modified (0028,0303), PS3.15 E.3.6."""
        if FULL_DATES in self.options:
            return "UNMODIFIED"
        return "MODIFIED" if MODIFIED_DATES in self.options else "REMOVED"

    @property
    def retains_uids(self) -> bool:
        """Whether UIDs stay what they were (PS3.15 E.3.9)."""
        return "retain-uids" in self.options

    def uid(self, secret: bytes, original: str) -> str:
        """The new UID for an original one, as the actions write it."""
        return Context(secret=secret, subject="", shift_days=0, retains_uids=self.retains_uids).uid(original)

    @property
    def kept_kinds(self) -> frozenset[str]:
        """The kinds of identity that an option keeps on purpose."""
        return frozenset(kind for option in self.options for kind in _KEPT_KINDS.get(option, "").split())

    @cached_property
    def reads(self) -> frozenset[int]:
        """The top-level Attributes that conditions and templates ask for."""
        return frozenset().union(*(rule.reads for rule in self.rules))

    @cached_property
    def varies(self) -> frozenset[str]:
        """What the results for equal elements of one Study may depend on: attributes, series, instance."""
        scope = {self.dates.scope} & {"series", "instance"}
        return frozenset(scope).union(*(rule.varies for rule in self.rules))

    def holding(self, attributes: Mapping[int, tuple[str, ...]]) -> frozenset[int]:
        """The conditional rules, by their numbers, whose condition holds for an Instance with these Attributes."""
        return frozenset(
            number for number, rule in enumerate(self.rules) if rule.when is not None and rule.when.holds(attributes)
        )
