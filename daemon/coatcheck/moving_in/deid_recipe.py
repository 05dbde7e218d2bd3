"""Recipes of pydicom's deid: the header section and its groups of fields.

KEEP holds over ADD, that over REPLACE, JITTER, REMOVE and BLANK; here the later rule wins, so they are put in order.
"""

from __future__ import annotations

import re
from typing import Final

from coatcheck.deid import standard
from coatcheck.moving_in.model import Foreign, ForeignRule, unreadable
from coatcheck.moving_in.tags import NO_CREATOR, NoCreatorError, keyword_with, selector, template

_ORDER: Final = ("BLANK", "REMOVE", "JITTER", "REPLACE", "ADD", "KEEP")
_WORDS: Final = re.compile(r"""(?:[^\s"']+|"[^"]*"|'[^']*')+""")
_SECTION: Final = re.compile(r"%([a-z]+)\s*(.*)", re.IGNORECASE)
_DAYS: Final = re.compile(r"[+-]?[0-9]{1,5}")
_ALL: Final = ("all", "allfields")
_PIXELS: Final = "pixels are not changed: `pixel_risk` of the project says what becomes of text burned into them"
_FUNCTIONS: Final = {"jitter": "shift-dates", "pydicom_uuid": "uid", "dicom_uuid": "uid"}
_CODES: Final = ("simple_uuid", "suffix_uuid")


def recognises(text: str) -> bool:
    """Whether it may be a recipe."""
    lines = [line.strip().casefold() for line in text.splitlines()]
    return any(line.startswith("format dicom") for line in lines) or "%header" in lines


def read(text: str) -> Foreign:
    """The rules of a recipe. Raises UnreadableError."""
    reading = _Reading()
    for number, line in enumerate(text.splitlines(), 1):
        reading.line(number, line.strip())
    if not reading.seen:
        raise unreadable("there is no section in this recipe, such as %header")
    rules = sorted(reading.rules, key=lambda found: _ORDER.index(found[0]))  # stable: the later line is the later rule
    remarks = tuple(reading.remarks)
    return Foreign(
        rules=tuple(rule for _, rule in rules), only_named=reading.only_named, dates=reading.dates, remarks=remarks
    )


class _Reading:
    """One recipe, line by line."""

    def __init__(self) -> None:
        self.rules: list[tuple[str, ForeignRule]] = []
        self.remarks: list[tuple[int, str]] = []
        self.only_named = False
        self.seen = False
        self.dates: dict[str, object] = {}
        self._section = ""
        self._group = ""
        self._fields: dict[str, list[str]] = {}

    def line(self, number: int, line: str) -> None:
        """Takes one line."""
        if not line or line.startswith("#") or line.casefold().startswith("format"):
            return
        if match := _SECTION.match(line):
            self._section, self._group = match[1].casefold(), match[2].split("#")[0].strip()
            self.seen = True
            if self._section in ("labels", "values"):
                self.remarks.append((number, f"%{self._section}: no part of a profile"))
            return
        words = _WORDS.findall(line)
        if self._section == "fields" and words[0].upper() == "FIELD":
            self._fields.setdefault(self._group, []).append(" ".join(words[1:]).split("#")[0].strip())
        elif self._section == "filter" and words[0].upper() == "LABEL":
            self._add("BLANK", ForeignRule(line=number, said=line.split("#")[0].strip(), refused=_PIXELS))
        elif self._section == "header":
            self._action(number, words)

    def _add(self, action: str, rule: ForeignRule) -> None:
        self.rules.append((action, rule))

    def _action(self, number: int, words: list[str]) -> None:
        action, field = words[0].upper(), words[1] if len(words) > 1 else ""
        value = " ".join(words[2:]).split("#")[0].strip()
        rule = ForeignRule(line=number, said=" ".join(words).split("#")[0].strip())
        if action not in _ORDER or not field:
            self._add("BLANK", rule.without("this is no action of a recipe"))
            return
        if action in ("REMOVE", "BLANK") and not value and self._whole(number, field):
            return
        try:
            at = self._selectors(field)
        except NoCreatorError:
            do = "remove" if action == "REMOVE" and not value else ""
            self._add(action, ForeignRule(line=number, said=rule.said, do=do, refused=NO_CREATOR))
            return
        if not at:
            self._add(action, rule.without("which attributes it means depends on values, or is said nowhere"))
            return
        for do, settings, reason in self._made(action, value):
            made = ForeignRule(line=number, said=rule.said, at=at, do=do, settings=settings)
            self._add(action, made if do else rule.without(reason))

    def _whole(self, number: int, field: str) -> bool:
        """Whether it is about all attributes: what nothing names is removed then. Those that are excepted are kept."""
        name, _, pattern = field.partition(":")
        if name.casefold() not in (*_ALL, "except", "allexcept"):
            return False
        self.only_named = True
        self.remarks.append((number, f"{field}: `unlisted: remove`"))
        if pattern:
            kept = ForeignRule(line=number, said=f"all but {pattern}", at=(f"/(?i){pattern}/",), do="keep")
            self._add("KEEP", kept)
        return True

    def _selectors(self, field: str) -> tuple[str, ...]:
        """The selectors of a field; none where it cannot be told here."""
        name, colon, rest = field.partition(":")
        name = name.casefold()
        if not colon:
            return () if name in _ALL else (selector(field),)
        if name == "fields":
            return tuple(one for part in self._fields.get(rest, []) for one in self._selectors(part))
        if name == "select":
            kind, _, wanted = rest.partition(":")
            if kind.casefold() == "vr" and wanted.upper() in standard.vr_limits():
                return (f"VR:{wanted.upper()}",)
            return (selector(f"{wanted.rjust(4, '0')},xxxx"),) if kind.casefold() == "group" else ()
        if not rest or re.fullmatch(r"[0-9(),]+", rest):  # a number would be looked for in private tags
            return ()
        ends = {"contains": ("", ""), "startswith": ("^", ""), "endswith": ("", "$")}
        return (keyword_with(rest, *ends[name]),) if name in ends else ()

    def _made(self, action: str, value: str) -> list[tuple[str, dict[str, object], str]]:
        """Our actions with their settings, or why there is none."""
        if action in ("KEEP", "BLANK"):
            return [("keep" if action == "KEEP" else "empty", {}, "")]
        if action == "REMOVE":
            return [("", {}, "whether it goes depends on its value")] if value else [("remove", {}, "")]
        if action == "JITTER":
            return [self._jitter(value)]
        kind, colon, name = value.partition(":")
        if kind == "deid_func" and colon:
            return [self._function(name)]
        if kind in ("var", "func") and colon:
            return [("", {}, "its value comes from a program of your own")]
        settings: dict[str, object] = {"with": template(value.strip("\"'"))}
        one = ("replace", settings, "")
        return [("add", settings, ""), one] if action == "ADD" else [one]

    def _jitter(self, value: str) -> tuple[str, dict[str, object], str]:
        if _DAYS.fullmatch(value) and 0 < abs(int(value)) <= 36_500:
            self.dates = self.dates or {"scope": "project", "days": int(value)}
        return "shift-dates", {}, ""

    def _function(self, call: str) -> tuple[str, dict[str, object], str]:
        name, _, arguments = call.partition(" ")
        if name == "jitter":
            days = re.fullmatch(r"days=([+-]?[0-9]{1,5})", arguments.strip())
            return self._jitter(days[1] if days else "")
        if name in _FUNCTIONS:
            return _FUNCTIONS[name], {}, ""
        return ("hash", {}, "") if name in _CODES else ("", {}, "there is no such function")
