"""Values of top-level Attributes as text, for conditions and templates of profiles."""

from __future__ import annotations

from collections.abc import Mapping

from coatcheck.deid.actions.numbers import NUMBERS, unpacked
from coatcheck.deid.charsets import LONGEST_SET, decode, encodings_of
from coatcheck.deid.elements import Element, Encoding, Ends, Window, elements, is_sequence
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.repeats import CHARACTER_SET
from coatcheck.deid.selectors import vrs

_LONGEST = 1 << 16  # bytes; what is longer counts as absent
_SINGLE = frozenset({"LT", "ST", "UR", "UT"})  # VRs in which a backslash is an ordinary character
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT"})


def attributes_of(
    window: Window, start: int, encoding: Encoding, wanted: frozenset[int]
) -> Mapping[int, tuple[str, ...]]:
    """The values of the wanted Attributes by tag, decoded and stripped. Absent and empty ones are not in it.

    Bytes and sequences have no text. Elements after Pixel Data are not looked for.
    """
    if not wanted:
        return {}
    found: dict[int, tuple[str, ...]] = {}
    charset: tuple[str, ...] = ("latin-1",)
    ends: Ends = {}
    for one in elements(window, start, window.size, encoding, ends):
        if one.tag in PIXEL_TAGS:
            break
        if one.tag == CHARACTER_SET:
            charset = encodings_of(window.bytes(one.value, min(one.value_end, one.value + LONGEST_SET)))
        if one.tag in wanted and not is_sequence(one):
            values = _values(window, one._replace(vr=_vr(one)), encoding, charset)
            if any(values):
                found[one.tag] = values
    return found


def _vr(found: Element) -> str:
    """The VR of the file, or that of PS3.6 where the file says UN: a condition must not depend on who sent it."""
    return (*vrs(found.tag), "UN")[0] if found.vr == "UN" else found.vr


def _values(window: Window, one: Element, encoding: Encoding, charset: tuple[str, ...]) -> tuple[str, ...]:
    if one.vr in _BYTES or one.value_end - one.value > _LONGEST:
        return ()
    data = window.bytes(one.value, one.value_end)
    if one.vr in NUMBERS and one.vr not in ("DS", "IS"):
        return tuple(unpacked(data, one.vr, little=encoding.little) or ())
    text = decode(data, charset)
    return tuple(part.strip(" \0") for part in ([text] if one.vr in _SINGLE else text.split("\\")))
