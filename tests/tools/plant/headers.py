"""Identity in the Data Set's own attributes: standard ones, free text, nested, other character sets, odd places."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.tools.plant.items import code, content_item, item
from tests.tools.plant.person import Person
from tests.tools.plant.planted import Planted, path_of

New = Callable[..., Planted]
"""Starts the next file of the set: name, SOP Class, and what Planted takes by keyword."""

_SYNTAXES = {
    "CT": ExplicitVRLittleEndian,
    "MR": ImplicitVRLittleEndian,
    "CR": ExplicitVRBigEndian,
    "PT": DeflatedExplicitVRLittleEndian,
}


def plant_standard(new: New) -> None:
    """The attributes that everybody thinks of, in four modalities and Transfer Syntaxes."""
    for sop, syntax in _SYNTAXES.items():
        f = new(f"std_{sop}", sop, syntax=syntax)
        who = f.person
        f.put_pixels(bits=16)
        f.put("PatientAddress", f"{who.street}, {who.city} {who.zip}", (who.street, who.city))
        f.put("PatientTelephoneNumbers", who.phone)
        f.put("OtherPatientIDs", who.ssn)
        f.put("OtherPatientNames", f"{who.relative}^Alias", (who.relative,))
        f.put("PatientMotherBirthName", who.mother + "^M", (who.mother,))
        f.put("InstitutionName", who.hospital)
        f.put("InstitutionAddress", f"{who.street} {who.city}", (who.street,))
        f.put("StationName", who.station)
        f.put("OperatorsName", who.operator + "^Op", (who.operator,))
        f.put("DeviceSerialNumber", who.serial)
        f.put("InsurancePlanIdentification", who.insurance)
        f.put("PerformedProcedureStepStartDate", who.study_date, action="date_changed")
        moment = who.study_date + "101112.123456+0130"
        f.put("AcquisitionDateTime", moment, (who.study_date + "1011",), "date_changed")
        f.put("PatientAge", "097Y", why="age over 89")
        f.put("BodyPartExamined", "CHEST", action="retained", why="must survive")
        f.put_uid("FrameOfReferenceUID", who.root + ".77.1")


def plant_free_text(new: New) -> None:
    """Names, dates and numbers typed into descriptions and comments."""
    keywords = ("SeriesDescription", "StudyDescription", "ImageComments", "ProtocolName", "PatientComments")
    for keyword in (*keywords, "AdditionalPatientHistory", "RequestedProcedureDescription", "DerivationDescription"):
        f = new("text_" + keyword, "CT")
        who = f.person
        f.put_pixels(bits=16)
        short = {
            "SeriesDescription": f"AX T2 {who.family}",
            "StudyDescription": f"CT CHEST {who.free} {who.mrn}"[:64],
            "ProtocolName": f"THORAX {who.initial}",
        }
        long = f"Lung nodule 4 mm. Pt {who.free} dob {who.iso_birth_date}, tel {who.phone}, "
        value = short.get(keyword, f"{long}ref Dr {who.physician}, see {who.accession}")
        secrets = (who.family, who.family.upper(), who.mrn, who.iso_birth_date, who.phone, who.physician)
        tokens = [token for token in (*secrets, who.accession) if token in value]
        f.put(keyword, value, tokens, "text_removed", why="free text: medical words may stay under Clean Descriptors")


def plant_nested(new: New) -> None:
    """The second item of sequences that are nested 3, 4 and 6 deep."""
    upper = ("RequestAttributesSequence", "ReferencedStudySequence", "PurposeOfReferenceCodeSequence")
    keywords = (*upper, "ReferencedSeriesSequence", "SourceImageSequence", "OtherPatientIDsSequence")
    for depth in (3, 4, 6):
        f = new(f"nested{depth}", "MR")
        who = f.person
        f.put_pixels(bits=16)
        inner, prefix = f.ds, ""
        for keyword in keywords[:depth]:
            below = Dataset()
            setattr(inner, keyword, Sequence([Dataset(), below]))
            inner, prefix = below, f"{prefix}{path_of(keyword)}[1]"
        f.put("PatientName", f"{who.mother}^Deep", (who.mother,), item=inner, prefix=prefix)
        f.put("PatientID", who.ssn, item=inner, prefix=prefix)
        f.put("ContentDate", who.birth_date, action="date_changed", item=inner, prefix=prefix)
        f.put_uid("ReferencedSOPInstanceUID", f.ds.SOPInstanceUID, item=inner, prefix=prefix)


def plant_original_attributes(new: New) -> None:
    """Original Attributes, Digital Signatures, an icon and the Acquisition Context."""
    f = new("origattr", "CT")
    who, ds = f.person, f.ds
    f.put_pixels(bits=16)
    before = Dataset()
    ds.OriginalAttributesSequence = Sequence(
        [
            item(
                AttributeModificationDateTime="20200101",
                ModifyingSystem="X",
                SourceOfPreviousValues="",
                ReasonForTheAttributeModification="COERCE",
                ModifiedAttributesSequence=Sequence([before]),
            )
        ]
    )
    prefix = "(0400,0561)[0](0400,0550)[0]"
    f.put("PatientName", f"{who.mother}^Prev", (who.mother,), item=before, prefix=prefix)
    f.put("PatientID", who.ssn, item=before, prefix=prefix)
    signature = item(MACIDNumber=1, DigitalSignatureUID="1.2.3", DigitalSignatureDateTime="20200101")
    signature.CertificateType, signature.Signature = "X509_1993_SIG", b"\1\2"
    signature.CertificateOfSigner = f"CN={who.operator}".encode()
    ds.DigitalSignaturesSequence = Sequence([signature])
    f.add("(FFFA,FFFA)[0](0400,0115)", who.operator)
    icon = item(Rows=4, Columns=4, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", PixelRepresentation=0)
    icon.BitsAllocated, icon.BitsStored, icon.HighBit = 8, 8, 7
    icon.add_new(0x7FE00010, "OB", b"ICONPHI!ICONPHI!")
    ds.IconImageSequence = Sequence([icon])
    f.add("(0088,0200)[0](7FE0,0010)", "ICONPHI!", kind="bytes")
    ds.AcquisitionContextSequence = Sequence([content_item("TEXT", code("1", "99X", "Context"), TextValue=who.free)])
    f.add("(0040,0555)[0](0040,A160)", who.free)


def plant_character_sets(new: New) -> None:
    """Names in other repertoires, with and without code extensions."""
    for charset, encoding, family, given in (
        ("ISO_IR 100", "latin-1", "Müßgård", "Zoë"),
        ("ISO_IR 192", "utf-8", "Żółwińska", "Łucja"),
        ("GB18030", "gb18030", "王", "小东"),
        ("ISO_IR 144", "iso8859-5", "Люксембург", "Жанна"),
        ("ISO_IR 166", "cp874", "สมศรี", "ใจดี"),
    ):
        f = new("cs_" + charset.replace(" ", ""), "CT", charset=charset)
        f.put_pixels(bits=16)
        free = f"{given} {family}"
        f.put("PatientName", f"{family}^{given}", (family, given), encodings=(encoding,))
        f.put("PatientComments", f"{free} T2", (free,), "text_removed", encodings=(encoding,))
        f.put("InstitutionName", family, encodings=(encoding,))
        f.plants = [p for p in f.plants if p["path"] != "(0010,0010)" or f.person.family not in p["value"]]
    for charset, family, given, encoding in (
        ("ISO 2022 IR 87", "山田", "太郎", "iso2022_jp"),
        ("ISO 2022 IR 149", "김", "희중", "euc_kr"),
    ):
        f = new("cs_" + charset.replace(" ", ""), "CT", charset=["", charset])
        who = f.person
        f.put_pixels(bits=16)
        f.ds.PatientName = value = f"{who.family}^{who.given}={family}^{given}"
        f.plants = [p for p in f.plants if p["path"] != "(0010,0010)"]
        part = given.encode(encoding).replace(b"\x1b$B", b"").replace(b"\x1b(B", b"")
        f.add("(0010,0010)", value, (who.family, who.given), raw=(part,))


def plant_odd_places(new: New) -> None:
    """Identity where no table looks for it: codes, short strings, Code Meaning, undefined lengths, several values."""
    f = new("wrongvr", "CT", expect="any")
    who = f.person
    f.put_pixels(bits=16)
    f.put("PregnancyStatus", 4, ())
    f.put("AcquisitionProtocolDescription", who.email)
    shouted = who.family.upper()[:16]
    f.put("ScanOptions", shouted, why="typed into a CS that Table E.1-1 keeps")
    f.put("FilterType", who.mrn[:16], why="SH kept by the table")
    f.put("ContrastBolusAgent", f"iod {who.free}", (who.free,))
    f.put("KVP", "5550142", action="retained", why="a number that looks like a phone")
    f.put("ImageType", ["ORIGINAL", "PRIMARY", shouted], (shouted,), "text_removed")

    f = new("codemeaning", "CT", expect="any")
    who = f.person
    f.put_pixels(bits=16)
    f.ds.ProcedureCodeSequence = Sequence([code("X1", "99LOCAL", f"CT for {who.free}")])
    f.add("(0008,1032)[0](0008,0104)", who.free, why="inside Code Meaning of a kept sequence")
    scheme = item(CodingSchemeDesignator="99LOCAL", CodingSchemeUID="1.2.840.10008.2.16.4")
    scheme.CodingSchemeResponsibleOrganization = who.hospital
    f.ds.CodingSchemeIdentificationSequence = Sequence([scheme])
    f.add("(0008,0110)[0](0008,010C)", "1.2.840.10008.2.16.4", action="uid_kept", kind="uid")
    f.add("(0008,0110)[0](0008,0116)", who.hospital)

    f = new("undeflen", "CT")
    who = f.person
    f.put_pixels(bits=16)
    patient = item(PatientName=who.mother + "^U")
    patient.is_undefined_length_sequence_item = True
    f.ds.ReferencedPatientSequence = Sequence([patient])
    f.ds["ReferencedPatientSequence"].is_undefined_length = True
    f.add("(0008,1120)[0](0010,0010)", who.mother)
    f.put("OtherPatientNames", [who.relative + "^A", who.operator + "^B"], (who.relative, who.operator))


def plant_one_patient(who: Person, start: Callable[[Planted], Planted]) -> None:
    """One patient, four Instances in two Studies that refer to each other."""
    for number in range(4):
        f = start(Planted(f"multi/study{number // 2}/im{number}.dcm", "MR", who, index=number * 2))
        f.put_pixels(bits=16)
        f.put_uid("FrameOfReferenceUID", who.root + ".99")
        image = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.4")
        f.put_uid("ReferencedSOPInstanceUID", f"{who.root}.1.1.1", item=image, prefix="(0008,1140)[0]")
        f.ds.ReferencedImageSequence = Sequence([image])
