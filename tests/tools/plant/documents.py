"""Identity in what an object says: structured reports, documents, waveforms, contours, frames, key objects."""

from __future__ import annotations

import zlib

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.tools.plant.headers import New
from tests.tools.plant.items import code, content_item, item
from tests.tools.plant.person import Person
from tests.tools.plant.planted import SOP_CLASSES, Planted


def plant_reports(new: New) -> None:
    """Structured reports, with content items one and four deep, and with an author."""
    for kind in ("basic", "deep", "observer"):
        f = new("sr_" + kind, "SR", expect="needs-policy")
        who, ds = f.person, f.ds
        ds.ValueType, ds.ContinuityOfContent, ds.CompletionFlag = "CONTAINER", "SEPARATE", "COMPLETE"
        ds.VerificationFlag, ds.ContentDate, ds.ContentTime = "VERIFIED", who.study_date, "10"
        ds.ConceptNameCodeSequence = Sequence([code("126000", "DCM", "Imaging Report")])
        verifier = item(VerifyingObserverName=who.physician + "^V", VerifyingOrganization=who.hospital)
        verifier.VerificationDateTime = who.study_date
        verifier.VerifyingObserverIdentificationCodeSequence = Sequence([])
        ds.VerifyingObserverSequence = Sequence([verifier])
        f.add("(0040,A073)[0](0040,A075)", who.physician)
        f.add("(0040,A073)[0](0040,A027)", who.hospital)
        _content_tree(f, 3 if kind == "deep" else 0)
        if kind == "observer":
            author = item(ObserverType="PSN", PersonName=who.relative + "^A", InstitutionName=who.hospital)
            ds.AuthorObserverSequence = Sequence([author])
            f.add("(0040,A078)[0](0040,A123)", who.relative)


def _content_tree(f: Planted, depth: int) -> None:
    items = []
    for number, (value_type, concept, keyword, tag, value, tokens) in enumerate(_leaves(f.person)):
        items.append(content_item(value_type, concept, **{keyword: value}))
        action = "uid_changed" if value_type == "UIDREF" else "removed"
        f.add("(0040,A730)[0]" * depth + f"(0040,A730)[{number}]" + tag, value, tokens, action, kind="sr")
    unit = Sequence([code("mm", "UCUM", "millimeter")])
    measured = item(NumericValue="4.2", MeasurementUnitsCodeSequence=unit)
    diameter = code("M-02550", "SRT", "Diameter")
    items.append(content_item("NUM", diameter, MeasuredValueSequence=Sequence([measured])))
    for _ in range(depth):
        findings = content_item("CONTAINER", code("121070", "DCM", "Findings"), ContinuityOfContent="SEPARATE")
        findings.ContentSequence = Sequence(items)
        items = [findings]
    f.ds.ContentSequence = Sequence(items)


def _leaves(who: Person) -> list[tuple[str, Dataset, str, str, str, tuple[str, ...]]]:
    """Value Type, concept, keyword, tag, value and tokens of each content item that identifies."""
    tracking, begun = who.root + ".5.5", who.study_date + "1111"

    def dcm(value: str, meaning: str) -> Dataset:
        return code(value, "DCM", meaning)

    seen = f"{who.free} seen {who.iso_birth_date}"
    observer, birth = dcm("121008", "Person Observer Name"), dcm("121031", "Subject Birth Date")
    identifier, started = dcm("112040", "Tracking Unique Identifier"), dcm("111526", "DateTime Started")
    return [
        ("TEXT", dcm("121106", "Comment"), "TextValue", "(0040,A160)", seen, (who.free, who.iso_birth_date)),
        ("PNAME", observer, "PersonName", "(0040,A123)", who.operator + "^O", (who.operator,)),
        ("DATE", birth, "Date", "(0040,A121)", who.birth_date, (who.birth_date,)),
        ("UIDREF", identifier, "UID", "(0040,A124)", tracking, (tracking,)),
        ("TEXT", dcm("121030", "Subject ID"), "TextValue", "(0040,A160)", who.mrn, (who.mrn,)),
        ("DATETIME", started, "DateTime", "(0040,A120)", begun, (begun,)),
    ]


def make_pdf(text: str, *, deflated: bool) -> tuple[bytes, bytes]:
    """A one-page PDF of even length, and its content stream as it stands in it."""
    stream, filters = f"BT /F1 12 Tf 20 80 Td ({text}) Tj ET".encode(), b""
    if deflated:
        stream, filters = zlib.compress(stream), b"/Filter/FlateDecode"
    parts = (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n",
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]/Contents 4 0 R>>endobj\n4 0 obj<<" + filters,
        b"/Length %d>>stream\n" % len(stream) + stream + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    )
    document = b"".join(parts)
    return document + b" " * (len(document) % 2), stream


