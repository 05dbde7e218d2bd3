"""The rules of DICOMAnonymizer (mmiv-center), as ``--exportanon`` writes them: JSON, a list of lists of texts.

A rule is group, element, name and action. Of a private attribute the name is that of the creator.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from coatcheck.moving_in.model import Foreign, ForeignRule, unreadable
from coatcheck.moving_in.placed import Placed, read_json
from coatcheck.moving_in.tags import private, tag, template

_LIST: Final = re.compile(r'\[\s*\[\s*"[0-9a-fA-F]{4}"\s*,\s*"[0-9a-fA-F]{4}"')
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_MADE: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "keep": ("keep", {}),
    "remove": ("remove", {}),
    "empty": ("empty", {}),
    "hash": ("hash", {}),
    "hashuid": ("uid", {}),
    "hashuid+PROJECTNAME": ("uid", {}),
    "incrementdate": ("shift-dates", {}),
    "incrementdatetime": ("shift-dates", {}),
    "PatientID": ("subject", {}),
    "PATIENTID": ("subject", {}),
    "ProjectName": ("replace", {"with": "{project}"}),
    "PROJECTNAME": ("replace", {"with": "{project}"}),
    "SITENAME": ("replace", {"with": "{site}"}),
}
_NOT: Final = {
    "EventName": "the name of an event is given on the command line there: write it as a variable of the project",
    "EVENTNAME": "the name of an event is given on the command line there: write it as a variable of the project",
    "Re-Mapped": "what it becomes is not said in the file",
    "regexp": "what does not match is replaced by a sentence there and would be kept here: write `do: substitute`",
}
_BODY_PART: Final = "kept where it is one of the tool's own list there; identity is taken out of it here"


def recognises(text: str) -> bool:
    """Whether it may be such a file."""
    return _LIST.match(text.lstrip()) is not None


def read(text: str) -> Foreign:
    """The rules of a file. Raises UnreadableError."""
    rows = read_json(text).items()
    if not rows:
        raise unreadable("there is no list of rules in it")
    return Foreign(rules=tuple(rule for row in rows for rule in _rules(row)))


def _rules(row: Placed) -> list[ForeignRule]:
    """A rule; and one that adds the attribute where it is missing, if that is asked for."""
    rule = _rule(row)
    adds = rule.do == "replace" and any(cell.text() == "createIfMissing" for cell in row.items())
    return [rule, replace(rule, do="add")] if adds else [rule]


def _rule(row: Placed) -> ForeignRule:
    cells = [cell.text() for cell in row.items()]
    rule = ForeignRule(line=row.line, said=" ".join(cells) or "?")
    if len(cells) < 3 or not all(map(_HEX.fullmatch, cells[:2])):
        return rule.without("a rule is a list of group, element, name and action")
    group, element, name = cells[:3]
    what = cells[3] if len(cells) > 3 else ""
    if "regexp" in cells[4:] or what in _NOT:
        return rule.without(_NOT["regexp" if "regexp" in cells[4:] else what])
    is_private = int(group, 16) & 1
    if is_private and int(element, 16) < 0x1000:
        return rule.without("the name of a private creator: it stays where something of the creator does")
    do, settings, note = _made(name, what)
    at = private(group, name, element) if is_private else tag(group, element)
    return ForeignRule(line=rule.line, said=rule.said, at=(at,), do=do, settings=settings, note=note)


def _made(name: str, what: str) -> tuple[str, dict[str, object], str]:
    if what == "BODYPART":
        return "clean-text", {}, _BODY_PART
    if not what or what == "replace":
        return "replace", {"with": template(name)}, ""
    do, settings = _MADE.get(what, ("replace", {"with": template(what)}))
    return do, settings, ""
