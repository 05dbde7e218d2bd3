"""Rules of other tools weighed against a profile of ours: none of them loosens what the profile does.

How much of a value an action lets through has a level. A rule whose level is above that of the profile at any
attribute that it is about is a loosening: it is told, and never taken over by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from coatcheck.deid.actions import KINDS, Maker
from coatcheck.deid.actions.text import Replace
from coatcheck.deid.elements import tag_text
from coatcheck.deid.lint import attributes, lint
from coatcheck.deid.plan import UNTOUCHABLE, Plan
from coatcheck.deid.profile import Profile, WrittenRule
from coatcheck.deid.rules import Rule
from coatcheck.deid.selectors import Private, Selector, keyword
from coatcheck.deid.settings import SettingError
from coatcheck.deid.standard import annex_e
from coatcheck.moving_in.model import Foreign, ForeignRule
from coatcheck.moving_in.tags import NO_CREATOR
from coatcheck.profile_file import written_rule

_LEVELS: Final = {
    "remove": 0, "empty": 0, "add": 0, "replace": 0,
    "dummy": 1, "uid": 1, "subject": 1, "hash": 1, "encrypt": 1,
    "shift-date": 2, "shift-dates": 2,
    "redact": 3, "generalise": 3, "perturb": 3, "lookup": 3, "clean-text": 3, "mask": 3, "cap-age": 3,
}  # fmt: skip
_WHOLE: Final = 4  # keep, allow, keep-time, substitute, and what copies an attribute
_KEPT: Final = frozenset({"keep", "keep-time"})
_PATIENT: Final = (("PatientName",), ("PatientID",))
_SAME: Final = "the base profile does the same"
_OWN: Final = "coatcheck decides this itself in every profile"
_PRIVATE: Final = "the base profile removes private attributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What became of one rule: ``written`` is ours for it, ``reason`` why it is a loosening, not needed or refused."""

    rule: ForeignRule
    written: ForeignRule | None = None
    reason: str = ""
    loosens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a whole file. ``standing`` has what is carried over and what loosens, in a profile's order."""

    standing: tuple[Weighed, ...]
    same: tuple[Weighed, ...]
    refused: tuple[Weighed, ...]

    @property
    def carried(self) -> list[Weighed]:
        """What is in force."""
        return [one for one in self.standing if not one.loosens]

    @property
    def loosenings(self) -> list[Weighed]:
        """What waits for a decision."""
        return [one for one in self.standing if one.loosens]


def weigh(foreign: Foreign, base: Profile) -> Verdict:
    """Sorts the rules of a file by what can be done with them."""
    return _Scales(foreign, base).verdict()