def plant_documents(new: New) -> None:
    """Encapsulated PDF, plain and deflated, and an encapsulated CDA."""
    for deflated in (False, True):
        f = new("pdf_" + ("flate" if deflated else "plain"), "PDF", expect="needs-policy")
        who = f.person
        document, stream = make_pdf(f"Patient {who.free} {who.mrn}", deflated=deflated)
        f.ds.add_new((0x42, 0x11), "OB", document)
        f.ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
        f.put("DocumentTitle", f"Letter {who.free}", (who.free,))
        tokens = () if deflated else (who.free, who.mrn)
        f.add("(0042,0011)", who.free, tokens, raw=(stream,) if deflated else (), kind="document")
    f = new("cda", "CDA", expect="needs-policy")
    who = f.person
    name = f"<name><given>{who.given}</given><family>{who.family}</family></name>"
    patient = f"<patient>{name}<birthTime value='{who.birth_date}'/></patient>"
    role = f"<recordTarget><patientRole><id extension='{who.mrn}'/>{patient}</patientRole></recordTarget>"
    text = f"<?xml version='1.0'?><ClinicalDocument xmlns='urn:hl7-org:v3'>{role}</ClinicalDocument>"
    f.ds.add_new((0x42, 0x11), "OB", text.encode() + b" " * (len(text) % 2))
    f.ds.MIMETypeOfEncapsulatedDocument, f.ds.HL7InstanceIdentifier = "text/XML", "1.2.3^" + who.accession
    f.add("(0042,0011)", who.family, (who.family, who.mrn), kind="document")
    f.add("(0040,E001)", who.accession)


def plant_profile_and_waveform(new: New) -> None:
    """Names in an ICC profile, in a waveform's annotation and in its labels."""
    f = new("icc", "XC", expect="pixel-risk")
    free = f.person.free.encode()
    f.put_pixels(rgb=True)
    profile = b"\0\0\1\0lcms" + b"desc" + free + b"\0" * (len(free) % 2)
    why = "description text of the ICC profile"
    f.put_raw((0x28, 0x2000), "OB", profile, raw=(free,), why=why, action="text_removed")

    f = new("ecg", "ECG")
    who, ds = f.person, f.ds
    note = item(UnformattedTextValue=f"ECG of {who.free}", AnnotationGroupNumber=1, ReferencedWaveformChannels=[1, 1])
    ds.WaveformAnnotationSequence = Sequence([note])
    f.add("(0040,B020)[0](0070,0006)", who.free)
    channel = item(ChannelLabel=who.initial[:16], WaveformBitsStored=16)
    channel.ChannelSourceSequence = Sequence([code("5.6.3-9-1", "SCPECG", "Lead I")])
    wave = item(MultiplexGroupLabel=who.mrn[:16], NumberOfWaveformChannels=1, NumberOfWaveformSamples=4)
    wave.SamplingFrequency, wave.WaveformOriginality, wave.WaveformBitsAllocated = 500, "ORIGINAL", 16
    wave.ChannelDefinitionSequence, wave.WaveformSampleInterpretation = Sequence([channel]), "SS"
    wave.add_new((0x5400, 0x1010), "OW", b"\0\1" * 4)
    ds.WaveformSequence, ds.AcquisitionDateTime = Sequence([wave]), who.study_date
    f.add("(5400,0100)[0](003A,0020)", wave.MultiplexGroupLabel)
    f.add("(5400,0100)[0](003A,0200)[0](003A,0203)", channel.ChannelLabel)


def plant_contours_frames_and_key_objects(new: New) -> None:
    """An RT Structure Set, the functional groups of an Enhanced MR, and a Key Object Selection."""
    f = new("rtss", "RTSS")
    who, ds = f.person, f.ds
    f.put("StructureSetLabel", who.family[:16])
    f.put("StructureSetName", who.free)
    ds.StructureSetDate, ds.StructureSetTime = who.study_date, "10"
    region = item(ROINumber=1, ROIName=f"GTV {who.family}", ROIDescription=who.mrn, ROIGenerationAlgorithm="")
    region.ReferencedFrameOfReferenceUID = who.root + ".88"
    ds.StructureSetROISequence = Sequence([region])
    f.add("(3006,0020)[0](3006,0026)", region.ROIName, (who.family,))
    f.add("(3006,0020)[0](3006,0028)", who.mrn)
    f.add("(3006,0020)[0](3006,0024)", who.root + ".88", action="uid_changed", kind="uid")
    ds.RTROIObservationsSequence, ds.ROIContourSequence = Sequence([]), Sequence([])

    f = new("enhmr", "EMR")
    who, ds = f.person, f.ds
    f.put_pixels(bits=16, frames=2)
    groups = []
    for number in range(2):
        content = item(FrameAcquisitionDateTime=who.study_date + "1010", FrameComments=f"frame {who.free}")
        content.FrameReferenceDateTime = who.study_date + "1011"
        groups.append(item(FrameContentSequence=Sequence([content])))
        prefix = f"(5200,9230)[{number}](0020,9111)[0]"
        f.add(prefix + "(0020,9158)", content.FrameComments, (who.free,))
        f.add(prefix + "(0018,9074)", who.study_date + "1010", action="date_changed", kind="date")
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    ds.SharedFunctionalGroupsSequence = Sequence([Dataset()])

    f = new("ko", "KO", expect="needs-policy")
    who, ds = f.person, f.ds
    ds.ContentDate, ds.ContentTime, ds.ValueType = who.study_date, "10", "CONTAINER"
    ds.ConceptNameCodeSequence = Sequence([code("113000", "DCM", "Of Interest")])
    image = item(ReferencedSOPClassUID=SOP_CLASSES["CT"], ReferencedSOPInstanceUID=who.root + ".1.1.1")
    series = item(SeriesInstanceUID=who.root + ".1.1", ReferencedSOPSequence=Sequence([image]))
    study = item(StudyInstanceUID=ds.StudyInstanceUID, ReferencedSeriesSequence=Sequence([series]))
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
    prefix = "(0040,A375)[0](0008,1115)[0](0008,1199)[0]"
    f.add(prefix + "(0008,1155)", image.ReferencedSOPInstanceUID, action="uid_changed", kind="uid")
    f.add(prefix + "(0008,1150)", SOP_CLASSES["CT"], action="uid_kept", kind="uid")
