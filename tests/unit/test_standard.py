"""The standard's tables are complete, unchanged and say what PS3.15 2026d says."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import tag_for_keyword

from coatcheck.data import profiles_dir
from coatcheck.deid import standard

CT = "1.2.840.10008.5.1.4.1.1.2"

# A table is changed together with its digest, so that no fact of the standard changes unseen.
DIGESTS = {
    "annex_e.tsv": "79bb10d17cec4054517fe21d409d7a193c79ab701c8239018211c5302da7ea92",
    "content_items.tsv": "0ff692bd40099461eaa80f635dd88baecf14be57de3a1aa2fa714f0b03cef4d4",
    "iod_types.tsv": "a62b1d3d6cf4b6496590ebcdb6336c8d9965aaffa67012cd0e3b49afcc382685",
    "options.tsv": "b7af789e3867f9565804df62502b6f9499dbd2f2bb7025e778bb63814e377154",
    "registered_uids.tsv": "65ff01cd7ba34eb1fefe239baacef1ecfd57639f07aafc67c75b8b939d994565",
    "safe_private.tsv": "f83ffbe7a20548aa17be5df2bad6306fa6e9c8167e253a6d3eba9512362a24f9",
    "sop_class_iod.tsv": "11e77dc7463cb0f44261b42ae9158de737ed35cc408ab5ddb341d33a78218770",
    "vr_limits.tsv": "4d364e3a48bb03f226659646d102dfe70bc475deae7aafb3108d142387890d41",
}


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_a_table_is_as_it_was_checked(name: str) -> None:
    content = (profiles_dir() / "standard" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == DIGESTS[name]


def test_every_table_is_tested_and_names_its_source_and_owner() -> None:
    tables = sorted((profiles_dir() / "standard").glob("*.tsv"))
    assert [table.name for table in tables] == sorted(DIGESTS)
    for table in tables:
        text = table.read_text(encoding="utf-8")
        assert text.startswith("# Source: DICOM PS3.")
        assert "© NEMA" in text


def test_table_e_1_1_is_complete() -> None:
    rows = [*standard.annex_e().values(), *(each.row for each in standard.annex_e_repeating()), standard.private_row()]
    assert standard.EDITION == "2026d"
    assert len(rows) == 657
    assert Counter(row.basic for row in rows) == {
        **{"X": 417, "D": 93, "U": 55, "Z": 42, "X/D": 23},
        **{"X/Z": 11, "X/Z/D": 8, "Z/D": 6, "X/Z/U*": 2},
    }


def test_every_code_is_one_of_the_eleven() -> None:
    assert len(standard.CODES) == 11
    for row in standard.annex_e().values():
        assert row.basic in standard.CODES
        assert set(row.options.values()) <= {"K", "C"}


def test_every_option_of_a_row_is_a_code_of_cid_7050() -> None:
    named = {name for row in standard.annex_e().values() for name in row.options}
    named |= {name for item in standard.content_items() for name in item.options}
    assert named < set(standard.options())


def test_tags_and_keywords_agree_with_the_data_dictionary() -> None:
    known = {tag: row for tag, row in standard.annex_e().items() if tag_for_keyword(row.keyword) is not None}
    assert len(known) >= 653 - 26
    assert all(tag_for_keyword(row.keyword) == tag for tag, row in known.items())


def test_a_row_tells_the_basic_code_and_what_each_option_changes() -> None:
    patient_id = standard.annex_e()[0x0010_0020]
    assert (patient_id.keyword, patient_id.vr, patient_id.basic, patient_id.options) == ("PatientID", "LO", "Z/D", {})
    study_date = standard.annex_e()[0x0008_0020]
    assert study_date.basic == "Z"
    assert study_date.options == {
        "retain-longitudinal-full-dates": "K",
        "retain-longitudinal-modified-dates": "C",
    }
    assert standard.annex_e()[0x0040_A730].options == {"clean-structured-content": "C"}
    assert standard.private_row().options == {"retain-safe-private": "C"}


def test_every_vr_is_clean() -> None:
    vrs = {row.vr for row in standard.annex_e().values()}
    assert vrs - {""} <= set(standard.vr_limits())


@pytest.mark.parametrize(
    ("tag", "keyword"),
    [
        (0x5000_3000, "CurveData"),
        (0x501E_0022, "CurveData"),
        (0x6002_3000, "OverlayData"),
        (0x60FE_4000, "OverlayComments"),
        (0x6001_3000, None),
        (0x6000_0010, None),
        (0x5101_3000, None),
    ],
)
def test_repeating_groups_match_even_groups_only(tag: int, keyword: str | None) -> None:
    found = [each.row.keyword for each in standard.annex_e_repeating() if tag & each.mask == each.value]
    assert found == ([] if keyword is None else [keyword])


@pytest.mark.parametrize(
    ("path", "tag", "expected"),
    [
        ((), 0x0010_0020, "2"),
        ((), 0x0008_0022, "3"),
        ((), 0x0010_2203, "2C"),
        ((0x0008_0096,), 0x0008_0080, "1C"),
        ((0x0008_0096, 0x0008_0096), 0x0008_0080, "3"),
        ((), 0x0009_1001, "3"),
    ],
)
def test_an_attribute_has_its_type_by_iod_and_place(path: tuple[int, ...], tag: int, expected: str) -> None:
    iod = standard.iods_of(CT)
    assert iod is not None
    assert standard.attribute_type(iod, path, tag) == expected


def test_only_attributes_with_a_compound_code_have_a_type_and_all_sop_classes_can_be_asked() -> None:
    compound = {tag for tag, row in standard.annex_e().items() if "/" in row.basic}
    assert len(compound) == 50
    lines = (profiles_dir() / "standard" / "sop_class_iod.tsv").read_text(encoding="utf-8").splitlines()
    uids = [line.split("\t")[0] for line in lines if line.startswith("1.2.")]
    assert len(uids) == 180
    for uid in uids:
        iod = standard.iods_of(uid)
        assert iod is not None
        assert {standard.attribute_type(iod, (), tag) for tag in compound} <= {"1", "1C", "2", "2C", "3"}


def test_an_unknown_sop_class_has_no_iod_and_an_unknown_iod_no_types() -> None:
    assert standard.iods_of("1.2.3") is None
    with pytest.raises(KeyError):
        standard.attribute_type("no-such-iod", (), 0x0010_0020)


def test_the_registered_uids_hold_all_tables_of_ps3_6_annex_a() -> None:
    registered = standard.registered_uids()
    assert len(registered) == 1901
    assert registered.keys() >= UID_dictionary.keys()
    assert registered[CT] == "SOP Class"
    assert sum(uid.startswith("1.2.840.10008.6.1.") for uid in registered) == 1384
    for uid in (CT, "1.2.840.10008.1.2.1", "1.2.840.10008.1.4.1.1", "1.2.840.10008.6.1.308", "1.2.840.10008.2.16.4"):
        assert standard.is_registered(uid)


@pytest.mark.parametrize(
    "uid",
    ["1.2.840.10008.999", "1.2.840.10008.5.1.4.1.1.2.20200101", "1.2.840.10008", "1.2.840.10008.6.1.700", "2.25.1", ""],
)
def test_a_made_up_uid_is_not_registered(uid: str) -> None:
    assert not standard.is_registered(uid)


def test_the_thirteen_codes_of_cid_7050_are_known_by_name() -> None:
    assert [option.code for option in standard.options().values()] == [str(code) for code in range(113100, 113113)]
    assert standard.options()["basic"].meaning == "Basic Application Confidentiality Profile"
    assert standard.options()["retain-uids"].code == "113110"


def test_the_safe_private_attributes_are_complete_and_matched_by_creator_group_and_low_byte() -> None:
    rows = standard.safe_private()
    assert (len(rows), len({row.creator for row in rows})) == (479, 20)
    assert ("GEMS_PARM_01", 0x0043, 0x27) in {(row.creator, row.group, row.element) for row in rows}
    assert all(row.group % 2 == 1 and 0 <= row.element <= 0xFF for row in rows)


def test_the_content_items_are_complete() -> None:
    rows = standard.content_items()
    assert len(rows) == 214
    assert {row.basic for row in rows} == {"X", "D", "X/D"}
    assert standard.ContentItem("121022", "DCM", "Accession Number", "TEXT", "X", {}) in rows


def test_every_vr_of_ps3_5_has_its_limits() -> None:
    limits = standard.vr_limits()
    assert len(limits) == 34
    assert (limits["LO"].max_length, limits["UI"].max_length, limits["SH"].max_length) == ("64", "64", "16")
