"""Rules of other tools become a profile that loads, and none of them lets through more than the base does."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.deid.lint import attributes, lint
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import Profile
from coatcheck.errors import CoatcheckError
from coatcheck.moving_in import kinds, weighing, writing
from coatcheck.moving_in.model import UnreadableError
from coatcheck.moving_in.weighing import Verdict
from coatcheck.problems import ConfigError
from coatcheck.profile_file import load_profile
from tests.support import CT

SAMPLES = Path(__file__).parent / "moving_in"
FILES = {
    "microsoft.json": "microsoft",
    "deid.dicom": "deid",
    "mmiv.json": "mmiv",
    "rsna.script": "ctp",
    "ctp.script": "ctp",
    "kitware.json": "kitware",
}


@cache
def base_of(name: str) -> Profile:
    return load_profile(name, Path())


def imported(content: bytes, base: str = "basic", kind: str | None = None) -> tuple[Verdict, str]:
    name, foreign = kinds.read(content, kind)
    verdict = weighing.weigh(foreign, base_of(base))
    return verdict, writing.profile_text(foreign, verdict, title=kinds.KINDS[name].title, base=base, file="x")


@cache
def sample(file: str, base: str = "basic") -> tuple[Verdict, str]:
    return imported((SAMPLES / file).read_bytes(), base)


def loaded(text: str, folder: Path) -> Profile:
    (folder / "imported.yaml").write_text(text)
    return load_profile("./imported.yaml", folder)


def lines(verdict: Verdict, part: str) -> set[int]:
    return {one.rule.line for one in getattr(verdict, part)}


@pytest.mark.parametrize(("file", "kind"), FILES.items())
def test_the_kind_of_a_file_is_told_from_its_content(file: str, kind: str) -> None:
    assert kinds.read((SAMPLES / file).read_bytes(), None)[0] == kind


@pytest.mark.parametrize("base", ["basic", "research"])
@pytest.mark.parametrize("file", FILES)
def test_the_tools_own_samples_become_profiles_without_problems(file: str, base: str, tmp_path: Path) -> None:
    verdict, text = sample(file, base)

    profile = loaded(text, tmp_path)

    assert [one for one in lint(profile) if one.level == "problem"] == []
    assert len(profile.rules) == len(base_of(base).rules) + len(verdict.carried)
    for one in verdict.carried:
        assert f"# line {one.rule.line}: " in text


@pytest.mark.parametrize("file", FILES)
def test_no_attribute_is_treated_more_mildly_than_by_the_base(file: str, tmp_path: Path) -> None:
    before, after = base_of("basic"), loaded(sample(file)[1], tmp_path)
    for sop_class in ("", CT):
        plans = [Plan(one, sop_class, frozenset(range(len(one.rules)))) for one in (before, after)]
        for tag, vr in attributes():
            mild, now = (plan.rule(tag, vr, ()) for plan in plans)
            stays = mild.action not in ("keep", "keep-time")
            assert not (stays and now.action in ("keep", "keep-time", "substitute", "allow")), f"{tag:08X}"
            assert not now.permits or mild.permits or mild.action == "keep", f"{tag:08X}"


@pytest.mark.parametrize("file", FILES)
def test_each_loosening_is_a_comment_that_a_person_can_put_in_force(file: str, tmp_path: Path) -> None:
    verdict, text = sample(file)
    private = [one for one in verdict.loosenings if "private" in one.reason]

    opened = re.sub(r"^#(?=  (- |  )|rules:|dates:)", "", text, flags=re.M)
    opened = opened.replace("extends:", "private: keep-listed\nextends:") if private else opened
    try:
        assert len(loaded(opened, tmp_path).rules) == len(verdict.standing)
    except ConfigError as error:  # where the file itself says two things of one attribute
        assert all("is decided again" in one.what for one in error.problems)


def test_every_line_of_a_ctp_script_is_accounted_for() -> None:
    verdict, text = sample("ctp.script")

    assert lines(verdict, "carried") == {11, 12, 19, 20, 26, 27}
    assert lines(verdict, "loosenings") == {8, 10, 14, 17, 26, 27}
    assert lines(verdict, "refused") == {13, 21, 23, 24, 25}
    assert lines(verdict, "same") == {5, 7, 9, 15, 16, 18, 22, 28, 29}
    assert "with: 'Knee {{2}}'" in text
    assert "#dates: {scope: project, days: -100}" in text
    assert "  # line 6: 1 lines are switched off" in text
    assert "unlisted: remove" in text


def test_a_condition_of_ctp_is_one_of_ours(tmp_path: Path) -> None:
    profile = loaded(sample("ctp.script")[1], tmp_path)
    always, conditional = [one for one in profile.rules if one.selectors[0].text == "StationName"]

    assert (always.action, always.when) == ("replace", None)
    assert conditional.action == "remove"
    assert conditional.when is not None
    assert conditional.when.holds({0x00080060: ("mr",)})
    assert not conditional.when.holds({0x00080060: ("CT",)})


def test_the_former_of_two_rules_of_microsofts_holds(tmp_path: Path) -> None:
    rules = '{"rules": [{"tag": "Manufacturer", "method": "remove"},\n{"tag": "LO", "method": "redact"},\n'
    rules += '{"tag": "Manufacturer", "method": "refreshUID"}]}'
    verdict, text = imported(rules.encode())

    plan = Plan(loaded(text, tmp_path), "")
    assert plan.rule(0x00080070, "LO", ()).action == "remove"
    assert plan.rule(0x00081090, "LO", ()).action == "empty"
    assert lines(verdict, "refused") == {3}


def test_settings_of_microsofts_become_ours() -> None:
    text = """{"rules": [
      {"tag": "(0018,0050)", "method": "perturb", "setting": "mine"},
      {"tag": "(0018,0060)", "method": "Perturb", "params": {"span": "2", "roundTo": 0}},
      {"tag": "StationName", "method": "substitute"}],
      "defaultSettings": {"perturb": {"span": 1, "roundTo": 1, "rangeType": "Fixed"}},
      "customSettings": [{"mine": {"span": "0.2", "roundTo": 3, "rangeType": "Proportional"}}],}"""
    verdict, _ = imported(text.encode())

    made = {one.rule.line: one.written.written() for one in verdict.carried if one.written}
    assert made[2] == {"at": "SliceThickness", "do": "perturb", "proportional": 0.1, "round_to": 0.001}
    assert made[3] == {"at": "KVP", "do": "perturb", "span": 1.0, "round_to": 1}
    assert made[4] == {"at": "StationName", "do": "replace", "with": "ANONYMOUS"}


def test_keep_of_a_recipe_holds_over_a_wider_remove_where_annex_e_lets_it(tmp_path: Path) -> None:
    recipe = "FORMAT dicom\n%fields mine\nFIELD startswith:Patient\n%header\nKEEP PatientPosition\nKEEP PatientSex\n"
    recipe += "REMOVE fields:mine\nREMOVE ALL\nKEEP Rows # needed\nREPLACE StationName var:x\n"
    verdict, text = imported(recipe.encode())
    plan = Plan(loaded(text, tmp_path), "")

    assert plan.rule(0x00185100, "CS", ()).action == "clean-text"
    assert not plan.rule(0x00185100, "CS", ()).permits
    assert plan.rule(0x00280010, "US", ()).action == "keep"
    assert plan.rule(0x00100040, "CS", ()).action in ("remove", "empty")
    assert plan.rule(0x00181316, "DS", ()).action == "remove"
    assert lines(verdict, "loosenings") == {6}
    assert lines(verdict, "refused") == {10}


def test_python_is_read_and_never_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    python = f"open({str(made)!r}, 'w')\nrules = {{(0x0008, 0x0080): delete, (0x0010, 0x0040): keep}}\n"
    python += "rules[(0x0018, 0x1030)] = my_own\nrules[(0x0008, 0x1010)] = 'empty'\n"
    verdict, _ = imported(python.encode())

    assert not made.exists()
    assert lines(verdict, "carried") == {2, 4}
    assert lines(verdict, "loosenings") == {2}
    assert [one.reason for one in verdict.refused] == ["it is a function of your own"]


def test_private_attributes_stay_gone() -> None:
    rules = '[["0009","1001","SECTRA","remove"],["0029","1010","SIEMENS CSA HEADER","keep"],'
    rules += '\n["0029","1020","SIEMENS CSA HEADER","replace"],["0013","0010","BlockOwner","CTP"]]'
    verdict, _ = imported(rules.encode())

    assert [one.rule.said[:9] for one in verdict.same] == ["0009 1001"]
    assert [one.rule.said[:9] for one in verdict.loosenings] == ["0029 1010", "0029 1020"]
    assert not verdict.carried


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\xff",
        b"{}",
        b"[" * 5000,
        b"<script><e>",
        b"<script/>",
        b'<?xml version="1.0"?><!DOCTYPE script [<!ENTITY a "b">]><script><e en="T" t="00080005">&a;</e></script>',
        b'{"rules": 3, "tag": "method"}',
    ],
)
@pytest.mark.parametrize("kind", [None, *kinds.KINDS])
def test_what_is_no_such_file_is_a_clear_error(content: bytes, kind: str | None) -> None:
    with pytest.raises(UnreadableError) as caught:
        kinds.read(content, kind)
    assert caught.value.hint


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(UnreadableError):
        kinds.read(b" " * (kinds.LARGEST + 1), "deid")


TEXT = """keep remove redact dateshift perturb substitute {} ( ) , " \n # % @if(this,equals,"x"){@keep()}{a} @param(@X)
    @always()y PatientSex Rows StudyDate VR:DA (0010,0010) (0008,103e) 0029,1010 contains:Name all fields:x KEEP REMOVE
    ADD REPLACE JITTER BLANK %header %filter {Modality} {{ \\1 (a+)+ 99999999999 -0 \u2028 \x85 : - ' & * ! 1.5"""
WORDS = st.sampled_from(TEXT.split(" "))


def shaped(kind: str, words: list[str]) -> bytes:
    """A file that comes near to one of this kind."""
    text, first = " ".join(words), words[0]
    if kind == "microsoft":
        rules = [{"tag": a, "method": b, "params": {"replaceWith": text}} for a, b in pairwise(words)]
        return json.dumps({"rules": rules}).encode()
    if kind == "mmiv":
        return json.dumps([["0008", "103E", text, *words[:3]], ["0010", "0040", *words[:2]]]).encode()
    if kind == "kitware":
        done = {"action": "regexp", "find": text, "replace": first}
        return json.dumps({"(0x0008,0x103E)": first, "(0x0008,0x1030)": done}).encode()
    if kind == "ctp":
        return "\n".join(f"set.[0008,{n:04x}]x={word}{text}" for n, word in enumerate(words, 0x1030)).encode()
    return ("%header\n" + "\n".join(f"{a} {b} {text}" for a, b in pairwise(words))).encode()


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(kinds.KINDS)), words=st.lists(WORDS | st.text(max_size=6), min_size=2, max_size=5))
def test_whatever_stands_in_a_file_gives_a_clear_error_or_a_profile_that_loads(kind: str, words: list[str]) -> None:
    try:
        verdict, text = imported(shaped(kind, words), kind=kind)
    except CoatcheckError as error:
        assert error.what
        return
    with TemporaryDirectory() as folder:
        assert len(loaded(text, Path(folder)).rules) == len(verdict.carried)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200), kind=st.sampled_from([None, *kinds.KINDS]))
def test_any_bytes_give_a_clear_error_or_a_profile_that_loads(content: bytes, kind: str | None) -> None:
    try:
        verdict, text = imported(content, kind=kind)
    except CoatcheckError as error:
        assert error.what
        return
    with TemporaryDirectory() as folder:
        assert len(loaded(text, Path(folder)).rules) == len(verdict.carried)
