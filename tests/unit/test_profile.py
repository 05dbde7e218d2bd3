"""What a profile promises: its options, its stamps, what it keeps of whom, and a digest that names all of it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.deid import standard
from coatcheck.deid.profile import AVAILABLE, FULL_DATES, MODIFIED_DATES
from coatcheck.errors import CoatcheckError
from coatcheck.problems import ConfigError
from coatcheck.profile_file import built_in, load_profile
from tests.support import SECRET
from tests.treated import profile_of


def test_basic_and_research_ship_and_every_profile_that_ships_can_be_loaded() -> None:
    assert {"basic", "research"} <= set(built_in())
    for name in built_in():
        profile = load_profile(name, Path())
        assert profile.name == name
        assert profile.title != name
        assert set(profile.options) <= set(AVAILABLE)


def test_basic_has_no_option_and_research_keeps_intervals_and_characteristics() -> None:
    assert load_profile("basic", Path()).options == ()
    assert {MODIFIED_DATES, "retain-patient-characteristics"} <= set(load_profile("research", Path()).options)


def test_this_version_can_do_ten_options_all_of_the_standard() -> None:
    assert len(AVAILABLE) == 10
    missing = set(standard.options()) - set(AVAILABLE)
    assert missing == {"basic", "clean-pixel-data", "clean-recognizable-visual-features"}


@pytest.mark.parametrize(
    ("options", "modified"),
    [("[]", "REMOVED"), (f"[{MODIFIED_DATES}]", "MODIFIED"), (f"[{FULL_DATES}]", "UNMODIFIED")],
)
def test_a_profile_says_what_was_done_to_time(options: str, modified: str) -> None:
    assert profile_of(f"options: {options}").temporal_information == modified


def test_the_methods_are_codes_of_cid_7050_with_the_profile_first() -> None:
    profile = profile_of(f"options: [{', '.join(option for option in AVAILABLE if option != FULL_DATES)}]")

    codes = [method.code for method in profile.methods]
    assert codes[0] == "113100"
    assert codes[1:] == [standard.options()[option].code for option in profile.options]
    assert len(codes) == 10


def test_what_an_option_keeps_on_purpose_is_not_searched() -> None:
    assert not profile_of("options: [clean-descriptors, retain-patient-characteristics]").kept_kinds
    assert profile_of(f"options: [{FULL_DATES}]").kept_kinds == {"date"}
    assert profile_of(f"options: [{MODIFIED_DATES}]").kept_kinds == set()
    kept = profile_of("options: [retain-uids, retain-institution-identity, retain-device-identity]").kept_kinds
    assert kept == {"uid", "institution", "device", "station"}


def test_uids_are_new_ones_but_where_they_are_retained() -> None:
    assert profile_of("rules: []").uid(SECRET, "1.2.3.4").startswith("2.25.")
    assert profile_of("options: [retain-uids]").uid(SECRET, "1.2.3.4") == "1.2.3.4"
    assert profile_of("options: [retain-uids]").uid(SECRET, "../1.2").startswith("2.25.")


def test_a_profile_of_ones_own_is_read_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine\noptions: [retain-patient-characteristics]\n")

    relative, absolute = load_profile("mine.yaml", tmp_path), load_profile(str(path), Path())

    assert relative == absolute
    assert (relative.name, relative.title) == ("mine", "Mine")


def test_a_profile_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CoatcheckError, match="no built-in profile 'reserach'") as error:
        load_profile("reserach", tmp_path)
    assert error.value.hint == "did you mean `research`?"
    with pytest.raises(CoatcheckError, match="cannot be read"):
        load_profile("none.yaml", tmp_path)


@pytest.mark.parametrize(
    ("text", "line", "key", "what", "hint"),
    [
        ("optoins: []", 1, "optoins", "unknown setting", "did you mean `options`?"),
        ("title: x\noptions: [basic]", 2, "options", "unknown option `basic`", ""),
        ("- a list", 1, "", "a profile is a mapping of settings", "coatcheck profile show basic"),
        ("", 1, "", "a profile is a mapping of settings", "coatcheck profile show basic"),
        ("title: x\noptions: [", 2, "", "not readable as YAML", "mend the YAML"),
        ("!!python/object/apply:os.system ['true']", 1, "", "", ""),
    ],
)
def test_an_error_says_where_what_and_what_to_do(
    tmp_path: Path, text: str, line: int, key: str, what: str, hint: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as error:
        load_profile(str(path), Path())

    first = str(error.value).splitlines()[0]
    assert first.startswith(f"{path}:{line}: {key}: " if key else f"{path}:{line}: ")
    assert what in first
    assert hint in first
    assert error.value.exit_code == 78


RULED = """private: keep-listed
dates: {scope: patient}
rules:
  - {at: ProtocolName, do: clean-text, when: {Modality: {in: [MR, CT]}}}
  - {at: StudyDescription, do: clean-text}
  - {at: VR:DA, do: redact}
  - {at: ImageComments, do: mask}
  - {at: StudyID, do: hash, length: 12}
