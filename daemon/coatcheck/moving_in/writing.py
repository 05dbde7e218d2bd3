"""A profile as text: the rules that were carried over, and below them what a person has to decide or to know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

import yaml

from coatcheck.moving_in.model import Foreign, ForeignRule
from coatcheck.moving_in.weighing import Verdict, Weighed

_WIDTH: Final = 110
_LONGEST: Final = 160
_OFF: Final = "#"


def profile_text(foreign: Foreign, verdict: Verdict, *, title: str, base: str, file: str) -> str:
    """The whole profile. ``title`` says what the file was, ``base`` is what is extended, ``file`` the file's name."""
    lines = [
        f"# From {_plain(file)}, by `coatcheck profile import`. Numbers are lines of that file.",
        "# Read it before you use it. What that file lets through and the base does not is marked LOOSENS, and not in",
        "# force: to have it, take the first # of its rule away and write below it why, as `because: ...`.",
        f"title: {json.dumps(f'Imported from {title}')}",
        f"extends: {json.dumps(base)}",
    ]
    if foreign.only_named:
        lines.append("unlisted: remove")
    lines += _dates(foreign)
    lines += _rules(verdict)
    lines += _listed("NOT CARRIED OVER", verdict.refused)
    lines += _listed("WHAT THE BASE DOES ALREADY", verdict.same)
    lines += _remarks(foreign)
    return "\n".join(lines) + "\n"


def _dates(foreign: Foreign) -> list[str]:
    if not foreign.dates:
        return []
    said = yaml.safe_dump(dict(foreign.dates), default_flow_style=True, sort_keys=False).rstrip("\n")
    note = "# How far dates moved there. The base draws a number of its own; take the # away to have it as it was."
    return [note, f"{_OFF}dates: {said}"]


def _rules(verdict: Verdict) -> list[str]:
    """The rules in their order, those that loosen as comments."""
    if not verdict.standing:
        return []
    lines = ["rules:"] if verdict.carried else ["# Take this # away as well where you take a rule.", f"{_OFF}rules:"]
    for one in verdict.standing:
        off = _OFF if one.loosens else ""
        more = f"LOOSENS: {one.reason}" if one.loosens else (one.written.note if one.written else "")
        lines += [_comment(one, more), *(f"{off}{line}" for line in _yaml(one.written))]
    return lines


def _listed(head: str, found: Sequence[Weighed]) -> Iterator[str]:
    if found:
        yield from ("", f"# {head}")
    for one in sorted(found, key=lambda weighed: weighed.rule.line):
        yield _comment(one, one.reason)


def _remarks(foreign: Foreign) -> Iterator[str]:
    if foreign.remarks:
        yield from ("", "# ALSO")
    for line, text in sorted(foreign.remarks):
        yield f"  # line {line}: {_plain(text)}"


def _comment(one: Weighed, more: str) -> str:
    said = f"  # line {one.rule.line}: {_plain(one.rule.said)}"
    return f"{said} -- {_plain(more)}" if more else said


def _yaml(rule: ForeignRule | None) -> list[str]:
    """A rule as lines of a profile."""
    if rule is None:
        return []
    text = yaml.safe_dump([rule.written()], sort_keys=False, width=_WIDTH, default_flow_style=None)
    return [f"  {line}" for line in text.rstrip("\n").split("\n")]


def _plain(text: str) -> str:
    """A text that ends no comment: in printable ASCII, and cut."""
    plain = " ".join(text.encode("ascii", "backslashreplace").decode().split())
    plain = "".join(one if one.isprintable() else "?" for one in plain)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."
