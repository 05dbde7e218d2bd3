"""Every action that a profile may name: where it makes sense, how its settings are read, what is done in its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from coatcheck.deid import texts
from coatcheck.deid.actions import dates, keyed, lookup, numbers, plain, text
from coatcheck.deid.actions.context import Do, Kind, Maker
from coatcheck.deid.forms import FORMS
from coatcheck.deid.settings import SettingError, Settings, choice, compiled, leftover, number, pattern, whole
from coatcheck.deid.settings import text as text_setting
from coatcheck.deid.shifts import SETTINGS, shift_of
from coatcheck.deid.standard import vr_limits
from coatcheck.deid.templates import parse

ACTIONS: dict[str, Do] = {
    "remove": plain.remove,
    "empty": plain.empty,
    "dummy": plain.dummy,
    "uid": plain.uid,
    "subject": plain.subject,
    "shift-date": plain.shift_date,
    "cap-age": plain.cap_age,
    "keep-time": plain.keep_time,
    "clean-text": text.clean_text,
}
"""What the standard's tables need, by name; ``keep`` is the one that needs no function."""

_EVERY = frozenset(vr_limits())
_TEXT = texts.LETTERS | {"AE", "CS", "UR"}
_WRITABLE = _TEXT | set(FORMS) | numbers.NUMBERS
_DATES = frozenset({"DA", "DT"})
_MASKED = texts.LETTERS | {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def _plain(do: Do) -> Callable[[Settings, Maker], Do]:
    """Makes an action without settings."""

    def make(settings: Settings, maker: Maker) -> Do:
        leftover(settings)
        return do

    return make


def _replace(settings: Settings, maker: Maker) -> Do:
    template = parse(text_setting(settings, "with"), maker.variables)
    leftover(settings, "with")
    return text.Replace(template)


def _substitute(settings: Settings, maker: Maker) -> Do:
    expression = pattern(settings, "pattern")
    replacement = text_setting(settings, "with")
    count = whole(settings, "count", 0, least=0)
    leftover(settings, "pattern", "with", "count")
    try:
        compiled(expression).sub(replacement, "")
    except (re.error, IndexError) as error:
        hint = r"`\1` or `\g<name>` is a group of the pattern, `\\` a backslash"
        raise SettingError(f"`with` does not go with the pattern ({error})", hint) from None
    return text.Substitute(expression, replacement, count)


def _hash(settings: Settings, maker: Maker) -> Do:
    length = whole(settings, "length", keyed.Hash().length, least=keyed.SHORTEST_HASH, most=keyed.LONGEST_HASH)
    leftover(settings, "length")
    return keyed.Hash(length)


def _encrypt(settings: Settings, maker: Maker) -> Do:
    too_short = choice(settings, "too_short", ("remove", "empty", "hash"), "remove")
    leftover(settings, "too_short")
    return keyed.Encrypt(too_short)


def _shift_dates(settings: Settings, maker: Maker) -> Do:
    if not settings:
        return dates.ShiftDates(None)
    shift = shift_of(settings)
    leftover(settings, *SETTINGS)
    return dates.ShiftDates(shift)


def _positive(settings: Settings, key: str, least: float = 0) -> Decimal | None:
    """A number above 0, or None where it is not given."""
    found = number(settings, key, None, least=least)
    if found is not None and found <= 0:
        raise SettingError(f"`{key}` is too small", "more than 0")
    return None if found is None else Decimal(str(found))


def _perturb(settings: Settings, maker: Maker) -> Do:
    amounts = {key: _positive(settings, key) for key in ("span", "proportional", "fixed")}
    round_to = _positive(settings, "round_to")
    leftover(settings, "span", "proportional", "fixed", "round_to")
    if sum(amount is not None for amount in amounts.values()) != 1:
        raise SettingError("perturb needs one of `span`, `proportional` and `fixed`", "write `span: 5`, for example")
    return numbers.Perturb(**amounts, round_to=round_to)


def _generalise(settings: Settings, maker: Maker) -> Do:
    to = choice(settings, "to", ("year", "month", "decade"), "")
    bands = _positive(settings, "bands")
    leftover(settings, "to", "bands")
    if bool(to) == (bands is not None):
        raise SettingError("generalise needs one of `to` and `bands`", "write `to: year` or `bands: 5`, for example")
    return dates.Generalise(to, bands)


def _lookup(settings: Settings, maker: Maker) -> Do:
    name = text_setting(settings, "list")
    otherwise = choice(settings, "otherwise", lookup.OTHERWISE, "remove")
    leftover(settings, "list", "otherwise")
    digest, pairs = lookup.read_list(maker.folder / name)
    return lookup.Lookup(digest, pairs, otherwise)


_KINDS = (
    Kind("keep", _EVERY, _plain(plain.keep)),
    Kind("allow", _EVERY, _plain(plain.keep)),
    Kind("remove", _EVERY, _plain(plain.remove)),
    Kind("empty", _EVERY, _plain(plain.empty)),
    Kind("dummy", _EVERY, _plain(plain.dummy)),
    Kind("uid", frozenset({"UI"}), _plain(plain.uid), "empty"),
    Kind("subject", texts.LETTERS, _plain(plain.subject)),
    Kind("add", _WRITABLE, _replace, varies=text.reads),
    Kind("replace", _WRITABLE, _replace, "dummy", text.reads),
    Kind("substitute", _TEXT | set(FORMS), _substitute, "dummy"),
    Kind("hash", _TEXT - {"UR"}, _hash, "dummy"),
    Kind("encrypt", _TEXT - {"UR"}, _encrypt),
    Kind("redact", _DATES | {"AS", "TM"}, _plain(dates.redact), "dummy"),
    Kind("shift-dates", _DATES | {"TM"}, _shift_dates, "dummy", dates.scope),
    Kind("perturb", numbers.NUMBERS | {"AS"}, _perturb, "dummy"),
    Kind("generalise", numbers.NUMBERS | _DATES | {"AS"}, _generalise, "dummy"),
    Kind("lookup", _WRITABLE, _lookup),
    Kind("clean-text", _TEXT, _plain(text.clean_text)),
    Kind("mask", _MASKED, _plain(text.mask)),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}
"""Every action that a rule may name."""
