"""Made-up objects of the kinds that the gallery's profiles are for, all of one patient."""

from __future__ import annotations

import struct

from pydicom import Dataset
from pydicom.sequence import Sequence

from tests.support import CT, MR
from tests.tools.plant.items import code, content_item, item

REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
PET, RTSTRUCT, RTPLAN = "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.481.5"
ROOT = "1.2.826.0.1.3680043.8.498.77"
PIXELS = bytes(range(64)) * 2


def instance(sop_class: str, number: int, **attributes: object) -> Dataset:
    """An object of the patient Zyqor^Halvard with these attributes, in a Study of its own number of tens."""
    ds = item(SOPClassUID=sop_class, SOPInstanceUID=f"{ROOT}.{number}", StudyInstanceUID=f"{ROOT}.1.{number // 10}")
    ds.SeriesInstanceUID, ds.FrameOfReferenceUID = f"{ROOT}.2.{number}", f"{ROOT}.3"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Zyqor^Halvard", "MRN77Q12345", "19410307", "F"
    ds.PatientAge, ds.PatientSize, ds.PatientWeight = "078Y", "1.68", "71.5"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20190614", "101500", "ACC88K", "7"
    ds.SeriesNumber = number
    ds.ReferringPhysicianName, ds.Manufacturer, ds.ManufacturerModelName = "Wolpex^Dri", "SIEMENS", "Prisma"
    ds.DeviceSerialNumber, ds.StationName, ds.InstitutionName = "SN35119", "MRC35119", "Fosgyr Memorial"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def image(sop_class: str, number: int, **attributes: object) -> Dataset:
    """An object with 8 by 8 pixels."""
    ds = instance(sop_class, number, Rows=8, Columns=8, BitsAllocated=16, BitsStored=12, HighBit=11, SamplesPerPixel=1)
    ds.PhotometricInterpretation, ds.PixelRepresentation, ds.PixelSpacing = "MONOCHROME2", 0, ["2", "2"]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = ["0", "0", "5"], ["1", "0", "0", "0", "1", "0"]
    ds.ImageType, ds.SliceThickness, ds.InstanceNumber = ["ORIGINAL", "PRIMARY"], "2", 1
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.add_new(0x7FE00010, "OW", PIXELS)
    return ds


