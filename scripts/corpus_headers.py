"""The headers of the corpus: what scanners write, with identity in it, and none of a real patient."""

from __future__ import annotations

import random

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

ROOT_UID = "1.2.826.0.1.3680043.8.498."
_STUDY_SOP, _PATIENT_SOP = "1.2.840.10008.3.1.2.3.1", "1.2.840.10008.3.1.2.1.1"
_DAY = "20260102"
_HOSPITAL = "St. Elsewhere Hospital"

_PATIENT = {
    **{"PatientName": "M\xfcller^Anna Maria^^Dr.", "PatientID": "MRN-00471123", "IssuerOfPatientID": "ST-ELSEWHERE"},
    **{"PatientBirthDate": "19590612", "PatientSex": "F", "PatientAge": "066Y", "PatientSize": "1.68"},
    **{"PatientWeight": "71.5", "OtherPatientIDs": ["OLD-771", "EXT-99182"], "OtherPatientNames": "Schmidt^Anna"},
    **{"PatientAddress": "12 Example Street^Springfield", "PatientTelephoneNumbers": "+1 555 0100"},
    **{"EthnicGroup": "unknown", "Occupation": "Engineer", "MedicalAlerts": "PACEMAKER", "Allergies": "IODINE"},
    **{"PatientComments": "Allergic to contrast; call Dr. Jones", "PregnancyStatus": 1},
    **{"AdditionalPatientHistory": "History of nodule seen by Dr. Jones on 2019-02-03"},
}
_STUDY = {
    **{"StudyID": "ST4711", "AccessionNumber": "A20260102334", "StudyDate": _DAY, "SeriesDate": _DAY},
    **{"AcquisitionDate": _DAY, "ContentDate": _DAY, "StudyTime": "101112.123", "SeriesTime": "101512.000"},
    **{"AcquisitionTime": "101513.441000", "ContentTime": "101514.2", "AcquisitionDateTime": _DAY + "101513.441000"},
    **{"InstanceCreationDate": _DAY, "InstanceCreationTime": "101515.5", "InstanceCreatorUID": ROOT_UID + "99.1"},
    **{"TimezoneOffsetFromUTC": "+0100", "Manufacturer": "SIEMENS", "ManufacturerModelName": "SOMATOM Force"},
    **{"InstitutionName": _HOSPITAL, "InstitutionAddress": "1 Hospital Way, Springfield"},
    **{"InstitutionalDepartmentName": "Radiology", "StationName": "CTAWP71234", "DeviceSerialNumber": "71234"},
    **{"SoftwareVersions": ["syngo CT VA50A", "P30"], "ReferringPhysicianName": "Jones^Indiana"},
    **{"PerformingPhysicianName": "Brown^Emmett", "PhysiciansOfRecord": ["Jones^Indiana", "Grey^Meredith"]},
    **{"OperatorsName": "Tech^Terry", "NameOfPhysiciansReadingStudy": "House^Gregory"},
    **{"RequestingPhysician": "Jones^Indiana", "StudyDescription": "CT Thorax mit KM"},
    **{"ProtocolName": "Thorax_Routine (Adult)", "RequestedProcedureDescription": "CT Thorax"},
    **{"PerformedProcedureStepDescription": "CT Thorax", "PerformedProcedureStepID": "PPS991"},
    **{"PerformedProcedureStepStartDate": _DAY, "PerformedProcedureStepStartTime": "101000", "AdmissionID": "ADM-1"},
}
_IMAGE = {
    **{"AcquisitionNumber": 1, "ImageComments": "ok", "PositionReferenceIndicator": "", "SliceThickness": "1.25"},
    **{"ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"], "PixelSpacing": ["0.681641", "0.681641"]},
    **{"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 12},
    **{"HighBit": 11, "PixelRepresentation": 0, "SmallestImagePixelValue": 0, "LargestImagePixelValue": 4095},
    **{"WindowCenter": ["40", "-600"], "WindowWidth": ["400", "1200"], "RescaleIntercept": "-1024"},
    **{"WindowCenterWidthExplanation": ["WINDOW1", "WINDOW2"], "RescaleSlope": "1", "RescaleType": "HU"},
    **{"BurnedInAnnotation": "NO", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]},
    **{"LossyImageCompression": "00", "PatientPosition": "HFS", "BodyPartExamined": "CHEST"},
}
_CT = {
    **{"KVP": "120", "DataCollectionDiameter": "500", "ReconstructionDiameter": "349", "TableHeight": "151"},
    **{"DistanceSourceToDetector": "1085.6", "DistanceSourceToPatient": "595", "GantryDetectorTilt": "0"},
    **{"RotationDirection": "CW", "ExposureTime": "500", "XRayTubeCurrent": "187", "Exposure": "93"},
    **{"FilterType": "WEDGE_3", "GeneratorPower": "22", "FocalSpots": "1.2", "ConvolutionKernel": "Br40d"},
    **{"DateOfLastCalibration": "20251230", "TimeOfLastCalibration": "041500", "SingleCollimationWidth": 0.6},
    **{"TotalCollimationWidth": 57.6, "TableSpeed": 172.8, "TableFeedPerRotation": 86.4, "SpiralPitchFactor": 1.5},
    **{"EstimatedDoseSaving": 12.0, "CTDIvol": 6.31, "DataCollectionCenterPatient": [0.0, -139.7, -500.0]},
    **{"ScanOptions": "SPIRAL", "ContrastBolusAgent": "Ultravist", "ContrastBolusVolume": "80"},
    **{"IrradiationEventUID": ROOT_UID + "60.1"},
}
_MR = {
    **{"ScanningSequence": "SE", "SequenceVariant": "SK", "MRAcquisitionType": "2D", "SequenceName": "*se2d1"},
    **{"AngioFlag": "N", "RepetitionTime": "420", "EchoTime": "8.4", "NumberOfAverages": "2", "FlipAngle": "90"},
    **{"ImagingFrequency": "63.68", "ImagedNucleus": "1H", "EchoNumbers": "1", "MagneticFieldStrength": "1.5"},
    **{"SpacingBetweenSlices": "6", "NumberOfPhaseEncodingSteps": "205", "EchoTrainLength": "1", "SAR": "0.42"},
    **{"PercentSampling": "80", "PercentPhaseFieldOfView": "100", "PixelBandwidth": "130", "dBdt": "0"},
    **{"TransmitCoilName": "Body", "AcquisitionMatrix": [0, 256, 205, 0], "VariableFlipAngleFlag": "N"},
    **{"InPlanePhaseEncodingDirection": "ROW"},
}
_GE_PARAMETERS = (
    *((0x10, "US", 400), (0x12, "SS", 1), (0x16, "SS", 2), (0x1E, "DS", "2.000"), (0x25, "SS", [0] * 6)),
    *((0x27, "SH", "/1.5:1"), (0x4D, "FL", 0.0), (0x4E, "FL", 10.02)),
)


