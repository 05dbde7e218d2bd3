"""Every row of PS3.15 Table E.1-1 does what an option's column says, at every depth, as pydicom reads it.

One file holds all rows, so that each option and depth is one rewriting. What is expected is composed here anew, from
the table and PS3.15 E.1 and E.3, not by the engine.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations, product

import pytest
from pydicom import DataElement, Dataset
from pydicom.values import convert_SQ

from coatcheck.deid import standard
from coatcheck.deid.profile import AVAILABLE, FULL_DATES, MODIFIED_DATES, Profile
from coatcheck.deid.standard import Row
from coatcheck.model import Identity
from tests.conformance.test_annex_e import (
    AROUND,
    COMPOUND,
    DEPTHS,
    NUMBERS,
    ROWS,
    SHIFTED,
    SUBJECTS,
    check,
    sample,
    types_of,
    vr_of,
)
from tests.support import (
    CT,
    DAYS,
    EXPLICIT,
    IMPLICIT,
    PATIENT,
    STUDY,
    SUBJECT,
    UIDS,
    raw,
    raw_file,
    raw_implicit,
    raw_item,
    read,
)
from tests.treated import Treatment

# pydicom's dictionary is older than the table: it says so where an implicit file tells no VR.
pytestmark = pytest.mark.filterwarnings("ignore:VR lookup failed:UserWarning")
NAME = frozenset({Identity("name", "Mallory^Eve")})
KEPT_TEXT = "T1 MPRAGE sag"
CLEANED = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
OPTION_SETS = [(), *((option,) for option in AVAILABLE)]


def planted(row: Row) -> bytes:
    """A text with the name of the patient in it, by which cleaning shows; for other VRs the sample."""
    vr = vr_of(row)
    if vr == "SH" and row.keyword != "TimezoneOffsetFromUTC":
        return b"T1 Mallory"
    if vr in ("AE", "CS"):
        return b"T1 MPRAGE MALLORY "
    return f"{KEPT_TEXT} Mallory ".encode() if vr in ("LO", "LT", "ST", "UC", "UT") else sample(vr)


def element(tag: int, vr: str, value: bytes, syntax: str) -> bytes:
    return raw(tag, vr, value) if syntax == EXPLICIT else raw_implicit(tag, value)


def with_all_rows(depth: int, syntax: str) -> bytes:
    """A CT with every row of the table at this depth. A sequence has a name inside, and a code."""
    inside = element(0x00080104, "LO", b"Brain ", syntax) + element(0x00101005, "PN", b"Mallory^Eve ", syntax)
    every = {
        tag: element(tag, vr_of(row), raw_item(inside) if vr_of(row) == "SQ" else planted(row), syntax)
        for tag, row in ROWS.items()
    }
    class_uid = element(0x00080016, "UI", CT.encode() + b"\0", syntax)
    if depth == 0:
        return raw_file(*(part for _, part in sorted({**every, 0x00080016: class_uid}.items())), syntax=syntax)
    content = b"".join(every.values())
    for _ in range(depth):
        content = element(AROUND, "SQ", raw_item(content), syntax)
    if syntax == EXPLICIT:
        return raw_file(UIDS, content, PATIENT, STUDY)
    head = class_uid + raw_implicit(0x00080018, b"1.2.3.4.30")
    study = raw_implicit(0x0020000D, b"1.2.3.4.10") + raw_implicit(0x0020000E, b"1.2.3.4.20")
    return raw_file(head, content, raw_implicit(0x00100020, b"MRN-7755"), study, syntax=syntax)


@cache
def result(options: tuple[str, ...], depth: int, syntax: str = EXPLICIT) -> tuple[Dataset, Dataset]:
    """The file under these options, and the Data Set in which the rows stood."""
    private = "safe" if "retain-safe-private" in options else "remove"
    profile = Profile(name="mine", title="Mine", options=options, private=private)
    data = Treatment(profile, DAYS, identity=NAME).result(with_all_rows(depth, syntax), gate=False)
    whole: Dataset = read(data)
    inside = whole
    for _ in range(depth):
        inside = inside[AROUND].value[0]
    return whole, inside


def expected(row: Row, options: tuple[str, ...], kind: str) -> str:
    """X, Z, D, U, K (the value is the same), S (shifted), C (cleaned) or Q (a sequence, treated inside)."""
    vr = vr_of(row)
    code = COMPOUND.get((row.basic, kind[0]), row.basic)
    if code == "U" and "retain-uids" in options:
        code = "K"  # also in the two rows with no K in that column, (0040,A124) and (0400,0100): see below
    for option in options:
        wanted = row.options.get(option)
        if wanted is None:
            continue
        if option == MODIFIED_DATES:
            code = {"DA": "S", "DT": "S", "TM": "K", "SH": "K"}.get(vr, code)
        elif vr == "SQ":
            code = "Q"
        elif wanted == "K":
            code = "K"
        elif vr in CLEANED:
            code = "C"
    return code


def check_outcome(found: DataElement | None, row: Row, code: str) -> None:
    vr, where = vr_of(row), f"{row.tag} {row.keyword} {row.basic} → {code}"
    if row.tag[:4] in ("0000", "0002", "0004") or code not in ("K", "S", "C", "Q"):
        check(found, row, code)
        return
    assert found is not None, where
    if code == "Q":
        (item,) = found.value
        assert item.CodeMeaning == "Brain", where
        assert "PatientBirthName" not in item, where
    elif code == "S":
        assert found.value == SHIFTED[vr], where
    elif code == "C":
        assert "mallory" not in str(found.value).casefold(), where
        kept = {"UR": "", "AE": "T1 MPRAGE", "CS": "T1 MPRAGE", "SH": "T1"}.get(vr, KEPT_TEXT)
        assert kept in str(found.value), where
    else:
        assert same(found, row), where


def same(found: DataElement, row: Row) -> bool:
    """Whether pydicom reads the value that was planted; an age over 89 is told as 90."""
    vr = vr_of(row)
    if vr == "AS":
        return bool(found.value == "090Y")
    if vr in ("OB", "OW", "UN"):
        return bool(found.value == planted(row))
    if vr in NUMBERS:
        return bool(found.value == int.from_bytes(planted(row), "little"))
    return str(found.value).strip() == planted(row).decode().strip()


def known(found: DataElement | None, row: Row) -> DataElement | None:
    """An element with its VR: pydicom's dictionary is older than the table, and implicit files do not tell."""
    if found is None or found.VR != "UN" or vr_of(row) == "UN":
        return found
    if vr_of(row) == "SQ":
        items = convert_SQ(found.value, is_implicit_VR=True, is_little_endian=True)
        return DataElement(found.tag, "SQ", list(items))
    return DataElement(found.tag, vr_of(row), found.value.decode().strip(" \0"))


