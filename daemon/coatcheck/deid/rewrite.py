"""Rewrites a Data Set: what a rule changes is made anew, and all that lies between stays a span of the original.

The result is a list of pieces, in order: bytes, or a (begin, end) of the source. An element that no rule touches is
byte-identical; a sequence in which something changed gets defined lengths.
"""

from __future__ import annotations

from collections.abc import Iterable

from coatcheck.deid.acting import VALUE_MAX, acted_on, pad
from coatcheck.deid.actions import Context
from coatcheck.deid.charsets import LONGEST_SET, encodings_of
from coatcheck.deid.content import MEASURED, Content
from coatcheck.deid.content_tree import ContentTree, Judged, goes_empty
from coatcheck.deid.dictionary import vrs_of
from coatcheck.deid.dummies import header, item_header
from coatcheck.deid.elements import (
    Element,
    Encoding,
    Ends,
    Window,
    elements,
    is_sequence,
    item_encoding,
    items,
)
from coatcheck.deid.part10 import text_of
from coatcheck.deid.pieces import Pieces
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.plan import Plan
from coatcheck.deid.private import is_creator, without_block
from coatcheck.deid.repeats import ALIKE, CHARACTER_SET, Part, Repeats
from coatcheck.deid.rules import METHOD_CODES, STAMPS, Rule
from coatcheck.deid.scope import Absent, Made, Scope
from coatcheck.deid.selectors import Path, PrivateTag
from coatcheck.deid.stamps import method_codes, stamp
from coatcheck.errors import Refused