def uid(*parts: int) -> str:
    """A UID below the corpus's own root."""
    return ROOT_UID + ".".join(str(part) for part in parts)


def item(**attributes: object) -> Dataset:
    """A Data Set or an item with these attributes, by keyword."""
    return _fill(Dataset(), attributes)


def _fill(ds: Dataset, attributes: dict[str, object]) -> Dataset:
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    return Sequence([item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)])


def _reference(sop_class: str, instance: str) -> Dataset:
    return item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=instance)


def patient_and_study(ds: Dataset, study: int) -> None:
    """Who, when, where and by whom, at the top level and nested."""
    ds.SpecificCharacterSet = "ISO_IR 100"
    _fill(ds, {**_PATIENT, **_STUDY})
    ds.StudyInstanceUID = uid(10, study)
    others = (("OLD-771", "CLINIC-B"), ("EXT-99182", "CLINIC-C"))
    ds.OtherPatientIDsSequence = Sequence(
        [item(PatientID=other, IssuerOfPatientID=issuer, TypeOfPatientID="TEXT") for other, issuer in others]
    )
    ds.ReferencedStudySequence = Sequence([_reference(_STUDY_SOP, uid(10, study))])
    ds.ReferencedPatientSequence = Sequence([_reference(_PATIENT_SOP, uid(11, study))])
    ds.ProcedureCodeSequence = _code("RPID16", "RADLEX", "CT CHEST WITH CONTRAST")
    request = item(ScheduledProcedureStepDescription="CT Thorax", ScheduledProcedureStepID="SPS1")
    request.RequestedProcedureID, request.AccessionNumber = "RP1", ds.AccessionNumber
    request.StudyInstanceUID = ds.StudyInstanceUID
    request.ScheduledProtocolCodeSequence = _code("RPID16", "RADLEX", "CT CHEST WITH CONTRAST")
    request.ReferencedStudySequence = Sequence([_reference(_STUDY_SOP, uid(10, study))])
    ds.RequestAttributesSequence = Sequence([request])
    operator = item(InstitutionName=_HOSPITAL, PersonIdentificationCodeSequence=_code("OP7", "99LOCAL", "Terry Tech"))
    ds.OperatorIdentificationSequence = Sequence([operator])


