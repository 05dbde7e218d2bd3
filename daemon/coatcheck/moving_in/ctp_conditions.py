"""The conditions of CTP's ``@if``, as conditions of a profile."""

from __future__ import annotations

import re

from coatcheck.deid.selectors import parse as parse_selector
from coatcheck.deid.settings import SettingError
from coatcheck.moving_in.ctp_script import Call
from coatcheck.moving_in.tags import NoCreatorError, selector


def condition(call: Call, itself: str) -> dict[str, object] | None:
    """What stands under ``when:``; None for what a profile cannot ask. ``itself`` is the element with the script.

    What holds there for an element that is empty holds here for one that is absent, too.
    """
    try:
        name = itself if call.argument(0) in ("this", "") else selector(call.argument(0))
        parse_selector(name)
    except (NoCreatorError, SettingError):
        return None
    test, value = call.argument(1), call.argument(2)
    if value.startswith("@"):
        return None
    if test == "isblank":
        return {name: {"exists": False}}
    if test == "exists":
        return {name: {"exists": True}}
    plain = re.escape(value)
    patterns = {"equals": f"(?i)^{plain}$", "contains": f"(?i){plain}", "matches": f"^(?:{value})$"}
    return {name: {"matches": patterns[test]}} if test in patterns and value else None
