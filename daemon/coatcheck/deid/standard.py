"""Facts of the DICOM standard, read lazily from the tables in ``profiles/standard``. Each table is read at most once.

Tags are numbers, 0xGGGGEEEE, wherever they are looked up. Options and the profile itself have the kebab-case names
that profiles write (``retain-uids``). A damaged or missing table is an error of the installation: CoatcheckError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from coatcheck.data import profiles_dir
from coatcheck.errors import CoatcheckError

EDITION = "2026d"

CODES = frozenset({"D", "Z", "X", "K", "C", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"})
"""The 11 action codes of PS3.15 Table E.1-1a."""


class Row(NamedTuple):
    """One attribute of PS3.15 Table E.1-1: what the Basic Profile does with it, and which options do otherwise.

    ``vr`` is empty where it is not known or not one (see the comments in the table); ``options`` holds only the
    options that change the code.
    """

    tag: str
    keyword: str
    vr: str
    basic: str
    options: Mapping[str, str]
    name: str


class Option(NamedTuple):
    """One code of CID 7050 (scheme DCM), to be stamped into Deidentification Method Code Sequence."""

    name: str
    code: str
    meaning: str


class SafePrivate(NamedTuple):
    """One attribute of PS3.15 Table E.3.10-1. ``element`` is the low byte; the block number is the Data Set's own."""

    creator: str
    group: int
    element: int
    vr: str
    vm: str
    meaning: str


class ContentItem(NamedTuple):
    """One concept of PS3.15 Table E.3.4-1, for the Clean Structured Content Option."""

    code: str
    scheme: str
    meaning: str
    value_type: str
    basic: str
    options: Mapping[str, str]


class VRLimit(NamedTuple):
    """One Value Representation of PS3.5 section 6.2, as text; ``pattern`` is a regular expression or empty."""

    vr: str
    name: str
    max_length: str
    unit: str
    length_bytes: str
    several_values: str
    repertoire: str
    pattern: str
    pad: str
    notes: str


class Repeating(NamedTuple):
    """A row for repeating groups: it holds for each tag with ``tag & mask == value``."""

    mask: int
    value: int
    row: Row


