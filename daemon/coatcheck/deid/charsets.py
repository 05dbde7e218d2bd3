"""Decoding of text by Specific Character Set (PS3.3 C.12.1.1.2), through pydicom's codecs."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import cache, lru_cache
from types import ModuleType

# What nearly every file has, as pydicom reads it: most workers get along without the whole of pydicom.
COMMON = {"": "iso8859", "ISO_IR 6": "iso8859", "ISO_IR 100": "latin_1", "ISO_IR 192": "UTF8"}
LONGEST_SET = 256  # bytes of a value of Specific Character Set that are looked at
_ASCII = rb"\u0041 \x41 +AEE- xn--a"  # which other codecs read as something else
_TEXT_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C}
_NAME_DELIMITERS = {0x5C, 0x5E, 0x3D}


@cache
def pydicom_charset() -> ModuleType:
    """pydicom's module of character sets, imported where it is needed."""
    from pydicom import charset, config

    # pydicom quotes values in its log, and nothing else of it says anything that coatcheck does not say itself.
    config.logger.disabled = True
    return charset


def is_set(character_set: bytes) -> bool:
    """Whether a value of Specific Character Set has but the signs of a CS: what its terms mean is another question."""
    value = character_set.rstrip(b" \0")
    return value.isascii() and value.decode("ascii").isprintable()


@lru_cache(maxsize=256)
def encodings_of(character_set: bytes) -> tuple[str, ...]:
    """Python's names of the codecs for a value of Specific Character Set (0008,0005); Latin-1 for an unknown one."""
    terms = [term.strip() for term in character_set.decode("latin-1").strip(" \0").split("\\")]
    if len(terms) == 1 and terms[0] in COMMON:
        return (COMMON[terms[0]],)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = pydicom_charset().convert_encodings(terms)
        except (LookupError, ValueError):  # ValueError: a zero byte in the name of a codec
            return ("latin-1",)
        return tuple(codec if _leaves_ascii(codec) else "latin-1" for codec in found)


def _leaves_ascii(codec: str) -> bool:
    """Whether a codec reads ASCII as it stands, as every character set of DICOM does: pydicom takes any name of a codec
    of Python, such as unicode_escape or cp037, which would hide a name from those who search for it.
    """
    try:
        return _ASCII.decode(codec) == _ASCII.decode("ascii")
    except (LookupError, ValueError):
        return False


def decode(value: bytes, encodings: tuple[str, ...]) -> str:
    """Text for searching and comparing: what cannot be decoded is read as Latin-1, and nothing fails."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    if b"\x1b" not in value:
        with suppress(LookupError, ValueError):
            return value.decode(encodings[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(pydicom_charset().decode_bytes(value, encodings, _TEXT_DELIMITERS | _NAME_DELIMITERS))
        except (LookupError, ValueError, AssertionError):
            return value.decode("latin-1")