class _Scales:
    """One file on the scales."""

    def __init__(self, foreign: Foreign, base: Profile) -> None:
        self._foreign = foreign
        self._base = base
        self._plan = _plan(base)
        self._draft = replace(base, unlisted="remove") if foreign.only_named else base
        self._unnamed = _plan(self._draft)
        self._touched: set[int] = set()
        self._wide: list[Selector] = []
        self._maker = Maker(frozenset(name for name, _ in base.variables), Path())
        self._standing: list[tuple[WrittenRule, Weighed]] = []
        self._same: list[Weighed] = []
        self._refused: list[Weighed] = []

    def verdict(self) -> Verdict:
        """Each rule in its order, and then what a later one decides again."""
        for rule in self._foreign.rules:
            self._weigh(rule)
        self._drop_hidden()
        standing = tuple(weighed for _, weighed in self._standing)
        return Verdict(standing=standing, same=tuple(self._same), refused=tuple(self._refused))

    def _weigh(self, rule: ForeignRule) -> None:
        if rule.refused:
            self._refuse(rule)
            return
        try:
            written = self._read(rule)
        except SettingError as error:
            self._tell(self._refused, rule, str(error))
            return
        reached = list(_reached(written, self._plan))
        if rule.do == "keep":
            self._keep(rule, written, reached)
        else:
            self._change(rule, written, reached)

    def _refuse(self, rule: ForeignRule) -> None:
        """A rule that its reader could make nothing of; some of them need no rule of ours."""
        gone = rule.refused == NO_CREATOR and rule.do in ("remove", "empty") and self._base.private == "remove"
        if rule.at in _PATIENT:
            self._tell(self._same, rule, _OWN)
        else:
            self._tell(self._same if gone else self._refused, rule, _PRIVATE if gone else rule.refused)

    def _read(self, rule: ForeignRule) -> WrittenRule:
        return written_rule(rule.written(), self._maker, "import:0")

    def _tell(self, where: list[Weighed], rule: ForeignRule, reason: str) -> None:
        where.append(Weighed(rule=rule, reason=reason))

    def _change(self, rule: ForeignRule, written: WrittenRule, reached: Sequence[tuple[int, str]]) -> None:
        """A rule that does something to what it is about."""
        if reached and all(tag in UNTOUCHABLE for tag, _ in reached):
            self._tell(self._same, rule, _OWN)
            return
        private = any(isinstance(selector.target, Private) for selector in written.selectors)
        if private and self._base.private == "remove":
            self._private(rule, written)
            return
        alone = replace(self._base, rules=(written,))
        problems = [one for one in lint(alone) if one.level == "problem"]
        if problems:
            self._tell(self._refused, rule, f"{problems[0].what}: {problems[0].hint}")
            return
        worse = self._worse(written, reached)
        if worse:
            self._loosen(rule, rule, written, worse)
        elif self._is_same(written, reached):
            self._tell(self._same, rule, _SAME)
        else:
            self._carry(rule, rule, written)

    def _private(self, rule: ForeignRule, written: WrittenRule) -> None:
        """A rule for private attributes, all of which the base removes."""
        if rule.do in ("remove", "empty"):
            self._tell(self._same, rule, _PRIVATE)
        else:
            self._loosen(rule, rule, written, f"{_PRIVATE}; write `private: keep-listed` too")

    def _is_same(self, written: WrittenRule, reached: Sequence[tuple[int, str]]) -> bool:
        """Whether the base does so already, and no rule before this one says otherwise."""
        if written.do is not None or not reached:
            return False
        found = [(tag, self._unnamed.rule(tag, vr, ())) for tag, vr in reached if tag not in UNTOUCHABLE]
        return all(
            one.action == written.action and not _depends(tag, one) and not self._is_touched(tag, "")
            for tag, one in found
        )

    def _is_touched(self, tag: int, vr: str) -> bool:
        """Whether a rule before this one is about an attribute; without a VR, also if it may be."""
        return tag in self._touched or any(
            any(selector.target.matches(tag, one) for one in ([vr] if vr else self._plan.vrs(tag)))
            for selector in self._wide
            if not isinstance(selector.target, Private)
        )

    def _worse(self, written: WrittenRule, reached: Sequence[tuple[int, str]]) -> str:
        """Where a rule lets more through than the base does, and what that does; "" where it lets no more."""
        if any(isinstance(selector.target, Private) for selector in written.selectors):
            return "" if written.action in ("remove", "empty") else _PRIVATE
        if written.action == "add":
            return "it copies an attribute" if _copies(written) else ""
        changed = _plan(replace(self._base, rules=(*self._base.rules, written)))
        for tag, vr in reached:
            before = self._plan.rule(tag, vr, ())
            after = changed.rule(tag, vr, ())
            if after != before and _level(after, vr, new=True) > (0 if _depends(tag, before) else _level(before, vr)):
                return f"{_named(tag)}: the base does `{before.action}` ({before.origin})"
        return ""

    def _carry(self, rule: ForeignRule, ours: ForeignRule, written: WrittenRule) -> None:
        self._stand(written, Weighed(rule=rule, written=ours))

    def _loosen(self, rule: ForeignRule, ours: ForeignRule, written: WrittenRule, reason: str) -> None:
        self._stand(written, Weighed(rule=rule, written=ours, reason=reason, loosens=True))

    def _stand(self, written: WrittenRule, weighed: Weighed) -> None:
        self._standing.append((written, weighed))
        for selector in written.selectors:
            tags = selector.tags()
            self._touched |= tags or frozenset()
            self._wide += [selector] if tags is None else []

    def _keep(self, rule: ForeignRule, written: WrittenRule, reached: Sequence[tuple[int, str]]) -> None:
        """What the base keeps is kept also from wider rules of the same file; all else would be a loosening."""
        if any(isinstance(selector.target, Private) for selector in written.selectors):
            self._loosen(rule, rule, written, f"{_PRIVATE}; write `private: keep-listed` too")
            return
        if not reached:
            problems = [one for one in lint(replace(self._base, rules=(written,))) if one.level == "problem"]
            self._tell(self._refused, rule, problems[0].what if problems else "no attribute is like that")
            return
        decided = {(tag, vr): self._plan.rule(tag, vr, ()) for tag, vr in reached if tag not in UNTOUCHABLE}
        lost = {tag: one for (tag, _), one in decided.items() if not _stays(tag, one)}
        if lost:
            first = next(iter(lost))
            reason = f"{_named(first)}: the base does `{lost[first].action}` ({lost[first].origin})"
            wide = any(selector.tags() is None for selector in written.selectors)
            ours = replace(rule, at=tuple(map(_named, lost))) if wide else rule  # the others are kept in any case
        self._recover(rule, [key for key, one in decided.items() if _stays(key[0], one)])
        if lost:
            self._loosen(rule, ours, self._read(ours), reason)
        elif not self._standing or self._standing[-1][1].rule is not rule:
            self._tell(self._same, rule, _SAME if decided else _OWN)

    def _recover(self, rule: ForeignRule, kept: Sequence[tuple[int, str]]) -> None:
        """Rules for what the base keeps and wider rules took away. Texts are cleaned: the gate stays shut."""
        taken = [
            (tag, vr)
            for tag, vr in kept
            if self._is_touched(tag, vr) or self._unnamed.rule(tag, vr, ()).action not in _KEPT
        ]
        cleanable = KINDS["clean-text"].vrs
        for do, tags in (
            ("clean-text", {tag for tag, vr in taken if vr in cleanable}),
            ("keep", {tag for tag, vr in taken if vr not in cleanable}),
        ):
            names = tuple(keyword(tag) or tag_text(tag) for tag in sorted(tags))
            if names:
                ours = replace(rule, at=names, do=do, settings={}, note="what the base keeps of it")
                self._carry(rule, ours, self._read(ours))

    def _drop_hidden(self) -> None:
        """Takes out what a later rule of the same file decides again, until nothing is left of it."""
        while True:
            places = [at for at, (_, weighed) in enumerate(self._standing) if not weighed.loosens]
            placed = [replace(self._standing[at][0], place=f"import:{at}") for at in places]
            found = [one for one in lint(replace(self._draft, rules=tuple(placed))) if one.level == "problem"]
            if not found:
                return
            for at in sorted({int(one.place.rpartition(":")[2]) for one in found}, reverse=True):
                _, weighed = self._standing.pop(at)
                self._tell(self._refused, weighed.rule, "another rule of the file decides over it")


