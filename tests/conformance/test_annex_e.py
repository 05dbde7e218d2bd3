"""Every row of PS3.15 Table E.1-1 does what its code says, at every depth, as pydicom reads it.

The options have a file of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
from pydicom import DataElement, Dataset, FileDataset

from coatcheck.data import profiles_dir
from coatcheck.deid import standard
from coatcheck.deid.standard import Row
from tests.support import (
    CT,
    DAYS,
    PATIENT,
    SEQUENCE_END,
    STUDY,
    SUBJECT,
    UIDS,
    raw,
    raw_file,
    raw_implicit,
    raw_item,
    read,
    rewritten,
)

AROUND = 0x00082218  # Anatomic Region Sequence: not in the table, so that it is kept and its inside is treated
DEPTHS = (0, 1, 4)
ROWS = dict(sorted(standard.annex_e().items()))
SECRET_TEXT = b"Mallory^Eve Street 7"
OLD_UID = b"1.2.826.0.1.3680043.8.498.4711"
SAMPLES = {
    "AE": b"MALLORY_AE",
    "AS": b"093Y",
    "AT": b"\x10\0\x10\0",
    "CS": b"MALLORY ",
    "DA": b"20040229",
    "DS": b"77.5",
    "DT": b"20040229101112.123456+0130",
    "IS": b"4711",
    "PN": b"Mallory^Eve ",
    "SH": b"+0130 ",
    "TM": b"101112.123456 ",
    "UI": OLD_UID,
    "UR": b"http://mallory.example/1",
    "SQ": raw_item(raw(0x00080104, "LO", SECRET_TEXT)),
}
NUMBERS = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "SV": 8, "UV": 8}
SHIFTED = {"DA": "20031121", "DT": "20031121101112.123456+0130"}
COMPOUND = {
    ("Z/D", "1"): "D",
    ("Z/D", "2"): "Z",
    ("Z/D", "3"): "Z",
    ("X/Z", "1"): "Z",
    ("X/Z", "2"): "Z",
    ("X/Z", "3"): "X",
    ("X/D", "1"): "D",
    ("X/D", "2"): "D",
    ("X/D", "3"): "X",
    ("X/Z/D", "1"): "D",
    ("X/Z/D", "2"): "Z",
    ("X/Z/D", "3"): "X",
    ("X/Z/U*", "1"): "K",
    ("X/Z/U*", "2"): "Z",
    ("X/Z/U*", "3"): "X",
}
SUBJECTS = (0x00100010, 0x00100020)


def sample(vr: str) -> bytes:
    number = NUMBERS.get(vr)
    return SAMPLES.get(vr) or (b"\x07" * number if number else SECRET_TEXT)


def vr_of(row: Row) -> str:
    return row.vr or "LO"


def tag_of(row: Row) -> int:
    return int(row.tag.replace(",", ""), 16)


def expected(row: Row, profile: str, kind: str) -> str:
    """One of X, Z, D, U, K (kept), S (shifted): the code that holds, composed here anew from PS3.15 E.1."""
    return COMPOUND.get((row.basic, kind[0]), row.basic)


def check(element: DataElement | None, row: Row, code: str) -> None:
    """The outcome in a result."""
    vr, where = vr_of(row), f"{row.tag} {row.keyword} {row.basic} → {code}"
    if code == "X" or row.tag[:4] in ("0000", "0002", "0004"):
        assert element is None, where
        return
    assert element is not None, where
    if code == "U" or (code == "D" and vr == "UI"):
        assert str(element.value).startswith("2.25."), where
        assert len(element.value) <= 64, where
    elif code == "Z":
        assert element.is_empty, where
    elif code == "S":
        assert element.value == SHIFTED[vr], where
    elif code == "K":
        assert_kept(element, vr, where)
    else:
        assert_dummy(element, vr, where)


def assert_kept(element: DataElement, vr: str, where: str) -> None:
    if vr == "SQ":
        assert len(element.value) == 1, where
    elif vr == "AS":
        assert element.value == "090Y", where
    else:
        whole = Dataset()
        whole.add_new(element.tag, vr, element.value)
        assert str(whole[element.tag].value).encode() == sample(vr).strip(b" ") or vr in NUMBERS, where


def assert_dummy(element: DataElement, vr: str, where: str) -> None:
    assert not element.is_empty, where
    if vr == "SQ":
        assert len(element.value) == 1, where
        assert "Mallory" not in str(element.value[0]), where
    else:
        original = Dataset()
        value = sample(vr)
        original.add_new(element.tag, vr, value if vr in ("OB", "OW", "UN") else value.decode().strip())
        assert str(element.value) != str(original[element.tag].value), where


@cache
def result(profile: str, depth: int) -> tuple[FileDataset, Dataset]:
    """A CT with every row of the table at this depth, de-identified; and the Data Set in which the rows stood."""
    every = {tag: raw(tag, vr_of(row), sample(vr_of(row))) for tag, row in ROWS.items()}
    if depth == 0:
        parts = {**every, 0x00080016: raw(0x00080016, "UI", CT.encode() + b"\0")}
        ds = read(rewritten(raw_file(*(parts[tag] for tag in sorted(parts))), profile, DAYS))
        return ds, ds
    content = b"".join(every.values())
    for level in range(depth):
        undefined = 0xFFFFFFFF if level % 2 else None
        content = raw(AROUND, "SQ", raw_item(content, undefined) + (SEQUENCE_END if undefined else b""), undefined)
    ds = read(rewritten(raw_file(UIDS, content, PATIENT, STUDY), profile, DAYS))
    inside: Dataset = ds
    for _ in range(depth):
        inside = inside[AROUND].value[0]
    return ds, inside


@pytest.mark.parametrize("profile", ["basic"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_row_of_the_table_does_what_its_code_says(depth: int, profile: str) -> None:
    _, inside = result(profile, depth)
    ct = types_of(standard.iods_of(CT) or "")
    checked = 0
    for tag, row in ROWS.items():
        element = inside.get(tag)
        if tag in SUBJECTS:
            assert element is not None
            assert str(element.value) == SUBJECT
        else:
            kind = ct.get((tag,), "3") if depth == 0 else "3"
            check(element, row, expected(row, profile, kind))
        checked += 1
    assert checked == 657 - len(standard.annex_e_repeating()) - 1


@pytest.mark.parametrize("profile", ["basic"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_one_uid_becomes_one_new_uid_everywhere(depth: int, profile: str) -> None:
    ds, inside = result(profile, depth)
    news = {str(inside[tag].value) for tag, row in ROWS.items() if row.basic == "U" and tag in inside}

    assert len(news) == 1
    if depth == 0:
        assert news == {str(ds.SOPInstanceUID)}


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_basic_profile_leaves_no_original_value(depth: int) -> None:
    _, inside = result("basic", depth)
    text = str(inside)

    assert "mallory" not in text.casefold()
    for original in (OLD_UID, b"4711", b"20040229", b"101112", b"093Y", b"77.5"):
        assert original.decode() not in text


class Entry(NamedTuple):
    """One Attribute of an IOD: its path and Type."""

    iod: str
    path: tuple[int, ...]
    kind: str


@cache
def iod_entries() -> tuple[Entry, ...]:
    """The table of Types, read here by itself."""
    lines = (profiles_dir() / "standard" / "iod_types.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")][1:]
    entries = [(iod, *text.split("=")) for iod, types in rows for text in types.split()]
    return tuple(Entry(iod, tuple(int(tag, 16) for tag in path.split("/")), kind) for iod, path, kind in entries)


@cache
def types_of(iod: str) -> dict[tuple[int, ...], str]:
    return {entry.path: entry.kind for entry in iod_entries() if entry.iod == iod}


@cache
def sop_class_of() -> dict[str, str]:
    """A SOP Class for each IOD."""
    lines = (profiles_dir() / "standard" / "sop_class_iod.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")][1:]
    return {iod: uid for uid, iod in rows}


def compound_cases() -> Iterator[tuple[str, Entry]]:
    """For each row with a compound code and each Type that some IOD gives it: one such IOD. The path must survive."""
    seen = set()
    for entry in iod_entries():
        *around, tag = entry.path
        if any(outer in ROWS for outer in around) or entry.iod not in sop_class_of():
            continue
        if (tag, entry.kind) not in seen:
            seen.add((tag, entry.kind))
            yield f"{ROWS[tag].keyword}-{entry.kind}-{len(around)}", entry


COMPOUND_CASES = dict(compound_cases())


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_compound_codes_follow_the_type_in_the_iod(implicit: bool) -> None:
    assert {(ROWS[entry.path[-1]].basic, entry.kind[0]) for entry in COMPOUND_CASES.values()} >= {
        *(("Z/D", kind) for kind in "12"),
        ("X/Z", "2"),
        *(("X/D", kind) for kind in "12"),
        *(("X/Z/D", kind) for kind in "12"),
    }
    for entry in COMPOUND_CASES.values():
        row = ROWS[entry.path[-1]]
        ds: Dataset = read(rewritten(with_element(entry, vr_of(row), implicit=implicit)))
        for outer in entry.path[:-1]:
            ds = ds[outer].value[0]
        if entry.path[-1] not in SUBJECTS:
            check(ds.get(entry.path[-1]), row, COMPOUND[row.basic, entry.kind[0]])


def with_element(entry: Entry, vr: str, *, implicit: bool = False) -> bytes:
    """An Instance of the IOD with a sample at the entry's path."""

    def made(tag: int, vr: str, value: bytes) -> bytes:
        return raw_implicit(tag, value) if implicit else raw(tag, vr, value)

    value = sample(vr)
    if vr == "SQ":
        value = raw_item(made(0x00080104, "LO", SECRET_TEXT))
    content = made(entry.path[-1], vr, value)
    for outer in reversed(entry.path[:-1]):
        content = made(outer, "SQ", raw_item(content))
    sop_class = sop_class_of()[entry.iod].encode()
    parts = {
        0x00080016: made(0x00080016, "UI", sop_class + b"\0" * (len(sop_class) % 2)),
        0x00080018: made(0x00080018, "UI", b"1.2.3.4.30"),
        0x00100020: made(0x00100020, "LO", b"MRN-7755"),
        0x0020000D: made(0x0020000D, "UI", b"1.2.3.4.10"),
        0x0020000E: made(0x0020000E, "UI", b"1.2.3.4.20"),
        entry.path[0]: content,
    }
    syntax = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    return raw_file(*(parts[tag] for tag in sorted(parts)), syntax=syntax)


