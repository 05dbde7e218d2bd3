"""Which rule decided over each element of an object, told after the fact: for a preview, beside before and after.

The rules are asked for in the same words as the rewriter asks, and what it does without a rule is said here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coatcheck.deid.acting import VALUE_MAX
from coatcheck.deid.actions import ACTIONS, Context
from coatcheck.deid.compare import Pair, Place, Seen
from coatcheck.deid.content import MEASURED, Content
from coatcheck.deid.content_tree import ContentTree
from coatcheck.deid.elements import Window, item_encoding
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.plan import Plan
from coatcheck.deid.private import is_creator, without_block
from coatcheck.deid.rules import CONTRADICTION, PATIENT_ID, PATIENT_NAME, PRIVATE, STAMPS, Rule

_WITHOUT_SETTINGS = ("keep", "remove", "empty", "dummy")
_STAMP = "stamp"
_META_GROUP = 0x0002


class Decision(NamedTuple):
    """What was done to an element, and what decided."""

    action: str
    rule: str


_PIXELS = Decision("keep", "coatcheck: pixel data is never touched")
_AFTER_PIXELS = Decision("remove", "coatcheck: what stands after Pixel Data is not kept")
_STAMPED = Decision(_STAMP, "written anew into every result (PS3.15 E.1.1)")
_SUBJECT = Decision("subject", "coatcheck: becomes the subject in every profile")
_META = Decision(_STAMP, "File Meta Information is made anew; nothing of the old one comes along")
_UNREADABLE = Decision("remove", "coatcheck: what should be items cannot be read as such")
_EMPTIED = Decision("remove", "coatcheck: no Content Item is left in it")
_OWNED = Decision("keep", "a block of private attributes of which something may stay")


class Contents:
    """What was decided over the Content Items of one Instance, which is given as a listing.

    ``numbers`` says of their sequences which items are left.
    """

    def __init__(self, plan: Plan, window: Window, before: Sequence[Seen]) -> None:
        self._plan = plan
        self._tree = ContentTree(window, {}, plan)
        self._of: dict[Place, Content | None] = {}  # by the places of items
        self._gone: dict[Place, str] = {}
        self.numbers: dict[Place, list[int]] = {}
        for one in before:
            if one.vr == "SQ" and plan.judges_items(one.inside) and self.gone(one.place) is None:
                self._judge(one)

    def of(self, one: Seen) -> Content | None:
        """What holds in the item that an element stands in; a measured value is a part of its item."""
        place = one.place[:-1]
        if len(place) > 1 and place[-2] == MEASURED:
            place = place[:-2]
        return self._of.get(place)

    def gone(self, place: Place) -> str | None:
        """What decided that the item around an element goes; None where none does."""
        ends = range(2, len(place), 2)
        return next((self._gone[place[:end]] for end in ends if place[:end] in self._gone), None)

    def _judge(self, one: Seen) -> None:
        inside = item_encoding(one.found, one.encoding)
        judged = self._tree.judged(one.found, inside, one.inside, self.of(one))
        for number, item in enumerate(judged, 1):
            self._of[*one.place, number] = item.content
            if item.content is not None and item.content.goes:
                self._gone[*one.place, number] = item.content.origin
        self.numbers[one.place] = [number for number, item in enumerate(judged, 1) if not item.goes]


class Verdicts:
    """Decisions over one Instance's elements, to be asked for in their order: outer ones first."""

    def __init__(self, plan: Plan, context: Context, window: Window, before: Sequence[Seen]) -> None:
        self._plan = plan
        self._context = context
        self._window = window
        self._contents = Contents(plan, window, before)
        pixels = [one.found.start for one in before if len(one.place) == 1 and one.tag in PIXEL_TAGS]
        self._pixels = min(pixels, default=window.size)  # where the Data Set's last element begins
        self._outer: dict[Place, tuple[Decision, str]] = {}  # sequences inside which no rule is asked

    @property
    def numbers(self) -> Mapping[Place, Sequence[int]]:
        """The numbers that the items of the result had, for its listing."""
        return self._contents.numbers

    def of(self, pair: Pair) -> Decision:
        """What was done to an element, and why."""
        one = pair.seen
        item = self._contents.gone(one.place)
        if item is not None:
            return Decision("remove", f"with its Content Item: {item}")
        around = self._outer.get(one.place[:-2])
        if around is not None:
            self._outer[one.place] = around
            outer, name = around
            return outer if outer.action == _STAMP else Decision(outer.action, f"with {name}: {outer.rule}")
        if one.tag >> 16 == _META_GROUP:
            return _META if pair.after is not None else _META._replace(action="remove")
        decision = self._added(one) if pair.before is None else self._changed(pair.before)
        if decision.action == "keep" and pair.after is None and one.place in self.numbers:
            return _EMPTIED
        if decision.action not in ("keep", "add") and one.vr == "SQ":
            self._outer[one.place] = (decision, one.name)
        return decision

    def _added(self, one: Seen) -> Decision:
        if len(one.place) == 1 and one.tag in STAMPS:
            return _SUBJECT if one.tag in (PATIENT_NAME, PATIENT_ID) else _STAMPED
        try:
            rule = self._plan.addition(one.tag, one.path)
        except KeyError:
            return Decision("add", "leads to what a rule adds")
        return Decision(rule.action, rule.origin)

    def _changed(self, one: Seen) -> Decision:
        tag = one.tag
        if len(one.place) == 1:
            if tag in STAMPS:
                return _SUBJECT if tag in (PATIENT_NAME, PATIENT_ID) else _STAMPED
            if one.found.start >= self._pixels:
                return _PIXELS if one.found.start == self._pixels else _AFTER_PIXELS
        if tag & 0x10000:
            if not self._plan.keeps_private:
                return Decision(PRIVATE.action, PRIVATE.origin)
            if is_creator(tag):
                kept = self._plan.keeps_creator(tag >> 16, one.text)
                return _OWNED if kept else Decision(PRIVATE.action, PRIVATE.origin)
            tag = without_block(tag)
        return self._ruled(one, tag)

    def _ruled(self, one: Seen, tag: int) -> Decision:
        """What a rule says, and what is done in its place where it cannot be done to the value."""
        rule = self._plan.rule(tag, one.found.vr, one.path, one.creator, self._contents.of(one))
        vrs = self._plan.vrs(tag, one.creator) or (one.found.vr,)
        sequence = one.vr == "SQ" or (one.found.vr == "UN" and vrs[0] == "SQ")
        if rule.action != "remove" and sequence != (vrs[0] == "SQ"):
            return Decision("remove", CONTRADICTION.origin)
        if rule.action == "keep" and sequence and one.vr != "SQ":
            return _UNREADABLE
        if rule.action in _WITHOUT_SETTINGS or sequence:
            return Decision(rule.action, rule.origin)
        vr = one.found.vr if one.found.vr in vrs else vrs[0]
        if self._result(rule, one, tag, vr) is None:
            return Decision(rule.fallback, f"{rule.origin}; {rule.action} has no result here")
        return Decision(rule.action, rule.origin)

    def _result(self, rule: Rule, one: Seen, tag: int, vr: str) -> bytes | None:
        """What the rule's action makes of the value, once more."""
        found, context = one.found, self._context
        short = found.value_end - found.value <= VALUE_MAX
        value = self._window.bytes(found.value, found.value_end) if short else b""
        context.tag, context.charset, context.little = tag, one.charset, one.encoding.little
        made = (rule.do or ACTIONS[rule.action])(value, vr, context)
        blank = rule.action == "clean-text" and rule.fallback == "dummy" and not (made or b"").strip(b" \\\0")
        return None if blank else made