_STAMPED = frozenset(STAMPS)
_BEYOND = 1 << 32  # after every tag
_CREATOR_MAX = 64  # LO
_DEFAULT_CHARSET = ("latin-1",)


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
        self._tree = ContentTree(window, self._ends, plan)
        self.written: set[tuple[int, bytes]] = set()

    def run(self, start: int, encoding: Encoding) -> Pieces:
        """The whole Data Set from ``start``, with the stamps of PS3.15 E.1.1. Nothing after Pixel Data is taken."""
        out = Pieces()
        scope = Scope((), _DEFAULT_CHARSET, sorted({*STAMPS, *self._plan.additions(())}))
        self._parts(out, self._repeats.walk(self._window, start, encoding, self._ends), scope, encoding, self._repeats)
        self._before(out, _BEYOND, scope, encoding)
        return out

    def _parts(
        self, out: Pieces, parts: Iterable[Part[Made]], scope: Scope, encoding: Encoding, repeats: Repeats[Made]
    ) -> None:
        """One Data Set, part by part."""
        for part in parts:
            if part.fixed is None:
                self._elements(out, part.found, scope, encoding, repeats)
                continue
            if (made := part.memo) is None:
                made = part.memo = self._made(part, scope, encoding)
            else:
                scope.charset = made.charset
                if made.stamps:
                    del scope.pending[: made.stamps]
                if made.creators:
                    scope.creators |= made.creators
            if made.data is None:
                out.keep(part.start, part.start + len(part.fixed))
            else:
                out.add(made.data)
                self._context.uids.update(made.uids)
                self.written |= made.written

    def _made(self, part: Part[Made], scope: Scope, encoding: Encoding) -> Made:
        """What becomes of a run that may repeat."""
        written, self.written = self.written, set()
        uids, self._context.uids = self._context.uids, {}  # so that whoever finds the memo knows which are in it
        made, left = Pieces(), len(scope.pending)
        try:
            self._elements(made, part.found, scope, encoding)
        finally:  # What cannot be read may be left out, and what was collected before it counts.
            written, self.written = self.written, written
            uids, self._context.uids = self._context.uids, uids
        same = made.is_only(part.start, part.found[-1].end)
        parts = (one if isinstance(one, bytes) else self._window.bytes(*one) for one in made.parts)
        data = None if same else b"".join(parts)
        stamps = left - len(scope.pending)
        return Made(data, uids, frozenset(written), stamps, scope.charset, dict(scope.creators))

    def _elements(
        self,
        out: Pieces,
        found: Iterable[Element],
        scope: Scope,
        encoding: Encoding,
        repeats: Repeats[Made] | None = None,
    ) -> None:
        """Elements of one Data Set, with what is written between them. ``repeats`` is of elements that vary."""
        scope.repeats = repeats
        for one in found:
            if scope.pending and scope.pending[0] <= one.tag:
                self._before(out, one.tag, scope, encoding)
                if scope.pending and scope.pending[0] == one.tag:
                    self._instead(out, one, scope, encoding)
                    continue
            if one.tag in PIXEL_TAGS and not scope.path:
                out.keep(one.start, one.end)
            elif one.tag not in _STAMPED or scope.path:  # Out of order, a stamp was written before.
                self._append(out, one, encoding, scope)

    def _before(self, out: Pieces, tag: int, scope: Scope, encoding: Encoding) -> None:
        """What is written anyway and stands before a tag."""
        while scope.pending and scope.pending[0] < tag:
            self._written_anyway(out, scope.pending.pop(0), None, scope, encoding)

    def _instead(self, out: Pieces, found: Element, scope: Scope, encoding: Encoding) -> None:
        """An element that is written anyway: a stamp takes its place, an added one only where nothing is left of it."""
        tag, length = scope.pending.pop(0), out.length
        if tag in _STAMPED and not scope.path:
            self._written_anyway(out, tag, found, scope, encoding)
            return
        self._append(out, found, encoding, scope)
        if out.length == length:
            self._written_anyway(out, tag, None, scope, encoding)

    def _written_anyway(self, out: Pieces, tag: int, found: Element | None, scope: Scope, encoding: Encoding) -> None:
        if tag in _STAMPED and not scope.path:
            out.extend(self._stamp(tag, found, encoding))
        elif self._plan.additions((*scope.path, tag)):
            content = self._added_item(scope, (*scope.path, tag), encoding)
            out.add(header(tag, "SQ", content.length, encoding))
            out.extend(content)
        else:
            self._act(out, self._plan.addition(tag, scope.path), Absent(tag, vrs_of(tag)[0]), scope, encoding)

    def _added_item(self, scope: Scope, path: Path, encoding: Encoding) -> Pieces:
        """The one item of a sequence that is added."""
        inside, content = Scope(path, scope.charset, list(self._plan.additions(path))), Pieces()
        self._before(content, _BEYOND, inside, encoding)
        item = Pieces(item_header(content.length, encoding))
        item.extend(content)
        return item

    def _data_set(
        self, begin: int, end: int, encoding: Encoding, outside: Scope, path: Path, content: Content | None = None
    ) -> Pieces:
        """An item's Data Set."""
        out, scope = Pieces(), Scope(path, outside.charset, list(self._plan.additions(path)), content)
        self._elements(out, elements(self._window, begin, end, encoding, self._ends, len(path)), scope, encoding)
        self._before(out, _BEYOND, scope, encoding)
        return out

    def _inside(self, scope: Scope, path: Path, index: int) -> Repeats[Made] | None:
        """What repeats among such items, in a sequence that varies; Content Items are judged one by one."""
        if scope.repeats is None or self._plan.judges_items(path):
            return None
        return scope.repeats.inside((path[-1], min(index, ALIKE), scope.charset))

    def _item(
        self, begin: int, end: int, encoding: Encoding, outside: Scope, path: Path, repeats: Repeats[Made]
    ) -> Pieces:
        """An item's Data Set, of which much may repeat."""
        out, scope = Pieces(), Scope(path, outside.charset, list(self._plan.additions(path)))
        self._parts(out, repeats.walk(self._window, begin, encoding, self._ends, end), scope, encoding, repeats)
        self._before(out, _BEYOND, scope, encoding)
        return out

    def _append(self, out: Pieces, found: Element, encoding: Encoding, scope: Scope) -> None:
        """What becomes of one element: nothing, a span of the source, or something new."""
        tag, creator = found.tag, ""
        if tag & 0x10000:
            if not self._plan.keeps_private:
                return
            if is_creator(tag):
                self._creator(out, found, scope)
                return
            creator = scope.creators.get(tag >> 8, "")
            tag = without_block(tag)
        elif tag == CHARACTER_SET:
            scope.charset = encodings_of(
                self._window.bytes(found.value, min(found.value_end, found.value + LONGEST_SET))
            )
        rule = self._plan.rule(tag, found.vr, scope.path, creator, scope.content)
        if rule.action == "remove":
            return
        vrs = self._plan.vrs(tag, creator) or (found.vr,)
        sequence = is_sequence(found) or (found.vr == "UN" and vrs[0] == "SQ")
        if sequence != (vrs[0] == "SQ"):
            return  # The VR contradicts PS3.6 in a way that leaves unknown what is inside.
        if rule.action != "keep":
            self._act(out, rule, found._replace(vr=found.vr if found.vr in vrs else vrs[0]), scope, encoding)
        elif sequence:
            step = PrivateTag(tag >> 16, tag & 0xFF, creator) if creator else tag
            self._sequence(out, found, encoding, scope, (*scope.path, step))
        elif (found.value_end - found.value) & 1 and found.end == found.value_end:
            pad(out, found, encoding)
        else:
            out.keep(found.start, found.end)

    def _creator(self, out: Pieces, found: Element, scope: Scope) -> None:
        """A block of private elements begins to be somebody's. The name stays where something of it may."""
        length = found.value_end - found.value  # LO: 64 letters; what is longer is nobody's name
        name = text_of(self._window.bytes(found.value, found.value_end)) if length <= _CREATOR_MAX else ""
        scope.creators[(found.tag >> 16 << 8) | found.tag & 0xFF] = name
        if self._plan.keeps_creator(found.tag >> 16, name):
            out.keep(found.start, found.end)

    def _act(self, out: Pieces, rule: Rule, found: Element | Absent, scope: Scope, encoding: Encoding) -> None:
        new = acted_on(rule, found, self._window, self._context, scope.charset, encoding)
        if new is None:
            return
        if found.vr in ("DA", "DT"):
            self.written.add((found.tag, new.value))
        if isinstance(found, Element) and new.is_same(found, self._window):
            out.keep(found.start, found.end)
        else:
            out.add(new.data)

    def _sequence(self, out: Pieces, found: Element, encoding: Encoding, scope: Scope, path: Path) -> None:
        """A sequence that is kept, with all rules applied inside (PS3.15 E.1.1)."""
        try:
            content = self._items(found, encoding, scope, path)
        except Refused:
            if found.vr == "UN":
                return  # It should hold items but cannot be read as such: what is not understood does not leave.
            raise
        if content is None:
            out.keep(found.start, found.end)
        elif content.length or not (self._plan.judges_items(path) and goes_empty(path)):
            out.add(header(found.tag, found.vr, content.length, encoding))
            out.extend(content)

    def _items(self, found: Element, encoding: Encoding, scope: Scope, path: Path) -> Pieces | None:
        """The items rewritten, or None where nothing in them changed."""
        inside = item_encoding(found, encoding)
        out, changed = Pieces(), False
        for index, one in enumerate(self._judged(found, inside, scope, path)):
            if one.goes:
                changed = True
                continue
            known = None if one.content else self._inside(scope, path, index)
            if known is not None:
                made = self._item(one.begin, one.end, inside, scope, path, known)
            else:
                made = self._data_set(one.begin, one.end, inside, scope, path, one.content)
            changed = changed or not made.is_only(one.begin, one.end)
            out.add(item_header(made.length, inside))
            out.extend(made)
        if not out.length and self._plan.additions(path):
            return self._added_item(scope, path, inside)
        return out if changed else None

    def _judged(self, found: Element, inside: Encoding, scope: Scope, path: Path) -> Iterable[Judged]:
        """The items of a sequence, with what holds in those that are Content Items."""
        if self._plan.judges_items(path):
            return self._tree.judged(found, inside, path, scope.content)
        content = scope.content if found.tag == MEASURED else None  # of the item that this is the value of
        spans = items(self._window, found, inside, self._ends, len(path))
        return (Judged(begin, end, content) for begin, end in spans)

    def _stamp(self, tag: int, found: Element | None, encoding: Encoding) -> Pieces:
        profile = self._plan.profile
        if tag == METHOD_CODES:
            return method_codes(profile, self._earlier_codes(found, encoding), encoding)
        earlier = b""
        if found is not None and found.value_end - found.value <= VALUE_MAX // 2:
            earlier = self._window.bytes(found.value, found.value_end)
        return Pieces(stamp(tag, profile, self._context.subject, earlier, encoding))

    def _earlier_codes(self, found: Element | None, encoding: Encoding) -> Pieces:
        """The methods of an earlier pass, as items."""
        content = Pieces()
        if found is not None and found.vr == "SQ":
            for begin, end in items(self._window, found, encoding, self._ends, 1):
                earlier = self._data_set(begin, end, encoding, Scope((), _DEFAULT_CHARSET, []), (METHOD_CODES,))
                content.add(item_header(earlier.length, encoding))
                content.extend(earlier)
        return content