def _lines(name: str) -> Iterator[str]:
    """The table's rows, without its comments and its line of column names."""
    try:
        text = (profiles_dir() / "standard" / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CoatcheckError(f"The standard's table {name} cannot be read", "Install coatcheck again.") from error
    rows = (line for line in text.split("\n") if line and line[0] != "#")
    next(rows, None)
    return rows


def _fields(name: str) -> Iterator[list[str]]:
    return (line.split("\t") for line in _lines(name))


def _options(text: str) -> Mapping[str, str]:
    pairs = (pair.split(":") for pair in text.split())
    return {name: code for name, code in pairs}


@cache
def _annex_e_rows() -> tuple[Row, ...]:
    return tuple(
        Row(tag, keyword, vr, basic, _options(options), name)
        for tag, keyword, vr, basic, options, name in _fields("annex_e.tsv")
    )


@cache
def annex_e() -> Mapping[int, Row]:
    """The rows of PS3.15 Table E.1-1 that name one tag, by its number. Repeating groups and private tags: see below."""
    exact = (row for row in _annex_e_rows() if "x" not in row.tag and "g" not in row.tag)
    return {int(row.tag[:4] + row.tag[5:], 16): row for row in exact}


@cache
def annex_e_repeating() -> tuple[Repeating, ...]:
    """The rows of PS3.15 Table E.1-1 for repeating groups: curves (50xx,xxxx), overlay data and overlay comments.

    Only even groups are meant; odd ones are private.
    """
    found = []
    for row in _annex_e_rows():
        if "x" in row.tag:
            digits = row.tag[:4] + row.tag[5:]
            mask = int("".join("0" if digit == "x" else "F" for digit in digits), 16)
            # the lowest bit of the group is fixed as well: a repeating group is even
            found.append(Repeating(mask | 0x0001_0000, int(digits.replace("x", "0"), 16), row))
    return tuple(found)


@cache
def private_row() -> Row:
    """The row of PS3.15 Table E.1-1 for all private attributes."""
    return next(row for row in _annex_e_rows() if "g" in row.tag)


@cache
def _sop_classes() -> Mapping[str, str]:
    return {uid: iod for uid, iod in _fields("sop_class_iod.tsv")}


def iods_of(sop_class_uid: str) -> str | None:
    """The IOD of a SOP Class, by the name that ``attribute_type`` takes; None for an unknown or private SOP Class."""
    return _sop_classes().get(sop_class_uid)


@cache
def _iod_lines() -> Mapping[str, str]:
    """The types of each IOD, not yet parsed. An IOD that has a SOP Class but no such attribute has an empty line."""
    lines = {iod: types for iod, types in _fields("iod_types.tsv")}
    return {**dict.fromkeys(_sop_classes().values(), ""), **lines}


@cache
def _iod_types(iod: str) -> Mapping[tuple[int, ...], str]:
    types = {}
    for entry in _iod_lines()[iod].split():
        path, _, kind = entry.partition("=")
        types[tuple(int(tag, 16) for tag in path.split("/"))] = kind
    return types


def attribute_type(iod: str, path: tuple[int, ...], tag: int) -> str:
    """The Type of an attribute in an IOD: 1, 1C, 2, 2C or 3 (PS3.3; PS3.5 section 7.4).

    ``path`` is the tags of the enclosing sequences, outermost first. Known are only the attributes with a compound
    code in Table E.1-1; the answer is 3 for each other one. Raises KeyError for a name that ``iods_of`` never gives.
    """
    return _iod_types(iod).get((*path, tag), "3")


@cache
def required_in() -> Mapping[int, tuple[str, ...]]:
    """The IODs in which an attribute of the top level is of Type 1, by its tag; only those of ``attribute_type``."""
    found: dict[int, list[str]] = {}
    for iod in sorted(_iod_lines()):
        for path, kind in _iod_types(iod).items():
            if len(path) == 1 and kind == "1":
                found.setdefault(path[0], []).append(iod)
    return {tag: tuple(iods) for tag, iods in found.items()}


@cache
def registered_uids() -> Mapping[str, str]:
    """The UIDs that PS3.6 Annex A registers, with their type. They identify nobody; replacing one breaks the object."""
    return {uid: kind for uid, kind, *_ in _fields("registered_uids.tsv")}


def is_registered(uid: str) -> bool:
    """Whether PS3.6 Annex A registers exactly this UID. One that only begins like a registered UID is not."""
    return uid in registered_uids()


@cache
def options() -> Mapping[str, Option]:
    """The 13 codes of CID 7050 by name; ``basic`` is the Basic Profile itself."""
    return {name: Option(name, code, meaning) for code, name, meaning in _fields("options.tsv")}


@cache
def safe_private() -> tuple[SafePrivate, ...]:
    """PS3.15 Table E.3.10-1, Safe Private Attributes. Listed is not clean: SQ, text and UI need treatment still."""
    return tuple(
        SafePrivate(creator, int(group, 16), int(element, 16), vr, vm, meaning)
        for creator, group, element, vr, vm, meaning in _fields("safe_private.tsv")
    )


@cache
def content_items() -> tuple[ContentItem, ...]:
    """PS3.15 Table E.3.4-1. A concept may have one row for each Value Type."""
    return tuple(
        ContentItem(code, scheme, meaning, value_type, basic, _options(changed))
        for code, scheme, meaning, value_type, basic, changed in _fields("content_items.tsv")
    )


@cache
def vr_limits() -> Mapping[str, VRLimit]:
    """The 34 Value Representations of PS3.5 section 6.2, by name."""
    return {fields[0]: VRLimit(*fields) for fields in _fields("vr_limits.tsv")}
