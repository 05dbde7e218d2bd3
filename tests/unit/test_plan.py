"""A profile's own rules come over the standard's tables, and the later wins."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from coatcheck.deid.plan import Plan
from coatcheck.deid.selectors import PrivateTag
from coatcheck.errors import Refused
from coatcheck.reasons import Reason
from tests.support import (
    CT,
    DAYS,
    IMPLICIT,
    PATIENT,
    STUDY,
    SUBJECT,
    UIDS,
    file_of,
    instance,
    raw,
    raw_file,
    raw_implicit,
    raw_item,
    read,
)
from tests.treated import profile_of, treated

AROUND, CODES = 0x00082218, 0x00082228
SR, ACQUISITION_SR = (f"1.2.840.10008.5.1.4.1.1.88.{kind}" for kind in ("33", "71"))
CSA = "SIEMENS CSA HEADER"


def plan(text: str, sop_class: str = CT, holding: frozenset[int] = frozenset()) -> Plan:
    return Plan(profile_of(text), sop_class, holding)


def under(text: str, ds: Dataset) -> Dataset:
    """The result for a Data Set, as pydicom reads it."""
    return read(treated(file_of(ds), profile_of(text), DAYS))


def nested(*tags: int) -> Dataset:
    """A Data Set with a sequence in a sequence, as far as there are tags, and a code in the innermost item."""
    inner = Dataset()
    inner.CodeMeaning, inner.CodeValue, inner.CodingSchemeDesignator = "Brain", "T-A0100", "SRT"
    for tag in reversed(tags):
        outer = Dataset()
        outer.add_new(tag, "SQ", [inner])
        inner = outer
    whole = instance()
    whole.update(inner)
    return whole


def test_the_later_rule_wins_over_earlier_ones_options_and_tables() -> None:
    text = "options: [retain-patient-characteristics]\nrules:\n"
    sex, age = 0x00100040, 0x00101010

    assert plan(text + "  - {at: PatientWeight, do: remove}").rule(sex, "CS", ()).action == "keep"
    over = plan(text + "  - {at: /PatientSex/, do: remove}\n  - {at: PatientSex, do: dummy}")
    assert over.rule(sex, "CS", ()).action == "dummy"
    back = plan(text + "  - {at: VR:CS, do: dummy}\n  - {at: 'PatientSex', do: remove}")
    assert back.rule(sex, "CS", ()).action == "remove"
    assert over.rule(age, "AS", ()).action == "cap-age"


def test_a_rule_says_where_it_stands_and_why() -> None:
    rule = plan("rules:\n  - {at: PatientSex, do: remove, because: nobody asks}").rule(0x00100040, "CS", (AROUND,))

    assert rule.origin == "mine.yaml:2: remove (nobody asks)"
    assert "Table E.1-1, PatientSex: Z" in plan("rules: []").rule(0x00100040, "CS", ()).origin


def test_a_profile_comes_over_the_one_that_it_extends() -> None:
    text = "extends: research\nrules: [{at: PatientSex, do: remove}]"

    assert plan("extends: research").rule(0x00100040, "CS", ()).action == "keep"
    assert plan(text).rule(0x00100040, "CS", ()).action == "remove"
    assert plan(text).rule(0x00101020, "DS", ()).action == "keep"


def test_a_rule_that_makes_no_sense_on_a_vr_leaves_what_was_said_before() -> None:
    mixed = plan("rules:\n  - {at: '(0008,xxxx)', do: redact}")

    assert mixed.rule(0x00080020, "DA", ()).action == "redact"
    assert mixed.rule(0x00080080, "LO", ()).action == "remove"
    assert mixed.rule(0x00080060, "CS", ()).action == "keep"


def test_what_the_file_calls_otherwise_than_the_standard_is_ruled_by_the_standard() -> None:
    kept = plan("rules:\n  - {at: StudyComments, do: keep}")

    assert kept.rule(0x00324000, "UT", ()).action == "keep"
    assert kept.rule(0x00324000, "UN", ()).action == "keep"
    assert kept.rule(0x00324000, "SQ", ()).action == "remove"


def test_an_attribute_that_only_table_e_1_1_knows_has_rules_too() -> None:
    """pydicom's dictionary is older than the table; a selector names these all the same."""
    kept = plan("rules:\n  - {at: DoseCalculationModelName, do: keep}\n  - {at: GenderIdentitySequence, do: keep}")

    assert kept.rule(0x3004007F, "LO", ()).action == "keep"
    assert kept.vrs(0x3004007F) == ("LO",)
    inside = raw_implicit(0x00100045, b"Mallory ") + raw_implicit(0x00080104, b"Brain ")
    sequence = raw_implicit(0x00100041, raw_item(inside))
    ids = raw_implicit(0x00080016, CT.encode() + b"\0") + raw_implicit(0x00080018, b"1.2.3.4.30")
    study = raw_implicit(0x0020000D, b"1.2.3.4.10") + raw_implicit(0x0020000E, b"1.2.3.4.20")
    result = treated(raw_file(ids, sequence, study, syntax=IMPLICIT), kept.profile, DAYS, gate=False)
    assert raw_implicit(0x00100041, raw_item(raw_implicit(0x00080104, b"Brain "))) in result
    assert b"Mallory" not in result


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00080018, "UI"),
        (0x0020000D, "UI"),
        (0x0020000E, "UI"),
        (0x00080016, "UI"),
        (0x00080005, "CS"),
        (0x00100010, "PN"),
        (0x00120063, "LO"),
        (0x00020003, "UI"),
        (0x00041511, "UI"),
        (0x00080000, "UL"),
    ],
)
@pytest.mark.parametrize("action", ["keep", "remove", "empty", "dummy"])
def test_no_rule_reaches_what_coatcheck_decides_or_what_is_no_part_of_a_data_set(
    tag: int, vr: str, action: str
) -> None:
    wide = plan(f"rules:\n  - {{at: VR:{vr}, do: {action}}}")

    assert wide.rule(tag, vr, ()) == plan("rules: []").rule(tag, vr, ())
    assert wide.rule(tag, vr, (AROUND,)) == plan("rules: []").rule(tag, vr, (AROUND,))


