"""Each setting of a profile that is wrong is named with its line, all of them at once, and a bad profile never runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.deid.profile import AVAILABLE, FULL_DATES, MODIFIED_DATES, Profile
from coatcheck.deid.shifts import Dates
from coatcheck.errors import CoatcheckError
from coatcheck.problems import ConfigError
from coatcheck.profile_file import KEYS, load_profile
from tests.treated import problems_of, profile_of

PATTERN = "pattern: '(a+)+$', with: x"


def load(folder: Path, text: str, **more: str) -> Profile:
    """The profile of a text, with other files beside it."""
    for name, content in more.items():
        (folder / f"{name}.yaml").write_text(content)
    (folder / "mine.yaml").write_text(text)
    return load_profile("mine.yaml", folder)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("rule: []", "rule", "unknown setting: did you mean `rules`?"),
        ("titel: x", "titel", "did you mean `title`?"),
        ("5: x", "5", "unknown setting: known are: dates, extends"),
        ("title: 5", "title", "must be a text: put it into quotes"),
        ("extends: 5", "extends", "must be the name of a profile"),
        ("extends: [basic]", "extends", "must be the name of a profile"),
        ("extends: basix", "extends", "no built-in profile 'basix': did you mean `basic`?"),
        ("extends: none.yaml", "extends", "none.yaml cannot be read"),
        ("extends: mine.yaml", "extends", "leads back to this profile"),
        ("options: retain-uids", "options", "must be a list of names"),
        ("options: 5", "options", "must be a list of names"),
        ("options:", "options", "must be a list of names"),
        ("options: {retain-uids: true}", "options", "must be a list of names"),
        ("options: [1]", "options", "must be a list of names"),
        ("options: [retain-uid]", "options", "unknown option `retain-uid`: did you mean `retain-uids`?"),
        ("options: [basic]", "options", "unknown option `basic`"),
        ("options: [clean-pixel-data]", "options", "this version cannot do the option `clean-pixel-data`: leave it"),
        ("options: [retain-uids, retain-uids]", "options", "an option stands twice: name each option once"),
        (f"options: [{FULL_DATES}, {MODIFIED_DATES}]", "options", "dates cannot be both kept and moved: leave out"),
        ("unlisted: maybe", "unlisted", "unknown value `maybe`"),
        ("unlisted: kep", "unlisted", "did you mean `keep`?"),
        ("unlisted: [keep]", "unlisted", "must be"),
        ("private: keep", "private", "unknown value `keep`: known are: keep-listed, remove, safe"),
        ("private: safe", "private", "`safe` is the option `retain-safe-private`: write it under `options`"),
        ("private: remove\noptions: [retain-safe-private]", "private", "contradicts the option `retain-safe-private`"),
        ("dates: 5", "dates", "must be a mapping: write `dates: {scope: patient}`"),
        ("dates: {scop: patient}", "dates", "unknown setting `scop`: did you mean `scope`?"),
        ("dates: {scope: family}", "dates", "unknown value `family`: known are"),
        ("dates: {days: [3]}", "dates", "`days` "),
        ("dates: {days: [5, -5]}", "dates", "`days` "),
        ("dates: {days: 0}", "dates", "`days` "),
        ("dates: {days: 40000}", "dates", "`days` "),
        ("dates: {whole_weeks: 1}", "dates", "`whole_weeks` must be true or false"),
        ("dates: {whole_weeks: true, days: [-6, -1]}", "dates", "no number of whole weeks: write multiples of 7"),
        ("dates: {whole_weeks: true, days: -100}", "dates", "no number of whole weeks: write multiples of 7"),
        ("variables: [a]", "variables", "must be a mapping of names to texts"),
        ("variables: {site: 5}", "variables.site", "is no variable: a variable's name"),
        ("variables: {Site: a}", "variables.Site", "is no variable: a variable's name"),
        ("variables: {a-b: a}", "variables.a-b", "is no variable: a variable's name"),
        ("variables: {subject: a}", "variables.subject", "is no variable: a variable's name"),
        ("rules: {at: PatientSex}", "rules", "must be a list of rules: each begins with `- at:`"),
        ("rules:", "rules", "must be a list of rules"),
        ("rules: [PatientSex]", "rules", "a rule is a mapping with `at` and `do`"),
        ("rules: [{do: keep}]", "rules", "`at` is missing"),
        ("rules: [{at: PatientSex}]", "rules", "`do` is missing"),
        ("rules: [{at: PatientSex, do: kep}]", "rules", "unknown value `kep`: did you mean `keep`?"),
        ("rules: [{at: PatientSex, do: [keep]}]", "rules", "`do` must be"),
        ("rules: [{at: [], do: keep}]", "rules", "`at` must be a selector or a list"),
        ("rules: [{at: 100010, do: keep}]", "rules", "`at` must be a selector or a list"),
        ("rules: [{at: [PatientSex, 5], do: keep}]", "rules", "`at` must be a selector or a list"),
        ("rules: [{at: PatientsSex, do: keep}]", "rules", "no attribute `PatientsSex`: did you mean `PatientSex`?"),
        ("rules: [{at: '(0009,0010)', do: keep}]", "rules", "is private: name a private attribute with its creator"),
        ("rules: [{at: PatientSex > StudyDate, do: keep}]", "rules", "`PatientSex` is no sequence"),
        ("rules: [{at: VR:XY, do: keep}]", "rules", "no VR `XY`"),
        ("rules: [{at: /(/, do: keep}]", "rules", "no regular expression"),
        (
            "rules: [{at: PatientSex, do: keep, with: x}]",
            "rules",
            "unknown setting `with`: this action has no settings",
        ),
        ("rules: [{at: PatientSex, do: keep, whne: {}}]", "rules", "unknown setting `whne`"),
        ("rules: [{at: PatientSex, do: keep, when: {}}]", "rules", "a condition must be a mapping"),
        ("rules: [{at: PatientSex, do: keep, when: MR}]", "rules", "a condition must be a mapping"),
        ("rules: [{at: PatientSex, do: keep, when: {Modalty: MR}}]", "rules", "did you mean `Modality`?"),
        ("rules: [{at: PatientSex, do: keep, when: {Modality: {is: MR}}}]", "rules", "unknown setting `is`"),
        ("rules: [{at: PatientSex, do: keep, because: 5}]", "rules", "`because` must be a text"),
        ("rules: [{at: StudyID, do: replace}]", "rules", "`with` is missing"),
        ("rules: [{at: StudyID, do: replace, with: 5}]", "rules", "`with` must be a text"),
        ("rules: [{at: StudyID, do: replace, with: '{site'}]", "rules", "a single `{`"),
        ("rules: [{at: StudyID, do: replace, with: '{hospital}'}]", "rules", "there is no variable `hospital`"),
        ("rules: [{at: StudyID, do: replace, with: '{Modalty}'}]", "rules", "did you mean `Modality`?"),
        ("rules: [{at: StudyID, do: replace, with: '{site|uper}'}]", "rules", "did you mean `upper`?"),
        (f"rules: [{{at: StudyID, do: substitute, {PATTERN}}}]", "rules", "may take for ever on some values"),
        ("rules: [{at: StudyID, do: substitute, pattern: a, with: '\\1'}]", "rules", "does not go with the pattern"),
        ("rules: [{at: StudyID, do: substitute, pattern: a, with: b, count: -1}]", "rules", "`count` is too small"),
        ("rules: [{at: StudyID, do: hash, length: 3}]", "rules", "`length` is too small"),
        ("rules: [{at: StudyID, do: encrypt, too_short: cut}]", "rules", "unknown value `cut`"),
        ("rules: [{at: StudyDate, do: redact, to: year}]", "rules", "unknown setting `to`"),
        ("rules: [{at: StudyDate, do: shift-dates, days: many}]", "rules", "`days` "),
        ("rules: [{at: StudyDate, do: shift-dates, days: -3, scope: all}]", "rules", "unknown value `all`"),
        ("rules: [{at: Rows, do: perturb}]", "rules", "perturb needs one of"),
        ("rules: [{at: Rows, do: perturb, span: 0}]", "rules", "`span` is too small"),
        ("rules: [{at: StudyDate, do: generalise}]", "rules", "generalise needs one of"),
        ("rules: [{at: StudyDate, do: generalise, to: week}]", "rules", "unknown value `week`"),
        ("rules: [{at: StudyID, do: lookup, list: none.csv}]", "rules", "cannot be read"),
        ("rules: [{at: StudyID, do: lookup, list: mine.yaml}]", "rules", "does not begin with its columns"),
    ],
)
def test_every_setting_that_is_wrong_is_named(tmp_path: Path, text: str, key: str, said: str) -> None:
    (found,) = problems_of(tmp_path, text)

    line, where, what = found
    assert (line, where) == (1, key)
    assert said in what


def test_every_setting_of_a_profile_is_wrong_once_above() -> None:
    """So that a new setting is not forgotten there."""
    assert KEYS == ("title", "extends", "options", "unlisted", "private", "dates", "variables", "rules")


ALL_WRONG = """title: 5
optoins: []
options:
  - retain-uid
