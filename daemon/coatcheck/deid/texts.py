"""Text made fit for a Value Representation and a character set (PS3.5 6.1, 6.2), and values parted into texts.

``charset`` is always the names of codecs that ``charsets.encodings_of`` gives. The default repertoire is ASCII here:
pydicom reads it as Latin-1, which is right for reading files that lie, and wrong for writing.
"""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
import warnings
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from itertools import groupby

from coatcheck.deid import forms
from coatcheck.deid.charsets import decode, pydicom_charset
from coatcheck.deid.folding import normalized
from coatcheck.deid.standard import vr_limits

DEFAULT = ("iso8859",)
"""What ``encodings_of`` gives where there is no Specific Character Set."""

LETTERS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""The VRs whose text is in the Specific Character Set; all others have the default repertoire."""

_UNDECLARED = frozenset({"iso8859", "latin-1"})  # the default repertoire, and what encodings_of gives for unknown ones
_LINES = frozenset({"LT", "ST", "UT"})
_BLANK_START = frozenset({"LT", "ST", "UC", "UR", "UT"})  # leading spaces are part of the value
_LONG_LENGTH = frozenset({"UC", "UR", "UT", "SV", "UV"})
_MOST_BYTES = 0xFFFE
_RESETS = re.compile(r"([\\^=\r\n\t\f])")  # PS3.5 6.1.2.5.3: after these the first character set holds again
_G0 = re.compile(rb"\x1b(?:\$B|\$\(D|\([BJ])")  # escapes to what takes the place of ASCII (PS3.3 Table C.12-3, C.12-4)
_ASCII = {"ß": "ss", "Æ": "AE", "æ": "ae", "Ø": "O", "ø": "o", "Œ": "OE", "œ": "oe", "Ł": "L", "ł": "l", "Đ": "D"}
_ASCII |= {"đ": "d", "ı": "i", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-"}
_ASCII |= {"\u2014": "-", "\u2212": "-", "\u2022": "*"}
# RFC 3986, 2: reserved and unreserved characters; a percent sign only where two hexadecimal digits follow.
_URI_SAFE = "-._~:/?#[]@!$&'()*+,;=%"
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parts(value: bytes, vr: str, charset: tuple[str, ...] = DEFAULT) -> list[str]:
    """The texts of an encoded value, without padding; exactly one for a VR in which a backslash is a letter."""
    text = decode(value, charset or DEFAULT) if vr in LETTERS else value.decode("latin-1")
    several = text.split("\\") if is_several(vr) else [text]
    return [one.rstrip(" \0") if vr in _BLANK_START else one.strip(" \0") for one in several]


def joined(values: Iterable[bytes | None], vr: str) -> bytes | None:
    """Encoded texts as one value; None where one of them is None or they are too long for the VR's length field."""
    whole = []
    for one in values:
        if one is None:
            return None
        whole.append(one)
    value = b"\\".join(whole)
    return value if len(value) <= _MOST_BYTES or vr in _LONG_LENGTH else None


def fit_all(texts: Iterable[str], vr: str, charset: tuple[str, ...] = DEFAULT) -> bytes | None:
    """Several texts as one encoded value, each made fit; None where one cannot be."""
    return joined((fit(one, vr, charset) for one in texts), vr)


def mapped(value: bytes, vr: str, charset: tuple[str, ...], change: Callable[[str], str | None]) -> bytes | None:
    """An encoded value with each of its texts changed and made fit. Blank ones stay blank; None where one fails."""
    changed = []
    for one in parts(value, vr, charset):
        new = change(one) if one.strip() else ""
        if new is None:
            return None
        changed.append(new)
    return fit_all(changed, vr, charset)


def fit(text: str, vr: str, charset: tuple[str, ...] = DEFAULT) -> bytes | None:
    """One text as a value of this VR, cut to its length, without control characters and without what would part
    values. Letters that the character set lacks are written in ASCII or as "?". None where a number, a date, a UID …
    is not one, and for VRs that are no text. Blank text is an empty value.
    """
    if vr in LETTERS:
        shaped = _person(_letters(text, charset)) if vr == "PN" else _text(_letters(text, charset), vr)
        return _encode(shaped, charset)
    if not text.strip(" \0"):
        return b"" if vr in forms.FORMS or vr in ("AE", "CS", "UR") else None
    if vr in ("AE", "CS"):
        return _code(_letters(text, ()), vr)
    if vr == "UR":
        escaped = _LONE_PERCENT.sub("%25", _without_control(text, "").strip(" \\"))
        return urllib.parse.quote(escaped, safe=_URI_SAFE, errors="replace").encode("ascii")
    return forms.formed(text.strip(" \0"), vr)


