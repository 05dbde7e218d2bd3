"""A profile that can be read and does not do what it says is told so before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.cipher import seal
from coatcheck.deid.actions.keyed import SHORTEST_SEALED, sealed_text
from coatcheck.deid.lint import Finding, lint
from coatcheck.deid.profile import Profile
from coatcheck.profile_file import _Reading
from tests.treated import problems_of, profile_of


def findings(folder: Path, text: str) -> list[Finding]:
    """All that lint says of a profile that can be read."""
    path = folder / "mine.yaml"
    path.write_text(text)
    reading = _Reading(frozenset())
    profile: Profile = reading.profile(path, ())
    assert not reading.problems
    return lint(profile)


def rule(at: str, do: str = "remove", more: str = "", private: str = "remove") -> str:
    return f"private: {private}\nrules:\n  - at: {at}\n    do: {do}\n{more}"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (rule("PatientSex", "allow"), "`allow` without a reason", "because"),
        (rule("PatientSex", "allow", "    because: ' '\n"), "`allow` without a reason", "because"),
        (rule("PatientID", "keep"), "`PatientID`: the subject stands here", "subjects"),
        (rule("PatientName", "keep"), "`PatientName`: the subject stands here", "subjects"),
        (rule("SOPInstanceUID", "keep"), "coatcheck decides this itself", "take the rule out"),
        (rule("SpecificCharacterSet"), "coatcheck decides this itself", "take the rule out"),
        (rule("DeidentificationMethod", "keep"), "coatcheck decides this itself", "take the rule out"),
        (rule("(0002,0010)", "keep"), "no part of a stored Data Set", "take the rule out"),
        (rule("(0018,9998)", "keep"), "knows no such attribute", "take the rule out"),
        (rule("NameToUse", "keep"), "knows no such attribute", "take the rule out"),
        (rule("PatientSex", "shift-dates", "    days: -3\n"), "makes no sense on the VR CS", "these do: add, allow"),
        (rule("Rows", "clean-text"), "makes no sense on the VR US", "perturb"),
        (rule("AnatomicRegionSequence", "uid"), "makes no sense on the VR SQ", "dummy, empty, keep, remove"),
        (rule("VR:SQ", "clean-text"), "makes no sense on the VR SQ", "dummy, empty, keep, remove"),
        (rule("/BirthDate$/", "uid"), "makes no sense on the VR DA", "shift-dates"),
        (rule("/NoKeywordIsLikeThis/"), "no attribute is like that", "PS3.6"),
        (rule("(0016,0000)-(0016,0000)"), "no attribute is like that", "PS3.6"),
        (rule('(0029,"SIEMENS CSA HEADER",10)', "keep"), "private attributes are removed", "keep-listed"),
        (rule('(0029,"SIEMENS CSA HEADER",10) > CodeMeaning'), "private attributes are removed", "keep-listed"),
        (rule("/Date/", "add", "    with: x\n"), "not said which one attribute", "by keyword or tag"),
        (rule("(60xx,3000)", "add", "    with: x\n"), "not said which one attribute", "by keyword or tag"),
        (rule('(0029,"X",10)', "add", "    with: x\n", "keep-listed"), "not said which one", "by keyword or tag"),
        (rule("PatientName", "add", "    with: x\n"), "coatcheck decides this itself", "take the rule out"),
        (rule("(0002,0016)", "add", "    with: x\n"), "coatcheck decides this itself", "take the rule out"),
        (rule("DoseCalculationModelName", "add", "    with: x\n"), "does not know the attribute", "take the rule out"),
        (rule("PixelData", "add", "    with: x\n"), "of the VR OB cannot be written", "add another"),
        (rule("AnatomicRegionSequence", "add", "    with: x\n"), "of the VR SQ cannot be written", "add another"),
    ],
)
def test_a_rule_that_can_never_apply_is_a_problem(tmp_path: Path, text: str, what: str, hint: str) -> None:
    (found,) = [one for one in findings(tmp_path, text) if one.level == "problem"]

    assert what in found.what
    assert hint in found.hint
    assert found.place == f"{tmp_path}/mine.yaml:3"
    assert problems_of(tmp_path, text) == [(3, "rules", f"{found.what}: {found.hint}")]


def both(first: str, second: str, private: str = "remove") -> str:
    return f"private: {private}\nrules:\n  - {first}\n  - {second}\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{at: PatientSex, do: keep}", "{at: PatientSex, do: remove}"),
        ("{at: PatientSex, do: keep}", "{at: '(0010,0040)', do: remove}"),
        ("{at: PatientSex, do: keep}", "{at: [PatientAge, PatientSex], do: empty}"),
        ("{at: PatientSex, do: keep, when: {Modality: MR}}", "{at: PatientSex, do: remove, when: {Modality: MR}}"),
        ("{at: PatientSex, do: keep, when: {Modality: MR}}", "{at: PatientSex, do: remove}"),
        ("{at: PatientBirthDate, do: redact}", "{at: 'VR:DA', do: remove}"),
        ("{at: PatientBirthDate, do: redact}", "{at: /BirthDate/, do: remove}"),
        ("{at: PatientBirthDate, do: redact}", "{at: '(0010,xxxx)', do: remove}"),
        ("{at: PatientBirthDate, do: redact}", "{at: '(0010,0000)-(0010,FFFF)', do: remove}"),
        ("{at: AnatomicRegionSequence > CodeMeaning, do: remove}", "{at: CodeMeaning, do: keep}"),
        ("{at: top > AnatomicRegionSequence > CodeMeaning, do: remove}", "{at: CodeMeaning, do: keep}"),
        ("{at: /Physician/, do: remove}", "{at: /Physician/, do: dummy}"),
        ("{at: StationName, do: add, with: x}", "{at: StationName, do: add, with: y}"),
        ("{at: StationName, do: allow, because: so}", "{at: StationName, do: keep}"),
    ],
)
def test_a_rule_that_a_later_one_hides_is_a_problem(tmp_path: Path, first: str, second: str) -> None:
    (found,) = [one for one in findings(tmp_path, both(first, second)) if one.level == "problem"]

    assert "is decided again by the rule in mine.yaml:4" in found.what
    assert found.place.endswith("mine.yaml:3")
    assert "the later rule wins" in found.hint


def test_a_private_rule_is_hidden_by_one_for_all_of_its_creator(tmp_path: Path) -> None:
    narrow, wide = """{at: '(0029,"X",10)', do: keep}""", """{at: '(0029,"X",*)', do: remove}"""

    assert [one.level for one in findings(tmp_path, both(narrow, wide, "keep-listed"))] == ["problem"]
    assert not findings(tmp_path, both(wide, narrow, "keep-listed"))
    other = """{at: '(0029,"Y",*)', do: remove}"""
    assert not findings(tmp_path, both(narrow, other, "keep-listed"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{at: /BirthDate/, do: remove}", "{at: PatientBirthDate, do: redact}"),
        ("{at: PatientSex, do: keep}", "{at: PatientSex, do: remove, when: {Modality: MR}}"),
        ("{at: PatientSex, do: keep, when: {Modality: CT}}", "{at: PatientSex, do: remove, when: {Modality: MR}}"),
        ("{at: PatientSex, do: keep}", "{at: PatientSex, do: allow, because: so}"),
        ("{at: StationName, do: remove}", "{at: StationName, do: add, with: x}"),
        ("{at: CodeMeaning, do: keep}", "{at: AnatomicRegionSequence > CodeMeaning, do: remove}"),
        ("{at: AnatomicRegionSequence > CodeMeaning, do: remove}", "{at: BodyPartExamined, do: keep}"),
        ("{at: CodeMeaning, do: keep}", "{at: top > AnatomicRegionSequence > CodeMeaning, do: remove}"),
        ("{at: StudyComments, do: keep}", "{at: '(0032,xxxx)', do: shift-dates, days: 3}"),
        ("{at: '(0010,xxxx)', do: remove}", "{at: '(0010,xxxx)', do: clean-text}"),
    ],
)
def test_a_rule_of_which_something_stays_is_right(tmp_path: Path, first: str, second: str) -> None:
    assert not [one for one in findings(tmp_path, both(first, second)) if one.level == "problem"]


def test_what_a_profile_says_over_the_one_that_it_extends_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.yaml").write_text("rules: [{at: PatientSex, do: keep}]\n")
    text = "extends: sub/mine.yaml\nrules: [{at: PatientSex, do: remove}]\n"

    assert not findings(tmp_path, text)  # two files of one name are two files


def test_taking_away_what_an_iod_needs_is_a_note_and_no_problem(tmp_path: Path) -> None:
    text = rule("ContentDate")
    (found,) = findings(tmp_path, text)

    assert found.level == "note"
    assert "(0008,0023) is of Type 1 in" in found.what
    assert "a dummy stands there instead of `remove`" in found.hint
    assert not problems_of(tmp_path, text)


@pytest.mark.parametrize(("attribute", "vr"), [("StationName", "SH"), ("PatientSex", "CS"), ("StationAETitle", "AE")])
def test_sealing_where_nothing_sealed_fits_is_a_note(tmp_path: Path, attribute: str, vr: str) -> None:
    [note] = findings(tmp_path, rule(attribute, "encrypt"))

    assert note.level == "note"
    assert note.what == f"`{attribute}`: nothing that is sealed fits the VR {vr}, `too_short` decides"


@pytest.mark.parametrize("at", ["InstitutionName", "VR:PN", "StudyDescription", "/Comments$/"])
def test_sealing_where_some_texts_fit_is_not_spoken_of(tmp_path: Path, at: str) -> None:
    assert findings(tmp_path, rule(at, "encrypt")) == []


def test_the_shortest_text_that_is_sealed_has_the_length_that_lint_knows() -> None:
    assert len(sealed_text(seal(bytes(32), b"x"))) == SHORTEST_SEALED


def test_a_rule_inside_a_sequence_that_goes_is_a_note(tmp_path: Path) -> None:
    text = rule("RequestAttributesSequence > ScheduledProcedureStepDescription", "clean-text")
    (found,) = findings(tmp_path, text)

    assert found.level == "note"
    assert "(0040,0275) does not stay" in found.what
    kept = text + "  - at: RequestAttributesSequence\n    do: keep\n"
    assert not findings(tmp_path, kept)
    assert not findings(tmp_path, text + "options: [clean-descriptors]\n")


def test_each_selector_of_a_rule_is_looked_at(tmp_path: Path) -> None:
    found = findings(tmp_path, rule("[PatientID, PatientSex, SOPInstanceUID]", "keep"))

    assert [one.what.partition(":")[0] for one in found] == ["`PatientID`", "`SOPInstanceUID`"]


@pytest.mark.parametrize(
    "text",
    [
        rule("(60xx,3000)", "keep"),
        rule("(6002,0000)-(6002,FFFF)", "keep"),
        rule("VR:PN", "hash"),
        rule("(0018,xxxx)", "keep"),
        rule("top > StudyDescription", "clean-text"),
        rule("RequestAttributesSequence > RequestedProcedureID", "add", "    with: x\n"),
        rule('(0029,"SIEMENS CSA HEADER",10)', "keep", private="keep-listed"),
        rule("PrincipalDiagnosisCodeSequence", "keep"),
    ],
)
def test_what_is_right_is_not_spoken_of(tmp_path: Path, text: str) -> None:
    assert not findings(tmp_path, text)
    assert profile_of(text).rules
