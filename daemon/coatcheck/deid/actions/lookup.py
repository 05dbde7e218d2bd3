"""The action that looks a value up in a list: a CSV file with the columns ``old`` and ``new``."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from coatcheck.deid import texts
from coatcheck.deid.actions import numbers, plain
from coatcheck.deid.actions.context import Context
from coatcheck.deid.elements import tag_text
from coatcheck.deid.settings import SettingError
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

OTHERWISE = ("remove", "empty", "keep", "dummy", "refuse")
_COLUMNS = ("old", "new")
_HINT = "give it a first line `old,new`, then one line for each value"
_NAMED_LINES = 5


@dataclass(frozen=True)
class Lookup:
    """Each value becomes the one beside it in the list. ``otherwise`` says what is done with one that is not there.

    ``digest`` names the content of the list. The list itself is read once and shown nowhere.
    """

    digest: str
    pairs: tuple[tuple[str, str], ...] = field(repr=False, compare=False)
    otherwise: str = "remove"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_new", dict(self.pairs))

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The new values; None where one cannot be had or does not fit. Raises Refused where that is what to do."""
        if vr not in numbers.BINARY:
            return self._texts(value, vr, context)
        found = numbers.unpacked(value, vr, little=context.little)
        new = None if found is None else [self._new_of(one, vr, context) for one in found]
        if new is None or None in new:
            return None
        return numbers.packed((one or "" for one in new), vr, little=context.little)

    def _texts(self, value: bytes, vr: str, context: Context) -> bytes | None:
        return texts.mapped(value, vr, context.charset, lambda text: self._new_of(text, vr, context))

    def _new_of(self, text: str, vr: str, context: Context) -> str | None:
        known: dict[str, str] = self._new  # type: ignore[attr-defined]
        new = known.get(text.strip())
        if new is not None:
            return new
        if self.otherwise == "refuse":
            raise Refused(Reason.LOOKUP_MISS, tag_text(context.tag))
        return self._instead(text, vr, context)

    def _instead(self, text: str, vr: str, context: Context) -> str | None:
        """What becomes of a value that is not on the list."""
        if self.otherwise == "dummy":
            if vr in numbers.BINARY:
                return "0"
            if vr == "UI":
                return context.uid(text)
            # Encoded first: the same value has the same dummy in every character set.
            return (plain.dummy(text.encode("utf-8", "surrogatepass"), vr, context) or b"").decode("ascii")
        return {"empty": "", "keep": text}.get(self.otherwise)


def read_list(path: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The digest of a list and its pairs, without blanks around them. Raises SettingError, which names lines and never
    quotes them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingError(f"the list {path} cannot be read ({error.strerror})", "check the path") from None
    try:
        lines = content.decode("utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError:
        raise SettingError(f"the list {path} is not UTF-8", "save it as CSV in UTF-8") from None
    return hashlib.sha256(content).hexdigest(), _pairs(path, lines)


def _pairs(path: Path, lines: list[str]) -> tuple[tuple[str, str], ...]:
    reader = csv.reader(lines, strict=True)
    pairs: dict[str, str] = {}
    bad: list[int] = []
    try:
        if tuple(one.strip() for one in next(reader, [])) != _COLUMNS:
            raise SettingError(f"the list {path} does not begin with its columns", _HINT)
        for row in reader:
            if row and not _added(pairs, row):
                bad.append(reader.line_num)
    except csv.Error:
        raise SettingError(f"the list {path} is not CSV from line {reader.line_num} on", _HINT) from None
    if bad:
        named = ", ".join(map(str, bad[:_NAMED_LINES])) + (" …" if len(bad) > _NAMED_LINES else "")
        raise SettingError(
            f"the list {path} is wrong in line {named}",
            "a line has two columns, the first is not blank, and a value is not given two new ones",
        )
    return tuple(pairs.items())


def _added(pairs: dict[str, str], row: list[str]) -> bool:
    """Adds a row; False where it is none or contradicts an earlier one."""
    if len(row) != len(_COLUMNS):
        return False
    old, new = (one.strip() for one in row)
    return bool(old) and pairs.setdefault(old, new) == new
