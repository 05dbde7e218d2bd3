"""Actions on numbers, and numbers as texts and as binary values (PS3.5 6.2). Arithmetic is decimal, and so the same on
every machine."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from decimal import Context as Precision

from coatcheck.deid import dates, forms, pseudonyms, texts
from coatcheck.deid.actions.context import Context

BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
"""The VRs whose values are binary numbers, with their format for ``struct``."""

NUMBERS = frozenset({"DS", "IS", *BINARY})
_RANGES = {
    "IS": (-(2**31), 2**31 - 1),
    "US": (0, 2**16 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "UL": (0, 2**32 - 1),
    "SL": (-(2**31), 2**31 - 1),
    "UV": (0, 2**64 - 1),
    "SV": (-(2**63), 2**63 - 1),
}
_DIGITS = 1000  # more than a value of this module can have, so that nothing is rounded but on purpose
_SHARE_DIGITS = 20
_ONE = Decimal(1)
_AGE_MOST = 999


def unpacked(value: bytes, vr: str, *, little: bool) -> list[str] | None:
    """Binary numbers as texts; None where the length is none of this VR."""
    letter = BINARY[vr]
    count, rest = divmod(len(value), struct.calcsize("=" + letter))
    if rest:
        return None
    return [str(one) for one in struct.unpack(f"{'<' if little else '>'}{count}{letter}", value)]


def packed(values: Iterable[str], vr: str, *, little: bool) -> bytes | None:
    """Texts as binary numbers; None where one is no number or none that the VR can hold. Blank ones are left out."""
    found = [forms.number(one.strip(" \0")) for one in values if one.strip(" \0")]
    if any(one is None or one != clamped(one, vr) for one in found):
        return None
    return _packed([one for one in found if one is not None], vr, little)


def _packed(numbers: Iterable[Decimal], vr: str, little: bool) -> bytes | None:
    whole: list[float] = [int(one) if vr in _RANGES else float(one) for one in numbers]
    try:
        data = struct.pack(f"{'<' if little else '>'}{len(whole)}{BINARY[vr]}", *whole)
    except (struct.error, OverflowError):
        return None
    return data if all(map(math.isfinite, whole)) else None


def clamped(number: Decimal, vr: str) -> Decimal:
    """The nearest number that the VR can hold: a whole one within its range, or the number itself."""
    if vr not in _RANGES:
        return number
    low, high = _RANGES[vr]
    return min(max(number.to_integral_value(ROUND_HALF_EVEN), Decimal(low)), Decimal(high))


def _changed(value: bytes, vr: str, context: Context, change: Callable[[Decimal], Decimal]) -> bytes | None:
    """Every number of a value changed, as far as the VR can hold the result; None where one is no number."""

    def new(text: str) -> Decimal | None:
        found = forms.number(text)
        if found is None:
            return None
        with localcontext(Precision(prec=_DIGITS, traps=[])):
            result = clamped(change(found), vr)
        return result if result.is_finite() else None

    def told(text: str) -> str | None:
        result = new(text)
        return None if result is None else forms.decimal_string(result)

    if vr not in BINARY:
        return texts.mapped(value, vr, (), told)
    if (found := unpacked(value, vr, little=context.little)) is None:
        return None
    results = [new(one) for one in found]
    return None if None in results else _packed((one for one in results if one is not None), vr, context.little)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturb:
    """Numbers and ages moved by an amount that is drawn, keyed, once for each Attribute of each Study.

    ``span``: an amount from -span to span. ``proportional``: a share of the number, from -proportional to proportional.
    ``fixed``: exactly this amount, up or down. ``round_to``: the result is a multiple of it; without it, it has as many
    decimals as the original.
    """

    span: Decimal | None = None
    proportional: Decimal | None = None
    fixed: Decimal | None = None
    round_to: Decimal | None = None

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The numbers moved within what the VR can hold; None where one is no number."""
        share = self._share(context)
        if vr == "AS":
            return texts.mapped(value, vr, (), lambda age: self._aged(age, share))
        return _changed(value, vr, context, lambda number: self._moved(number, share, vr))

    def _share(self, context: Context) -> Decimal:
        """From -1 to 1."""
        original = f"{context.ids.study}\0{context.tag:08X}"
        drawn = int.from_bytes(pseudonyms.derive(context.secret, "perturb", original)[:8], "big")
        with localcontext(Precision(prec=_SHARE_DIGITS, traps=[])):
            return Decimal(drawn * 2 - (2**64 - 1)) / (2**64 - 1)

    def _moved(self, number: Decimal, share: Decimal, vr: str) -> Decimal:
        if self.fixed is not None:
            moved = number + self.fixed.copy_sign(share)
        elif self.proportional is not None:
            moved = number * (1 + self.proportional * share)
        else:
            moved = number + (self.span or 0) * share
        if self.round_to is not None:
            return (moved / self.round_to).to_integral_value(ROUND_HALF_EVEN) * self.round_to
        exponent = number.as_tuple().exponent
        decimals = exponent if isinstance(exponent, int) else 0
        return moved if vr in ("FL", "FD") else moved.quantize(_ONE.scaleb(min(decimals, 0)), ROUND_HALF_EVEN)

    def _aged(self, age: str, share: Decimal) -> str | None:
        """An age in its own unit, never below 0, and over 89 years 090Y."""
        if forms.formed(age, "AS") is None:
            return None
        with localcontext(Precision(prec=_DIGITS, traps=[])):
            moved = self._moved(Decimal(age[:3]), share, "AS").to_integral_value(ROUND_HALF_EVEN)
        if not moved.is_finite():
            return None
        return dates.cap_age(f"{int(min(max(moved, Decimal(0)), Decimal(_AGE_MOST))):03d}{age[3]}")


@dataclass(frozen=True, slots=True)
class Bands:
    """Numbers told as the lower end of their band: with a width of 5, 72.3 becomes 70."""

    width: Decimal

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The lower ends, within what the VR can hold; None where one is no number."""

        def lower(number: Decimal) -> Decimal:
            return (number / self.width).to_integral_value(ROUND_FLOOR) * self.width

        return _changed(value, vr, context, lower)
