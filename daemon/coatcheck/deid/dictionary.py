"""What PS3.6 says of an Attribute, through pydicom's dictionary, repeating groups included."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache, lru_cache

from coatcheck.deid.pydicom_data import Entry, attributes, repeaters

_UNKNOWN_MAX = 1000


def _entry(tag: int) -> Entry | None:
    entry = attributes().get(tag)
    if entry is None and not is_private(tag):
        for digits, mask, one in _masks():
            if tag & mask == digits:
                return one
    return entry


@cache
def _masks() -> tuple[tuple[int, int, Entry], ...]:
    """The repeating groups of PS3.6 7.6: the digits of a tag that are fixed, which they are, and what it means."""
    return tuple(
        (int(digits.replace("x", "0"), 16), int("".join("0" if one == "x" else "F" for one in digits), 16), entry)
        for digits, entry in repeaters().items()
    )


@lru_cache(maxsize=8192)
def vrs_of(tag: int) -> tuple[str, ...]:
    """The VRs that the dictionary allows, most of the time one; empty for a tag that it does not know."""
    entry = _entry(tag)
    return tuple(entry[0].split(" or ")) if entry and entry[0] != "NONE" else ()


@lru_cache(maxsize=8192)
def vr_of(tag: int) -> str | None:
    """The VR by which a value without one is read; None for an unknown tag. A private creator is LO (PS3.5 7.8.1)."""
    vrs = vrs_of(tag)
    if vrs:
        return vrs[0]
    if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"
    return "UL" if tag & 0xFFFF == 0 else None


@lru_cache(maxsize=8192)
def is_retired(tag: int) -> bool:
    """Whether PS3.6 marks the Attribute as retired."""
    entry = _entry(tag)
    return bool(entry and entry[3])


def are_too_many(tags: Collection[int]) -> bool:
    """Whether more of the tags are unknown than a newer edition adds, by far: a Study's tags stand in the ledger."""
    return len(tags) > _UNKNOWN_MAX and sum(not vrs_of(tag) for tag in tags) > _UNKNOWN_MAX


def keyword_of(tag: int) -> str:
    """The keyword, or "" for an unknown tag."""
    entry = _entry(tag)
    return entry[4] if entry else ""


def is_private(tag: int) -> bool:
    """Whether the group number is odd (PS3.5 7.8)."""
    return bool(tag & 0x10000)
