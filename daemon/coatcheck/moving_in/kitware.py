"""Dictionaries of dicom-anonymizer (KitwareMedical): tag to action, as JSON for ``--dictionary`` or in Python.

Python is read and never run: mappings from tags to the names of actions, and ``rules[tag] = action``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from coatcheck.moving_in.model import Foreign, ForeignRule, unreadable
from coatcheck.moving_in.placed import Name, Placed, read_json, read_python
from coatcheck.moving_in.tags import NO_CREATOR, NoCreatorError, tag, template

_HEX: Final = re.compile(r"0x([0-9a-fA-F]{1,4})|([0-9]{1,5})")
_ACTIONS: Final = {
    "keep": "keep",
    "delete": "remove",
    "empty": "empty",
    "delete_or_empty": "empty",
    "replace": "dummy",
    "empty_or_replace": "dummy",
    "delete_or_replace": "dummy",
    "delete_or_empty_or_replace": "dummy",
    "deleteOrEmptyOrReplace": "dummy",
    "replace_UID": "uid",
    "delete_or_empty_or_replace_UID": "uid",
}
_FULL: Final = 0xFFFF


def recognises(text: str) -> bool:
    """Whether it may be such a dictionary."""
    return re.search(r"[\"'\[{ ]\( *0x[0-9a-fA-F]{1,4} *, *0x[0-9a-fA-F]{1,4}", text) is not None


def read(text: str) -> Foreign:
    """The rules of a file. Raises UnreadableError."""
    pairs = read_json(text).pairs() if text.lstrip().startswith("{") else read_python(text)
    found = [(name, value) for name, value in pairs if _numbers(name) is not None]
    if not found:
        raise unreadable("there is no tag with an action in it")
    return Foreign(rules=tuple(_rule(name, value) for name, value in found))


def _rule(name: Placed, value: Placed) -> ForeignRule:
    numbers = _numbers(name) or ()
    action = value.get("action") or value
    done = action.value.name if isinstance(action.value, Name) else action.text()
    shown = ",".join(f"{number:04X}" for number in numbers)
    rule = ForeignRule(line=name.line, said=f"({shown}) {done or '?'}")
    do, settings = _made(done, value)
    try:
        at = _selector(numbers)
    except NoCreatorError:
        return ForeignRule(line=rule.line, said=rule.said, do=do, refused=NO_CREATOR)
    if not at:
        return rule.without("its mask does not end at a hexadecimal digit")
    if not do:
        return rule.without("it is a function of your own" if isinstance(action.value, Name) else "no such action")
    return ForeignRule(line=rule.line, said=rule.said, at=(at,), do=do, settings=settings)


def _made(done: str, value: Placed) -> tuple[str, dict[str, object]]:
    """Our action and its settings; "" for none."""
    if done == "regexp":
        find, new = value.get("find"), value.get("replace")
        if find is None or new is None:
            return "", {}
        return "substitute", {"pattern": find.text(), "with": new.text()}
    if done == "replace_with_value":
        fixed = value.get("value")
        return ("replace", {"with": template(fixed.text())}) if fixed is not None else ("", {})
    return _ACTIONS.get(done, ""), {}


def _numbers(name: Placed) -> tuple[int, ...] | None:
    """The two numbers of a tag, or the four of a masked one; None for what is no tag."""
    if isinstance(name.value, str):
        inner = name.value.strip()
        if not (inner.startswith("(") and inner.endswith(")")):
            return None
        matches = [_HEX.fullmatch(part.strip()) for part in inner[1:-1].split(",")]
        numbers = [int(one[1], 16) if one[1] else int(one[2]) for one in matches if one]
        complete = len(numbers) == len(matches)
    else:
        numbers = [one.value for one in name.items() if isinstance(one.value, int)]
        complete = len(numbers) == len(name.items())
    return tuple(numbers) if complete and len(numbers) in (2, 4) and _fit(numbers) else None


def _fit(numbers: Iterable[int]) -> bool:
    return all(0 <= number <= _FULL for number in numbers)


def _selector(numbers: tuple[int, ...]) -> str:
    """The selector; "" where a mask cannot be written with x for a digit."""
    texts = [f"{number:04X}" for number in numbers]
    masks = texts[2:] or ["FFFF", "FFFF"]
    if set("".join(masks)) - {"F", "0"}:
        return ""
    group, element = (
        "".join("x" if free == "0" else digit for digit, free in zip(text, mask, strict=True))
        for text, mask in zip(texts[:2], masks, strict=True)
    )
    return tag(group, element)
