"""The script that stands at one element in CTP: texts, and calls of functions with arguments and clauses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"@([A-Za-z]+)")
_CLAUSES: Final = {"if": 2, "select": 2, "append": 1}
_DEEPEST: Final = 16
_OPEN: Final = {"(": ")", "{": "}"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call. ``clauses`` are the texts in braces after it."""

    name: str
    arguments: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    bare: bool = False  # without parentheses, as in the scripts of RSNA's Anonymizer

    def argument(self, number: int) -> str:
        """One argument without its quotes; "" where there is none."""
        found = self.arguments[number] if number < len(self.arguments) else ""
        return found[1:-1] if len(found) > 1 and found[0] == found[-1] == '"' else found


class ScriptError(Exception):
    """A script that cannot be read."""


def parse(script: str) -> list[str | Call]:
    """The parts of a script. Raises ScriptError where one does not end."""
    parts: list[str | Call] = []
    text, at = "", 0
    while at < len(script):
        match = _NAME.match(script, at)
        if match is None:
            escaped = script[at] == "\\" and at + 1 < len(script)
            text += script[at + escaped]
            at += 1 + escaped
            continue
        if text:
            parts.append(text)
            text = ""
        call, at = _call(script, match[1], match.end())
        parts.append(call)
    return [*parts, text] if text.strip() or not parts else parts


def _call(script: str, name: str, at: int) -> tuple[Call, int]:
    bare = not script.startswith("(", at)
    arguments: tuple[str, ...] = ()
    if not bare:
        inner, at = _enclosed(script, at)
        arguments = _arguments(inner)
    clauses = []
    for _ in range(_CLAUSES.get(name, 0)):
        start = at + len(script[at:]) - len(script[at:].lstrip())
        if not script.startswith("{", start):
            raise ScriptError("a clause in braces is missing")
        inner, at = _enclosed(script, start)
        clauses.append(inner.strip())
    return Call(name.casefold(), arguments, tuple(clauses), bare), at


def _enclosed(script: str, at: int) -> tuple[str, int]:
    """What stands between a bracket and the one that ends it, and where it goes on."""
    opens, closes = script[at], _OPEN[script[at]]
    depth, quoted, begin = 0, False, at + 1
    while at < len(script):
        one = script[at]
        if one == "\\":
            at += 2
            continue
        quoted = quoted != (one == '"')
        if not quoted:
            depth += (one == opens) - (one == closes)
            if depth > _DEEPEST:
                raise ScriptError("it is nested too deep")
            if depth == 0:
                return script[begin:at], at + 1
        at += 1
    raise ScriptError("a bracket is not closed")


def _arguments(inner: str) -> tuple[str, ...]:
    """Arguments between commas that are not within quotes or brackets."""
    found, depth, quoted = [""], 0, False
    for one in inner:
        quoted = quoted != (one == '"')
        depth += 0 if quoted else (one in "([") - (one in ")]")
        if one == "," and not quoted and depth == 0:
            found.append("")
        else:
            found[-1] += one
    stripped = tuple(one.strip() for one in found)
    return () if stripped == ("",) else stripped
