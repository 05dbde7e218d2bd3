"""The plan for one kind of object: tables, options and a profile's own rules composed to one rule for each element.

The later wins: PS3.15 Table E.1-1, the options' columns, then the profile's rules in the order in which they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coatcheck.deid import standard
from coatcheck.deid.actions import KINDS
from coatcheck.deid.content import ITEMS, OPTION, ROOTS, UIDREF, Content, Item, content_of
from coatcheck.deid.private import safe_creators, safe_rule, vrs_of_private
from coatcheck.deid.profile import Profile, WrittenRule
from coatcheck.deid.repeats import CHARACTER_SET
from coatcheck.deid.rules import FIXED, OUTSIDE, PRIVATE, Rule, Tables, contradicts, rule_of
from coatcheck.deid.selectors import Path, Public, Selector, vrs

_CACHE_MAX = 50_000
# What keeps an object what it is, what names it in the outbox, and what its text is read by: no rule reaches it.
UNTOUCHABLE = frozenset(FIXED) | {CHARACTER_SET, 0x00080018, 0x0020000D, 0x0020000E}
_TAKE_AWAY = frozenset({"remove", "empty"})


class Plan:
    """The rules of one profile for the objects of one IOD. Look-ups are remembered, and bounded in number.

    ``holding`` are the numbers of the conditional rules whose condition holds for the objects at hand.
    """

    def __init__(self, profile: Profile, sop_class: str, holding: frozenset[int] = frozenset()) -> None:
        self.profile = profile
        self._tables = Tables(profile, sop_class)
        self._structured = OPTION in profile.options
        # What the option keeps, it keeps whole: `unlisted: remove` would leave items that are none.
        self._inside = Tables(replace(profile, unlisted="keep"), sop_class) if self._structured else self._tables
        rules = enumerate(profile.rules)
        self._written = [rule for number, rule in rules if rule.when is None or number in holding]
        self._changing = [rule for rule in self._written if rule.action != "add"]
        self._creators = self._kept_creators()
        self._additions = _additions(self._written)
        self._known: dict[tuple[int, str, Path, str, Rule | None], Rule] = {}
        self._contents: dict[tuple[Item, bool], Content] = {}

    def rule(self, tag: int, vr: str, path: Path, creator: str = "", content: Content | None = None) -> Rule:
        """The rule for an element with the VR that the file gives it, inside the sequences of ``path``.

        A private element is given without its block and with its creator, an element of a Content Item with what
        holds in that item.
        """
        said = content.rules.get(tag) if content is not None else None
        key = (tag, vr, path, creator, said)
        known = self._known.get(key)
        if known is None:
            known = self._private(tag, vr, path, creator) if tag & 0x10000 else self._public(tag, vr, path, said)
            if len(self._known) >= _CACHE_MAX:
                self._known.clear()
            self._known[key] = known
        return known

    def judges_items(self, path: Path) -> bool:
        """Whether the items of the sequence that ``path`` ends with are judged one by one (PS3.15 E.3.4)."""
        return self._structured and bool(path) and path[-1] in ITEMS and not ROOTS.isdisjoint(path)

    def content(self, item: Item, path: Path, *, stays: bool = False) -> Content:
        """What holds in a Content Item of the sequence that ``path`` ends with, and whether it goes.

        It goes with its value, so that a rule for the value decides over the item. One that ``stays`` has a dummy.
        """
        content = self._contents.get((item, stays))
        if content is None:
            if len(self._contents) >= _CACHE_MAX:
                self._contents.clear()
            content = self._contents[item, stays] = content_of(self.profile, item, stays=stays)
        if stays or content.value is None:
            return content
        rule = self.rule(*content.value, path, content=content)
        goes = rule.action == "remove"
        return content if goes == content.goes else content._replace(goes=goes, origin=rule.origin)

    def vrs(self, tag: int, creator: str = "") -> tuple[str, ...]:
        """The VRs that an element may have, by PS3.6, Table E.1-1 or what is known of its creator; or none."""
        return vrs_of_private(tag, creator) if tag & 0x10000 else vrs(tag)

    def keeps_creator(self, group: int, creator: str) -> bool:
        """Whether something of a private creator may stay, so that its block stays reserved."""
        return (group, creator) in self._creators

    def permits(self, path: tuple[int, ...], tag: int, vr: str) -> bool:
        """Whether an option or a rule lets an element of a result name somebody (tags with their blocks).

        The gate does not know whose a private element is: every creator that may stay in its group has to permit it.
        """
        if not tag & 0x10000:
            kept_uid = tag == UIDREF and self.profile.retains_uids and self.judges_items(path)
            return kept_uid or self.rule(tag, vr, path).permits
        creators = [creator for group, creator in self._creators if group == tag >> 16]
        rules = [self.rule(tag & 0xFFFF00FF, vr, path, creator) for creator in creators]
        return any(rule.permits for rule in rules) and all(rule.permits or rule.action == "remove" for rule in rules)

    @property
    def keeps_private(self) -> bool:
        """Whether any private element may stay."""
        return bool(self._creators)

    def additions(self, path: Path) -> Sequence[int]:
        """The tags that rules add to a Data Set at this place, in order: elements, and sequences that lead to them."""
        return self._additions.get(path, ())

    def addition(self, tag: int, path: Path) -> Rule:
        """The rule by which an element is added that is not there."""
        place: Path = (*path, tag)
        for written in reversed(self._written):
            if written.action == "add" and any(_place(selector) == place for selector in written.selectors):
                return _as_rule(written)
        raise KeyError(place)

    def _public(self, tag: int, vr: str, path: Path, said: Rule | None) -> Rule:
        tables = self._tables if ROOTS.isdisjoint(path) else self._inside
        rule = tables.rule(tag, vr, _public_path(path))
        if tag in UNTOUCHABLE or rule is OUTSIDE:
            return rule
        allowed = vrs(tag)
        if not allowed or contradicts(vr, allowed):
            return rule
        return self._composed(said or rule, tag, vr if vr in allowed else allowed[0], path, "")

    def _private(self, tag: int, vr: str, path: Path, creator: str) -> Rule:
        if not creator:
            return PRIVATE
        allowed = vrs_of_private(tag, creator) or (vr,)
        if vr != "UN" and contradicts(vr, allowed):
            return PRIVATE
        known = vr if vr in allowed else allowed[0]
        rule = PRIVATE
        if self.profile.private == "safe":
            rule = safe_rule(self.profile, tag, known, creator) or rule
        return rule if self.profile.private == "remove" else self._composed(rule, tag, known, path, creator)

    def _composed(self, rule: Rule, tag: int, vr: str, path: Path, creator: str) -> Rule:
        for written in self._changing:
            if any(selector.matches(tag, vr, path, creator or None) for selector in written.selectors):
                rule = self._over(rule, written, tag, vr, path)
        return rule

    def _over(self, rule: Rule, written: WrittenRule, tag: int, vr: str, path: Path) -> Rule:
        """A written rule over what came before. One that makes no sense on this VR leaves it as it was."""
        if written.action == "allow":
            return rule._replace(permits=True, origin=f"{rule.origin}; allowed by {_named(written)}")
        if vr not in KINDS[written.action].vrs:
            return rule
        kind = self._tables.kind(tag, _public_path(path))
        if kind is not None and written.action in _TAKE_AWAY:
            action = _least(written.action, kind, vr)
            resolved = "" if action == written.action else f" (Type {kind}: {action})"
            return rule_of(action, _named(written) + resolved)
        # What Table E.1-1 lists may name somebody, and who keeps it wants that; a name in any other value is a find.
        rule = _as_rule(written)._replace(permits=written.action == "keep" and tag in standard.annex_e())
        if kind is not None and rule.fallback in _TAKE_AWAY:
            return rule._replace(fallback=_least(rule.fallback, kind, vr))
        return rule

    def _kept_creators(self) -> frozenset[tuple[int, str]]:
        if self.profile.private == "remove":
            return frozenset()
        found = safe_creators() if self.profile.private == "safe" else frozenset()
        keeping = (rule for rule in self._written if rule.action not in ("remove", "allow"))
        written = (selector for rule in keeping for selector in rule.selectors)
        return found | {(group, creator) for selector in written for group, creator, _ in selector.creators()}


def _public_path(path: Path) -> tuple[int, ...]:
    """A path as the tables know it; no IOD says anything of what is inside a private sequence."""
    return tuple(step if isinstance(step, int) else -1 for step in path)


def _least(action: str, kind: str, vr: str) -> str:
    """The least that the IOD can do with: an Attribute of Type 1 keeps a value, one of Type 2 its place."""
    if kind[0] == "1":
        return "uid" if vr == "UI" else "dummy"
    return "empty" if kind[0] == "2" else action


def _as_rule(written: WrittenRule) -> Rule:
    return Rule(written.action, KINDS[written.action].fallback, _named(written), written.do)


def _named(written: WrittenRule) -> str:
    because = f" ({written.because})" if written.because else ""
    return f"{written.place.rpartition('/')[2]}: {written.action}{because}"


def _place(selector: Selector) -> tuple[int, ...]:
    """Where a rule adds an element: the tags that lead to it from the top level. The profile was checked for it."""
    steps = (*selector.sequences, selector.target)
    return tuple(step.value for step in steps if isinstance(step, Public))


def _additions(written: Sequence[WrittenRule]) -> dict[Path, tuple[int, ...]]:
    """For each place in an object the tags that are added there, those of sequences on the way included."""
    found: dict[Path, set[int]] = {}
    for rule in written:
        for selector in rule.selectors if rule.action == "add" else ():
            place = _place(selector)
            for depth, tag in enumerate(place):
                found.setdefault(place[:depth], set()).add(tag)
    return {path: tuple(sorted(tags)) for path, tags in found.items()}
