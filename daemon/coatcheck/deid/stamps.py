"""The Attributes that every de-identified object carries (PS3.15 E.1.1), written anew into each result.

Methods are added to those of an earlier pass.
"""

from __future__ import annotations

from coatcheck.deid.dictionary import vrs_of
from coatcheck.deid.dummies import Item, element, encode_item, header
from coatcheck.deid.elements import Encoding
from coatcheck.deid.pieces import Pieces
from coatcheck.deid.profile import Profile
from coatcheck.deid.rules import IDENTITY_REMOVED, METHOD, METHOD_CODES, TEMPORAL
from coatcheck.deid.standard import options


def stamp(tag: int, profile: Profile, subject: str, earlier: bytes, encoding: Encoding) -> bytes:
    """One of the STAMPS but METHOD_CODES, as an element. ``earlier`` is the value that stood there before."""
    if tag == IDENTITY_REMOVED:
        return element(tag, "CS", b"YES", encoding)
    if tag == TEMPORAL:
        return element(tag, "CS", profile.temporal_information.encode(), encoding)
    if tag == METHOD:
        return element(tag, "LO", _methods(profile, earlier), encoding)
    return element(tag, vrs_of(tag)[0], subject.encode("ascii"), encoding)


def _methods(profile: Profile, earlier: bytes) -> bytes:
    """The methods as text. Of an earlier pass only the words of CID 7050 stay: others are free text."""
    texts = [method.meaning.encode() for method in profile.methods]
    known = {option.meaning.encode() for option in options().values()}.difference(texts)
    texts = [text for one in earlier.split(b"\\") if (text := one.strip(b" \0")) in known] + texts
    return b"\\".join(dict.fromkeys(texts))


def method_codes(profile: Profile, earlier: Pieces, encoding: Encoding) -> Pieces:
    """De-identification Method Code Sequence (0012,0064). ``earlier`` are the items of an earlier pass."""
    content = Pieces()
    content.extend(earlier)
    for method in profile.methods:
        code: Item = [
            (0x00080100, "SH", method.code.encode()),
            (0x00080102, "SH", b"DCM"),
            (0x00080104, "LO", method.meaning.encode()),
        ]
        content.add(encode_item(code, encoding))
    out = Pieces(header(METHOD_CODES, "SQ", content.length, encoding))
    out.extend(content)
    return out
