"""A structured report of measurements with people, dates, texts and pictures in it, as TID 1500 has them."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.tools.plant.items import code, content_item, item

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_SR, COMPREHENSIVE_SR = (f"1.2.840.10008.5.1.4.1.1.88.{kind}" for kind in ("22", "33"))
COMPREHENSIVE_3D_SR, KEY_OBJECTS = (f"1.2.840.10008.5.1.4.1.1.88.{kind}" for kind in ("34", "59"))
TAGS = {"TEXT": "TextValue", "PNAME": "PersonName", "UIDREF": "UID", "DATE": "Date", "TIME": "Time"}
TAGS |= {"DATETIME": "DateTime"}


def dcm(value: str, meaning: str) -> Dataset:
    """A code of the scheme DCM."""
    return code(value, "DCM", meaning)


def said(kind: str, concept: Dataset, value: str, how: str = "CONTAINS") -> Dataset:
    """A Content Item that says a text, a name, a UID, a date or a time."""
    made = content_item(kind, concept, **{TAGS[kind]: UID(value) if kind == "UIDREF" else value})
    made.RelationshipType = how
    return made


def coded(concept: Dataset, value: Dataset, how: str = "CONTAINS") -> Dataset:
    """A Content Item that says a code."""
    made = content_item("CODE", concept, ConceptCodeSequence=[value])
    made.RelationshipType = how
    return made


def measured(concept: Dataset, value: str, unit: str = "mm", how: str = "CONTAINS") -> Dataset:
    """A Content Item that says a number."""
    number = item(NumericValue=value, MeasurementUnitsCodeSequence=[code(unit, "UCUM", unit)])
    made = content_item("NUM", concept, MeasuredValueSequence=[number])
    made.RelationshipType = how
    return made


def referring(kind: str, concept: Dataset | None, sop_class: str, uid: str, how: str = "CONTAINS") -> Dataset:
    """A Content Item that points to an Instance."""
    target = item(ReferencedSOPClassUID=UID(sop_class), ReferencedSOPInstanceUID=UID(uid))
    made = item(RelationshipType=how, ValueType=kind, ReferencedSOPSequence=[target])
    if concept is not None:
        made.ConceptNameCodeSequence = [concept]
    return made


def container(concept: Dataset, *items: Dataset) -> Dataset:
    """A Content Item that holds others."""
    return content_item("CONTAINER", concept, ContinuityOfContent="SEPARATE", ContentSequence=list(items))


def evidence(study: str, series: str, *slices: str) -> Dataset:
    """An item of Current Requested Procedure Evidence Sequence, with images of one Series."""
    targets = [item(ReferencedSOPClassUID=UID(CT), ReferencedSOPInstanceUID=UID(uid)) for uid in slices]
    of_series = item(SeriesInstanceUID=UID(series), ReferencedSOPSequence=targets)
    return item(StudyInstanceUID=UID(study), ReferencedSeriesSequence=[of_series])


def as_document(ds: Dataset, title: Dataset, *items: Dataset) -> Dataset:
    """Makes a document of an object that has its patient, Study and Series."""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "SR", 5, 1
    ds.Manufacturer, ds.ContentDate, ds.ContentTime = "", "20230517", "101112"
    ds.ReferencedPerformedProcedureStepSequence, ds.PerformedProcedureCodeSequence = [], []
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ValueType, ds.ContinuityOfContent, ds.ConceptNameCodeSequence = "CONTAINER", "SEPARATE", [title]
    ds.ContentSequence = list(items)
    return ds


def measurement_report(ds: Dataset, person: str, image: str, *, mrn: str = "MRN-7755") -> Dataset:
    """A document as TID 1500 has it. ``person`` is named by it in many places, ``image`` is what was measured."""
    by = "HAS OBS CONTEXT"
    source = referring("IMAGE", dcm("121112", "Source of Measurement"), CT, image, "INFERRED FROM")
    length = measured(code("410668003", "SCT", "Length"), "42.5")
    length.ContentSequence = [source]
    group = container(
        dcm("125007", "Measurement Group"),
        said("TEXT", dcm("112039", "Tracking Identifier"), f"lesion of {person}", by),
        said("UIDREF", dcm("112040", "Tracking Unique Identifier"), "1.2.826.0.1.3680043.8.498.55", by),
        coded(dcm("121071", "Finding"), code("4147007", "SCT", "Mass")),
        length,
    )
    finding = said("TEXT", dcm("121071", "Finding"), f"{person} has a mass")
    finding.ContentSequence = [measured(code("81827009", "SCT", "Diameter"), "11", how="INFERRED FROM")]
    as_document(
        ds,
        dcm("126000", "Imaging Measurement Report"),
        coded(
            dcm("121049", "Language of Content Item and Descendants"),
            code("en", "RFC5646", "English"),
            "HAS CONCEPT MOD",
        ),
        coded(dcm("121005", "Observer Type"), dcm("121006", "Person"), by),
        said("PNAME", dcm("121008", "Person Observer Name"), person, by),
        said("TEXT", dcm("121009", "Person Observer's Organization Name"), f"Praxis {person}", by),
        said("TEXT", dcm("121030", "Subject ID"), mrn, by),
        said("DATE", dcm("121031", "Subject Birth Date"), "19511103", by),
        measured(dcm("121033", "Subject Age"), "93", "a", by),
        said("DATETIME", dcm("111526", "DateTime Started"), "20230517101112", by),
        container(dcm("126010", "Imaging Measurements"), group),
        said("TEXT", dcm("121106", "Comment"), f"Seen by {person}, {mrn}"),
        finding,
    )
    verifier = item(
        VerifyingOrganization=f"Praxis {person}", VerificationDateTime="20230517", VerifyingObserverName=person
    )
    verifier.VerifyingObserverIdentificationCodeSequence = []
    ds.VerificationFlag, ds.VerifyingObserverSequence = "VERIFIED", [verifier]
    ds.AuthorObserverSequence = [item(ObserverType="PSN", PersonName=person, PersonIdentificationCodeSequence=[])]
    ds.ParticipantSequence = [item(ParticipationType="ENT", PersonName=person, ObserverType="PSN")]
    ds.CurrentRequestedProcedureEvidenceSequence = [evidence(ds.StudyInstanceUID, f"{ds.StudyInstanceUID}.1", image)]
    return ds


def key_objects(ds: Dataset, person: str, *images: str) -> Dataset:
    """A Key Object Selection, which tells in words why the images were chosen."""
    as_document(
        ds,
        dcm("113000", "Of Interest"),
        said("TEXT", dcm("113012", "Key Object Description"), f"for {person}"),
        *(referring("IMAGE", None, CT, image) for image in images),
    )
    for keyword in ("CompletionFlag", "VerificationFlag", "PerformedProcedureCodeSequence"):
        delattr(ds, keyword)
    ds.Modality = "KO"
    ds.CurrentRequestedProcedureEvidenceSequence = [evidence(ds.StudyInstanceUID, f"{ds.StudyInstanceUID}.1", *images)]
    return ds


def tree(ds: Dataset) -> list[Dataset]:
    """All Content Items of a document, in order."""
    found = []
    for one in ds.get("ContentSequence", []):
        found += [one, *tree(one)]
    return found


def numbers(ds: Dataset) -> list[str]:
    """The numbers of a document, in order."""
    items = (one for one in tree(ds) if one.get("ValueType") == "NUM")
    return [str(value.NumericValue) for one in items for value in one.get("MeasuredValueSequence", [])]


def concepts(ds: Dataset) -> list[str]:
    """The meanings of a document's concepts, in order."""
    named = (one for one in tree(ds) if "ConceptNameCodeSequence" in one)
    return [str(one.ConceptNameCodeSequence[0].CodeMeaning) for one in named]