@cache
def is_several(vr: str) -> bool:
    """Whether a backslash parts the values of this VR."""
    return vr in vr_limits() and vr_limits()[vr].several_values == "\\"


@cache
def longest(vr: str) -> int | None:
    """The most characters in one value (PS3.5 6.2); None where only the length field limits them."""
    limits = vr_limits().get(vr)
    return int(limits.max_length) if limits and limits.max_length.isdecimal() else None


def _without_control(text: str, kept: str) -> str:
    """Line ends and tabs become spaces and other control characters go, but for those that are kept."""
    if text.isprintable():
        return text
    return "".join(
        one if one in kept or unicodedata.category(one) != "Cc" else " " if one in "\t\r\n\f" else "" for one in text
    )


def _text(text: str, vr: str) -> str:
    clean = _without_control(text, "\t\r\n\f" if vr in _LINES else "")
    clean = clean.replace("\\", "") if is_several(vr) else clean
    clean = (clean if vr in _BLANK_START else clean.lstrip(" "))[: longest(vr)]
    return clean.rstrip(" ")


def _person(text: str) -> str:
    """A Person Name: at most 3 groups of 5 components, 64 characters each group (PS3.5 6.2.1)."""
    groups = []
    for group in _without_control(text, "").replace("\\", "").strip(" ").split("=")[:3]:
        components = group.split("^", 4)
        components[4:] = [one.replace("^", " ") for one in components[4:]]
        groups.append("^".join(components)[:64].rstrip(" "))
    return "=".join(groups).rstrip("=")


def _code(text: str, vr: str) -> bytes:
    """An Application Entity or a Code String from ASCII."""
    clean = _without_control(text, "").replace("\\", "")
    if vr == "CS":
        clean = re.sub(r"[^A-Z0-9 _]", "_", clean.upper())
    return clean.strip(" ")[: longest(vr)].rstrip(" ").encode("ascii")


def _codecs(charset: tuple[str, ...]) -> tuple[str, ...]:
    """The codecs to write with: the default repertoire is ASCII, and ASCII alone is no codec at all."""
    first = ("ascii",) if not charset or charset[0] in _UNDECLARED else charset[:1]
    return (*first, *(one for one in charset[1:] if one not in _UNDECLARED))


def _letters(text: str, charset: tuple[str, ...]) -> str:
    """A text of which every letter can be written in the character set."""
    if text.isascii():
        return text
    codecs = _codecs(charset)
    if "".join(_possible(one, codecs) for one in text) == text and _written(text, codecs) is not None:
        return text
    text = normalized(text)
    possible = "".join(_possible(one, codecs) for one in text)
    if _written(possible, codecs) is not None:
        return possible
    return "".join(_possible(one, ("ascii",)) for one in text)


@lru_cache(maxsize=8192)
def _possible(letter: str, codecs: tuple[str, ...]) -> str:
    """A letter, or what stands for it in ASCII."""
    if letter.isascii() or _written(letter, codecs) is not None:
        return letter
    if unicodedata.combining(letter):
        return ""
    plain = _ASCII.get(letter) or unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode("ascii")
    return plain or "?"


def _encode(text: str, charset: tuple[str, ...]) -> bytes:
    """The bytes of a text that went through ``_letters``; what was cut off it changes nothing."""
    written = _written(text, _codecs(charset))
    return text.encode("ascii", "replace") if written is None else written


def _written(text: str, codecs: tuple[str, ...]) -> bytes | None:
    """A text in a character set, or None unless it is read again as what it was."""
    if text.isascii():
        return text.encode("ascii")
    if codecs == ("ascii",):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = b"".join(_extended(one, codecs) for one in _RESETS.split(text))
        except (ValueError, LookupError):
            return None
    return value if decode(value, codecs) == text else None


def _extended(text: str, codecs: tuple[str, ...]) -> bytes:
    """A text without what resets character sets. After each run of other letters, ASCII holds again for ASCII."""
    out = b""
    for plain, run in groupby(text, str.isascii):
        letters = "".join(run)
        if plain:
            out += letters.encode("ascii")
            continue
        data = pydicom_charset().encode_string(letters, codecs)
        if b"\x1b" in out and not data.startswith(b"\x1b"):
            out += pydicom_charset().ENCODINGS_TO_CODES.get(codecs[0], b"")
        out += data
        escapes = _G0.findall(data)
        if escapes and escapes[-1].startswith(b"\x1b$"):
            out += b"\x1b(J" if codecs[0] == "shift_jis" else b"\x1b(B"
    return out
