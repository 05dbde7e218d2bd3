"""Which dropped files a project wants."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from coatcheck.choice import Choice, Having, Wildcard
from coatcheck.config import Project
from coatcheck.deid.conditions import parse
from tests.unit.test_config import loaded, problems, with_setting

MODALITY = 0x00080060


def project(tmp_path: Path, text: str) -> Project:
    return loaded(tmp_path, with_setting(text)).projects["lung"]


def choice(tmp_path: Path, text: str) -> Choice:
    said = project(tmp_path, text)
    return Choice(include=said.include, exclude=said.exclude, marker="DONE")


@pytest.mark.parametrize(
    ("rule", "path", "fits"),
    [
        ("*.jpg", "a/b/C.JPG", True),
        ("*.jpg", "a.jpg/b", True),
        ("viewer", "disc/VIEWER/x.exe", True),
        ("viewer", "disc/viewer2/x", False),
        ("disc 1/*.jpg", "disc 1/deep/x.jpg", True),
        ("disc 1/*.jpg", "other/disc 1/x.jpg", False),
        ("IM[0-9]", "a/IM7", True),
        ("*", "\udcff\n", True),
    ],
)
def test_a_wildcard_is_compared_with_each_name_or_with_the_whole_path(rule: str, path: str, fits: bool) -> None:
    assert Wildcard(rule).holds(path) is fits


def test_a_file_is_wanted_if_a_rule_includes_it_and_none_excludes_it(tmp_path: Path) -> None:
    rules = choice(tmp_path, 'include: ["*.dcm"]\n    exclude: [{regex: "^(a|b)/"}]')
    assert not rules.leaves_out("c/1.dcm")
    assert rules.leaves_out("a/1.dcm")
    assert rules.leaves_out("c/1.txt")
    assert not rules.leaves_out("c/DONE")  # The marker is no file that is wanted or not.
    assert not rules.leaves_out("c/disc.zip")  # What is in it is judged.


def test_what_attributes_decide_is_not_left_out_before_they_are_read(tmp_path: Path) -> None:
    rules = choice(tmp_path, 'include: ["*.dcm", {when: {Modality: MR}}]')
    assert rules.reads == {MODALITY}
    assert not rules.leaves_out("a")
    assert rules.wants("a", lambda tags: {MODALITY: ("MR",)})
    assert not rules.wants("a", lambda tags: {MODALITY: ("CT",)})
    assert rules.wants("a.dcm", lambda tags: {})


def test_without_rules_nothing_is_read_and_all_is_wanted() -> None:
    assert Choice().wants("a", lambda tags: pytest.fail("it was read"))
    assert not Choice().leaves_out("a")


def test_rules_are_equal_by_value_and_go_to_workers(tmp_path: Path) -> None:
    said = project(tmp_path, 'exclude: ["*.jpg", {when: {Modality: SR}}]')
    assert said.exclude == (Wildcard("*.jpg"), Having(parse({"Modality": "SR"})))
    assert pickle.loads(pickle.dumps(said)) == said


@pytest.mark.parametrize(
    "text",
    [
        "exclude: '*.jpg'",
        "exclude: [{regex: '(a+)+b'}]",
        "exclude: [{regex: '('}]",
        "exclude: [{regex: 'a', when: {Modality: SR}}]",
        "exclude: [{when: {Modality: []}}]",
        "exclude: [{when: {NoSuchAttribute: SR}}]",
        "exclude: [7]",
        "exclude: ['']",
    ],
)
def test_a_rule_that_cannot_be_read_or_may_take_for_ever_is_a_problem_with_its_line(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, with_setting(text)).values()
    assert problem.key == "projects.lung.exclude"
    assert (problem.line, bool(problem.hint)) == (9, True)


@pytest.mark.parametrize("text", ["done_marker: a/b", "done_marker: .done", "done_marker: ''", "done_marker: 7"])
def test_a_marker_has_a_name_that_a_listing_sees(tmp_path: Path, text: str) -> None:
    assert list(problems(tmp_path, with_setting(text))) == ["projects.lung.done_marker"]


def test_the_marker_may_have_another_name_or_none(tmp_path: Path) -> None:
    assert project(tmp_path, "done_marker: READY").done_marker == "READY"
    assert project(tmp_path, "done_marker: off").done_marker == ""
