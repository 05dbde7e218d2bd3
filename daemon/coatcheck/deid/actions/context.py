"""What an action is, and what it is told of the element, the Instance and the project at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from coatcheck.deid import pseudonyms
from coatcheck.deid.settings import Settings
from coatcheck.deid.shifts import Ids
from coatcheck.deid.standard import is_registered

_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)+")  # what names a folder in the outbox is nothing else (PS3.5 9.1)


@dataclass(slots=True, kw_only=True)
class Context:
    """What the actions on one Instance need to know, and the UIDs that they replaced (original → new).
    Those that an earlier system gave stand in ``given``, and are not told again.

    ``charset`` (names of codecs, as of ``charsets.encodings_of``), ``little`` (the byte order) and ``tag`` (a private
    one without its block) are those of the element at hand: whoever calls an action sets them before. ``attributes``
    holds those top-level values of the Instance that the profile reads. Without ``cleaner``, ``masker`` or ``seal``
    the actions that need them cannot be done.
    """

    secret: bytes = field(repr=False)
    subject: str
    shift_days: int = field(repr=False)
    uids: dict[str, str] = field(default_factory=dict, repr=False)
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    retains_uids: bool = False
    project: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    ids: Ids = field(default_factory=Ids, repr=False)
    attributes: Mapping[int, tuple[str, ...]] = field(default_factory=dict, repr=False)
    charset: tuple[str, ...] = ()
    little: bool = True
    tag: int = 0
    cleaner: Callable[[str], str] | None = field(default=None, repr=False)
    masker: Callable[[bytes], bytes] | None = field(default=None, repr=False)
    seal: Callable[[bytes], bytes] | None = field(default=None, repr=False)

    def uid(self, original: str) -> str:
        """The new UID for an original one. Those registered in PS3.6 Annex A stay; all do where UIDs are kept."""
        known = self.uids.get(original)
        if known is None:
            known = self.given.get(original)
            if known is not None:
                return known
            if is_registered(original) or (self.retains_uids and _UID.fullmatch(original)):
                return original
            known = self.uids[original] = pseudonyms.uid(self.secret, original)
        return known


Do = Callable[[bytes, str, Context], bytes | None]
"""From an encoded value, its VR and the context to another value, or to None where that cannot be done."""


class Maker(NamedTuple):
    """What settings are read with: the names of the profile's variables, and the folder of its lists."""

    variables: frozenset[str]
    folder: Path


def constant(do: Do) -> frozenset[str]:
    """For an action whose result depends on nothing but the value, the project, the patient and the Study."""
    return frozenset()


class Kind(NamedTuple):
    """One action by the name that profiles use.

    ``vrs`` are those on which it makes sense. ``make`` reads its settings and raises SettingError for wrong ones.
    ``fallback`` (remove, empty or dummy) is done where the action cannot be. ``varies`` says what a made action depends
    on beyond the Study: "attributes", "series", "instance".
    """

    name: str
    vrs: frozenset[str]
    make: Callable[[Settings, Maker], Do]
    fallback: str = "remove"
    varies: Callable[[Do], frozenset[str]] = constant
