"""Reports and key object selections from end to end: set aside, or delivered with what they measured and point to."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.acceptance.house import House
from tests.acceptance.studies import CT, encoded, instance, read, sop_uid
from tests.tools.plant.items import item
from tests.tools.reports import (
    COMPREHENSIVE_3D_SR,
    KEY_OBJECTS,
    container,
    dcm,
    key_objects,
    measurement_report,
    numbers,
    said,
    tree,
)

PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"
PERSON = "Zwetschke^Philomena"
REPORT, SELECTION, STATE, LETTER = range(50, 54)
PROFILE = """title: Documents
options: [clean-structured-content, clean-graphics, clean-descriptors, retain-longitudinal-modified-dates]
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "house")
    (made.root / "documents.yaml").write_text(PROFILE)
    return made


def clean(house: House) -> None:
    house.configure(profile="documents.yaml")


def bare(number: int, sop_class: str) -> Dataset:
    """An object of Study 1 without pixels, in a Series of its own."""
    ds = read(instance(1, number, series=number, sop_class=sop_class))
    kept = ("SOP", "Study", "Series", "Patient", "Accession", "SpecificCharacterSet", "Modality", "ReferringP")
    for keyword in [one.keyword for one in ds]:
        if not keyword.startswith(kept):
            delattr(ds, keyword)
    return ds


def report() -> Dataset:
    return measurement_report(bare(REPORT, COMPREHENSIVE_3D_SR), PERSON, sop_uid(1, 1), mrn="PAT-0815")


def selection() -> Dataset:
    return key_objects(bare(SELECTION, KEY_OBJECTS), PERSON, sop_uid(1, 1), sop_uid(1, 2))


def state() -> Dataset:
    ds = bare(STATE, PRESENTATION)
    note = item(UnformattedTextValue=f"tumour, {PERSON}", AnchorPoint=[1.0, 2.0], AnchorPointVisibility="N")
    ds.GraphicAnnotationSequence = [item(GraphicLayer="LAYER", TextObjectSequence=[note])]
    ds.ReferencedSeriesSequence = []
    return ds


def letter() -> Dataset:
    ds = bare(LETTER, "1.2.840.10008.5.1.4.1.1.104.1")
    ds.EncapsulatedDocument, ds.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4 ", "application/pdf"
    return ds


def drop(house: House, *objects: Dataset) -> None:
    for ds in objects:
        house.drop(f"{ds.SOPInstanceUID}", encoded(ds))


def drop_slices(house: House) -> None:
    for number in (1, 2):
        house.drop(f"ct/{number}", instance(1, number))


def delivered(house: House) -> dict[str, Dataset]:
    results = [read(content) for content in house.delivered().values()]
    return {str(ds.SOPClassUID): ds for ds in results}


def test_without_the_option_documents_are_set_aside_and_the_rest_goes_its_way(house: House) -> None:
    drop_slices(house)
    drop(house, report(), selection())
    house.deliver(expect=3)

    assert house.refusals() == {"needs-policy": 2}
    assert set(delivered(house)) == {CT}


def test_with_the_option_documents_come_out_with_their_measurements_and_without_people(house: House) -> None:
    clean(house)
    drop_slices(house)
    drop(house, report(), selection(), state())
    house.deliver()

    found = delivered(house)
    assert numbers(found[COMPREHENSIVE_3D_SR]) == ["42.5", "11"]
    assert [one.ValueType for one in tree(found[KEY_OBJECTS])].count("IMAGE") == 2
    text = found[PRESENTATION].GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue
    assert text == "tumour"
    whole = b"".join(house.delivered().values())
    for token in ("Zwetschke", "Philomena", "PAT-0815", "Vandermeulen", "19511103", "20230517", sop_uid(1, 1)):
        assert token.encode() not in whole


def test_what_documents_point_to_is_there(house: House) -> None:
    clean(house)
    drop_slices(house)
    drop(house, report(), selection())
    house.deliver()

    slices = {str(read(content).SOPInstanceUID) for content in house.delivered().values()}
    for ds in (delivered(house)[COMPREHENSIVE_3D_SR], delivered(house)[KEY_OBJECTS]):
        said_to = [one.ReferencedSOPSequence[0] for one in tree(ds) if "ReferencedSOPSequence" in one]
        assert said_to
        assert {str(one.ReferencedSOPInstanceUID) for one in said_to} <= slices
    assert house.line()["references_unresolved"] == 0


def test_what_no_option_can_clean_is_set_aside_all_the_same(house: House) -> None:
    clean(house)
    image = read(instance(1, 3, BurnedInAnnotation="YES"))
    image.ContentSequence = [container(dcm("121070", "Findings"))]
    private = bare(60, COMPREHENSIVE_3D_SR)
    private.SOPClassUID = UID("1.2.3.4")
    drop_slices(house)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drop(house, letter(), image, private)
    house.deliver(expect=3)

    assert house.refusals() == {"needs-policy": 3}
    assert set(delivered(house)) == {CT}


def test_a_document_that_still_names_somebody_is_held_by_the_gate(house: House) -> None:
    clean(house)
    drop_slices(house)
    told = report()
    told.ContentSequence.append(said("TEXT", dcm("1", "Seen by Zwetschke"), "mass"))
    drop(house, told)
    house.deliver(expect=3)

    assert house.refusals() == {"identity-found": 3}
    assert house.delivered() == {}
