"""Small DICOM files for a test, each made from a few words."""

from __future__ import annotations

import io
import warnings

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.8.498.77"
CT = "1.2.840.10008.5.1.4.1.1.2"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def study_uid(study: int) -> str:
    return f"{ROOT}.{study}"


def series_uid(study: int, series: int = 1) -> str:
    return f"{ROOT}.{study}.{series}"


def sop_uid(study: int, number: int, series: int = 1) -> str:
    return f"{ROOT}.{study}.{series}.{number}"


def instance(
    study: int = 1,
    number: int = 1,
    *,
    series: int = 1,
    patient: str = "PAT-0815",
    side: int = 8,
    sop_class: str = CT,
    whole: bool = True,
    **attributes: object,
) -> bytes:
    """One CT slice. Without ``whole`` it has no preamble and no file meta, as old archives export it."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = UID(sop_class), UID(sop_uid(study, number, series))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = UID(study_uid(study)), UID(series_uid(study, series))
    ds.StudyDate = ds.SeriesDate = "20230517"
    ds.StudyTime, ds.AccessionNumber, ds.Modality = "101112", f"ACCNO-{study:05d}", "CT"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Vandermeulen^Ottokar", patient, "19511103"
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = f"STID{study:04d}", series, number
    ds.Rows = ds.Columns = side
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes((number + place) % 251 for place in range(min(side * side * 2, 4096))).ljust(
        side * side * 2, b"\0"
    )
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return encoded(ds, whole=whole)


def encoded(ds: Dataset, *, whole: bool = True) -> bytes:
    """A Data Set as the bytes of a file."""
    out = io.BytesIO()
    if not whole:
        dcmwrite(out, ds, implicit_vr=True, little_endian=True)
        return out.getvalue()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", UID(CT))
    meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", UID(ROOT))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def directory() -> bytes:
    """A DICOMDIR, which names a patient."""
    ds, record = Dataset(), Dataset()
    record.OffsetOfTheNextDirectoryRecord, record.RecordInUseFlag = 0, 0xFFFF
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = "PATIENT"
    record.PatientName, record.PatientID = "Vandermeulen^Ottokar", "PAT-0815"
    ds.FileSetID = "DISC"
    ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    ds.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    ds.FileSetConsistencyFlag = 0
    ds.DirectoryRecordSequence = [record]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.1.3.10")
    meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.0")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def read(content: bytes) -> Dataset:
    """The Data Set of a file."""
    return dcmread(io.BytesIO(content), force=True)
