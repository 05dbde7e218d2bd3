"""The DICOM configuration of Microsoft's Tools for Health Data Anonymization: JSON with ``rules`` and settings.

Of two rules for an attribute the former holds there, the later here: the order is turned round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from coatcheck.deid import standard
from coatcheck.deid.shifts import MOST_DAYS
from coatcheck.moving_in.model import Foreign, ForeignRule, unreadable
from coatcheck.moving_in.placed import Placed, read_json
from coatcheck.moving_in.tags import NO_CREATOR, NoCreatorError, selector, template

_SCOPES: Final = {"seriesinstance": "series", "studyinstance": "study", "sopinstance": "instance"}
_LONGEST_MASK: Final = 28

Settings = Mapping[str, Placed]
_Made = tuple[str, dict[str, object], str]  # do, settings, note


def recognises(text: str) -> bool:
    """Whether it may be such a file."""
    return text.lstrip().startswith("{") and '"rules"' in text and '"tag"' in text and '"method"' in text


def read(text: str) -> Foreign:
    """The rules of a file. Raises UnreadableError."""
    whole = read_json(text)
    rules = whole.get("rules")
    if rules is None or not (rules.items() or rules.value == ()):
        raise unreadable("there is no list of `rules` in it")
    found = [_rule(one, whole) for one in rules.items()]
    return Foreign(rules=tuple(reversed(found)), dates=_dates(rules.items(), whole))


def _rule(one: Placed, whole: Placed) -> ForeignRule:
    tag, method = (part.text().strip() if (part := one.get(key)) else "" for key in ("tag", "method"))
    rule = ForeignRule(line=one.line, said=f"{tag or '?'} {method or '?'}")
    make = _METHODS.get(method.casefold())
    if not tag or make is None:
        return rule.without("there is no such method, as far as its documentation tells" if tag else "it names no tag")
    try:
        at = f"VR:{tag}" if tag in standard.vr_limits() else selector(tag)
    except NoCreatorError:
        return ForeignRule(line=rule.line, said=rule.said, do=method.casefold(), refused=NO_CREATOR)
    do, settings, note = make(_settings(one, whole, method), at)
    if not do:
        return rule.without(note)
    return ForeignRule(line=rule.line, said=rule.said, at=(at,), do=do, settings=settings, note=note)


def _settings(one: Placed, whole: Placed, method: str) -> Settings:
    """Those of the rule itself over those that it names, or over the default ones."""
    named = one.get("setting") or one.get("settings")
    group, name = ("customSettings", named.text()) if named else ("defaultSettings", method)
    found = _entry(whole.get(group), name)
    own = one.get("params")
    return {
        str(key.value).casefold(): value for part in (found, own) if part is not None for key, value in part.pairs()
    }


def _entry(group: Placed | None, name: str) -> Placed | None:
    """Settings by name: in a mapping, or in a list of mappings as the documentation shows them."""
    if group is None:
        return None
    return next((found for part in (group, *group.items()) if (found := part.get(name)) is not None), None)


def _plain(do: str) -> Callable[[Settings, str], _Made]:
    return lambda settings, at: (do, {}, "")


def _redact(settings: Settings, at: str) -> _Made:
    """Empty; or a part of ages and dates, where the settings say so."""
    ages, dates = (_is_true(settings.get(f"enablepartial{kind}forredact")) for kind in ("ages", "dates"))
    vr = at.removeprefix("VR:")
    if ages and vr == "AS":
        return "redact", {}, "ages over 89 become 090Y"
    if dates and vr in ("DA", "DT"):
        return "generalise", {"to": "year"}, ""
    return "empty", {}, "a part of an age or date is kept for the VRs AS, DA and DT only" if ages or dates else ""


def _perturb(settings: Settings, at: str) -> _Made:
    span = _number(settings.get("span"), Decimal(1))
    digits = _number(settings.get("roundto"), Decimal(2))
    kind = settings["rangetype"].text().casefold() if "rangetype" in settings else "proportional"
    if span is None or span <= 0 or digits is None or not 0 <= digits <= _LONGEST_MASK or kind not in _RANGES:
        return "", {}, "its settings cannot be read"
    half, step = float(span / 2), Decimal(1).scaleb(-int(digits))
    return "perturb", {_RANGES[kind]: half, "round_to": float(step) if digits else 1}, ""


_RANGES: Final = {"fixed": "span", "proportional": "proportional"}


def _hash(settings: Settings, at: str) -> _Made:
    return "hash", {}, "the key is the project's, and the code is shorter: fit for the VR"


def _encrypt(settings: Settings, at: str) -> _Made:
    return "encrypt", {}, "the key is the project's"


def _substitute(settings: Settings, at: str) -> _Made:
    text = settings["replacewith"].text() if "replacewith" in settings else "ANONYMOUS"
    return "replace", {"with": template(text)}, ""


_METHODS: Final[Mapping[str, Callable[[Settings, str], _Made]]] = {
    "keep": _plain("keep"),
    "remove": _plain("remove"),
    "redact": _redact,
    "perturb": _perturb,
    "dateshift": _plain("shift-dates"),
    "cryptohash": _hash,
    "encrypt": _encrypt,
    "substitute": _substitute,
    "refreshuid": _plain("uid"),
}


def _dates(rules: tuple[Placed, ...], whole: Placed) -> dict[str, object]:
    """How far dates move there: as the first rule that shifts any says."""
    for one in rules:
        method = one.get("method")
        if method is None or method.text().casefold() != "dateshift":
            continue
        settings = _settings(one, whole, method.text())
        days = _number(settings.get("dateshiftrange"), Decimal(50))
        scope = settings["dateshiftscope"].text() if "dateshiftscope" in settings else "SeriesInstance"
        if days is None or not 0 < days <= MOST_DAYS or scope.casefold() not in _SCOPES:
            return {}
        return {"scope": _SCOPES[scope.casefold()], "days": [-int(days), int(days)]}
    return {}


def _number(value: Placed | None, default: Decimal) -> Decimal | None:
    """A number, also one that stands there as a text; None for what is none."""
    if value is None:
        return default
    try:
        found = Decimal(value.text())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < 10**9 else None


def _is_true(value: Placed | None) -> bool:
    return value is not None and str(value.value).casefold() == "true"
