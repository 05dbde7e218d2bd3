"""How other tools name attributes, as selectors of ours."""

from __future__ import annotations

import re
from typing import Final

from coatcheck.deid.selectors import keyword

_TAG: Final = re.compile(
    r"[(\[]? *(?:0x)?([0-9a-f]{1,4}|[0-9a-fx]{4}) *, *(?:0x)?([0-9a-f]{1,4}|[0-9a-fx]{4}) *[)\]]?", re.IGNORECASE
)
_DIGITS: Final = re.compile(r"(?:0x)?([0-9a-fx]{4})([0-9a-fx]{4})", re.IGNORECASE)
_PRIVATE: Final = re.compile(r'\(? *([0-9a-f]{4}) *, *"([^"]+)" *, *([0-9a-f]{2}) *\)?', re.IGNORECASE)
_ODD: Final = frozenset("13579BDF")
NO_CREATOR: Final = "a private attribute without its creator: blocks are not the same in every file (PS3.5 7.8.1)"


class NoCreatorError(Exception):
    """A private attribute that is named by its group and element alone."""


def selector(text: str) -> str:
    """A tag, a masked one, a private one with its creator, or a keyword, as a selector.

    What is none of it stays as it is: whoever reads it as a selector says what is wrong. Raises NoCreatorError.
    """
    plain = text.strip()
    if match := _PRIVATE.fullmatch(plain):
        return private(match[1], match[2], match[3])
    match = _TAG.fullmatch(plain) or _DIGITS.fullmatch(plain)
    if match is None:
        return plain
    return tag(match[1], match[2])


def tag(group: str, element: str) -> str:
    """The selector of a group and an element in hexadecimal digits, an x for each that may be any."""
    digits = [part.upper().replace("X", "x").rjust(4, "0") for part in (group, element)]
    if digits[0][3] in _ODD:
        raise NoCreatorError
    exact = "".join(digits)
    name = keyword(int(exact, 16)) if "x" not in exact else ""
    return name or f"({digits[0]},{digits[1]})"


def private(group: str, creator: str, element: str) -> str:
    """The selector of a private attribute by its creator."""
    quoted = creator.replace('"', '""')
    return f'({group.upper()},"{quoted}",{element.upper()[-2:]})'


def keyword_with(text: str, before: str = "", after: str = "") -> str:
    """The selector of attributes in whose keyword a text is found, whatever its case."""
    return f"/(?i){before}{re.escape(text)}{after}/"


def template(text: str) -> str:
    """A text as a template: its braces stand for themselves."""
    return text.replace("{", "{{").replace("}", "}}")
