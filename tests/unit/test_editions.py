"""Older editions of Table E.1-1 are what their copies said, and differ from the newest one as the files say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.data import profiles_dir
from coatcheck.deid import editions, standard
from coatcheck.deid.editions import Codes, Difference
from coatcheck.errors import CoatcheckError

# The files change together with this digest, so that no fact of the standard changes unseen.
DIGEST = "adcd7cbab2eb959a8a2a5594f50fc5175f943fa6f6f31b1e860ed9a478ad11bf"
COUNTS = {
    **{"2013": 249, "2014a": 271, "2016a": 280, "2017c": 278, "2018e": 304, "2019c": 377, "2020b": 432, "2020c": 442},
    **{"2021b": 460, "2023b": 608, "2024a": 614, "2024b": 621, "2024c": 623, "2026d": 657},
}
OLDER = sorted(editions.older())
EDITIONS = st.sampled_from(editions.known())


def files() -> list[Path]:
    return sorted((profiles_dir() / "standard" / "editions").glob("*"))


def test_the_files_are_as_they_were_checked() -> None:
    whole = hashlib.sha256()
    for file in files():
        whole.update(file.name.encode() + b"\0" + file.read_bytes())
    assert whole.hexdigest() == DIGEST


@pytest.mark.parametrize("file", files(), ids=lambda file: file.name)
def test_every_file_names_its_source_and_owner(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# Source: DICOM PS3.15, Table E.1-1")
    assert "© NEMA" in text


def test_every_file_of_differences_belongs_to_an_edition() -> None:
    tables = {f"annex_e_{edition.table}.tsv" for edition in editions.older().values()}
    assert tables == {file.name for file in files()} - {"editions.tsv", "withdrawn.tsv"}


def test_the_editions_stand_in_order_and_the_newest_is_the_one_that_is_worked_by() -> None:
    assert editions.known() == sorted(editions.known())
    assert editions.known()[-1] == standard.EDITION
    assert {"2017c", "2020c", "2021b", "2023b", "2024b"} <= set(editions.known())


@pytest.mark.parametrize("edition", OLDER)
def test_an_edition_put_together_is_the_table_that_its_copy_had(edition: str) -> None:
    expected = editions.older()[edition]
    rows = editions.rows_of(edition).values()
    lines = [f"{row.tag}\t{row.basic}\t{_written(row.options)}\n" for row in sorted(rows, key=lambda row: row.tag)]
    assert len(lines) == expected.attributes
    assert hashlib.sha256("".join(lines).encode()).hexdigest()[:16] == expected.digest


def _written(options: object) -> str:
    assert isinstance(options, dict)
    return " ".join(f"{option}:{code}" for option, code in sorted(options.items())) or "-"


@pytest.mark.parametrize("edition", COUNTS)
def test_an_edition_lists_as_many_attributes_as_the_standard_did(edition: str) -> None:
    assert len(editions.rows_of(edition)) == COUNTS[edition]


@pytest.mark.parametrize("edition", OLDER)
def test_every_code_and_option_of_an_edition_is_one_of_the_standard(edition: str) -> None:
    for row in editions.rows_of(edition).values():
        assert row.basic in standard.CODES
        assert set(row.options) <= set(standard.options()) - {"basic"}
        assert set(row.options.values()) <= {"K", "C", "X"}  # X: Referenced Patient Sequence under Retain UIDs


@pytest.mark.parametrize("edition", OLDER)
def test_no_line_says_what_the_newest_edition_says_as_well(edition: str) -> None:
    table = editions.older()[edition].table
    text = (profiles_dir() / "standard" / "editions" / f"annex_e_{table}.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")][1:]
    assert [line.split("\t")[0] for line in lines] == [one.tag for one in editions.differences(edition)]


@pytest.mark.parametrize("edition", OLDER)
def test_every_row_has_a_name_a_keyword_and_where_it_is_known_a_vr(edition: str) -> None:
    for row in editions.rows_of(edition).values():
        assert row.name or "g" in row.tag
        # The one attribute without a keyword is a misprint of 2019d.
        assert row.keyword or "g" in row.tag or (edition, row.tag) == ("2019d", "0052,0021")


def test_the_newest_edition_is_the_standard_s_table_itself() -> None:
    assert editions.annex_e_of(standard.EDITION) == standard.annex_e()
    assert editions.repeating_of(standard.EDITION) == standard.annex_e_repeating()


def test_repeating_groups_and_private_attributes_are_no_single_tag() -> None:
    rows = editions.rows_of("2024b")
    assert len(editions.annex_e_of("2024b")) == len(rows) - 4
    assert [one.row.tag for one in editions.repeating_of("2024b")] == ["50xx,xxxx", "60xx,3000", "60xx,4000"]
    assert standard.private_row().tag in rows


def test_an_older_edition_has_its_own_codes() -> None:
    assert editions.annex_e_of("2020c")[0x00100020].basic == "Z"
    assert editions.annex_e_of("2026d")[0x00100020].basic == "Z/D"
    assert 0x00080012 not in editions.annex_e_of("2020c")
    assert editions.annex_e_of("2016a")[0x00089123].keyword == "CreatorVersionUID"


def test_a_difference_tells_both_sides() -> None:
    found = {one.keyword: one for one in editions.differences("2024b")}
    assert len(found) == 37
    assert found["RequestingService"] == Difference(
        "0032,1033", "RequestingService", "Requesting Service", Codes("X", {}), Codes("X", {"clean-descriptors": "C"})
    )
    principal = found["PrincipalDiagnosisCodeSequence"]
    assert principal.before is None
    assert principal.after == Codes("X", {"clean-descriptors": "C"})


def test_an_attribute_that_is_listed_no_more_is_a_difference_too() -> None:
    [gone] = [one for one in editions.differences("2017c") if one.after is None]
    assert (gone.keyword, gone.before) == ("ModifyingDeviceManufacturer", Codes("X", {}))


@given(EDITIONS, EDITIONS)
def test_differences_turn_around_with_their_editions(old: str, new: str) -> None:
    forth = {one.tag: (one.before, one.after) for one in editions.differences(old, new)}
    back = {one.tag: (one.after, one.before) for one in editions.differences(new, old)}
    assert forth == back


@given(EDITIONS, EDITIONS)
def test_differences_lead_from_one_edition_to_the_other(old: str, new: str) -> None:
    codes = {tag: Codes(row.basic, row.options) for tag, row in editions.rows_of(old).items()}
    for one in editions.differences(old, new):
        assert codes.get(one.tag) == one.before
        codes.pop(one.tag, None)
        if one.after is not None:
            codes[one.tag] = one.after
    assert codes == {tag: Codes(row.basic, row.options) for tag, row in editions.rows_of(new).items()}


@given(EDITIONS)
def test_an_edition_does_not_differ_from_itself(edition: str) -> None:
    assert editions.differences(edition, edition) == []


@pytest.mark.parametrize(("edition", "near"), [("2024d", "2024c"), ("2020d", "2020c"), ("", "2026d"), ("x", "2013")])
def test_an_unknown_edition_is_refused_with_those_that_are_known(edition: str, near: str) -> None:
    with pytest.raises(CoatcheckError) as caught:
        editions.rows_of(edition)
    assert near in caught.value.hint