@pytest.mark.parametrize(("vr", "value"), [("LT", b"by Dr. Nobody Known "), ("UI", b"1.2.826.0.1.99.4711")])
def test_a_sop_class_inside_of_a_sequence_hides_nothing(vr: str, value: bytes) -> None:
    around = raw(AROUND, "SQ", raw_item(raw(0x00080016, vr, value)))
    registered = raw(AROUND, "SQ", raw_item(raw(0x00080016, "UI", CT.encode() + b"\0")))

    assert value not in treated(raw_file(UIDS, around, PATIENT, STUDY), profile_of("{}"))
    assert registered in treated(raw_file(UIDS, registered, PATIENT, STUDY), profile_of("{}"))


def test_elements_of_other_groups_do_not_come_into_a_data_set_by_a_wide_rule() -> None:
    data = raw_file(raw(0x00020003, "UI", b"1.2.3.99"), UIDS, PATIENT, STUDY)

    assert b"1.2.3.99" not in treated(data, profile_of("rules: [{at: VR:UI, do: keep}]"))


def test_a_plain_selector_matches_at_every_depth_and_a_path_only_there() -> None:
    text = "rules:\n  - {at: %s, do: remove}"
    ds = nested(AROUND, CODES)
    ds.CodeMeaning = "Top"

    gone = under(text % "CodeMeaning", ds)
    assert "CodeMeaning" not in gone
    assert "CodeMeaning" not in gone[AROUND][0][CODES][0]
    path = under(text % "AnatomicRegionModifierSequence > CodeMeaning", nested(CODES))
    assert "CodeMeaning" in path[CODES][0]
    inside = under(text % '"(0008,2218) > (0008,2228) > CodeMeaning"', ds)
    assert inside.CodeMeaning == "Top"
    assert "CodeMeaning" not in inside[AROUND][0][CODES][0]
    top = under(text % "top > CodeMeaning", ds)
    assert "CodeMeaning" not in top
    assert top[AROUND][0][CODES][0].CodeMeaning == "Brain"


def test_a_path_begins_at_any_depth_and_with_top_at_the_top() -> None:
    text = "rules:\n  - {at: '%s (0008,2228) > CodeMeaning', do: remove}"
    ds = nested(AROUND, CODES)

    assert "CodeMeaning" not in under(text % "", ds)[AROUND][0][CODES][0]
    assert under(text % "top >", ds)[AROUND][0][CODES][0].CodeMeaning == "Brain"
    assert "CodeMeaning" not in under(text % "top >", nested(CODES))[CODES][0]


def test_conditions_choose_the_rules_that_hold_for_an_instance() -> None:
    profile = profile_of(
        "rules:\n"
        "  - {at: BodyPartExamined, do: remove, when: {Modality: MR}}\n"
        "  - {at: SliceThickness, do: remove}\n"
        "  - {at: BodyPartExamined, do: dummy, when: {PatientSex: {exists: false}}}\n"
    )

    assert profile.holding({}) == {2}
    assert profile.holding({0x00080060: ("MR",), 0x00100040: ("F",)}) == {0}
    assert profile.holding({0x00080060: ("CT", "MR")}) == {0, 2}
    assert profile.reads == {0x00080060, 0x00100040}
    holdings: list[set[int]] = [{0}, {2}, {0, 2}, set()]
    actions = [Plan(profile, CT, frozenset(holding)).rule(0x00180015, "CS", ()).action for holding in holdings]
    assert actions == ["remove", "dummy", "dummy", "keep"]


