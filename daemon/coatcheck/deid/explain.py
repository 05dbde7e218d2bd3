"""Why an Attribute is treated as it is: every layer of a profile that has a word in it, and the one that decides.

The layers are those of the standard: the Basic Profile, each option, what the profile says of unlisted and private
Attributes, then each of its rules. Each is found by asking the plan of a profile that ends there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from coatcheck.deid import standard
from coatcheck.deid.elements import tag_text
from coatcheck.deid.plan import Plan
from coatcheck.deid.private import vrs_of_private
from coatcheck.deid.profile import Profile, WrittenRule
from coatcheck.deid.pydicom_data import uids
from coatcheck.deid.rules import Rule
from coatcheck.deid.selectors import Path, Private, PrivateTag, Public, Selector, keyword, vrs
from coatcheck.deid.settings import SettingError, nearest

_NO_LENGTH = 0x0010  # in the place of an element's number that is left open: 0000 would be the group's length
_PARTICULAR = 'name one attribute by its keyword, its tag, or as private (0029,"CREATOR",10)'


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One Attribute at one place, as a plan is asked for it: a private one without its block."""

    tag: int
    vr: str
    path: Path = ()
    creator: str = ""

    @property
    def tag_text(self) -> str:
        """The tag, of a private one with its block left open."""
        return f"({self.tag >> 16:04X},xx{self.tag & 0xFF:02X})" if self.creator else tag_text(self.tag)

    def __str__(self) -> str:
        steps = [_name(step) for step in self.path]
        own = _name(PrivateTag(self.tag >> 16, self.tag & 0xFF, self.creator) if self.creator else self.tag)
        return " > ".join((*steps, own))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one layer says. ``rule`` is its number among the profile's rules; None for the standard's layers.

    ``conditional``: it speaks only for objects that its rule's condition holds for. ``wins``: it decides where no
    condition does.
    """

    action: str
    origin: str
    rule: int | None = None
    conditional: bool = False
    wins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the whole table. ``attribute`` is a keyword, a tag or a selector; ``tag`` is as the table has it."""

    attribute: str
    tag: str
    vr: str
    basic: str
    action: str
    rule: str


def attribute_of(selector: Selector) -> Attribute:
    """The one Attribute that a selector names; of a repeating group the first. Raises SettingError where it is open."""
    target = selector.target
    path = tuple(_step(step) for step in selector.sequences)
    if isinstance(target, Private) and target.element is not None:
        tag = target.group << 16 | target.element
        known = vrs_of_private(tag, target.creator) or ("UN",)
        return Attribute(tag=tag, vr=known[0], path=path, creator=target.creator)
    if not isinstance(target, Public):
        raise SettingError(f"`{selector.text}` is about several attributes", _PARTICULAR)
    return Attribute(tag=target.value, vr=(vrs(target.value) or ("UN",))[0], path=path)


def layers(profile: Profile, attribute: Attribute, sop_class: str = "") -> list[Layer]:
    """Everything that a profile says of an Attribute in the objects of a SOP Class, in the order in which it counts.

    ``sop_class`` is its UID; without it no IOD is known, and so no Attribute's Type.
    """
    found: list[Layer] = []
    for stage in _stages(profile):
        rule = _asked(Plan(stage, sop_class), attribute)
        if not found or rule.origin != found[-1].origin:
            found.append(Layer(action=rule.action, origin=rule.origin))
    for number, written in enumerate(profile.rules):
        found += _of_rule(profile, number, written, attribute, sop_class)
    last = max(place for place, one in enumerate(found) if not one.conditional and one.action != "add")
    return [replace(one, wins=place == last) for place, one in enumerate(found)]


def _stages(profile: Profile) -> Iterator[Profile]:
    """The profile growing, without its rules."""
    bare = replace(profile, options=(), unlisted="keep", private="remove", rules=())
    for count in range(len(profile.options) + 1):
        yield replace(bare, options=profile.options[:count])
    yield replace(profile, rules=())


def _of_rule(
    profile: Profile, number: int, written: WrittenRule, attribute: Attribute, sop_class: str
) -> Iterator[Layer]:
    if not any(_matches(selector, written, attribute) for selector in written.selectors):
        return
    plan = Plan(replace(profile, rules=profile.rules[: number + 1]), sop_class, frozenset({number}))
    if written.action == "add":
        rule = plan.addition(attribute.tag, attribute.path)
    else:
        rule = _asked(plan, attribute)
        before = Plan(replace(profile, rules=profile.rules[:number]), sop_class)
        if rule.origin == _asked(before, attribute).origin:
            return  # It makes no sense here, or the Attribute is out of reach of rules.
    yield Layer(action=rule.action, origin=rule.origin, rule=number, conditional=written.when is not None)


