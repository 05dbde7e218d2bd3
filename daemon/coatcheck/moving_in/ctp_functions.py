"""What CTP's functions do, as actions of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from coatcheck.deid.actions.keyed import LONGEST_HASH, SHORTEST_HASH
from coatcheck.moving_in.ctp_script import Call
from coatcheck.moving_in.tags import template


class Made(NamedTuple):
    """An action with its settings, or in ``refused`` why there is none."""

    do: str = ""
    settings: Mapping[str, object] = {}
    note: str = ""
    refused: str = ""


Parameters = Mapping[str, str]
_Make = Callable[[Call, Parameters], Made]


def refused(reason: str) -> Made:
    """No action of ours."""
    return Made(refused=reason)


def _plain(do: str, note: str = "") -> _Make:
    return lambda call, parameters: Made(do=do, note=note)


def _not(reason: str) -> _Make:
    return lambda call, parameters: refused(reason)


def of_itself(call: Call) -> bool:
    """Whether a call is about the element itself."""
    return call.bare or call.argument(0) in ("", "this")


def _require(call: Call, parameters: Parameters) -> Made:
    if call.arguments:
        return refused("what is missing is made of another attribute there")
    return Made(do="keep", note="it is not added where it is missing")


def _hash(call: Call, parameters: Parameters) -> Made:
    if not of_itself(call):
        return refused("it is the code of another attribute")
    wanted = call.argument(1)
    length = min(max(int(wanted), SHORTEST_HASH), LONGEST_HASH) if wanted.isdecimal() and len(wanted) < 5 else 0
    return Made(do="hash", settings={"length": length} if length else {}, note="the key is the project's")


def _hash_patient(call: Call, parameters: Parameters) -> Made:
    if call.argument(1) in ("PatientID", ""):
        return Made(do="subject")
    return Made(do="hash", note="the key is the project's") if call.argument(1) == "this" else _OTHER


def _round(call: Call, parameters: Parameters) -> Made:
    width = call.argument(1)
    if not of_itself(call) or not width.isdecimal() or not 0 < int(width[:4]) < 1000:
        return refused("the width of its bands cannot be read")
    return Made(do="generalise", settings={"bands": int(width[:4])}, note="the lower end of a band, not its middle")


def _modified(call: Call, parameters: Parameters) -> Made:
    kept = [call.argument(number) == "*" for number in (1, 2, 3)]
    if of_itself(call) and kept in ([True, False, False], [True, True, False]):
        return Made(do="generalise", settings={"to": "month" if kept[1] else "year"})
    return refused("no action keeps this part of a date")


def _truncated(call: Call, parameters: Parameters) -> Made:
    wanted = call.argument(1)
    if not of_itself(call) or not wanted.isdecimal() or len(wanted) > 4:
        return refused("only the beginning of the element itself can be kept")
    settings = {"pattern": f"(?s)^(.{{{int(wanted)}}}).*$", "with": r"\1"}
    return Made(do="substitute", settings=settings)


def _contents(call: Call, parameters: Parameters) -> Made:
    if not of_itself(call):
        return refused("it copies another attribute")
    if len(call.arguments) < 2:
        return Made(do="keep")
    replacement = re.sub(r"\$(\d)", r"\\\1", call.argument(2).replace("\\", r"\\"))
    return Made(do="substitute", settings={"pattern": call.argument(1), "with": replacement})


def parameter(name: str, parameters: Parameters) -> str | None:
    """The value of a parameter of the script."""
    return parameters.get(name.removeprefix("@").strip())


def _parameter(call: Call, parameters: Parameters) -> Made:
    value = parameter(call.argument(0), parameters)
    if value is None:
        return refused("the script has no such parameter")
    return Made(do="replace", settings={"with": template(value)})


_OTHER: Final = refused("it is made of another attribute")
_SET_ASIDE: Final = "a profile sets nothing aside: see `pixel_risk` and the reasons in README.md"
_NOW: Final = "a profile does not know what day it is: the same files give the same bytes on any day"
_MAKERS: Final[Mapping[str, _Make]] = {
    "remove": _plain("remove"),
    "empty": _plain("empty"),
    "blank": _plain("empty", "no blanks are left"),
    "keep": _plain("keep"),
    "process": _plain("keep"),
    "require": _require,
    "hashuid": _plain("uid"),
    "uid": _plain("uid"),
    "hash": _hash,
    "hashname": lambda call, parameters: _hash(Call(call.name, call.arguments[:1]), parameters),
    "hashptid": _hash_patient,
    "ptid": _plain("subject"),
    "acc": _plain("hash", "a keyed code in place of a number of a sequence"),
    "hashdate": _plain("shift-dates"),
    "incrementdate": _plain("shift-dates"),
    "modifydate": _modified,
    "round": _round,
    "truncate": _truncated,
    "contents": _contents,
    "value": _not("it copies an attribute"),
    "param": _parameter,
    "encrypt": lambda call, parameters: Made(do="encrypt", note="the key is the project's"),
    "quarantine": _not(_SET_ASIDE),
    "skip": _not(_SET_ASIDE),
    "date": _not(_NOW),
    "time": _not(_NOW),
    "lookup": _not("its table is a file of its own: write `do: lookup` with a CSV of `old,new`"),
    "integer": _not("its table is a file of its own: number patients with `subjects: {kind: sequential}`"),
    "append": _not("a value is replaced here and never added to"),
    "dateinterval": _not("its table is a file of its own"),
}


def made(call: Call, parameters: Parameters) -> Made:
    """One call as an action."""
    make = _MAKERS.get(call.name)
    return make(call, parameters) if make is not None else refused(f"there is no action like @{call.name}")