"""


def test_the_digest_changes_with_what_the_profile_does_and_with_nothing_else() -> None:
    text = RULED
    same = [
        text,
        "title: other\n" + text,
        text.replace("{at: VR:DA, do: redact}", "{do: redact, at: VR:DA, because: years do}"),
    ]
    others = [
        text.replace("12", "13"),
        text.replace("MR, CT", "MR"),
        text.replace("patient}", "study}"),
        text.replace("keep-listed", "remove"),
        text.replace("mask", "remove"),
        text + "  - {at: Rows, do: keep}\n",
        text + "unlisted: remove\n",
        text + "options: [clean-graphics]\n",
        text + "variables: {a: b}\n",
        "rules: []",
    ]

    assert len({profile_of(one).digest for one in same}) == 1
    assert len({profile_of(one).digest for one in [text, *others]}) == len(others) + 1
    assert load_profile("basic", Path()).digest == profile_of("rules: []").digest


def test_the_digest_names_the_content_of_a_list(tmp_path: Path) -> None:
    path, rows = tmp_path / "mine.yaml", tmp_path / "sites.csv"
    path.write_text("rules: [{at: InstitutionName, do: lookup, list: sites.csv}]")
    digests = []
    for content in ("old,new\na,b\n", "old,new\na,c\n"):
        rows.write_text(content)
        digests.append(load_profile(str(path), Path()).digest)

    assert digests[0] != digests[1]


def test_the_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RULED)
    code = "import sys; from pathlib import Path; from coatcheck.profile_file import load_profile as load\n"
    code += "print(load(sys.argv[1], Path()).digest)"

    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == load_profile(str(path), Path()).digest


def test_a_profile_goes_to_a_worker_and_is_the_same_there() -> None:
    profile = profile_of(RULED)

    copy = pickle.loads(pickle.dumps(profile))

    assert copy == profile
    assert hash(copy) == hash(profile)
    assert copy.digest == profile.digest
    assert (copy.reads, copy.varies) == ({0x00080060}, frozenset())


@pytest.mark.parametrize(
    ("text", "varies"),
    [
        ("dates: {scope: series}", {"series"}),
        ("dates: {scope: instance}", {"instance"}),
        ("dates: {scope: patient}", set()),
        ("rules: [{at: StudyID, do: replace, with: '{Modality}'}]", {"attributes"}),
        ("rules: [{at: StudyID, do: replace, with: '{subject}'}]", set()),
        ("rules: [{at: StudyDate, do: shift-dates, scope: series, days: [-9, -1]}]", {"series"}),
        ("rules: [{at: StudyDate, do: shift-dates, scope: series, days: -9}]", set()),
    ],
)
def test_a_profile_says_what_its_results_depend_on(text: str, varies: set[str]) -> None:
    assert profile_of(text).varies == varies
