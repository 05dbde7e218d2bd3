"""Reports come out with their measurements and without people: PS3.15 E.3.4 and its Table E.3.4-1."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from coatcheck.deid import content, standard
from coatcheck.deid.content import Coded, Item, content_of
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import FULL_DATES, MODIFIED_DATES, Profile
from coatcheck.deid.standard import ContentItem
from coatcheck.reasons import Reason
from tests.support import BIG, CT, DAYS, DEFLATED, EXPLICIT, IMPLICIT, facts_of, file_of, instance, read
from tests.tools.iodvfy_compare import iod_errors
from tests.tools.plant.items import code, content_item, item
from tests.tools.reports import (
    COMPREHENSIVE_3D_SR,
    COMPREHENSIVE_SR,
    KEY_OBJECTS,
    as_document,
    coded,
    concepts,
    container,
    dcm,
    key_objects,
    measured,
    measurement_report,
    numbers,
    referring,
    said,
    tree,
)
from tests.treated import profile_of, treated

OTHERS = (
    "clean-descriptors",
    "clean-graphics",
    "retain-device-identity",
    "retain-institution-identity",
    FULL_DATES,
    MODIFIED_DATES,
    "retain-patient-characteristics",
    "retain-uids",
)
NAME, IMAGE, TARGET = "Grünspan^Theodora", "1.2.3.4.31", "1.2.826.0.1.3680043.8.498.4711"
SAMPLES = {"TEXT": "sharp margins", "PNAME": NAME, "UIDREF": TARGET, "DATE": "20040229", "TIME": "101112"}
SAMPLES |= {"DATETIME": "20040229101112"}
SHIFTED = {"DATE": "20031121", "DATETIME": "20031121101112", "TIME": "101112"}
DUMMY = {"TEXT": "REMOVED", "DATE": "19000101", "TIME": "000000", "DATETIME": "19000101000000"}
REAL_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
ECG, PRESENTATION = "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.11.1"


@cache
def profile(*options: str, more: str = "") -> Profile:
    return profile_of(f"title: Reports\noptions: [{', '.join((content.OPTION, *options))}]\n{more}")


def document(*items: Dataset, sop_class: str = COMPREHENSIVE_SR) -> Dataset:
    ds = as_document(instance(sop_class), dcm("126000", "Imaging Measurement Report"), *items)
    ds.SpecificCharacterSet = "ISO_IR 192"
    return ds


def result(ds: Dataset, *options: str, syntax: str = EXPLICIT, more: str = "", gate: bool = True) -> Dataset:
    return read(treated(file_of(ds, syntax), profile(*options, more=more), DAYS, gate=gate))


def items_of(*items: Dataset, options: tuple[str, ...] = (), more: str = "") -> list[Dataset]:
    return tree(result(document(*items), *options, more=more))


def uid_of(row: ContentItem) -> str:
    """One of its own: what is a device's by one item is nobody else's."""
    return f"{TARGET}.{standard.content_items().index(row)}"


def of_row(row: ContentItem) -> Dataset:
    concept = code(row.code, row.scheme, row.meaning)
    if row.value_type == "UIDREF":
        return said("UIDREF", concept, uid_of(row))
    if row.value_type in SAMPLES:
        return said(row.value_type, concept, SAMPLES[row.value_type])
    if row.value_type == "NUM":
        return measured(concept, "7")
    if row.value_type == "CODE":
        return coded(concept, dcm("M", "Male"))
    if row.value_type == "CONTAINER":
        return container(concept, measured(dcm("1", "inner"), "1"))
    return referring(row.value_type, concept, CT, IMAGE)


def value_of(one: Dataset) -> str:
    keyword = {"TEXT": "TextValue", "PNAME": "PersonName", "DATETIME": "DateTime"}.get(one.ValueType)
    if one.ValueType in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        return str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    return str(one.get(keyword or {"UIDREF": "UID", "DATE": "Date", "TIME": "Time"}.get(one.ValueType, "ValueType")))


@pytest.mark.parametrize("option", ["", *OTHERS])
def test_every_row_of_the_table_does_what_its_code_says(option: str) -> None:
    options = (option,) if option else ()
    rows = [row for row in standard.content_items() if row.value_type != "CONTAINER"]

    found = {key_of(one): one for one in items_of(*map(of_row, rows), options=options)}

    for row in rows:
        one = found.get((row.code, row.scheme, row.value_type))
        changed = row.options.get(option)
        if changed is None and row.basic == "X":
            assert one is None, row
        else:
            assert one is not None, row
            check_value(value_of(one), row, changed or "D", option)


def key_of(one: Dataset) -> tuple[str, str, str]:
    concept = one.ConceptNameCodeSequence[0]
    return concept.CodeValue, concept.CodingSchemeDesignator, one.ValueType


def check_value(value: str, row: ContentItem, done: str, option: str) -> None:
    kind = row.value_type
    if done == "D" and kind in DUMMY:
        assert value == DUMMY[kind], row
    elif done == "D" and kind == "PNAME":
        assert value not in ("", NAME), row
    elif kind in ("UIDREF", "IMAGE", "COMPOSITE", "WAVEFORM"):
        # Table E.1-1 has the UIDs of references kept by retain-uids only.
        kept = done == "K" and (kind == "UIDREF" or option == "retain-uids")
        assert value.startswith("1.2." if kept else "2.25."), row
    elif done == "C" and kind != "TEXT":
        assert value == SHIFTED[kind], row
    elif kind in SAMPLES:
        assert value == SAMPLES[kind], row


def test_a_container_goes_with_what_it_holds_unless_that_is_measured() -> None:
    row = next(row for row in standard.content_items() if row.value_type == "CONTAINER")
    concept = code(row.code, row.scheme, row.meaning)
    other = coded(dcm("121071", "Finding"), dcm("1", "Mass"))

    assert concepts(result(document(container(concept, other), other))) == ["Finding"]
    assert concepts(result(document(container(concept, measured(dcm("1", "Width"), "1"))))) == [row.meaning, "Width"]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_a_report_comes_out_with_its_measurements_and_without_people(syntax: str) -> None:
    ds = measurement_report(instance(COMPREHENSIVE_3D_SR), NAME, IMAGE)
    ds.SpecificCharacterSet = "ISO_IR 192"
    data = treated(file_of(ds, syntax), profile("clean-descriptors", MODIFIED_DATES), DAYS)
    after = read(data)

    assert numbers(after) == ["42.5", "11"]
    for token in ("Grünspan", "Theodora", "MRN-7755", "19511103", "20230517"):
        assert token.encode() not in data
    said_of = {one.ConceptNameCodeSequence[0].CodeMeaning: value_of(one) for one in tree(after)}
    assert said_of["DateTime Started"] == "20230206101112"
    assert said_of["Tracking Identifier"] == "lesion of"
    assert said_of["Tracking Unique Identifier"].startswith("2.25.")
    assert said_of["Comment"] == "Seen by"
    assert "Subject ID" in said_of
    assert not {"Subject Birth Date", "Subject Age", "Person Observer's Organization Name"} & set(said_of)
    assert after.VerifyingObserverSequence[0].VerifyingObserverName == "REMOVED"
    assert "AuthorObserverSequence" not in after
    assert "ParticipantSequence" not in after
    evidence = after.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert said_of["Source of Measurement"] == evidence.ReferencedSOPInstanceUID


@pytest.mark.parametrize(
    "options", [(), ("clean-descriptors", MODIFIED_DATES), ("retain-uids", FULL_DATES), OTHERS[2:4]]
)
def test_dciodvfy_finds_nothing_new_in_a_report_or_a_selection(options: tuple[str, ...], tmp_path: Path) -> None:
    report = measurement_report(instance(COMPREHENSIVE_3D_SR), NAME, IMAGE)
    selection = key_objects(instance(KEY_OBJECTS), NAME, IMAGE)
    for ds in (report, selection):
        ds.SpecificCharacterSet = "ISO_IR 192"
        before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
        before.write_bytes(file_of(ds))
        after.write_bytes(treated(file_of(ds), profile(*options), DAYS))
        assert not iod_errors(after) - iod_errors(before)


@pytest.mark.parametrize(
    "name", ["reportsi.dcm", "reportsi_with_empty_number_tags.dcm", "test-SR.dcm", "waveform_ecg.dcm"]
)
@pytest.mark.parametrize("options", [(), ("clean-descriptors", MODIFIED_DATES)])
def test_real_documents_keep_their_form(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    # The reports' observer is called "Enter text", and text is what they are made of.
    before.write_bytes((REAL_FILES / name).read_bytes().replace(b"PN\x0a\0Enter text", b"PN\x0a\0Maria^Ruiz"))

    after.write_bytes(treated(before.read_bytes(), profile(*options), DAYS))

    assert not without_uids(iod_errors(after)) - without_uids(iod_errors(before))
    old, new = read(before.read_bytes()), read(after.read_bytes())
    assert numbers(new) == numbers(old)
    assert [one.get("ValueType") for one in tree(new)] == [one.get("ValueType") for one in tree(old)]
    assert len(new.get("WaveformAnnotationSequence", [])) == len(old.get("WaveformAnnotationSequence", []))


def without_uids(errors: Counter[str]) -> Counter[str]:
    """Some errors quote a UID, which is a new one afterwards."""
    found: Counter[str] = Counter()
    for error, count in errors.items():
        found[re.sub(r"UID [0-9.]+$", "UID", error)] += count
    return found


def test_the_text_of_a_selection_goes_and_its_images_stay() -> None:
    after = result(key_objects(instance(KEY_OBJECTS), NAME, IMAGE))

    assert [one.ValueType for one in tree(after)] == ["IMAGE"]
    assert value_of(tree(after)[0]).startswith("2.25.")


@pytest.mark.parametrize("designator", ["SRT", "SNM3", "99SDM"])
@pytest.mark.parametrize(("value", "meaning"), [("R-42B89", "Befund"), ("?", "Clinical Report")])
def test_retired_designators_and_codes_mean_the_same_concept(designator: str, value: str, meaning: str) -> None:
    report = said("TEXT", code(value, designator, meaning), "mine")

    assert [one.ValueType for one in items_of(report, measured(dcm("1", "Width"), "1"))] == ["NUM"]


def test_the_retired_codes_are_those_of_the_table() -> None:
    rows = {row.code for row in standard.content_items() if row.scheme == "SCT"}

    assert set(content._SNOMED_RT.values()) == rows
    for old, new in content._SNOMED_RT.items():
        assert Code(old, "SRT", "") == Code(new, "SCT", "")


def test_an_equivalent_code_and_the_meaning_of_a_private_one_count_too() -> None:
    translated = code("77", "99LOCAL", "Auftragsnummer")
    translated.EquivalentCodeSequence = [dcm("121022", "Accession Number")]
    stays = measured(dcm("1", "Width"), "1")

    assert len(items_of(said("TEXT", translated, "A1"), stays)) == 1
    assert len(items_of(said("TEXT", code("78", "99LOCAL", "accession number"), "A1"), stays)) == 1
    assert len(items_of(said("TEXT", code("78", "LN", "accession number"), "A1"), stays)) == 2


@pytest.mark.parametrize("kind", ["TEXT", "DATETIME", "DATE"])
@pytest.mark.parametrize(
    "concept",
    [dcm("121031", "Subject Birth Date"), code("21112-8", "LN", "Geboren"), code("1", "99X", "Date of Birth")],
)
@pytest.mark.parametrize("option", [FULL_DATES, MODIFIED_DATES, "clean-descriptors"])
def test_a_date_of_birth_goes_in_every_value_type(kind: str, concept: Dataset, option: str) -> None:
    born = said(kind, concept, "20040229" if kind != "TEXT" else "29.2.2004")

    assert [one.ValueType for one in items_of(born, measured(dcm("1", "Width"), "1"), options=(option,))] == ["NUM"]


def test_a_value_of_another_type_than_the_table_has_is_not_kept_by_an_option() -> None:
    days = [said(kind, dcm("111060", "Study Date"), value) for kind, value in SAMPLES.items() if "DATE" in kind]
    day = said("TEXT", dcm("111060", "Study Date"), "a Sunday")

    found = items_of(*days, day, options=(MODIFIED_DATES, "clean-descriptors"))

    assert [value_of(one) for one in found] == [SHIFTED["DATE"], SHIFTED["DATETIME"], "REMOVED"]


def test_what_is_not_in_the_table_is_treated_by_its_value_type() -> None:
    concept = code("1", "99LOCAL", "whatever")
    kinds = [said(kind, concept, value) for kind, value in SAMPLES.items()]
    others = [coded(concept, dcm("1", "Mass")), measured(concept, "4.2"), referring("IMAGE", concept, CT, IMAGE)]

    basic = {one.ValueType: value_of(one) for one in items_of(*kinds, *others)}
    shifted = {one.ValueType: value_of(one) for one in items_of(*kinds, options=(MODIFIED_DATES, "clean-descriptors"))}

    assert {kind: basic[kind] for kind in DUMMY} == DUMMY
    assert NAME not in basic["PNAME"]
    assert basic["UIDREF"].startswith("2.25.")
    assert basic["IMAGE"].startswith("2.25.")
    assert set(basic) == set(SAMPLES) | {"CODE", "NUM", "IMAGE"}
    assert {kind: shifted[kind] for kind in SHIFTED} == SHIFTED
    assert shifted["TEXT"] == "sharp margins"


def test_a_text_of_which_nothing_is_left_says_that_it_was_removed() -> None:
    ds = document(said("TEXT", dcm("121106", "Comment"), "Mallory^Eve"))

    assert value_of(tree(result(ds, "clean-descriptors"))[0]) == "REMOVED"
    assert (
        value_of(items_of(said("TEXT", dcm("1", "x"), "x" * 1_100_000), options=("clean-descriptors",))[0]) == "REMOVED"
    )


def test_an_item_above_a_measurement_says_nothing_and_stays() -> None:
    conclusion = said("TEXT", dcm("121077", "Conclusion"), "grows")
    conclusion.ContentSequence = [coded(dcm("2", "Mass"), dcm("1", "Mass")), measured(dcm("1", "Width"), "3")]
    above = said("DATE", dcm("121431", "DateTime Concern Noted"), "20040229")
    above.ContentSequence = [conclusion]

    found = items_of(above)

    assert [one.ValueType for one in found] == ["DATE", "TEXT", "CODE", "NUM"]
    assert [value_of(one) for one in found[:2]] == ["19000101", "REMOVED"]


def test_a_sequence_goes_with_its_last_item_but_a_document_is_not_empty() -> None:
    inner = container(dcm("125007", "Measurement Group"), said("TEXT", dcm("121106", "Comment"), "x"))

    assert ["ContentSequence" in one for one in items_of(inner)] == [False]
    assert [value_of(one) for one in items_of(said("TEXT", dcm("121106", "Comment"), "x"))] == ["REMOVED"]


def test_places_in_the_tree_are_kept_where_it_refers_to_them() -> None:
    far = item(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 2])
    finding = measured(dcm("1", "Width"), "3")
    finding.ContentSequence = [far]

    found = items_of(said("TEXT", dcm("121106", "Comment"), "x"), measured(dcm("2", "Height"), "4"), finding)

    assert [one.get("ValueType") for one in found] == ["TEXT", "NUM", "NUM", None]
    assert value_of(found[0]) == "REMOVED"


def test_coordinates_keep_the_image_that_they_lie_in() -> None:
    region = content_item("SCOORD", dcm("111030", "Image Region"), GraphicType="POINT", GraphicData=[1.0, 2.0])
    region.ContentSequence = [referring("IMAGE", dcm("121200", "Illustration of ROI"), CT, IMAGE, "SELECTED FROM")]

    found = items_of(region)

    assert [one.ValueType for one in found] == ["SCOORD", "IMAGE"]
    assert value_of(found[1]).startswith("2.25.")


@pytest.mark.parametrize(
    ("value", "unit", "kept"),
    [("42", "a", "42"), ("93", "a", "90"), ("1200", "mo", "1080"), ("600", "mo", "600")],
)
def test_an_age_that_is_kept_is_at_most_90_years(value: str, unit: str, kept: str) -> None:
    age = measured(dcm("121033", "Subject Age"), value, unit)

    found = items_of(age, options=("retain-patient-characteristics",))

    assert found[0].MeasuredValueSequence[0].NumericValue == float(kept)


def test_what_nothing_changes_in_is_the_same_bytes() -> None:
    text = said("TEXT", dcm("121106", "Comment"), "sharp margins")
    ds = document(text, measured(dcm("1", "Width"), "4.20"), coded(dcm("2", "Mass"), dcm("1", "Mass")))
    ds["ContentSequence"].is_undefined_length = True
    ds.ContentSequence[0].is_undefined_length_sequence_item = True
    data = file_of(ds)
    begin = data.index(b"\x40\0\x30\xa7")

    assert data[begin:] in treated(data, profile("clean-descriptors"), DAYS)


RULES = """rules:
  - at: ContentSequence > TextValue
    do: {}
  - at: UnformattedTextValue
    do: keep