def test_an_unknown_iod_gets_what_is_legal_for_every_type() -> None:
    encapsulated = "1.2.840.10008.5.1.1.27"  # Stored Print, retired: registered, and of no IOD that the table knows
    assert standard.iods_of(encapsulated) is None
    every = {tag: raw(tag, vr_of(row), sample(vr_of(row))) for tag, row in ROWS.items() if "/" in row.basic}
    every |= {0x00080016: raw(0x00080016, "UI", encapsulated.encode()), 0x00080018: raw(0x00080018, "UI", b"1.2.34")}
    every |= {0x0020000D: raw(0x0020000D, "UI", b"1.2.35"), 0x0020000E: raw(0x0020000E, "UI", b"1.2.36")}
    ds = read(rewritten(raw_file(*(every[tag] for tag in sorted(every)))))

    for tag, row in ROWS.items():
        if "/" in row.basic and tag not in SUBJECTS:
            check(ds.get(tag), row, COMPOUND[row.basic, "1"])


@pytest.mark.parametrize("profile", ["basic"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_repeating_groups_and_private_attributes_go_as_a_whole(depth: int, profile: str) -> None:
    content = b"".join(
        raw(group << 16 | element, vr, SECRET_TEXT)
        for group in (0x5000, 0x5001, 0x501E, 0x6000, 0x6001, 0x6002, 0x601E, 0x60FE)
        for element, vr in ((0x0010, "LO"), (0x0022, "LO"), (0x1001, "LT"), (0x1500, "LO"), (0x3000, "OW"))
    )
    for _ in range(depth):
        content = raw(AROUND, "SQ", raw_item(content))
    parts = (UIDS, content, PATIENT, STUDY) if depth else (UIDS, PATIENT, STUDY, content)
    data = rewritten(raw_file(*parts), profile)

    assert SECRET_TEXT not in data
    assert not [element.tag for element in read(data).iterall() if element.tag.group >= 0x5000]


@pytest.mark.parametrize(("age", "kept"), [("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("011M", "011M")])
def test_research_keeps_ages_and_tells_those_over_89_as_90(age: str, kept: str) -> None:
    ds = read(rewritten(raw_file(UIDS, PATIENT, raw(0x00101010, "AS", age.encode()), STUDY), "research"))

    assert ds.PatientAge == kept


def test_profiles_stamp_what_was_done() -> None:
    for name, codes, modified in (
        ("basic", ["113100"], "REMOVED"),
        ("research", ["113100", "113107", "113108", "113105", "113111"], "MODIFIED"),
    ):
        ds, _ = result(name, 1)
        assert ds.PatientIdentityRemoved == "YES"
        assert [item.CodeValue for item in ds.DeidentificationMethodCodeSequence] == codes
        assert {item.CodingSchemeDesignator for item in ds.DeidentificationMethodCodeSequence} == {"DCM"}
        assert all(len(text) <= 64 for text in ds[0x00120063].value)
        assert ds.LongitudinalTemporalInformationModified == modified
