"""Rewrites a Data Set: what a rule changes is made anew, and all that lies between stays a span of the original.

The result is a list of pieces, in order: bytes, or a (begin, end) of the source. An element that no rule touches is
byte-identical; a sequence in which something changed gets defined lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from coatcheck.deid.actions import ACTIONS, Context
from coatcheck.deid.dictionary import vrs_of
from coatcheck.deid.dummies import Item, dummy_sequence, element, encode_item, header, item_header
from coatcheck.deid.elements import (
    Element,
    Encoding,
    Ends,
    Window,
    elements,
    is_sequence,
    item_encoding,
    items,
    tag_text,
)
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.repeats import Part, Repeats
from coatcheck.deid.rules import IDENTITY_REMOVED, METHOD, METHOD_CODES, STAMPS, TEMPORAL, Plan, Rule
from coatcheck.deid.standard import options
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

Span = tuple[int, int]
_STAMPED = frozenset(STAMPS)
_VALUE_MAX = 1 << 16  # a longer value is none that an action could understand, and is acted on as an empty one


class Pieces:
    """An encoded result under construction, and its length in bytes."""

    __slots__ = ("length", "parts")

    def __init__(self, *data: bytes) -> None:
        self.parts: list[bytes | Span] = list(data)
        self.length = sum(map(len, data))

    def add(self, data: bytes) -> None:
        """Appends bytes."""
        self.parts.append(data)
        self.length += len(data)

    def keep(self, begin: int, end: int) -> None:
        """Appends a span of the source; spans that touch become one."""
        if self.parts and isinstance(last := self.parts[-1], tuple) and last[1] == begin:
            self.parts[-1] = (last[0], end)
        else:
            self.parts.append((begin, end))
        self.length += end - begin

    def extend(self, other: Pieces) -> None:
        """Appends another result."""
        self.parts.extend(other.parts)
        self.length += other.length

    def is_only(self, begin: int, end: int) -> bool:
        """Whether this is that span of the source and nothing else."""
        return self.length == end - begin and self.parts in ([(begin, end)], [])


class Made(NamedTuple):
    """What became of a part that repeats: its bytes, the dates written in it, and how many stamps."""

    data: bytes
    written: frozenset[tuple[int, bytes]]
    stamps: int


class Rewriter:
    """Rewrites one Instance. ``written`` collects the dates that an action wrote: the gate must not cry over them.

    ``repeats`` may be shared by Instances with the same plan and context.
    """

    def __init__(self, window: Window, plan: Plan, context: Context, repeats: Repeats[Made] | None = None) -> None:
        self._repeats = repeats or Repeats[Made]()
        self._window = window
        self._plan = plan
        self._context = context
        self._ends: Ends = {}
        self.written: set[tuple[int, bytes]] = set()

    def run(self, start: int, encoding: Encoding) -> Pieces:
        """The whole Data Set from ``start``, with the stamps of PS3.15 E.1.1. Nothing after Pixel Data is taken."""
        out, pending = Pieces(), list(STAMPS)
        for part in self._repeats.walk(self._window, start, encoding, self._ends):
            made = part.memo
            if made is not None:
                out.add(made.data)
                self.written |= made.written
                del pending[: made.stamps]
            elif part.fixed is not None:
                self._remembered(out, part, pending, encoding)
            else:
                self._top(out, part.found, pending, encoding)
        for tag in pending:
            out.extend(self._stamp(tag, None, encoding))
        return out

    def _remembered(self, out: Pieces, part: Part[Made], pending: list[int], encoding: Encoding) -> None:
        """A run that may repeat: what becomes of it is kept as bytes."""
        before, self.written = self.written, set()
        made, left = Pieces(), len(pending)
        self._top(made, part.found, pending, encoding)
        data = b"".join(one if isinstance(one, bytes) else self._window.bytes(*one) for one in made.parts)
        part.memo = Made(data, frozenset(self.written), left - len(pending))
        self.written |= before
        out.add(data)

    def _top(self, out: Pieces, elements: Sequence[Element], pending: list[int], encoding: Encoding) -> None:
        """Elements of the top level, with the stamps that stand between them."""
        for found in elements:
            while pending and pending[0] < found.tag:
                out.extend(self._stamp(pending.pop(0), None, encoding))
            if found.tag in PIXEL_TAGS:
                out.keep(found.start, found.end)
            elif pending and pending[0] == found.tag:
                out.extend(self._stamp(pending.pop(0), found, encoding))
            elif found.tag not in _STAMPED:  # Out of order, one was written before.
                self._append(out, found, encoding, ())

    def _data_set(self, begin: int, end: int, encoding: Encoding, path: tuple[int, ...]) -> Pieces:
        """An item's Data Set."""
        out = Pieces()
        for found in elements(self._window, begin, end, encoding, self._ends, len(path)):
            self._append(out, found, encoding, path)
        return out

    def _append(self, out: Pieces, found: Element, encoding: Encoding, path: tuple[int, ...]) -> None:
        """What becomes of one element: nothing, a span of the source, or something new."""
        rule = self._plan.rule(found.tag, found.vr, path)
        if rule.action == "remove":
            return
        vrs = vrs_of(found.tag) or (found.vr,)
        sequence = is_sequence(found) or (found.vr == "UN" and vrs[0] == "SQ")
        if sequence != (vrs[0] == "SQ"):
            return  # The VR contradicts PS3.6 in a way that leaves unknown what is inside.
        if rule.action != "keep":
            vr = found.vr if found.vr in vrs else vrs[0]
            self._act(out, rule, found, vr, encoding)
        elif sequence:
            self._sequence(out, found, encoding, path)
        elif (found.value_end - found.value) & 1 and found.end == found.value_end:
            self._pad(out, found, encoding)
        else:
            out.keep(found.start, found.end)

    def _act(self, out: Pieces, rule: Rule, found: Element, vr: str, encoding: Encoding) -> None:
        if vr == "SQ":
            value: bytes | None = dummy_sequence(found.tag, encoding) if rule.action == "dummy" else b""
        else:
            original = b""
            if found.value_end - found.value <= _VALUE_MAX:
                original = self._window.bytes(found.value, found.value_end)
            value = ACTIONS[rule.action](original, vr, self._context)
            if value is None:
                value = ACTIONS[rule.fallback](original, vr, self._context)
        if value is None:
            return
        if vr in ("DA", "DT"):
            self.written.add((found.tag, value))
        try:
            out.add(element(found.tag, vr, value, encoding))
        except OverflowError:
            raise Refused(Reason.TOO_LARGE, tag_text(found.tag)) from None

    def _pad(self, out: Pieces, found: Element, encoding: Encoding) -> None:
        """A value of odd length, which PS3.5 7.1.1 forbids, made even."""
        length = found.value_end - found.value
        try:
            out.add(header(found.tag, found.vr, length + 1, encoding))
        except OverflowError:
            raise Refused(Reason.TOO_LARGE, tag_text(found.tag)) from None
        out.keep(found.value, found.value_end)
        out.add(b"\0" if found.vr in ("UI", "OB", "UN") else b" ")

    def _sequence(self, out: Pieces, found: Element, encoding: Encoding, path: tuple[int, ...]) -> None:
        """A sequence that is kept, with all rules applied inside (PS3.15 E.1.1)."""
        try:
            content = self._items(found, encoding, path)
        except Refused:
            if found.vr == "UN":
                return  # It should hold items but cannot be read as such: what is not understood does not leave.
            raise
        if content is None:
            out.keep(found.start, found.end)
        else:
            out.add(header(found.tag, found.vr, content.length, encoding))
            out.extend(content)

    def _items(self, found: Element, encoding: Encoding, path: tuple[int, ...]) -> Pieces | None:
        """The items rewritten, or None where nothing in them changed."""
        inside = item_encoding(found, encoding)
        deeper = (*path, found.tag)
        out, changed = Pieces(), False
        for begin, end in items(self._window, found, inside, self._ends, len(deeper)):
            content = self._data_set(begin, end, inside, deeper)
            changed = changed or not content.is_only(begin, end)
            out.add(item_header(content.length, inside))
            out.extend(content)
        return out if changed else None

    def _stamp(self, tag: int, found: Element | None, encoding: Encoding) -> Pieces:
        """An Attribute that every de-identified object carries. Methods are added to those of an earlier pass."""
        if tag == METHOD_CODES:
            return self._method_codes(found, encoding)
        if tag == IDENTITY_REMOVED:
            return Pieces(element(tag, "CS", b"YES", encoding))
        if tag == TEMPORAL:
            return Pieces(element(tag, "CS", self._plan.profile.temporal_information.encode(), encoding))
        if tag == METHOD:
            return Pieces(element(tag, "LO", self._methods(found), encoding))
        vr = vrs_of(tag)[0]
        return Pieces(element(tag, vr, self._context.subject.encode("ascii"), encoding))

    def _methods(self, found: Element | None) -> bytes:
        """The methods as text. Of an earlier pass only the words of CID 7050 stay: others are free text."""
        texts = [method.meaning.encode() for method in self._plan.profile.methods]
        if found is not None and found.value_end - found.value <= _VALUE_MAX // 2:
            earlier = self._window.bytes(found.value, found.value_end).split(b"\\")
            known = {option.meaning.encode() for option in options().values()}.difference(texts)
            texts = [text for one in earlier if (text := one.strip(b" \0")) in known] + texts
        return b"\\".join(dict.fromkeys(texts))

    def _method_codes(self, found: Element | None, encoding: Encoding) -> Pieces:
        content = Pieces()
        if found is not None and found.vr == "SQ":
            for begin, end in items(self._window, found, encoding, self._ends, 1):
                earlier = self._data_set(begin, end, encoding, (METHOD_CODES,))
                content.add(item_header(earlier.length, encoding))
                content.extend(earlier)
        for method in self._plan.profile.methods:
            code: Item = [
                (0x00080100, "SH", method.code.encode()),
                (0x00080102, "SH", b"DCM"),
                (0x00080104, "LO", method.meaning.encode()),
            ]
            content.add(encode_item(code, encoding))
        out = Pieces(header(METHOD_CODES, "SQ", content.length, encoding))
        out.extend(content)
        return out