unlisted: perhaps
private: some
dates:
  scope: family
variables:
  good: text
  Bad: text
rules:
  - at: PatientSex
    do: kep
  - at: PatientAge
    do: keep
  -
    because: nothing is said
  - at: [StudyDate,
         StudiDate]
    do: remove
  - at: StudyID
    when: {Modality: MR}
    do: replace
    with: "{nobody}"
"""


def test_all_problems_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    found = [(line, key) for line, key, _ in problems_of(tmp_path, ALL_WRONG)]

    rules = [(line, "rules") for line in (13, 18, 19, 22)]
    settings = [(1, "title"), (2, "optoins"), (3, "options"), (5, "unlisted"), (6, "private"), (7, "dates")]
    assert found == [*settings, (11, "variables.Bad"), *rules]


def test_what_lint_finds_is_told_with_its_line_too(tmp_path: Path) -> None:
    text = "rules:\n  - at: PatientSex\n    do: keep\n  - at: PatientID\n    do: keep\n  - at: Rows\n    do: uid\n"

    assert [(line, key) for line, key, _ in problems_of(tmp_path, text)] == [(4, "rules"), (6, "rules")]


def test_an_empty_profile_says_nothing_more_than_the_basic_profile() -> None:
    profile = profile_of("{}")

    assert (profile.options, profile.unlisted, profile.private, profile.dates) == ((), "keep", "remove", Dates())
    assert (profile.variables, profile.rules, profile.title) == ((), (), "mine")


def test_variables_of_the_project_are_known_and_others_are_not(tmp_path: Path) -> None:
    text = "variables: {own: a}\nrules: [{at: StudyID, do: replace, with: '{own}{site}{subject}{project}%s'}]"

    assert not problems_of(tmp_path, text % "")
    assert not problems_of(tmp_path, text % "{wave}", {"wave": "1"})
    assert "did you mean `wave`?" in problems_of(tmp_path, text % "{wav}", {"wave": "1"})[0][2]


def test_lists_are_read_from_the_folder_of_the_profile_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "sites.csv").write_text("old,new\nMallory Clinic,Site 3\n")
    (tmp_path / "sub" / "base.yaml").write_text("rules: [{at: InstitutionName, do: lookup, list: sites.csv}]")

    assert load(tmp_path, "extends: sub/base.yaml").rules


def test_no_message_holds_what_a_list_holds(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text("old,new\nMallory Clinic\n")
    text = "rules: [{at: InstitutionName, do: lookup, list: sites.csv}]"

    (found,) = problems_of(tmp_path, text)

    assert "wrong in line 2" in found[2]
    assert "Mallory" not in found[2]


def test_every_legal_set_of_options_can_be_written() -> None:
    for full in (FULL_DATES, MODIFIED_DATES):
        options = [option for option in AVAILABLE if option not in (FULL_DATES, MODIFIED_DATES)]
        assert profile_of(f"options: [{', '.join([*options, full])}]").options == (*options, full)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["keep", "PatientSex", "safe", "", "basic", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYS, "at", "do", "when", "with", "scope", "days"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_whatever_stands_there_is_a_profile_or_told_as_a_problem(content: dict[str, object]) -> None:
    try:
        profile = profile_of(yaml.safe_dump(content))
    except ConfigError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.what for problem in error.problems)
    except CoatcheckError:
        pass
    else:
        assert profile.digest
