"""CTP's DicomAnonymizer.script, as XML or as properties, and the script of RSNA's Anonymizer, which is a part of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from xml.parsers import expat

from coatcheck.moving_in.ctp_conditions import condition
from coatcheck.moving_in.ctp_functions import Made, made, parameter, refused
from coatcheck.moving_in.ctp_script import Call, ScriptError, parse
from coatcheck.moving_in.model import Foreign, ForeignRule, unreadable
from coatcheck.moving_in.tags import NO_CREATOR, NoCreatorError, tag, template

_XML: Final = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?<script\b")
_SET: Final = re.compile(r"(#?)(set|param|keep|remove)\.(.*?)=(.*)")
_ELEMENT: Final = re.compile(r"\[ *([0-9a-fA-F]{1,4}) *, *([0-9a-fA-F]{1,4}) *\](.*)")
_HEX: Final = re.compile(r"[0-9a-fA-F]{8}")
_GROUP: Final = re.compile(r"[0-9a-fA-F]{1,4}")
_DAYS: Final = re.compile(r"[+-]?[0-9]{1,5}")
_MOST_LINES: Final = 100_000


def recognises(text: str) -> bool:
    """Whether it may be such a script."""
    return _XML.match(text) is not None or re.search(r"^#?set\.\[[0-9a-fA-F, ]+\]", text, re.MULTILINE) is not None


def read(text: str) -> Foreign:
    """The rules of a script. Raises UnreadableError."""
    lines = _from_xml(text) if _XML.match(text) else _from_properties(text)
    if not any(kind in ("e", "k", "r") for _, kind, _, _ in lines):
        raise unreadable("there is no element in this script")
    reading = _Reading(lines)
    return reading.read()


_Line = tuple[int, str, dict[str, str], str]  # line, kind, attributes, text


def _from_xml(text: str) -> list[_Line]:
    """Every element below the root. What an XML document could refer to is not followed."""
    found: list[_Line] = []
    parser = expat.ParserCreate()

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(found) > _MOST_LINES:
            raise unreadable("it has too many elements")
        found.append((parser.CurrentLineNumber, name, attributes, ""))

    def characters(data: str) -> None:
        if found:
            line, name, attributes, before = found[-1]
            found[-1] = (line, name, attributes, before + data)

    def refuse(*_: Any) -> None:  # noqa: ANN401 - as expat calls it
        raise unreadable("a script has no document type")

    parser.buffer_text = True
    parser.StartElementHandler, parser.CharacterDataHandler = begin, characters
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise unreadable(f"line {error.lineno} is no XML", "mend it there") from None
    return [(line, name, attributes, data.strip()) for line, name, attributes, data in found]


def _from_properties(text: str) -> list[_Line]:
    """The same lines from a file of properties."""
    found: list[_Line] = []
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        match = _SET.fullmatch(line.strip())
        if match is None:
            continue
        off, kind, name, value = match.groups()
        on = {"en": "F" if off else "T"}
        if kind == "param":
            found.append((number, "p", {"t": name.strip()}, value))
        elif kind == "set" and (element := _ELEMENT.match(name)):
            t = element[1].rjust(4, "0") + element[2].rjust(4, "0")
            found.append((number, "e", on | {"t": t, "n": element[3].strip()}, value.strip()))
        elif kind in ("keep", "remove"):
            found.append((number, kind[0], on | {"t": name.strip().removeprefix("group")}, ""))
    return found


class _Reading:
    """One script."""

    def __init__(self, lines: list[_Line]) -> None:
        self._lines = lines
        self._parameters = {attributes.get("t", ""): text for _, kind, attributes, text in lines if kind == "p"}
        enabled = [text for _, kind, attributes, text in lines if kind == "e" and attributes.get("en") == "T"]
        self._of_rsna = any(re.search(r"@(uid|ptid|acc|hashdate)\b(?!\()", text) for text in enabled)
        self._remarks: list[tuple[int, str]] = []
        self._only_named = self._of_rsna

    def read(self) -> Foreign:
        """All of it; groups first, for what is said of one element comes over what is said of its group."""
        rules: list[ForeignRule] = []
        for line, kind, attributes, _ in self._lines:
            if kind in ("k", "r") and attributes.get("en") == "T":
                rules += self._group(line, kind, attributes.get("t", ""))
        for line, kind, attributes, text in self._lines:
            if kind == "e" and attributes.get("en") == "T":
                rules += self._element(line, attributes, text)
        self._tell_of_disabled()
        return Foreign(
            rules=tuple(rules), only_named=self._only_named, dates=self._dates(), remarks=tuple(self._remarks)
        )

    def _tell_of_disabled(self) -> None:
        off = [one for one in self._lines if one[1] in ("e", "k", "r") and one[2].get("en") != "T"]
        if off:
            what = f"{len(off)} lines are switched off from here on: the base profile decides over what they name"
            self._remarks.append((off[0][0], what))

    def _group(self, line: int, kind: str, what: str) -> list[ForeignRule]:
        name = f"{'keep' if kind == 'k' else 'remove'} {what}"
        rule = ForeignRule(line=line, said=name)
        if kind == "r" and what.startswith("unspecified"):
            self._only_named = True
            self._remarks.append((line, "remove unspecified elements: `unlisted: remove`"))
            return []
        groups = {"curves": "(50xx,xxxx)", "overlays": "(60xx,xxxx)"}
        if kind == "r" and what in groups:
            return [ForeignRule(line=line, said=name, at=(groups[what],), do="remove")]
        if kind == "r" and what == "privategroups":
            return [ForeignRule(line=line, said=name, do="remove", refused=NO_CREATOR)]
        if kind == "k" and what.startswith("safe"):
            return [rule.without("choose the option `retain-safe-private` in `options:`")]
        if kind == "k" and _GROUP.fullmatch(what):
            try:
                return [ForeignRule(line=line, said=name, at=(tag(what, "xxxx"),), do="keep")]
            except NoCreatorError:
                return [rule.without(NO_CREATOR)]
        return [rule.without("there is no such group of elements")]

    def _element(self, line: int, attributes: Mapping[str, str], text: str) -> list[ForeignRule]:
        digits = attributes.get("t", "")
        rule = ForeignRule(line=line, said=f"{attributes.get('n') or digits} {text}".strip())
        if not _HEX.fullmatch(digits):
            return [rule.without("it names no tag")]
        try:
            at = tag(digits[:4], digits[4:])
        except NoCreatorError:
            do = "remove" if text.replace(" ", "") == "@remove()" else ""
            return [ForeignRule(line=line, said=rule.said, do=do, refused=NO_CREATOR)]
        rule = replace(rule, at=(at,))
        try:
            return self._scripted(rule, at, text)
        except ScriptError as error:
            return [rule.without(str(error))]

    def _scripted(self, rule: ForeignRule, at: str, text: str) -> list[ForeignRule]:
        parts = parse(text)
        always = bool(parts) and isinstance(parts[0], Call) and parts[0].name == "always"
        parts = parts[1:] if always else parts
        if len(parts) == 1 and isinstance(parts[0], Call) and parts[0].name in ("if", "select"):
            return self._branches(rule, at, parts[0])
        found = self._made(parts)
        if found.refused:
            return [rule.without(found.refused)]
        one = replace(rule, do=found.do, settings=found.settings, note=found.note)
        return [replace(one, do="add"), one] if always and found.do == "replace" else [one]

    def _made(self, parts: list[str | Call]) -> Made:
        """What a script without a condition makes of an element."""
        if not parts or parts == [""]:
            return Made(do="keep" if self._of_rsna else "empty")
        if len(parts) == 1 and isinstance(parts[0], Call):
            return made(parts[0], self._parameters)
        texts = [self._text(one) for one in parts]
        if None in texts:
            return refused("a text and what a function gives cannot be put together here")
        return Made(do="replace", settings={"with": template("".join(filter(None, texts)).strip())})

    def _text(self, part: str | Call) -> str | None:
        """A text that is the same for all; None for anything else."""
        if isinstance(part, str):
            return part
        return parameter(part.argument(0), self._parameters) if part.name == "param" else None

    def _branches(self, rule: ForeignRule, at: str, call: Call) -> list[ForeignRule]:
        """The two rules of a condition: the one for what does not hold first."""
        ways = [self._made(parse(clause)) for clause in call.clauses]
        if any(way.refused for way in ways):
            return [rule.without(next(way.refused for way in ways if way.refused))]
        first, second = ways
        when = condition(call, at) if call.name == "if" else None
        if call.name == "if" and when is None:
            return [rule.without("there is no such condition here")]
        place = (at,) if call.name == "if" else (f"top > {at}",)
        other = replace(rule, do=second.do, settings=second.settings)
        return [other, replace(rule, at=place, do=first.do, settings=first.settings, when=when)]

    def _dates(self) -> dict[str, object]:
        """How far dates move: by one number for all, or by one for each patient."""
        for _, kind, attributes, text in self._lines:
            if kind != "e" or attributes.get("en") != "T":
                continue
            if "@incrementdate" in text:
                match = re.search(r"@incrementdate\(\s*this\s*,\s*([^)]*)\)", text)
                said = match[1].strip() if match else ""
                days = parameter(said, self._parameters) if said.startswith("@") else said
                fixed = bool(days) and _DAYS.fullmatch(str(days).strip()) is not None and int(str(days)) != 0
                return {"scope": "project", "days": int(str(days))} if fixed and abs(int(str(days))) <= 36_500 else {}
            if "@hashdate" in text:
                return {"scope": "patient", "days": [1, 3651]} if self._of_rsna else {"scope": "patient"}
        return {}
