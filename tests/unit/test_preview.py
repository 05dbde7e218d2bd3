"""A preview says what the service would do, and leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
import pytest

from coatcheck.deid.explain import Attribute, attribute_of, layers, sop_class_of, table
from coatcheck.deid.profile import Profile
from coatcheck.deid.selectors import parse
from coatcheck.deid.settings import SettingError
from coatcheck.keys import ProjectKey
from coatcheck.preview import Preview, Row, preview
from coatcheck.preview_basis import THROW_AWAY, files_of, of_profile
from coatcheck.profile_file import load_profile
from coatcheck.reasons import Reason
from tests.support import CT, SC, SECRET, file_of, instance, profile, raw, raw_instance

SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
KEY = ProjectKey(SECRET, {1: bytes(64)})
NOW = "2026-11-21T10:00:00.000Z"


def previews(*paths: Path, of: Profile) -> list[Preview]:
    return list(preview(of_profile(of, KEY), files_of(paths, THROW_AWAY), NOW))


def one(tmp_path: Path, content: bytes, of: Profile | None = None) -> Preview:
    (tmp_path / "one.dcm").write_bytes(content)
    (found,) = previews(tmp_path / "one.dcm", of=of or profile("research"))
    return found


def row(found: Preview, path: str) -> Row:
    (row,) = [one for one in found.rows if one.path == path]
    return row


def written(tmp_path: Path, text: str) -> Profile:
    (tmp_path / "own.yaml").write_text(text)
    return load_profile("own.yaml", tmp_path)


# What a preview shows


@pytest.mark.parametrize("name", ["basic", "research"])
def test_what_is_said_of_each_element_is_what_happens_to_it(name: str) -> None:
    found = previews(SAMPLES, of=profile(name))

    rows = [row for one in found for row in one.rows]
    assert len(rows) > 5000
    for row in rows:
        assert row.rule
        if row.action == "remove":
            assert row.after is None, row
        elif not row.rule.startswith("with "):  # a dummy in the place of a sequence has other items
            assert row.after is not None, row
        if row.before is None:
            assert row.action in ("stamp", "dummy", "subject"), row
        if row.action == "keep" and row.vr != "SQ":
            assert not row.changed, row


def test_a_row_tells_before_after_action_and_rule(tmp_path: Path) -> None:
    ds = instance()
    ds.StudyDate, ds.InstitutionName, ds.PatientAge = "20240301", "JFK", "095Y"
    found = one(tmp_path, file_of(ds))

    assert (found.reason, found.note) == (None, "")
    assert found.shift_days is not None
    assert row(found, "PatientAge").after == "090Y"
    assert row(found, "PatientAge").rule == "PS3.15 Table E.1-1, PatientAge, retain-patient-characteristics: K"
    gone = row(found, "InstitutionName")
    assert (gone.before, gone.after, gone.action, gone.changed) == ("JFK", None, "remove", True)
    assert row(found, "PatientID").after == found.subject
    assert row(found, "PatientIdentityRemoved").action == "stamp"
    assert row(found, "SOPClassUID").changed is False
    assert row(found, "MediaStorageSOPInstanceUID").after == row(found, "SOPInstanceUID").after


def test_an_action_that_has_no_result_is_told_with_what_is_done_instead(tmp_path: Path) -> None:
    found = one(tmp_path, raw_instance(group_8=raw(0x00080020, "DA", b"no date ")))

    date = row(found, "StudyDate")
    assert date.action != "shift-date"
    assert date.rule.endswith("; shift-date has no result here")


def test_what_goes_with_a_sequence_or_stands_after_the_pixels_is_accounted_for(tmp_path: Path) -> None:
    ds = instance()
    item = pydicom.Dataset()
    item.PatientID = "OTHER-1"
    ds.OtherPatientIDsSequence = [item]
    ds.Rows = ds.Columns = 2
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.SamplesPerPixel, ds.PixelRepresentation = 7, 1, 0
    ds.PhotometricInterpretation, ds.PixelData = "MONOCHROME2", bytes(4)
    ds.DataSetTrailingPadding = b"DOE^"
    found = one(tmp_path, file_of(ds))

    inner = row(found, "OtherPatientIDsSequence[1] > PatientID")
    assert (inner.after, inner.action) == (None, "remove")
    assert inner.rule.startswith("with OtherPatientIDsSequence: ")
    assert row(found, "PixelData").action == "keep"
    assert row(found, "DataSetTrailingPadding").rule == "coatcheck: what stands after Pixel Data is not kept"


def test_rules_of_the_profile_are_named_by_file_and_line(tmp_path: Path) -> None:
    own = written(
        tmp_path,
        "title: own\nrules:\n- at: StudyDescription\n  do: replace\n  with: '{Modality|lower}'\n"
        "- at: RequestAttributesSequence > ScheduledProcedureStepID\n  do: add\n  with: ADDED\n",
    )
    ds = instance()
    ds.StudyDescription, ds.Modality = "HEAD", "CT"
    found = one(tmp_path, file_of(ds), own)

    assert row(found, "StudyDescription").after == "ct"
    assert row(found, "StudyDescription").action == "replace"
    assert "own.yaml:3" in row(found, "StudyDescription").rule
    added = row(found, "RequestAttributesSequence[1] > ScheduledProcedureStepID")
    assert (added.before, added.after, added.action) == (None, "ADDED", "add")
    assert "own.yaml:6" in added.rule


def test_what_would_be_set_aside_says_why_and_shows_what_the_profile_would_do(tmp_path: Path) -> None:
    ds = instance(SC)
    ds.Rows = ds.Columns = 2
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.SamplesPerPixel, ds.PixelRepresentation = 7, 1, 0
    ds.PhotometricInterpretation, ds.PixelData = "MONOCHROME2", bytes(4)
    found = one(tmp_path, file_of(ds))

    assert (found.reason, found.detail) == (Reason.PIXEL_RISK, "(0008,0016)")
    assert row(found, "PatientName").after == found.subject


def test_what_the_gate_finds_is_told_with_its_place(tmp_path: Path) -> None:
    ds = instance()
    ds.Manufacturer = "Made for Mallory"
    found = one(tmp_path, file_of(ds), profile("basic"))

    assert found.reason is Reason.IDENTITY_FOUND
    assert "(0008,0070)" in found.detail
    assert row(found, "Manufacturer").after == "Made for Mallory"


def said(value_type: str, code: str, **value: object) -> pydicom.Dataset:
    """A Content Item."""
    concept, item = pydicom.Dataset(), pydicom.Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = code, "DCM", "x"
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", value_type, [concept]
    for keyword, one in value.items():
        setattr(item, keyword, one)
    return item


def test_of_a_report_each_item_keeps_its_number_and_what_goes_says_by_which_row(tmp_path: Path) -> None:
    own = written(tmp_path, "title: own\nextends: research\noptions: [clean-structured-content]\n")
    ds = instance("1.2.840.10008.5.1.4.1.1.88.11")
    ds.Modality, ds.ValueType, ds.ContinuityOfContent = "SR", "CONTAINER", "SEPARATE"
    ds.ContentSequence = [
        said("TEXT", "121106", TextValue="no finding"),
        said("PNAME", "121088", PersonName="Someone^Else"),
        said("TEXT", "121071", TextValue="the lung is clear"),
    ]
    found = one(tmp_path, file_of(ds), own)

    assert found.reason is None
    assert row(found, "ContentSequence").before == "<3 items>"
    gone = row(found, "ContentSequence[2] > PersonName")
    assert (gone.before, gone.after, gone.action) == ("Someone^Else", None, "remove")
    assert gone.rule.startswith("with its Content Item: PS3.15 Table E.3.4-1")
    kept = row(found, "ContentSequence[3] > TextValue")
    assert (kept.before, kept.after, kept.action) == ("the lung is clear", "the lung is clear", "clean-text")


def test_what_is_no_instance_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no DICOM at all")
    (tmp_path / "link").symlink_to("text")
    (tmp_path / "half.dcm").write_bytes(raw_instance()[:-3])
    found = previews(tmp_path, of=profile("basic"))

    assert [(Path(one.file).name, one.reason) for one in found] == [
        ("half.dcm", Reason.TRUNCATED),
        ("link", Reason.NOT_A_FILE),
        ("text", Reason.NOT_DICOM),
    ]
    assert not any(one.rows for one in found)


def test_two_files_with_one_sop_instance_uid_are_told_apart(tmp_path: Path) -> None:
    for name, content in {"a": b"A ", "b": b"A ", "c": b"B "}.items():
        (tmp_path / name).write_bytes(raw_instance(group_8=raw(0x00080060, "CS", content)))
    first, same, other = previews(tmp_path, of=profile("basic"))

    assert (first.reason, first.note) == (None, "")
    assert same.note.startswith("the same is among these files already")
    assert other.reason is Reason.DUPLICATE_DIFFERS


def test_a_folder_is_one_study_to_the_gate(tmp_path: Path) -> None:
    ds = instance()
    (tmp_path / "a").write_bytes(file_of(ds))
    ds.SOPInstanceUID, ds.PatientName, ds.Manufacturer = "1.2.3.4.31", "", "Made for Mallory"
    (tmp_path / "b").write_bytes(file_of(ds))

    alone = previews(tmp_path / "b", of=profile("basic"))
    together = previews(tmp_path, of=profile("basic"))

    assert [one.reason for one in alone] == [None]
    assert [one.reason for one in together] == [None, Reason.IDENTITY_FOUND]


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = os.stat(temporary)
    found = one(tmp_path, file_of(instance()))

    assert found.rows
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.dcm", "temporary"]
    assert os.stat(temporary).st_ino == before.st_ino


# What explain says


def asked(text: str, of: Profile, sop_class: str = "") -> list[tuple[str, str, bool]]:
    found = layers(of, attribute_of(parse(text)), sop_class)
    return [(layer.action, layer.origin.split(": ")[0], layer.wins) for layer in found]


def test_every_layer_that_speaks_is_named_and_the_last_one_decides() -> None:
    assert asked("PatientAge", profile("research")) == [
        ("remove", "PS3.15 Table E.1-1, PatientAge", False),
        ("cap-age", "PS3.15 Table E.1-1, PatientAge, retain-patient-characteristics", True),
    ]
    assert [layer[0] for layer in asked("Rows", profile("research"))] == ["keep"]


def test_rules_speak_last_and_conditional_ones_decide_only_sometimes(tmp_path: Path) -> None:
    own = written(
        tmp_path,
        "title: own\nrules:\n- at: StudyDescription\n  do: keep\n"
        "- at: VR:LO\n  do: hash\n  when: {Modality: MR}\n- at: VR:DA\n  do: redact\n",
    )
    found = layers(own, attribute_of(parse("StudyDescription")))

    assert [(layer.action, layer.conditional, layer.wins, layer.rule) for layer in found] == [
        ("remove", False, False, None),
        ("keep", False, True, 0),
        ("hash", True, False, 1),
    ]


@pytest.mark.parametrize("name", ["basic", "research", "neuro-mr", "teaching"])
def test_the_layer_that_wins_is_what_the_table_says(name: str) -> None:
    of = profile(name)
    lines = [line for line in table(of, CT) if line.basic and "x" not in line.tag and "g" not in line.tag]

    for line in lines:
        tag = int(line.tag[1:5] + line.tag[6:10], 16)
        (won,) = [one for one in layers(of, Attribute(tag=tag, vr=line.vr), CT) if one.wins]
        assert won.action == line.action, line
        assert line.rule.startswith(won.origin)


def test_the_type_in_the_iod_counts() -> None:
    assert asked("ContentDate", profile("basic"))[-1][0] == "dummy"
    assert {line.action for line in table(profile("basic"), CT) if line.attribute == "AcquisitionDateTime"} == {
        "remove"
    }
    assert asked("InstitutionName", profile("basic"), CT) != asked("InstitutionName", profile("basic"))


def test_private_attributes_and_paths_can_be_asked_about() -> None:
    text = '(0019,"SIEMENS MR HEADER",0C)'
    assert asked(text, profile("basic")) == [("remove", "PS3.15 Table E.1-1, private Attributes", True)]
    assert asked(text, profile("research"))[-1][:2] == ("keep", "PS3.15 Table E.3.10-1")
    assert str(attribute_of(parse("RequestAttributesSequence > ScheduledProcedureStepID"))) == (
        "RequestAttributesSequence > ScheduledProcedureStepID"
    )
    for several in ("VR:PN", "/Physician/", "(0008,0000)-(0008,0100)"):
        with pytest.raises(SettingError, match="several attributes"):
            attribute_of(parse(several))


@pytest.mark.parametrize(
    ("text", "uid"),
    [
        (CT, CT),
        ("CT", CT),
        ("CTImageStorage", CT),
        ("ct image storage", CT),
        ("enhanced mr", "1.2.840.10008.5.1.4.1.1.4.1"),
    ],
)
def test_a_sop_class_is_found_by_its_uid_its_keyword_or_words(text: str, uid: str) -> None:
    assert sop_class_of(text) == uid


@pytest.mark.parametrize("text", ["x-ray", "1.2.3", "CTImageStorag"])
def test_a_sop_class_that_is_not_one_is_an_error_with_a_hint(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        sop_class_of(text)
    assert caught.value.hint or text == "1.2.3"
