"""What the readers of other tools' files give: one rule for each of theirs, in our words as far as there are any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from coatcheck.errors import CoatcheckError

_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRule:
    """One rule of a file of another tool, as a rule of ours.

    ``said`` is what stands there, in a few words. ``at``, ``do``, ``settings`` and ``when`` are as a profile writes
    them. ``refused`` says why there is no rule of ours for it, ``note`` what is otherwise with us.
    """

    line: int
    said: str
    at: tuple[str, ...] = ()
    do: str = ""
    settings: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    when: Mapping[str, object] | None = None
    refused: str = ""
    note: str = ""

    def without(self, reason: str) -> ForeignRule:
        """The same rule as one that cannot be carried over."""
        return replace(self, do="", refused=reason)

    def written(self) -> dict[str, object]:
        """The rule as it stands in a profile."""
        at: object = list(self.at) if len(self.at) > 1 else self.at[0]
        said = {"at": at, "do": self.do, **self.settings}
        return said if self.when is None else said | {"when": dict(self.when)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A whole file. ``rules`` stand in the order of ours: the later wins.

    ``only_named`` says that what no rule names is removed there. ``dates`` is how far its dates move, as a profile
    writes it. ``remarks`` are (line, text) for what is no rule.
    """

    rules: tuple[ForeignRule, ...]
    only_named: bool = False
    dates: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    remarks: tuple[tuple[int, str], ...] = ()


class UnreadableError(CoatcheckError):
    """A file that is not what it was taken for."""


def unreadable(what: str, hint: str = "see profiles/MOVING.md for what can be read") -> UnreadableError:
    """The error for a file, or a part of one, that cannot be read as its kind."""
    return UnreadableError(what, hint)