def check_all(options: tuple[str, ...], depth: int, syntax: str) -> None:
    whole, inside = result(options, depth, syntax)
    ct = types_of(standard.iods_of(CT) or "")
    for tag, row in ROWS.items():
        if syntax == IMPLICIT and not row.vr:
            continue  # what nobody knows the VR of cannot be cleaned
        if tag in SUBJECTS:
            assert str(inside[tag].value) == SUBJECT
        else:
            kind = ct.get((tag,), "3") if depth == 0 else "3"
            check_outcome(known(inside.get(tag), row), row, expected(row, options, kind))
    assert stamped(whole) == ["113100", *(standard.options()[option].code for option in options)]


def stamped(ds: Dataset) -> list[str]:
    return [str(item.CodeValue) for item in ds.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("options", OPTION_SETS, ids=lambda options: options[0] if options else "basic")
def test_every_row_does_what_the_column_of_an_option_says(options: tuple[str, ...], depth: int, syntax: str) -> None:
    check_all(options, depth, syntax)


def pairwise() -> list[tuple[str, ...]]:
    """Legal sets of options in which any two options stand in each way: both, one, the other, none."""
    legal = [
        tuple(option for option, on in zip(AVAILABLE, choice, strict=True) if on)
        for choice in product((False, True), repeat=len(AVAILABLE))
    ]
    legal = [options for options in legal if not {FULL_DATES, MODIFIED_DATES} <= set(options)]

    def pairs(options: tuple[str, ...]) -> frozenset[tuple[str, bool, str, bool]]:
        return frozenset((one, one in options, other, other in options) for one, other in combinations(AVAILABLE, 2))

    left = frozenset[tuple[str, bool, str, bool]]().union(*map(pairs, legal))
    chosen = []
    while left:
        best = max(legal, key=lambda options: (len(pairs(options) & left), options))
        left -= pairs(best)
        chosen.append(best)
    return chosen


PAIRWISE = pairwise()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("reverse", [False, True], ids=["in-order", "reversed"])
def test_options_go_together_and_the_later_one_wins(depth: int, reverse: bool) -> None:
    assert 5 <= len(PAIRWISE) <= 20
    for options in PAIRWISE:
        check_all(options[::-1] if reverse else options, depth, EXPLICIT)


def test_the_table_has_rows_for_each_option_but_the_private_one() -> None:
    """So that no column is passed over: 653 rows with one tag, three for repeating groups and one for private ones."""
    counts = {option: sum(option in row.options for row in ROWS.values()) for option in AVAILABLE}

    assert len(ROWS) + len(standard.annex_e_repeating()) + 1 == 657
    assert [option for option, count in counts.items() if not count] == ["retain-safe-private"]
    assert standard.private_row().options == {"retain-safe-private": "C"}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("options", OPTION_SETS, ids=lambda options: options[0] if options else "basic")
def test_repeating_groups_go_and_private_attributes_stay_where_they_are_safe(
    options: tuple[str, ...], depth: int
) -> None:
    """Overlays are no text that could be cleaned (PS3.15 E.3.3), so that Clean Graphics has them removed as well."""
    private = raw(0x20050010, "LO", b"Philips MR Imaging DD 001 ") + raw(0x2005100D, "FL", b"\0\0\0\x3f")
    private += raw(0x20051077, "LO", b"Mallory ") + raw(0x20070010, "LO", b"MALLORY ") + raw(0x20071001, "LO", b"x ")
    graphics = raw(0x50000010, "US", b"\1\0") + raw(0x60000010, "US", b"\1\0")
    graphics += raw(0x60003000, "OW", b"Mallory ") + raw(0x60004000, "LT", b"Mallory ")
    content = private + graphics
    for _ in range(depth):
        content = raw(AROUND, "SQ", raw_item(content))
    data = raw_file(UIDS, content, PATIENT, STUDY) if depth else raw_file(UIDS, PATIENT, STUDY, content)
    safe = "retain-safe-private" in options
    profile = Profile(name="mine", title="Mine", options=options, private="safe" if safe else "remove")

    ds = read(Treatment(profile, DAYS, identity=NAME).result(data))

    found = {int(one.tag): one.value for one in ds.iterall() if one.tag.group >= 0x2001}
    kept = {0x20050010: "Philips MR Imaging DD 001", 0x2005100D: 0.5}
    assert found == (kept if safe else {})


def test_uids_that_the_column_forgets_stay_with_all_others() -> None:
    """Retain UIDs has no code for these two rows; a UID that changed here alone would point nowhere (PS3.15 E.3.9)."""
    rows = [row.keyword for row in ROWS.values() if row.basic == "U" and "retain-uids" not in row.options]

    assert rows == ["UID", "DigitalSignatureUID"]