@pytest.mark.parametrize(("modality", "stays"), [("MR", False), ("CT", True)])
def test_a_condition_is_about_the_whole_object_also_inside_of_sequences(modality: str, stays: bool) -> None:
    ds = nested(AROUND)
    ds.Modality = modality

    found = under("rules:\n  - {at: CodeMeaning, do: remove, when: {Modality: MR}}", ds)

    assert ("CodeMeaning" in found[AROUND][0]) is stays


def test_unlisted_remove_takes_what_no_row_and_no_rule_names_and_leaves_pixels_and_the_character_set() -> None:
    ds = instance()
    ds.SpecificCharacterSet, ds.BodyPartExamined, ds.Rows, ds.Columns, ds.BitsAllocated = "ISO_IR 192", "BRAIN", 1, 2, 8
    ds.StudyDescription, ds.PatientSex, ds.ImageComments = "Größe", "F", "x"
    ds.add_new(0x7FE00010, "OB", b"ab")
    text = "unlisted: remove\nrules:\n  - {at: [Rows, Columns, BitsAllocated, StudyDescription], do: keep}\n"

    found = under(text, ds)

    assert "BodyPartExamined" not in found
    assert "ImageComments" not in found
    assert (found.Rows, found.PixelData, found.PatientSex) == (1, b"ab", "")
    assert found.StudyDescription == "Größe"  # which nobody could read without the character set
    assert found.PatientID == SUBJECT


def test_an_attribute_of_type_1_keeps_a_value_and_one_of_type_2_its_place() -> None:
    rules = "rules:\n  - {at: [ContentDate, PatientBirthDate, StudyComments], do: %s}"
    content, comments = 0x00080023, 0x00324000
    removed, emptied = plan(rules % "remove", SR), plan(rules % "empty", SR)

    assert (removed.rule(content, "DA", ()).action, emptied.rule(content, "DA", ()).action) == ("dummy", "dummy")
    assert "(Type 1: dummy)" in removed.rule(content, "DA", ()).origin
    assert removed.rule(comments, "LT", ()).action == "remove"
    assert plan(rules % "remove", "1.2.3").rule(content, "DA", ()).action == "remove"  # nobody knows what 1.2.3 needs
    performed = 0x00081111  # Referenced Performed Procedure Step Sequence, of Type 2 in an SR
    place = plan("rules: [{at: ReferencedPerformedProcedureStepSequence, do: remove}]", SR)
    assert place.rule(performed, "SQ", ()).action == "empty"


@pytest.mark.parametrize("do", ["encrypt", "clean-text"])
def test_what_cannot_be_done_to_an_attribute_of_type_1_leaves_a_dummy(do: str) -> None:
    """Device Serial Number is of Type 1 in an Acquisition Context SR, and optional in a CT."""
    text = f"rules: [{{at: DeviceSerialNumber, do: {do}}}]"

    assert plan(text, ACQUISITION_SR).rule(0x00181000, "LO", ()).fallback == "dummy"
    assert plan(text, CT).rule(0x00181000, "LO", ()).fallback == "remove"


def test_no_type_is_known_inside_a_private_sequence() -> None:
    removed = plan("rules:\n  - {at: ContentDate, do: remove}", SR)

    assert removed.rule(0x00080023, "DA", ()).action == "dummy"
    assert removed.rule(0x00080023, "DA", (PrivateTag(0x0029, 0x10, CSA),)).action == "remove"


def test_the_gate_lets_pass_what_a_rule_allows_in_writing_and_nothing_else() -> None:
    ds = instance()
    ds.BodyPartExamined, ds.ImageType = "MALLORY", ["ORIGINAL"]
    allowed = "rules:\n  - {at: %s, do: %s, because: a body part is no name}"

    for at, do in (("BodyPartExamined", "allow"), ("VR:CS", "allow")):
        assert under(allowed % (at, do), ds).BodyPartExamined == "MALLORY"
    for at, do in (("ImageType", "allow"), ("AnatomicRegionSequence > BodyPartExamined", "allow"), ("VR:CS", "keep")):
        with pytest.raises(Refused) as refused:
            under(allowed % (at, do), ds)
        assert refused.value.reason == Reason.IDENTITY_FOUND
        assert "MALLORY" not in str(refused.value.detail)


def test_allow_changes_nothing_but_what_the_gate_says() -> None:
    allowed = plan("rules:\n  - {at: [PatientSex, StudyDate], do: allow, because: so}")

    assert allowed.rule(0x00100040, "CS", ()).action == "empty"
    assert allowed.rule(0x00080020, "DA", ()).permits
    assert "Table E.1-1, StudyDate" in allowed.rule(0x00080020, "DA", ()).origin
    assert not allowed.rule(0x00080021, "DA", ()).permits


def test_a_later_rule_takes_the_permission_back() -> None:
    text = "rules:\n  - {at: VR:LO, do: allow, because: so}\n  - {at: StudyDescription, do: clean-text}"

    assert plan(text).permits((), 0x00081090, "LO")
    assert not plan(text).permits((), 0x00081030, "LO")
