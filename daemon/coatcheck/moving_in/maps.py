"""Maps of earlier systems: who was who, which UID became which, and by how many days dates moved."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from coatcheck.moving_in import ctp_lookup
from coatcheck.moving_in.ctp_lookup import Entry
from coatcheck.moving_in.model import unreadable

LARGEST: Final = 256 << 20
"""Bytes; the map of a million Studies is smaller."""

_HINT: Final = "see profiles/MOVING.md for the maps that can be read"
_WRAPPED: Final = re.compile(r'=\(?"(.*)"\)?')  # how a spreadsheet is told that a cell is text
_OLD: Final = ("patientid", "originalpatientid", "phipatientid")
_NEW: Final = ("subject", "trialpatientid", "anonpatientid")
_OLD_UID: Final = ("originaluid", "phistudyuid", "phistudyinstanceuid")
_NEW_UID: Final = ("trialuid", "anonstudyuid", "anonstudyinstanceuid")
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One line of a map. What it does not say is "". ``study`` is an original Study Instance UID, to ``days``."""

    line: int
    patient: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    subject: str = ""
    uid: str = field(default="", repr=False)
    new_uid: str = ""
    study: str = field(default="", repr=False)
    days: str = field(default="", repr=False)
    patient_days: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OldMap:
    """A whole map. ``lenient`` shifts of 0 days stand there for dates that were not moved but replaced."""

    kind: str
    pairs: tuple[Pair, ...] = field(repr=False)
    lenient: bool = False


def read(content: bytes, *, kind: str | None, key_type: str | None) -> OldMap:
    """A map. ``kind`` (patient, uid) says what a header ``id_old,id_new`` is about; ``key_type`` is for CTP's tables.

    Raises UnreadableError, which quotes nothing of the file.
    """
    text = _text(content)
    if text.lstrip().startswith(("[", "{")):
        head, rows = _json(text)
        return _of_table(head, rows, kind)
    if ctp_lookup.recognises(text):
        return OldMap(kind="CTP lookup table", pairs=_looked_up(ctp_lookup.read(text, key_type)))
    head, rows = _csv(text)
    return _of_table(head, rows, kind)


def _text(content: bytes) -> str:
    if len(content) > LARGEST:
        raise unreadable("this file is too large to be a map", _HINT)
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise unreadable("this is not UTF-8 text", "save it as CSV in UTF-8") from None


_Rows = Iterator[tuple[int, list[str]]]


def _csv(text: str) -> tuple[list[str], _Rows]:
    """The header and the rows with their lines. A spreadsheet may have written semicolons or tabs."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = _records(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    return next(rows, (1, [""]))[1], rows


def _records(reader: Any) -> _Rows:  # noqa: ANN401 - csv names no type for it
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise unreadable(f"line {line} cannot be read as CSV", "mend the quotes there") from None
        if any(cell.strip() for cell in cells):
            yield line, [_unwrapped(cell) for cell in cells]


def _unwrapped(cell: str) -> str:
    match = _WRAPPED.fullmatch(cell.strip())
    return match[1] if match else cell


def _json(text: str) -> tuple[list[str], _Rows]:
    """A list of objects with the same keys, or one object from old to new; lines are the numbers of entries then."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise unreadable("this is no JSON", _HINT) from None
    if isinstance(found, dict):
        return ["id_old", "id_new"], _told(enumerate([[old, new] for old, new in found.items()], 1))
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise unreadable("a map in JSON is a list of objects, or one object", _HINT)
    head = list(found[0])
    if any(list(one) != head for one in found):
        raise unreadable("the objects in it have different keys", "write the same keys in the same order")
    return head, _told(enumerate([list(one.values()) for one in found], 1))


def _told(rows: Iterator[tuple[int, list[Any]]]) -> _Rows:
    for line, values in rows:
        if not all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in values):
            raise unreadable(f"entry {line} has something other than texts and whole numbers", _HINT)
        yield line, [str(one) for one in values]


def _of_table(head: Sequence[str], rows: _Rows, kind: str | None) -> OldMap:
    """A table by the names of its columns, whatever their case and what stands between their letters."""
    names = [re.sub(r"[^a-z]", "", _unwrapped(cell).casefold()) for cell in head]
    known = [name for name in names if name]
    if len(set(known)) != len(known):
        raise unreadable("a column stands twice in its first line", _HINT)
    if "originalaccessionnumber" in names:
        raise unreadable("accession numbers are in no map of coatcheck", "import the map of Patient IDs and of UIDs")
    table = list(rows)
    for line, cells in table:
        if len(cells) != len(names):
            raise unreadable(f"line {line} has other columns than the first line", "add or remove a delimiter there")
    dicts = [(line, dict(zip(names, cells, strict=True))) for line, cells in table]
    if {"idold", "idnew"} <= set(names):
        return _of_pairs(dicts, kind)
    return _of_columns(names, dicts)


def _of_pairs(rows: Sequence[tuple[int, Mapping[str, str]]], kind: str | None) -> OldMap:
    """``id_old,id_new``, of patients or of UIDs. It is not guessed where every ID looks like a UID."""
    if kind is None and rows and all(_UID.fullmatch(row["idold"].strip()) for _, row in rows):
        raise unreadable("all IDs in it look like UIDs", "say what they are: --kind uid, or --kind patient")
    if kind == "uid":
        pairs = tuple(Pair(line=line, uid=row["idold"].strip(), new_uid=row["idnew"].strip()) for line, row in rows)
        return OldMap(kind="map of UIDs", pairs=pairs)
    pairs = tuple(Pair(line=line, patient=row["idold"], subject=row["idnew"].strip()) for line, row in rows)
    return OldMap(kind="map of patients", pairs=pairs)


def _of_columns(names: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]]) -> OldMap:
    def column(wanted: Sequence[str]) -> str:
        return next((name for name in wanted if name in names), "")

    patient, subject, uid, new_uid = column(_OLD), column(_NEW), column(_OLD_UID), column(_NEW_UID)
    shifts = "days" in names and ("studyuidold" in names or "idold" in names)
    if not (patient and subject) and not (uid and new_uid) and not shifts:
        raise unreadable("the names of its columns are none that are known", _HINT)
    of_rsna = "dateoffset" in names
    pairs = []
    for line, row in rows:
        study = row.get("studyuidold", "") or (row.get(uid, "") if of_rsna else "")
        pairs.append(
            Pair(
                line=line,
                patient=row.get(patient, "") or (row.get("idold", "") if shifts else ""),
                issuer=row.get("issuer", ""),
                name=row.get("phipatientname", ""),
                subject=row.get(subject, "").strip(),
                uid=row.get(uid, "").strip(),
                new_uid=row.get(new_uid, "").strip(),
                study=study.strip(),
                days=(row.get("dateoffset", "") if of_rsna else row.get("days", "") if study else "").strip(),
                patient_days=(row.get("dateshiftdays", "") or ("" if study else row.get("days", ""))).strip(),
            )
        )
    kinds = ((of_rsna, "patient index of RSNA Anonymizer"), ("trial" in subject + new_uid, "export of CTP's ID map"))
    name = next((name for holds, name in kinds if holds), "list of subjects" if subject else "map of date shifts")
    return OldMap(kind=name, pairs=tuple(pairs), lenient=of_rsna)


def _looked_up(entries: Sequence[Entry]) -> tuple[Pair, ...]:
    return tuple(Pair(line=one.line, patient=one.key, subject=one.value.strip()) for one in entries)
