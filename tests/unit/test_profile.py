"""A profile is a page of YAML, and one that is not right never runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.deid import standard
from coatcheck.deid.profile import AVAILABLE, built_in, load_profile
from coatcheck.errors import CoatcheckError


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_the_built_in_profiles_are_basic_and_research() -> None:
    assert built_in() == ["basic", "research"]
    assert load_profile("basic", Path()).options == ()
    assert load_profile("research", Path()).options == AVAILABLE


@pytest.mark.parametrize(("name", "modified"), [("basic", "REMOVED"), ("research", "MODIFIED")])
def test_a_profile_says_what_was_done_to_time(name: str, modified: str) -> None:
    assert load_profile(name, Path()).temporal_information == modified


def test_the_methods_are_codes_of_cid_7050_with_the_profile_first() -> None:
    methods = load_profile("research", Path()).methods
    assert [method.code for method in methods] == ["113100", "113107", "113108"]


def test_a_profile_of_ones_own_is_read_relative_to_the_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, "title: Mine\noptions: [retain-patient-characteristics]\n")

    relative, absolute = load_profile("mine.yaml", tmp_path), load_profile(str(path), Path())

    assert relative == absolute
    assert (relative.name, relative.title) == ("mine", "Mine")


def test_the_digest_changes_with_what_the_profile_does_and_not_with_its_title(tmp_path: Path) -> None:
    digests = {
        load_profile(str(written(tmp_path, text)), Path()).digest
        for text in ("options: []", "title: other\noptions: []", "options: [retain-patient-characteristics]")
    }
    assert len(digests) == 2
    assert load_profile("basic", Path()).digest in digests


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optoins: []", "did you mean 'options'"),
        ("options: [retain-patient-characteristic]", "did you mean 'retain-patient-characteristics'"),
        ("options: [retain-uids]", "cannot do"),
        ("options: [basic]", "unknown option"),
        ("options: retain-uids", "not a list"),
        ("options: [1]", "not a list"),
        ("options: [retain-patient-characteristics, retain-patient-characteristics]", "twice"),
        ("- a list", "not a mapping"),
        ("", "not a mapping"),
        ("options: [", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_what_is_not_right_is_an_error_that_says_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CoatcheckError, match=said) as error:
        load_profile(str(written(tmp_path, text)), Path())
    assert error.value.hint


def test_a_profile_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CoatcheckError, match="basic, research"):
        load_profile("reserach", tmp_path)
    with pytest.raises(CoatcheckError, match="cannot be read"):
        load_profile("none.yaml", tmp_path)


def test_every_available_option_is_one_of_the_standard() -> None:
    assert set(AVAILABLE) <= set(standard.options())
