"""Every form in which a text may lie in bytes: as it is, deflated, with other cases, in other encodings."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache

from tests.tools.key import KEPT, Plant
from tests.tools.plant.planted import inflated_data_set

_ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_STREAM_LIMIT = 1 << 24
_DEFLATED_SYNTAX = b"1.2.840.10008.1.2.1.99"
_NEW_UID = re.compile(rb"2\.25\.[0-9]{30,39}")
_FOLDED_LENGTH = 6
"""Shorter patterns are searched as they are: ignoring case they would be found by chance."""


def bodies(content: bytes) -> list[bytes]:
    """The content, its Data Set if that is deflated, and every zlib stream in either."""
    found = [content]
    if _DEFLATED_SYNTAX in content[:1024]:
        # one that only says that it is deflated is searched as it is
        with suppress(ValueError, zlib.error):
            found.append(inflated_data_set(content))
    return found + [stream for body in found for stream in _streams(body)]


def _streams(body: bytes) -> Iterator[bytes]:
    for head in _ZLIB_HEADS:
        at = body.find(head)
        while at >= 0:
            try:
                inflated = zlib.decompressobj().decompress(body[at : at + _STREAM_LIMIT], _STREAM_LIMIT)
            except zlib.error:
                inflated = b""
            if inflated:
                yield inflated
            at = body.find(head, at + 1)


def patterns_of(plant: Plant) -> list[bytes]:
    """The byte strings of a plant, and its tokens in UTF-8 and UTF-16, in which a tool may have written them anew."""
    patterns = [bytes.fromhex(pattern) for pattern in plant["patterns"]]
    if plant["action"] not in KEPT:
        for token in plant.get("tokens", []):
            forms = [token.encode()] + ([token.encode("utf-16-le")] if len(token) >= _FOLDED_LENGTH else [])
            patterns += [form for form in forms if form not in patterns]
    return patterns


@lru_cache(maxsize=16)
def without_new_uids(content: bytes) -> bytes:
    """The content without coatcheck's own UIDs: in their digits, any date is found by chance before long."""
    return _NEW_UID.sub(b"", content)


def found_in(patterns: Iterable[bytes], haystacks: Iterable[bytes], folded: Iterable[bytes] = ()) -> bool:
    """Whether any pattern is in any haystack, or in a folded (lower-cased) one if it is long enough and ASCII."""
    patterns, folded, haystacks = list(patterns), list(folded), list(haystacks)
    numbers = [pattern for pattern in patterns if pattern.isdigit()]
    if any(pattern in haystack for haystack in haystacks for pattern in patterns if pattern not in numbers):
        return True
    if numbers and any(number in without_new_uids(haystack) for haystack in haystacks for number in numbers):
        return True
    letters = [pattern for pattern in patterns if pattern not in numbers]  # numbers have no cases
    lower = [pattern.lower() for pattern in letters if len(pattern) >= _FOLDED_LENGTH and pattern.isascii()]
    return any(pattern in haystack for haystack in folded for pattern in lower)
