"""Where identities stand in one value, by the rules for its VR."""

from __future__ import annotations

from collections.abc import Iterator

from coatcheck.deid.charsets import decode
from coatcheck.deid.hidden import unescaped
from coatcheck.deid.patterns import Patterns, Span

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_WORDY = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NUMBERS = frozenset({"AS", "DS", "IS", "TM"})
_DEPTH = 3  # escapes of escapes


def kind_found(known: Patterns, value: bytes, vr: str, charset: tuple[str, ...]) -> str | None:
    """The kind of an identity that is in a value, by the rules for its VR; deflated streams are not looked into."""
    if vr == "UI":
        return known.in_uids(value.decode("latin-1"))
    if vr in _NUMBERS:
        return known.in_number(value.replace(b"\0", b"").decode("latin-1"))
    for hit in _hits(known, value, vr, charset):
        return hit.kind
    return None


def _hits(known: Patterns, value: bytes, vr: str, charset: tuple[str, ...]) -> Iterator[Span]:
    wordy = vr in _WORDY
    yield from known.in_raw(value)
    if vr in _TEXT:
        yield from hits_in_text(known, decode(value, charset or ("latin-1",)), wordy)
        if not value.isascii():  # A letter may be taken for the second half of one of two bytes.
            yield from known.spans_of_bytes(value)
    else:
        yield from known.spans_of_bytes(value)
        if b"%" in value or b"&" in value or b"\\u" in value:
            text = value.decode("latin-1")
            opened = unescaped(text)
            if opened != text:
                yield from hits_in_text(known, opened, False)
    if b"\0" in value:
        yield from _hits(known, value.replace(b"\0", b""), vr, charset)


def hits_in_text(known: Patterns, text: str, wordy: bool) -> Iterator[Span]:
    """Identities in a text, and in what its escapes stand for; the places are those of the text that was searched."""
    for _ in range(_DEPTH):
        yield from known.spans(text, wordy=wordy)
        before, text = text, unescaped(text)
        if text == before:
            return