def _plan(profile: Profile) -> Plan:
    """What a profile does to objects of any kind, all conditions taken for true."""
    return Plan(profile, "", frozenset(range(len(profile.rules))))


def _reached(written: WrittenRule, plan: Plan) -> Iterator[tuple[int, str]]:
    """The public attributes that a rule is about, with each VR that they may have."""
    for selector in written.selectors:
        tags = selector.tags()
        if tags is not None:
            yield from ((tag, vr) for tag in tags for vr in plan.vrs(tag))
            continue
        yield from ((tag, vr) for tag, vr in attributes() if _matches(selector, tag, vr))


def _matches(selector: Selector, tag: int, vr: str) -> bool:
    return not isinstance(selector.target, Private) and selector.target.matches(tag, vr)


def _level(rule: Rule, vr: str, *, new: bool = False) -> int:
    """How much of a value an action lets through. A new dummy says nothing; one of the tables may be a keyed code."""
    if rule.action == "replace" and isinstance(rule.do, Replace) and rule.do.template.reads():
        return _WHOLE
    if new and rule.action == "dummy":
        return 0
    return 0 if (rule.action, vr) == ("redact", "TM") else _LEVELS.get(rule.action, _WHOLE)


def _depends(tag: int, rule: Rule) -> bool:
    """Whether a compound code of Table E.1-1 decided, so that it goes from objects that do not need it."""
    row = annex_e().get(tag)
    return row is not None and "/" in row.basic and f": {row.basic} (Type" in rule.origin


def _stays(tag: int, rule: Rule) -> bool:
    return rule.action in _KEPT and not _depends(tag, rule)


def _copies(written: WrittenRule) -> bool:
    return isinstance(written.do, Replace) and bool(written.do.template.reads())


def _named(tag: int) -> str:
    return keyword(tag) or tag_text(tag)
