"""Objects that refer to each other do so afterwards, over files, Studies and runs; what points nowhere is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.acceptance.house import House
from tests.acceptance.studies import CT, encoded, instance, read, series_uid, sop_uid, study_uid

STORAGE = "1.2.840.10008.5.1.4.1.1."
RTDOSE, RTSTRUCT, RTPLAN = (STORAGE + f"481.{kind}" for kind in (2, 3, 5))
SEGMENTATION, PRESENTATION, ECG = STORAGE + "66.4", STORAGE + "11.1", STORAGE + "9.1.1"
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
FRAME = "1.2.826.0.1.3680043.8.498.77.9.9"
SLICES = 4
STRUCT, SEG, STATE, PLAN, DOSE, CURVES = range(50, 56)  # instance numbers


def ct(study: int, number: int) -> bytes:
    return instance(study, number, FrameOfReferenceUID=UID(FRAME))


def referred(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(sop_class), UID(uid)
    return item


def slices(study: int) -> list[Dataset]:
    return [referred(CT, sop_uid(study, number)) for number in range(1, SLICES + 1)]


def series(study: int) -> Dataset:
    """An item of an RT Referenced Series Sequence, with every slice."""
    item = Dataset()
    item.SeriesInstanceUID = UID(series_uid(study))
    item.ContourImageSequence = slices(study)
    return item


def linked(study: int, number: int, sop_class: str, modality: str) -> Dataset:
    """An object of the same patient without pixels, in a Series of its own."""
    ds = read(instance(study, number, series=number, sop_class=sop_class))
    for keyword in ("ImageType", "PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(ds, keyword)
    for keyword in ("PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"):
        delattr(ds, keyword)
    ds.Modality, ds.FrameOfReferenceUID = modality, UID(FRAME)
    return ds


def structures(study: int, of: int) -> Dataset:
    ds = linked(study, STRUCT, RTSTRUCT, "RTSTRUCT")
    of_study = referred(STUDY_CLASS, study_uid(of))
    of_study.RTReferencedSeriesSequence = [series(of)]
    frame = Dataset()
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = UID(FRAME), [of_study]
    region = Dataset()
    region.ROINumber, region.ReferencedFrameOfReferenceUID = 1, UID(FRAME)
    region.ROIName, region.ROIGenerationAlgorithm = "LUNG", "MANUAL"
    outline = Dataset()
    outline.ReferencedROINumber, outline.ContourSequence = 1, []
    for one in slices(of):
        contour = Dataset()
        contour.ContourImageSequence = [one]
        contour.ContourGeometricType, contour.NumberOfContourPoints = "POINT", 1
        contour.ContourData = [1, 2, 3]
        outline.ContourSequence.append(contour)
    ds.StructureSetLabel = "S"
    ds.ReferencedFrameOfReferenceSequence, ds.StructureSetROISequence = [frame], [region]
    ds.ROIContourSequence = [outline]
    return ds


def segmentation(study: int, of: int) -> Dataset:
    ds = read(instance(study, SEG, series=SEG, sop_class=SEGMENTATION))
    ds.Modality, ds.FrameOfReferenceUID, ds.NumberOfFrames = "SEG", UID(FRAME), 1
    ds.SegmentationType = "BINARY"
    whole = Dataset()
    whole.SeriesInstanceUID, whole.ReferencedInstanceSequence = UID(series_uid(of)), slices(of)
    ds.ReferencedSeriesSequence = [whole]
    ds.PerFrameFunctionalGroupsSequence = []
    for one in slices(of):
        frame, derived = Dataset(), Dataset()
        derived.SourceImageSequence = [one]
        frame.DerivationImageSequence = [derived]
        ds.PerFrameFunctionalGroupsSequence.append(frame)
    return ds


def presentation(study: int, of: int) -> Dataset:
    ds = linked(study, STATE, PRESENTATION, "PR")
    whole = Dataset()
    whole.SeriesInstanceUID, whole.ReferencedImageSequence = UID(series_uid(of)), slices(of)
    ds.ContentLabel, ds.ReferencedSeriesSequence = "STATE", [whole]
    return ds


def plan(study: int) -> Dataset:
    ds = linked(study, PLAN, RTPLAN, "RTPLAN")
    ds.RTPlanLabel, ds.RTPlanGeometry = "P", "PATIENT"
    ds.ReferencedStructureSetSequence = [referred(RTSTRUCT, sop_uid(study, STRUCT, STRUCT))]
    return ds


def dose(study: int) -> Dataset:
    ds = read(instance(study, DOSE, series=DOSE, sop_class=RTDOSE))
    ds.Modality, ds.FrameOfReferenceUID = "RTDOSE", UID(FRAME)
    ds.DoseUnits, ds.DoseType, ds.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    ds.ReferencedRTPlanSequence = [referred(RTPLAN, sop_uid(study, PLAN, PLAN))]
    return ds


def waveform(study: int, of: int) -> Dataset:
    ds = linked(study, CURVES, ECG, "ECG")
    ds.ReferencedInstanceSequence = slices(of)
    return ds


def drop(house: House, *objects: Dataset) -> None:
    for ds in objects:
        house.drop(f"{ds.SOPInstanceUID}", encoded(ds))


def drop_ct(house: House, study: int) -> None:
    for number in range(1, SLICES + 1):
        house.drop(f"ct/{study}/{number}", ct(study, number))


def delivered(house: House) -> list[Dataset]:
    return [read(content) for content in house.delivered().values()]


def elements(ds: Dataset) -> Iterator[tuple[str, str]]:
    """Every attribute and its value, at every depth."""
    for one in ds.iterall():
        if one.VR != "SQ":
            yield one.keyword, str(one.value)


def values(ds: Dataset, keyword: str) -> set[str]:
    return {value for found, value in elements(ds) if found == keyword}


def unresolved(house: House) -> int:
    said: int = house.line()["references_unresolved"]
    return said


def check_all_resolve(results: list[Dataset]) -> None:
    """Every UID that refers is one of those that were delivered."""
    instances = {str(ds.SOPInstanceUID) for ds in results}
    studies = {str(ds.StudyInstanceUID) for ds in results}
    all_series = {str(ds.SeriesInstanceUID) for ds in results}
    [frame] = {str(ds.FrameOfReferenceUID) for ds in results}
    for ds in results:
        assert values(ds, "ReferencedSOPInstanceUID") <= instances | studies
        assert values(ds, "SeriesInstanceUID") <= all_series
        assert values(ds, "FrameOfReferenceUID") | values(ds, "ReferencedFrameOfReferenceUID") == {frame}


def by_class(results: list[Dataset]) -> dict[str, Dataset]:
    return {str(ds.SOPClassUID): ds for ds in results if ds.SOPClassUID != CT}


@pytest.fixture(params=["basic", "research"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path / "house", profile=request.param)


@pytest.mark.parametrize("of", [1, 2], ids=["of the same Study", "of another Study"])
def test_what_refers_to_slices_of_an_earlier_run_still_does(house: House, of: int) -> None:
    drop_ct(house, of)
    house.deliver()
    drop(house, structures(1, of), segmentation(1, of), presentation(1, of), plan(1), dose(1), waveform(1, of))
    house.deliver()

    results = delivered(house)
    assert len(results) == SLICES + 6
    check_all_resolve(results)
    assert unresolved(house) == 0

    cts = {str(ds.SOPInstanceUID) for ds in results if ds.SOPClassUID == CT}
    [ct_study] = {str(ds.StudyInstanceUID) for ds in results if ds.SOPClassUID == CT}
    found = by_class(results)
    assert values(found[RTSTRUCT], "ReferencedSOPInstanceUID") == cts | {ct_study}
    for kind in (SEGMENTATION, PRESENTATION, ECG):
        assert values(found[kind], "ReferencedSOPInstanceUID") == cts
    assert values(found[RTPLAN], "ReferencedSOPInstanceUID") == {str(found[RTSTRUCT].SOPInstanceUID)}
    assert values(found[RTDOSE], "ReferencedSOPInstanceUID") == {str(found[RTPLAN].SOPInstanceUID)}


def test_what_comes_before_its_target_is_counted_until_the_target_comes(house: House) -> None:
    drop(house, dose(1))
    house.deliver()
    assert unresolved(house) == 1  # the plan
    drop(house, plan(1))
    house.deliver()
    assert unresolved(house) == 1  # the structures
    drop(house, structures(1, 2), segmentation(1, 2), presentation(1, 2))
    house.deliver()
    assert unresolved(house) == SLICES + 1  # of another Study, and that Study
    assert house.rows("SELECT missing FROM references_unresolved") == [(SLICES + 1,)]

    house.drop("one slice", ct(2, 1))
    house.deliver()
    assert unresolved(house) == SLICES - 1
    drop_ct(house, 2)
    house.deliver()

    assert unresolved(house) == 0
    assert house.rows("SELECT * FROM references_unresolved") == []
    check_all_resolve(delivered(house))


def test_what_was_set_aside_was_not_delivered_and_repeats_change_nothing(house: House) -> None:
    drop_ct(house, 1)
    cut = ct(1, SLICES)[:-20]
    house.drop(f"ct/1/{SLICES}", cut)
    drop(house, segmentation(1, 1))
    house.deliver(expect=3)
    assert unresolved(house) == 1

    drop(house, segmentation(1, 1))
    house.deliver()
    assert unresolved(house) == 1

    drop_ct(house, 1)
    house.deliver()
    assert unresolved(house) == 0


def test_the_ledger_holds_new_uids_of_references_only(house: House) -> None:
    drop(house, structures(1, 2), plan(1))
    house.deliver()

    new = {uid for (uid,) in house.rows("SELECT sop_uid FROM dangling")}
    results = delivered(house)
    assert new == set().union(*(values(ds, "ReferencedSOPInstanceUID") for ds in results)) - {
        str(ds.SOPInstanceUID) for ds in results
    }
    assert all(uid.startswith("2.25.") for uid in new)
