"""Older editions of PS3.15 Table E.1-1, kept in ``profiles/standard/editions`` as differences against the newest one.

Which attributes an edition listed, and under which codes, is all that is known of it: names, keywords and VRs are those
of the newest edition. A damaged or missing table is an error of the installation: CoatcheckError.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from coatcheck.data import profiles_dir
from coatcheck.deid import standard
from coatcheck.deid.standard import EDITION, Repeating, Row
from coatcheck.errors import CoatcheckError

_NONE = "-"


class Edition(NamedTuple):
    """An older edition. ``attributes`` is how many its table listed, ``copies`` how many sources agreed on them.

    Editions with the same table share one, named by the first of them. ``digest`` is explained in the
    table of editions.
    """

    name: str
    table: str
    attributes: int
    copies: int
    digest: str


class Codes(NamedTuple):
    """What an edition said of an attribute: the Basic Profile's code, and the codes of the options that change it."""

    basic: str
    options: Mapping[str, str]


class Difference(NamedTuple):
    """An attribute on which two editions differ; None where an edition does not list it. ``tag`` is as in the table."""

    tag: str
    keyword: str
    name: str
    before: Codes | None
    after: Codes | None


def known() -> list[str]:
    """The editions that can be asked for, oldest first; the newest is the one that coatcheck works by."""
    return [*older(), EDITION]


@cache
def older() -> Mapping[str, Edition]:
    """The editions before the newest one, by name, oldest first."""
    return {
        name: Edition(name, table, int(attributes), int(copies), digest)
        for name, table, attributes, copies, digest in _fields("editions.tsv", 5)
    }


def annex_e_of(edition: str) -> Mapping[int, Row]:
    """The rows of an edition that name one tag, by its number. Raises CoatcheckError for an unknown edition."""
    return {_number(row.tag): row for row in rows_of(edition).values() if _names_one(row.tag)}


def repeating_of(edition: str) -> tuple[Repeating, ...]:
    """The rows of an edition for repeating groups. Raises CoatcheckError for an edition that is not known."""
    rows = rows_of(edition)
    return tuple(one._replace(row=rows[one.row.tag]) for one in standard.annex_e_repeating() if one.row.tag in rows)


@cache
def rows_of(edition: str) -> Mapping[str, Row]:
    """Every row of an edition by its tag as the table writes it, repeating groups and private attributes as well.

    Raises CoatcheckError for an edition that is not known.
    """
    newest = _newest()
    if edition == EDITION:
        return newest
    rows = dict(newest)
    for tag, codes in _changes(_table_of(edition)).items():
        rows.pop(tag, None)
        if codes is not None:
            rows[tag] = _described(tag)._replace(basic=codes.basic, options=codes.options)
    return {tag: rows[tag] for tag in sorted(rows)}


def differences(old: str, new: str = EDITION) -> list[Difference]:
    """The attributes that were not in both editions, or not with the same codes, by tag.

    Raises CoatcheckError for an edition that is not known.
    """
    before, after = rows_of(old), rows_of(new)
    found = []
    for tag in sorted({*before, *after}):
        row = after.get(tag) or before[tag]
        pair = _codes(before.get(tag)), _codes(after.get(tag))
        if pair[0] != pair[1]:
            found.append(Difference(tag, row.keyword, row.name, *pair))
    return found


def _codes(row: Row | None) -> Codes | None:
    return None if row is None else Codes(row.basic, row.options)


@cache
def _newest() -> Mapping[str, Row]:
    repeating = (one.row for one in standard.annex_e_repeating())
    rows = (*standard.annex_e().values(), *repeating, standard.private_row())
    return {row.tag: row for row in sorted(rows, key=lambda row: row.tag)}


@cache
def _withdrawn() -> Mapping[str, Row]:
    """Attributes that the newest edition does not list any more, without codes."""
    return {tag: Row(tag, keyword, vr, "", {}, name) for tag, keyword, vr, name in _fields("withdrawn.tsv", 4)}


def _described(tag: str) -> Row:
    return _newest().get(tag) or _withdrawn()[tag]


def _changes(table: str) -> Mapping[str, Codes | None]:
    """What a table has otherwise than the newest one: its codes, or None for what it did not list."""
    return {
        tag: None if basic == _NONE else Codes(basic, _options(options))
        for tag, basic, options in _fields(f"annex_e_{table}.tsv", 3)
    }


def _options(text: str) -> Mapping[str, str]:
    return {} if text == _NONE else dict(pair.split(":") for pair in text.split())


def _table_of(edition: str) -> str:
    found = older().get(edition)
    if found is None:
        near = difflib.get_close_matches(edition, known(), n=3)
        hint = f"near it are {', '.join(sorted(near))}" if near else f"known are {', '.join(known())}"
        raise CoatcheckError(f"the edition {edition!r} of PS3.15 is not known to coatcheck", hint)
    return found.table


def _names_one(tag: str) -> bool:
    return "x" not in tag and "g" not in tag


def _number(tag: str) -> int:
    return int(tag[:4] + tag[5:], 16)


def _fields(name: str, columns: int) -> Iterator[list[str]]:
    """The fields of each row, without the comments and the line of column names."""
    try:
        text = (profiles_dir() / "standard" / "editions" / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CoatcheckError(
            f"The standard's table editions/{name} cannot be read", "Install coatcheck again."
        ) from error
    lines = [line for line in text.split("\n") if line and line[0] != "#"]
    for line in lines[1:]:
        fields = line.split("\t")
        if len(fields) != columns:
            raise CoatcheckError(f"The standard's table editions/{name} is damaged", "Install coatcheck again.")
        yield fields