"""


def test_a_rule_of_the_profile_decides_over_the_item() -> None:
    texts = [said("TEXT", dcm("121106", "Comment"), "mine"), said("TEXT", dcm("1", "Shape"), "round")]
    stays = measured(dcm("1", "Width"), "1")

    assert [value_of(one) for one in items_of(*texts, more=RULES.format("keep"))] == ["mine", "round"]
    assert [one.ValueType for one in items_of(*texts, stays, more=RULES.format("remove"))] == ["NUM"]


def test_a_profile_that_removes_what_is_unlisted_keeps_the_tree_whole() -> None:
    strict = result(document(measured(dcm("1", "Width"), "4.2")), more="unlisted: remove\n")

    assert numbers(strict) == ["4.2"]
    assert tree(strict)[0].ConceptNameCodeSequence[0].CodeMeaning == "Width"


def test_every_item_can_be_explained() -> None:
    row, none = (Item((Coded(value, "DCM", "x"),), "TEXT") for value in ("121106", "1"))

    assert content_of(profile("clean-descriptors"), row).origin == (
        "PS3.15 Table E.3.4-1, Comment (TEXT): X, clean-descriptors: C"
    )
    assert content_of(profile(), none).origin == "a TEXT outside Table E.3.4-1"
    path = (content.CONTENT,)
    plan = Plan(profile(), COMPREHENSIVE_SR)
    kept = plan.content(none, path)
    assert plan.content(row, path).goes
    assert plan.rule(content.TEXT, "UT", path, content=kept).origin == "a TEXT outside Table E.3.4-1"


def test_acquisition_context_and_specimens_are_cleaned_item_by_item() -> None:
    ds = instance()
    note = said("TEXT", dcm("121106", "Comment"), NAME)
    number = item(ValueType="NUMERIC", ConceptNameCodeSequence=[dcm("122713", "kV")], NumericValue="120")
    number.MeasurementUnitsCodeSequence = [code("kV", "UCUM", "kV")]
    age = item(ValueType="NUMERIC", ConceptNameCodeSequence=[dcm("121033", "Subject Age")], NumericValue="93")
    untyped = item(ConceptNameCodeSequence=[dcm("121106", "Comment")], TextValue="x")
    ds.AcquisitionContextSequence = [note, number, age, untyped]
    specimen = item(SpecimenIdentifier="S", SpecimenUID=UID(TARGET))
    step = said("PNAME", dcm("113870", "Person Name"), NAME)
    specimen.SpecimenPreparationSequence = [item(SpecimenPreparationStepContentItemSequence=[step])]
    ds.SpecimenDescriptionSequence = [specimen]
    ds.SpecificCharacterSet = "ISO_IR 192"

    after = result(ds)

    assert [str(one.NumericValue) for one in after.AcquisitionContextSequence] == ["120"]
    steps = after.SpecimenDescriptionSequence[0].SpecimenPreparationSequence[0]
    [kept] = steps.SpecimenPreparationStepContentItemSequence
    assert "Grünspan" not in str(kept.PersonName)
    assert kept.ConceptNameCodeSequence[0].CodeMeaning == "Person Name"


@pytest.mark.parametrize(("options", "text"), [((), "REMOVED"), (("clean-descriptors",), "sinus rhythm")])
def test_the_annotations_of_a_waveform_keep_what_was_measured(options: tuple[str, ...], text: str) -> None:
    ds = instance(ECG)
    notes = [item(UnformattedTextValue=f"sinus rhythm {NAME}"), item(UnformattedTextValue=NAME)]
    notes.append(item(ConceptNameCodeSequence=[dcm("1", "QT Interval")], NumericValue="380"))
    notes[2].MeasurementUnitsCodeSequence = [code("ms", "UCUM", "ms")]
    notes.append(item(ConceptNameCodeSequence=[dcm("113877", "Device Name")], UnformattedTextValue="AX-1"))
    for note in notes:
        note.ReferencedWaveformChannels, note.AnnotationGroupNumber = [1, 0], 1
    ds.WaveformAnnotationSequence, ds.OperatorsName = notes, NAME
    ds.SpecificCharacterSet = "ISO_IR 192"

    after = result(ds, "retain-device-identity", *options).WaveformAnnotationSequence

    assert [one.get("UnformattedTextValue") for one in after] == [text, "REMOVED", None, "AX-1"]
    assert after[2].NumericValue == 380


@pytest.mark.parametrize(("options", "text"), [((), "REMOVED"), (("clean-descriptors",), "tumour")])
def test_graphics_keep_their_shapes_and_overlays_go(options: tuple[str, ...], text: str) -> None:
    ds = instance(PRESENTATION)
    label = item(UnformattedTextValue=f"tumour {NAME}", AnchorPoint=[1.0, 2.0], AnchorPointVisibility="N")
    shape = item(GraphicAnnotationUnits="PIXEL", GraphicData=[1.0, 2.0, 3.0, 4.0], GraphicType="POLYLINE")
    ds.GraphicAnnotationSequence = [
        item(GraphicLayer="LAYER", TextObjectSequence=[label], GraphicObjectSequence=[shape]),
        item(GraphicLayer="LAYER", TextObjectSequence=[item(UnformattedTextValue=NAME)]),
    ]
    ds.OperatorsName, ds.SpecificCharacterSet = NAME, "ISO_IR 192"
    ds.add_new(0x60003000, "OW", b"\1\0")

    after = read(
        treated(file_of(ds), profile_of(f"title: G\noptions: [{', '.join(('clean-graphics', *options))}]"), DAYS)
    )

    first, second = after.GraphicAnnotationSequence
    assert first.TextObjectSequence[0].UnformattedTextValue == text
    assert second.TextObjectSequence[0].UnformattedTextValue == "REMOVED"
    assert list(first.GraphicObjectSequence[0].GraphicData) == [1.0, 2.0, 3.0, 4.0]
    assert 0x60003000 not in after
    assert "113103" in [one.CodeValue for one in after.DeidentificationMethodCodeSequence]


def test_without_the_option_a_tree_is_one_dummy() -> None:
    ds = document(measured(dcm("1", "Width"), "4.2"))

    after = read(treated(file_of(ds), profile_of("title: Plain"), DAYS))

    assert [value_of(one) for one in tree(after)] == ["REMOVED"]


def test_a_device_is_known_by_its_uid_where_devices_are_kept() -> None:
    observer = said("UIDREF", dcm("121012", "Device Observer UID"), TARGET)

    assert value_of(items_of(observer)[0]).startswith("2.25.")
    for options in (("retain-device-identity",), ("retain-uids",)):
        assert value_of(items_of(observer, options=options)[0]) == TARGET


def test_only_what_the_option_can_clean_passes_with_it() -> None:
    def concern(ds: Dataset) -> tuple[Reason | None, str]:
        facts = facts_of(file_of(ds))
        return facts.concern, facts.concern_detail

    encapsulated = instance("1.2.840.10008.5.1.4.1.1.104.1")
    both = document(measured(dcm("1", "Width"), "4.2"))
    both.EncapsulatedDocument = b"%PDF"
    burned = document(measured(dcm("1", "Width"), "4.2"), sop_class="1.2.840.10008.5.1.4.1.1.7")
    burned.Rows = burned.Columns = 2
    burned.BitsAllocated, burned.SamplesPerPixel = 8, 1
    burned.add_new(0x7FE00010, "OB", b"abcd")
    selection = key_objects(instance(KEY_OBJECTS), NAME, IMAGE)

    for ds in (document(), document(measured(dcm("1", "Width"), "4")), selection):
        assert content.cleans(profile(), *concern(ds))
        assert not content.cleans(profile_of("title: Plain"), *concern(ds))
    for ds in (encapsulated, both, burned, instance("1.2.3")):
        assert concern(ds)[0] is Reason.NEEDS_POLICY
        assert not content.cleans(profile(*OTHERS[:4]), *concern(ds))
    assert not content.cleans(profile(), Reason.PIXEL_RISK, "(0040,A730)")


def test_an_organisation_with_the_maker_in_its_address_is_known_without_it() -> None:
    ds = instance()
    ds.Manufacturer, scheme = "Kuratorium OFFIS e.V.", item(CodingSchemeDesignator="99_X")
    scheme.CodingSchemeResponsibleOrganization = "Kuratorium OFFIS e.V., Escherweg 2, Oldenburg"
    ds.CodingSchemeIdentificationSequence = [scheme]

    assert {one.text for one in facts_of(file_of(ds)).identity if one.kind == "place"} == {"Escherweg 2, Oldenburg"}


LEAVES = st.sampled_from([row for row in standard.content_items() if row.value_type not in ("NUM", "CONTAINER")])
SYNTAXES = st.sampled_from([EXPLICIT, IMPLICIT, BIG])


@st.composite
def content_items(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """Any Content Item, listed or not, with any others below it."""
    kind = draw(st.sampled_from(["listed", "unlisted", "NUM", "CONTAINER", "CODE", "odd"]))
    concept = dcm(draw(st.sampled_from(["1", "121071", "99"])), "whatever")
    if kind == "listed":
        row = draw(LEAVES)
        one = of_row(row)
        if row.value_type == "TEXT":
            one.TextValue = f"about {NAME}"
    elif kind == "unlisted":
        vr = draw(st.sampled_from(["TEXT", "PNAME"]))
        one = said(vr, code("1", "99LOCAL", "whatever"), NAME)
    elif kind == "NUM":
        one = measured(concept, draw(st.sampled_from(["1", "4.20", "-3e2"])))
    elif kind == "CODE":
        one = coded(concept, dcm("1", "Mass"))
    elif kind == "CONTAINER":
        one = container(concept)
    else:
        one = item(TextValue=NAME, PersonName=NAME)
    below = draw(st.lists(content_items(depth + 1), max_size=3)) if depth < 4 else []
    if below or "ContentSequence" in one:
        one.ContentSequence = below
    return one


@settings(max_examples=60, deadline=None)
@given(
    st.lists(content_items(), max_size=4),
    SYNTAXES,
    st.sets(st.sampled_from([*OTHERS[:4], MODIFIED_DATES, "retain-uids", "retain-patient-characteristics"])),
)
def test_any_tree_keeps_its_numbers_and_no_name(items: list[Dataset], syntax: str, options: set[str]) -> None:
    ds = document(*items)
    ds.OperatorsName = NAME

    data = treated(file_of(ds, syntax), profile(*sorted(options)), DAYS)

    assert numbers(read(data)) == numbers(ds)
    for token in ("Grünspan", "Theodora"):
        assert token.encode() not in data
    assert treated(file_of(ds, syntax), profile(*sorted(options)), DAYS) == data