def image_header(
    ds: Dataset, study: int, *, modality: str, series: int, number: int, files: int, rows: int, columns: int
) -> None:
    """Where the image lies, how it is stored, and which images it was made of."""
    _fill(ds, {**_IMAGE, "Modality": modality, "Rows": rows, "Columns": columns, "SeriesNumber": series})
    ds.SeriesInstanceUID, ds.SOPInstanceUID = uid(20, study, series), uid(30, study, series, number)
    ds.FrameOfReferenceUID, ds.InstanceNumber = uid(40, study), number + 1
    ds.SeriesDescription = f"Thorax 1.0 Br{40 + series}"
    ds.SliceLocation = f"{-500 + number * 1.25:.2f}"
    ds.ImagePositionPatient = ["-170.5", "-311.25", ds.SliceLocation]
    sources = [_reference(ds.SOPClassUID, uid(30, study, 0, max(0, number - before))) for before in range(3)]
    for source in sources:
        purpose = "Source image for image processing operation"
        source.PurposeOfReferenceCodeSequence = _code("121322", "DCM", purpose)
    ds.SourceImageSequence = Sequence(sources)
    images = [_reference(ds.SOPClassUID, uid(30, study, 0, at)) for at in (0, files // 2)]
    ds.ReferencedImageSequence = Sequence(images)


def private_blocks(ds: Dataset, number: int, rng: random.Random) -> None:
    """Blocks of two makers, with names, UIDs and a sequence in them."""
    block = ds.private_block(0x0019, "SIEMENS CT VA0  COAD", create=True)
    for element, vr, value in (
        (0x92, "IS", "4"),
        (0xA0, "IS", "7"),
        (0xB0, "DS", "1.25"),
        (0xB1, "LO", "Anna M\xfcller"),
    ):
        block.add_new(element, vr, value)
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x08, "CS", "SPIRAL")
    block.add_new(0x09, "LO", _DAY)
    block.add_new(0x10, "OB", rng.randbytes(4096))
    block.add_new(0x20, "OB", rng.randbytes(2048))
    block = ds.private_block(0x0009, "GEMS_IDEN_01", create=True)
    block.add_new(0x01, "LO", "GE_GENESIS_FF")
    block.add_new(0x27, "SL", 862399669)
    block.add_new(0xE3, "UI", uid(50, number))
    block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
    for element, vr, parameter in _GE_PARAMETERS:
        block.add_new(element, vr, parameter)
    hidden = item(PatientName="Hidden^Name", StudyInstanceUID=uid(10, 0))
    block.add_new(0x60, "SQ", Sequence([hidden]))


def ct_parameters(ds: Dataset) -> None:
    """How a CT was made."""
    _fill(ds, dict(_CT))
    ds.CTDIPhantomTypeCodeSequence = _code("113691", "DCM", "IEC Body Dosimetry Phantom")


def mr_parameters(ds: Dataset) -> None:
    """How an MR was made."""
    _fill(ds, dict(_MR))
