"""What is wrong with a profile that can be read: rules that never apply, that hide others, or that break an object.

A *problem* keeps a profile from running. A *note* is worth knowing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple

from coatcheck.deid import pydicom_data, standard
from coatcheck.deid.actions import KINDS
from coatcheck.deid.actions.keyed import SHORTEST_SEALED
from coatcheck.deid.dictionary import vrs_of
from coatcheck.deid.elements import tag_text
from coatcheck.deid.plan import UNTOUCHABLE, Plan
from coatcheck.deid.profile import Profile, WrittenRule
from coatcheck.deid.rules import PATIENT_ID, PATIENT_NAME
from coatcheck.deid.selectors import Path, Private, Public, Selector, Target, vrs
from coatcheck.deid.texts import longest

_OUTSIDE = frozenset({0x0000, 0x0002, 0x0004, 0x0006})


class Finding(NamedTuple):
    """One thing that lint says. ``place`` is ``file:line`` of the rule."""

    place: str
    level: Literal["problem", "note"]
    what: str
    hint: str


def lint(profile: Profile) -> list[Finding]:
    """All findings, in the order of the rules."""
    found: list[Finding] = []
    always = Plan(profile, "", frozenset(range(len(profile.rules))))
    for number, rule in enumerate(profile.rules):
        found += _of_rule(rule, profile, always)
        found += _hidden(rule, profile.rules[number + 1 :])
    return found


def _of_rule(rule: WrittenRule, profile: Profile, always: Plan) -> Iterator[Finding]:
    if rule.action == "allow" and not rule.because.strip():
        yield _problem(rule, "`allow` without a reason", "say why in `because:`; the gate lets the value pass")
    for selector in rule.selectors:
        reason = _never(rule, selector, profile)
        if reason is not None:
            yield _problem(rule, f"`{selector.text}`: {reason[0]}", reason[1])
        else:
            yield from _breaks(rule, selector)
            yield from _never_fits(rule, selector)
            yield from _gone_around(rule, selector, always)


def _never(rule: WrittenRule, selector: Selector, profile: Profile) -> tuple[str, str] | None:
    """Why a rule can never apply to what it selects, and what to do."""
    if rule.action == "add":
        return _cannot_add(selector)
    if profile.private == "remove" and any(
        isinstance(step, Private) for step in (*selector.sequences, selector.target)
    ):
        return "private attributes are removed before any rule", "write `private: keep-listed`"
    for tag in selector.tags() or ():
        if tag in (PATIENT_ID, PATIENT_NAME):
            return "the subject stands here in every profile", "see `subjects:` of the project's configuration"
        if tag in UNTOUCHABLE:
            return "coatcheck decides this itself in every profile", "take the rule out"
        if tag >> 16 in _OUTSIDE:
            return "this is no part of a stored Data Set", "take the rule out"
        if not vrs(tag):
            return "this version knows no such attribute, so it is removed in every profile", "take the rule out"
    found = _vrs_at(selector)
    if not found:
        return "no attribute is like that", "look it up in PS3.6, or take the rule out"
    if not found & KINDS[rule.action].vrs:
        fit = ", ".join(sorted(name for name, kind in KINDS.items() if found & kind.vrs))
        return f"`{rule.action}` makes no sense on the VR {'/'.join(sorted(found))}", f"these do: {fit}"
    return None


def _vrs_at(selector: Selector) -> frozenset[str]:
    """The VRs that what a selector is about may have; every one for private elements."""
    if isinstance(selector.target, Private):
        return frozenset(standard.vr_limits())
    tags = selector.tags()
    return _vrs_of_target(selector.target) if tags is None else frozenset(vr for tag in tags for vr in vrs(tag))


@cache
def _vrs_of_target(target: Target) -> frozenset[str]:
    return frozenset(vr for tag, vr in attributes() if target.matches(tag, vr))


@cache
def attributes() -> tuple[tuple[int, str], ...]:
    """Every attribute that a rule may reach, with each of its VRs; those of repeating groups in all of these groups."""
    tags = {*pydicom_data.attributes(), *standard.annex_e()}
    for text in pydicom_data.repeaters():
        groups = range(0, 0x20, 2) if text[2:4] == "xx" else (0,)
        tags |= {
            int(f"{text[:2]}{group:02X}{text[4:]}" if text[2:4] == "xx" else text.replace("x", "0"), 16)
            for group in groups
        }
    reached = (tag for tag in tags if tag not in UNTOUCHABLE and tag >> 16 not in _OUTSIDE)
    return tuple((tag, vr) for tag in sorted(reached) for vr in vrs(tag))


def _cannot_add(selector: Selector) -> tuple[str, str] | None:
    """Why nothing can be added there."""
    steps = (*selector.sequences, selector.target)
    exact = [step for step in steps if isinstance(step, Public) and step.mask == 0xFFFFFFFF]
    if len(exact) != len(steps):
        return "it is not said which one attribute is added", "name it by keyword or tag, with the sequences around it"
    if any("SQ" not in vrs_of(step.value) for step in exact[:-1]):
        return "what leads to it is no sequence", "name the sequences around it, outermost first"
    tag = exact[-1].value
    if {step.value for step in exact} & UNTOUCHABLE or tag >> 16 in _OUTSIDE or not vrs_of(tag):
        return "coatcheck decides this itself in every profile, or does not know the attribute", "take the rule out"
    if not set(vrs_of(tag)[:1]) & KINDS["add"].vrs:
        return f"a value of the VR {vrs_of(tag)[0]} cannot be written as text", "add another attribute"
    return None


def _gone_around(rule: WrittenRule, selector: Selector, always: Plan) -> Iterator[Finding]:
    """Where a sequence around an attribute goes, so that a rule for its inside has nothing to do."""
    if rule.action == "add":
        return
    path: Path = ()
    for step in selector.sequences:
        if isinstance(step, Private):
            return
        decided = always.rule(step.value, "SQ", path)
        if decided.action != "keep":
            what = f"`{selector.text}`: {tag_text(step.value)} does not stay ({decided.origin})"
            yield Finding(rule.place, "note", what, "keep that sequence by a rule of its own, or take this rule out")
            return
        path = (*path, step.value)


def _breaks(rule: WrittenRule, selector: Selector) -> Iterator[Finding]:
    """Where an IOD needs what a rule takes away. Only there a dummy, or an empty value, is left in its place."""
    if rule.action not in ("remove", "empty") or selector.private:
        return
    for tag in sorted(selector.tags() or ()):
        iods = standard.required_in().get(tag)
        if iods:
            what = f"`{selector.text}`: {tag_text(tag)} is of Type 1 in {len(iods)} IODs, such as {iods[0]}"
            yield Finding(rule.place, "note", what, f"a dummy stands there instead of `{rule.action}`")


def _never_fits(rule: WrittenRule, selector: Selector) -> Iterator[Finding]:
    """Where no text that was sealed has room, not even one of one letter, so that none can ever be redeemed."""
    if rule.action != "encrypt":
        return
    found = _vrs_at(selector) & KINDS["encrypt"].vrs
    if all((longest(vr) or SHORTEST_SEALED) < SHORTEST_SEALED for vr in found):
        what = f"`{selector.text}`: nothing that is sealed fits the VR {'/'.join(sorted(found))}, `too_short` decides"
        yield Finding(rule.place, "note", what, "say `too_short: hash`, or choose another action")


def _hidden(rule: WrittenRule, later: Sequence[WrittenRule]) -> Iterator[Finding]:
    """Selectors of a rule that a later rule of the same file says again, for at least the same objects."""
    file = rule.place.rpartition(":")[0]
    mine = [other for other in later if other.place.rpartition(":")[0] == file]
    for selector in rule.selectors:
        for other in mine:
            if other.when in (None, rule.when) and _decides_again(other, rule, selector):
                named = other.place.rpartition("/")[2]
                hint = "take one of the two out: the later rule wins"
                yield _problem(rule, f"`{selector.text}` is decided again by the rule in {named}", hint)
                break


def _decides_again(other: WrittenRule, rule: WrittenRule, selector: Selector) -> bool:
    """Whether a later rule leaves nothing of what an earlier one says of a selector."""
    if "add" in (rule.action, other.action):
        same = any((one.target, one.sequences) == (selector.target, selector.sequences) for one in other.selectors)
        return same and rule.action == other.action
    changed = _vrs_at(selector) & KINDS[rule.action].vrs
    everywhere = other.action != "allow" and changed <= KINDS[other.action].vrs
    return everywhere and any(_covers(one, selector) for one in other.selectors)


def _covers(wide: Selector, narrow: Selector) -> bool:
    """Whether one selector is about all that another one is about."""
    around = narrow.sequences[len(narrow.sequences) - len(wide.sequences) :]
    if around != wide.sequences or (wide.top and (not narrow.top or len(narrow.sequences) > len(wide.sequences))):
        return False
    target = narrow.target
    if wide.target == target:
        return True
    if isinstance(target, Private) or isinstance(wide.target, Private):
        return _all_of(wide.target) == _all_of(target) and getattr(wide.target, "element", "") is None
    tags = narrow.tags()
    return bool(tags) and all(wide.target.matches(tag, vr) for tag in tags or () for vr in vrs(tag))


def _all_of(target: Target | Private) -> tuple[int, str] | None:
    """The group and the creator of private elements."""
    return (target.group, target.creator) if isinstance(target, Private) else None


def _problem(rule: WrittenRule, what: str, hint: str) -> Finding:
    return Finding(rule.place, "problem", what, hint)
