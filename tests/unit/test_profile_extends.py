"""Profiles that extend others: what is said later wins, loops are found, and problems name their own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.deid.profile import FULL_DATES, MODIFIED_DATES, Profile
from coatcheck.deid.shifts import Dates
from coatcheck.problems import ConfigError
from coatcheck.profile_file import load_profile


def load(folder: Path, text: str, **more: str) -> Profile:
    """The profile of a text, with other files beside it."""
    for name, content in more.items():
        (folder / f"{name}.yaml").write_text(content)
    (folder / "mine.yaml").write_text(text)
    return load_profile("mine.yaml", folder)


def test_what_is_said_stands_over_what_is_extended(tmp_path: Path) -> None:
    base = """title: Base
options: [clean-graphics, retain-uids]
unlisted: remove
private: keep-listed
dates: {scope: patient, days: [-700, -7]}
variables: {site: Ulm, trial: A}
rules: [{at: PatientSex, do: keep}]
"""
    text = """extends: base.yaml
options: [clean-descriptors, clean-graphics]
dates: {whole_weeks: true}
variables: {trial: B, more: C}
rules: [{at: PatientSex, do: remove}, {at: StudyID, do: replace, with: "{site}{more}"}]
"""
    profile = load(tmp_path, text, base=base)

    assert (profile.name, profile.title) == ("mine", "mine")
    assert profile.options == ("clean-graphics", "retain-uids", "clean-descriptors")
    assert (profile.unlisted, profile.private) == ("remove", "keep-listed")
    assert profile.dates == Dates(scope="patient", days=(-700, -7), whole_weeks=True)
    assert profile.variables == (("site", "Ulm"), ("trial", "B"), ("more", "C"))
    assert [rule.action for rule in profile.rules] == ["keep", "remove", "replace"]
    assert [Path(rule.place).name for rule in profile.rules] == ["base.yaml:7", "mine.yaml:5", "mine.yaml:5"]
    plain = load(tmp_path, "extends: base.yaml\nunlisted: keep\nprivate: remove", base=base)
    assert (plain.unlisted, plain.private) == ("keep", "remove")


@pytest.mark.parametrize(("first", "then"), [(FULL_DATES, MODIFIED_DATES), (MODIFIED_DATES, FULL_DATES)])
def test_the_later_of_two_options_for_dates_wins_over_an_extended_one(tmp_path: Path, first: str, then: str) -> None:
    profile = load(tmp_path, f"extends: base.yaml\noptions: [{then}]", base=f"options: [{first}, retain-uids]")

    assert profile.options == ("retain-uids", then)


@pytest.mark.parametrize("private", ["remove", "keep-listed"])
def test_a_stamp_does_not_say_safe_private_where_a_profile_takes_that_back(tmp_path: Path, private: str) -> None:
    base = "options: [retain-safe-private, retain-uids]"
    profile = load(tmp_path, f"extends: base.yaml\nprivate: {private}", base=base)

    assert (profile.private, profile.options) == (private, ("retain-uids",))
    assert load(tmp_path, "extends: base.yaml", base=base).private == "safe"
    assert "retain-safe-private" in load(tmp_path, "extends: base.yaml\nprivate: safe", base=base).options


def test_the_option_says_by_itself_that_safe_private_attributes_stay(tmp_path: Path) -> None:
    assert load(tmp_path, "options: [retain-safe-private]").private == "safe"
    over = load(tmp_path, "extends: base.yaml\noptions: [retain-safe-private]", base="private: keep-listed")
    assert over.private == "safe"


def test_profiles_extend_each_other_in_a_chain_and_problems_name_their_own_file(tmp_path: Path) -> None:
    profile = load(
        tmp_path,
        "extends: b.yaml\nrules: [{at: StudyID, do: keep}]",
        b="extends: ./c.yaml\nrules: [{at: PatientSex, do: keep}]",
        c="extends: research\nrules: [{at: PatientAge, do: keep}]",
    )
    assert [Path(rule.place).name for rule in profile.rules[-3:]] == ["c.yaml:2", "b.yaml:2", "mine.yaml:2"]

    with pytest.raises(ConfigError) as error:
        load(tmp_path, "unlisted: x\nextends: b.yaml", b="\nextends: ./c.yaml", c="\n\nprivate: y")
    assert [(Path(one.file).name, one.line) for one in error.value.problems] == [("c.yaml", 3), ("mine.yaml", 1)]


def test_an_extended_file_is_found_from_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.yaml").write_text("extends: ../two.yaml\n")

    found = load(tmp_path, "extends: sub/one.yaml", two="options: [retain-uids]")

    assert found.options == ("retain-uids",)


def test_a_loop_and_a_chain_without_end_are_told_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, "extends: b.yaml", b="title: b\nextends: c.yaml", c=f"extends: ../{tmp_path.name}/mine.yaml")
    (found,) = error.value.problems
    assert (Path(found.file).name, found.line, found.what) == ("c.yaml", 1, "leads back to this profile")

    chain = {f"p{number}": f"extends: p{number + 1}.yaml" for number in range(20)}
    with pytest.raises(ConfigError) as error:
        load(tmp_path, "extends: p0.yaml", **chain)
    (found,) = error.value.problems
    assert found.what == "more than 8 profiles in a row"


def test_an_extended_profile_is_linted_with_the_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, "extends: b.yaml", b="\nrules: [{at: PatientID, do: keep}]")

    (found,) = error.value.problems
    assert (found.file, found.line) == (str(tmp_path / "b.yaml"), 2)
