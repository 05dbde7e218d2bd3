"""What a rule's action makes of one element, encoded."""

from __future__ import annotations

from typing import NamedTuple

from coatcheck.deid.actions import ACTIONS, Context
from coatcheck.deid.dummies import dummy_sequence, element, header
from coatcheck.deid.elements import Element, Encoding, Window, tag_text
from coatcheck.deid.pieces import Pieces
from coatcheck.deid.private import without_block
from coatcheck.deid.rules import Rule
from coatcheck.deid.scope import Absent
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

VALUE_MAX = 1 << 20  # bytes; a longer value is none that an action could understand, and is acted on as an empty one


class New(NamedTuple):
    """An element that an action made: its bytes, and its value."""

    data: bytes
    value: bytes

    def is_same(self, found: Element, window: Window) -> bool:
        """Whether the action left an element as it was, such as a text in which there is nothing to clean."""
        return len(self.data) == found.end - found.start and self.data == window.bytes(found.start, found.end)


def acted_on(
    rule: Rule, found: Element | Absent, window: Window, context: Context, charset: tuple[str, ...], encoding: Encoding
) -> New | None:
    """What becomes of an element; None where nothing does. Refuses as too-large what its VR cannot hold."""
    tag, vr = found.tag, found.vr
    if vr == "SQ":
        value: bytes | None = dummy_sequence(tag, encoding) if rule.action == "dummy" else b""
    else:
        too_long = found.value_end - found.value > VALUE_MAX
        original = b"" if too_long else window.bytes(found.value, found.value_end)
        context.tag = without_block(tag) if tag & 0x10000 else tag
        context.charset, context.little = charset, encoding.little
        value = (rule.do or ACTIONS[rule.action])(original, vr, context)
        if value is None or (too_long and rule.action == "clean-text"):
            value = ACTIONS[rule.fallback](original, vr, context)
    if value is None:
        return None
    try:
        return New(element(tag, vr, value, encoding), value)
    except OverflowError:
        raise Refused(Reason.TOO_LARGE, tag_text(tag)) from None


def pad(out: Pieces, found: Element, encoding: Encoding) -> None:
    """Keeps a value of odd length, which PS3.5 7.1.1 forbids, made even."""
    length = found.value_end - found.value
    try:
        out.add(header(found.tag, found.vr, length + 1, encoding))
    except OverflowError:
        raise Refused(Reason.TOO_LARGE, tag_text(found.tag)) from None
    out.keep(found.value, found.value_end)
    out.add(b"\0" if found.vr in ("UI", "OB", "UN") else b" ")
