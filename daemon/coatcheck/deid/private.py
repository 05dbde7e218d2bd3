"""Private Data Elements (PS3.5 7.8): whose they are, and which of them the standard calls safe (PS3.15 Table E.3.10-1).

A private element is known by its group, the low byte of its number and its creator; the block is the Data Set's own.
Listed as safe is not clean: dates, UIDs, names and text inside are treated by their VR.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from coatcheck.deid import standard
from coatcheck.deid.profile import Profile
from coatcheck.deid.pydicom_data import private_vr
from coatcheck.deid.rules import Rule, by_vr, rule_of

_TEXT = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_LISTED = "PS3.15 Table E.3.10-1"


def is_creator(tag: int) -> bool:
    """Whether a private tag reserves a block, and its value is the creator's name (PS3.5 7.8.1)."""
    return 0x10 <= tag & 0xFFFF <= 0xFF


def without_block(tag: int) -> int:
    """A private tag as it is named where its block does not matter."""
    return tag & 0xFFFF00FF


@cache
def _safe() -> Mapping[tuple[int, int, str], standard.SafePrivate]:
    return {(one.group, one.element, one.creator): one for one in standard.safe_private()}


@cache
def safe_creators() -> frozenset[tuple[int, str]]:
    """The groups and creators of which something is listed as safe."""
    return frozenset((one.group, one.creator) for one in standard.safe_private())


@cache
def vrs_of_private(tag: int, creator: str) -> tuple[str, ...]:
    """The VRs of a private element, by the standard's table or pydicom's dictionary; empty where neither knows it.

    The dictionary's UN says only that nobody knows.
    """
    listed = _safe().get((tag >> 16, tag & 0xFF, creator))
    if listed is not None and listed.vr:
        return tuple(listed.vr.split("/"))
    found = private_vr(tag | 0x1000, creator)
    return () if found in (None, "UN") else tuple(found.replace("_", " or ").split(" or "))


def safe_rule(profile: Profile, tag: int, vr: str, creator: str) -> Rule | None:
    """The rule for a private element under Retain Safe Private (PS3.15 E.3.10); None for one that is not listed."""
    if (tag >> 16, tag & 0xFF, creator) not in _safe():
        return None
    known = by_vr(profile).get(vr)
    if known is not None:
        return known._replace(origin=f"{_LISTED}: safe; {vr} is treated by its VR")
    if vr in _TEXT:
        return rule_of("clean-text", f"{_LISTED}: safe; its text is cleaned")
    return rule_of("keep", f"{_LISTED}: safe")