def _matches(selector: Selector, written: WrittenRule, one: Attribute) -> bool:
    if written.action == "add":
        named = attribute_of(selector)
        return (named.tag, named.path) == (one.tag, one.path)
    return selector.matches(one.tag, one.vr, one.path, one.creator or None)


def _asked(plan: Plan, one: Attribute) -> Rule:
    return plan.rule(one.tag, one.vr, one.path, one.creator)


def table(profile: Profile, sop_class: str = "") -> list[Line]:
    """What becomes of each Attribute of Table E.1-1 at the top level, and then what else the profile's rules name.

    Rules with a condition are named beside what holds without them.
    """
    plan = Plan(profile, sop_class)
    rows = [(int(_lowest(row.tag), 16), row) for row in standard.annex_e().values()]
    rows += [(one.value | _NO_LENGTH, one.row) for one in standard.annex_e_repeating()]
    found = [_line(plan, profile, tag, row) for tag, row in sorted(rows, key=lambda pair: pair[0])]
    private = plan.rule(0x00090001, "UN", ())
    row = standard.private_row()
    found.append(_as_line("private Attributes", row, row.vr, private.action, private.origin))
    return [*found, *_of_rules(profile)]


def _line(plan: Plan, profile: Profile, tag: int, row: standard.Row) -> Line:
    one = Attribute(tag=tag, vr=(vrs(tag) or (row.vr or "UN",))[0])
    rule = _asked(plan, one)
    more = [
        f"; under a condition {written.place}: {written.action}"
        for written in profile.rules
        if written.when is not None and any(_matches(selector, written, one) for selector in written.selectors)
    ]
    return _as_line(row.keyword or row.name or row.tag, row, one.vr, rule.action, rule.origin + "".join(more))


def _as_line(attribute: str, row: standard.Row, vr: str, action: str, rule: str) -> Line:
    return Line(attribute=attribute, tag=f"({row.tag})", vr=vr, basic=row.basic, action=action, rule=rule)


def _of_rules(profile: Profile) -> Iterator[Line]:
    """The selectors of rules that are about more, or about something else, than one row of the table."""
    for written in profile.rules:
        for selector in written.selectors:
            tags = selector.tags() or frozenset()
            if tags and not selector.sequences and tags <= standard.annex_e().keys() and written.action != "add":
                continue
            tag = tag_text(next(iter(tags))) if tags else ""
            vr = "/".join(vrs(next(iter(tags)))) if tags else ""
            because = f" ({written.because})" if written.because else ""
            condition = ", under a condition" if written.when is not None else ""
            rule = f"{written.place}: {written.action}{condition}{because}"
            yield Line(attribute=selector.text, tag=tag, vr=vr, basic="", action=written.action, rule=rule)


def sop_class_of(text: str) -> str:
    """The UID of a SOP Class that is given as its UID, its keyword, or words of its name: `CT`, `enhanced mr image`.

    Raises SettingError for none, and for several.
    """
    known = {uid: entry for uid, entry in uids().items() if entry[1] == "SOP Class"}
    if text in known or standard.registered_uids().get(text) == "SOP Class":
        return text
    folded = text.casefold().replace(" ", "")
    keywords = {entry[4]: uid for uid, entry in known.items() if entry[4]}
    for wanted in (folded, f"{folded}storage", f"{folded}imagestorage"):
        exact = [uid for name, uid in keywords.items() if name.casefold() == wanted]
        if exact:
            return exact[0]
    words = text.casefold().split()
    found = [name for name, uid in keywords.items() if all(word in known[uid][0].casefold() for word in words)]
    if len(found) == 1:
        return keywords[found[0]]
    what = f"`{text}` could be {len(found)} SOP Classes" if found else f"there is no SOP Class `{text}`"
    raise SettingError(what, f"such as {', '.join(sorted(found)[:5])}" if found else nearest(text, keywords))


def _step(step: Public | Private) -> int | PrivateTag:
    if isinstance(step, Public):
        return step.value
    return PrivateTag(step.group, step.element or 0, step.creator)


def _name(step: int | PrivateTag) -> str:
    if isinstance(step, PrivateTag):
        return f'({step.group:04X},"{step.creator}",{step.element:02X})'
    return keyword(step) or tag_text(step)


def _lowest(tag: str) -> str:
    return tag.replace(",", "")