def csa(*tags: tuple[str, str, list[str]]) -> bytes:
    """A CSA header of the second kind: name, VR and values of each tag. Not in the standard; as converters read it."""
    out = b"SV10\4\3\2\1" + struct.pack("<II", len(tags), 77)
    for name, vr, values in tags:
        out += struct.pack("<64si4siii", name.encode(), 1, vr.encode(), 0, len(values), 77)
        for value in values:
            text = value.encode() + b"\0"
            out += struct.pack("<iiii", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return out + b"\0" * (len(out) % 2)


def siemens(number: int, **attributes: object) -> Dataset:
    ds = image(MR, number, SeriesDescription="T1 MPRAGE sag Zyqor", ProtocolName="t1_mprage", SequenceName="*tfl3d1")
    ds.Modality, ds.RepetitionTime, ds.EchoTime, ds.MagneticFieldStrength = "MR", "2300", "2.98", "3"
    ds.ScanningSequence, ds.SequenceVariant, ds.AcquisitionTime = "GR", "SK", "101612.5"
    ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    ds.add_new(0x0019100C, "IS", "1000")
    ds.add_new(0x00191029, "FD", [0.0, 1150.0])
    ds.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    head = csa(("EchoLinePosition", "IS", ["64"]), ("PatientName", "LO", ["Halvard Zyqor, MRN77Q12345"]))
    ds.add_new(0x00291010, "OB", head)
    protocol = "### ASCCONV BEGIN ###\nsKSpace.lBaseResolution = 256\ntSerial = SN35119\n### ASCCONV END ###\n"
    ds.add_new(0x00291020, "OB", csa(("MrPhoenixProtocol", "UN", [protocol + "x" * 90_000])))
    ds.add_new(0x00990010, "LO", "SOMEBODY ELSE")
    ds.add_new(0x00991001, "LO", "anything")
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def pet(number: int) -> Dataset:
    drug = item(Radiopharmaceutical="FDG", RadiopharmaceuticalStartTime="091203.25", RadionuclideTotalDose="3.71e8")
    drug.RadionuclideHalfLife, drug.RadionuclidePositronFraction = "6586.2", "0.97"
    drug.RadiopharmaceuticalStartDateTime = "20190614091203.25+0200"
    drug.RadionuclideCodeSequence = Sequence([code("C-111A1", "SRT", "^18^Fluorine")])
    ds = image(PET, number, Modality="PT", Units="BQML", DecayCorrection="START", CorrectedImage=["ATTN", "DECY"])
    ds.SeriesDate, ds.SeriesTime, ds.AcquisitionDate, ds.AcquisitionTime = "20190614", "101500", "20190614", "101733"
    ds.RescaleSlope, ds.RescaleIntercept, ds.DecayFactor, ds.FrameReferenceTime = "1.732", "0", "1.0412", "30000"
    ds.SeriesType, ds.CountsSource, ds.ActualFrameDuration = ["STATIC", "IMAGE"], "EMISSION", "120000"
    ds.RadiopharmaceuticalInformationSequence = Sequence([drug])
    ds.add_new(0x70530010, "LO", "Philips PET Private Group")
    ds.add_new(0x70531000, "DS", "0.000551")
    ds.add_new(0x70531009, "DS", "1.98")
    return ds


def therapy() -> list[Dataset]:
    """A planning CT, and a Structure Set and a plan of other Studies that refer to it."""
    scan = image(CT, 10, Modality="CT")
    contour = item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=scan.SOPInstanceUID)
    series = item(SeriesInstanceUID=scan.SeriesInstanceUID, ContourImageSequence=Sequence([contour]))
    study = item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=scan.StudyInstanceUID)
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = item(FrameOfReferenceUID=f"{ROOT}.3", RTReferencedStudySequence=Sequence([study]))
    region = item(ROINumber=1, ReferencedFrameOfReferenceUID=f"{ROOT}.3", ROIName="GTV node Zyqor")
    region.ROIGenerationAlgorithm = "MANUAL"
    structures = instance(RTSTRUCT, 20, Modality="RTSTRUCT", StructureSetLabel="Pelvis Zyqor", StructureSetTime="10")
    structures.StructureSetDate = "20190617"
    structures.ReferencedFrameOfReferenceSequence = Sequence([frame])
    structures.StructureSetROISequence = Sequence([region])
    plan = instance(RTPLAN, 30, Modality="RTPLAN", RTPlanLabel="Prostate IMRT", RTPlanDate="20190620", RTPlanTime="10")
    beam = item(BeamNumber=1, BeamName="arc 1 Zyqor", TreatmentMachineName="LINAC Fosgyr", RadiationType="PHOTON")
    plan.BeamSequence, plan.RTPlanGeometry = Sequence([beam]), "PATIENT"
    reference = item(ReferencedSOPClassUID=RTSTRUCT, ReferencedSOPInstanceUID=structures.SOPInstanceUID)
    plan.ReferencedStructureSetSequence = Sequence([reference])
    return [scan, structures, plan]


def dose_report(number: int) -> Dataset:
    """A structured report of a dose that names who signed it."""
    ds = instance(REPORT, number, Modality="SR", ContentDate="20190614", ContentTime="101500", ValueType="CONTAINER")
    ds.SeriesNumber, ds.InstanceNumber, ds.CompletionFlag, ds.VerificationFlag = 1, 1, "COMPLETE", "UNVERIFIED"
    ds.ConceptNameCodeSequence, ds.ContinuityOfContent = Sequence([code("113701", "DCM", "Dose Report")]), "SEPARATE"
    dose = item(NumericValue="12.5", MeasurementUnitsCodeSequence=Sequence([code("mGy", "UCUM", "mGy")]))
    ds.ContentSequence = Sequence(
        [
            content_item("NUM", code("113830", "DCM", "Mean CTDIvol"), MeasuredValueSequence=Sequence([dose])),
            content_item("PNAME", code("121008", "DCM", "Person Observer Name"), PersonName="Wolpex^Dri"),
            content_item("TEXT", code("121106", "DCM", "Comment"), TextValue="Halvard Zyqor was calm"),
        ]
    )
    return ds
