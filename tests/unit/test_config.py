"""Reading a configuration: what it means, and everything that is wrong with it at once."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from coatcheck.config import Config, ConfigError, Problem, Project, find_config, load
from coatcheck.config_subjects import Entry, Hashed, Listed, Sequential, Spelling
from coatcheck.errors import CoatcheckError

MINIMAL = """\
state_dir: state
key_dir: keys
projects:
  lung:
    inbox: lung/in
    outbox: lung/out
    quarantine: lung/q
    archive: lung/a
"""


def loaded(folder: Path, text: str) -> Config:
    file = folder / "coatcheck.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def problems(folder: Path, text: str) -> dict[str, Problem]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return {problem.key: problem for problem in caught.value.problems}


def with_setting(line: str) -> str:
    return f"{MINIMAL}    {line}\n"


def test_the_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    project = loaded(tmp_path, MINIMAL).projects["lung"]
    assert (project.file_settle, project.study_settle, project.study_longest_wait) == (5.0, 60.0, 21600.0)
    assert (project.profile, project.originals, project.watch) == ("research", "archive", "auto")
    assert (project.release, project.pixel_risk, project.date_shift_days) == ("auto", "quarantine", (-365, -1))


def test_relative_paths_count_from_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/coatcheck.yaml").write_text(MINIMAL.replace("lung/in", "../in"))
    monkeypatch.chdir(tmp_path)
    config = load(Path("sub/coatcheck.yaml"))
    assert config.projects["lung"].inbox == tmp_path / "in"
    assert config.state_dir == tmp_path / "sub/state"
    assert config.place("projects", "lung", "inbox") == ("sub/coatcheck.yaml", 5)


def test_a_configuration_is_frozen_equal_by_value_and_can_be_pickled(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    assert pickle.loads(pickle.dumps(config)) == config
    assert pickle.loads(pickle.dumps(config.projects["lung"])) == config.projects["lung"]
    with pytest.raises(ValueError, match="frozen"):
        config.projects["lung"].profile = "basic"


def test_code_makes_a_project_with_times_in_seconds(tmp_path: Path) -> None:
    project = Project(name="p", inbox=tmp_path, outbox=tmp_path, quarantine=tmp_path, file_settle=0.25)
    assert project.file_settle == 0.25


def test_all_problems_are_found_at_once_each_at_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
workres: 3
executor: dask://host:8786
projects:
  lung:
    inbox: in
    outbox: in/out
    quarantine: q
    originals: delte
    date_shift_days: [5, 1]
    file_settle: 5
    relese: auto
  Heart_Trial:
    inbox: in
""",
    )
    assert {key: problem.line for key, problem in found.items()} == {
        "workres": 1,
        "executor": 2,
        "projects.lung.outbox": 6,
        "projects.lung.originals": 8,
        "projects.lung.date_shift_days": 9,
        "projects.lung.file_settle": 10,
        "projects.lung.relese": 11,
        "projects.Heart_Trial": 12,
        "projects.Heart_Trial.outbox": 12,
        "projects.Heart_Trial.quarantine": 12,
        "projects.Heart_Trial.archive": 12,
        "projects.Heart_Trial.inbox": 13,
    }
    assert all(problem.hint for problem in found.values())


def test_the_text_of_the_error_has_one_line_for_each_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, with_setting("wach: auto"))
    file = tmp_path / "coatcheck.yaml"
    expected = f"{file}:9: projects.lung.wach: this setting is not known: did you mean `watch`?"
    assert str(caught.value) == expected
    assert caught.value.exit_code == 78
    assert str(pickle.loads(pickle.dumps(caught.value))) == expected


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("date_shift_days: [0, 0]", "no days"),
        ("date_shift_days: [-365]", "two whole numbers"),
        ("date_shift_days: [-1.5, 1]", "two whole numbers"),
        ("date_shift_days: [true, 3]", "two whole numbers"),
        ("date_shift_days: [1, 36501]", "36500"),
        ("release: review", "not available in this version"),
        ("originals: move", "one of archive, delete"),
        ("pixel_risk: no", "one of quarantine, allow"),
        ("watch: [events]", "one of auto"),
        ("study_settle: 5 minutes", "not a duration"),
        ("study_settle: 0.5", "needs a unit"),
        ("profile: 3", "name of a profile"),
    ],
)
def test_a_wrong_value_is_named_with_its_mend(tmp_path: Path, line: str, word: str) -> None:
    found = problems(tmp_path, with_setting(line))
    (problem,) = found.values()
    assert problem.line == 9
    assert word in problem.what
    assert problem.hint


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("executor: dask://h:1", "without TLS"),
        ("executor: dask://localhost", "no address"),
        ("executor: dask://127.0.0.1:70000", "no address"),
        ("executor: threads", "one of processes"),
        ("tls: yes", "three files"),
        ("tls: {ca: a.pem, cert: b.pem}", "three files"),
        ("workers: 0", "1 or more"),
        ("workers: true", "1 or more"),
    ],
)
def test_a_wrong_setting_of_the_service_is_named(tmp_path: Path, line: str, word: str) -> None:
    (problem,) = problems(tmp_path, f"{line}\n{MINIMAL}").values()
    assert (problem.line, word in problem.what) == (1, True)


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "localhost:8786", "[::1]:8786"])
def test_a_cluster_is_spoken_to_without_certificates_on_this_machine_only(tmp_path: Path, address: str) -> None:
    assert loaded(tmp_path, f"executor: dask://{address}\n{MINIMAL}").executor == f"dask://{address}"


def test_the_certificates_of_a_cluster_count_from_the_configuration(tmp_path: Path) -> None:
    tls = "tls: {ca: tls/ca.pem, cert: tls/cert.pem, key: /etc/key.pem}"
    config = loaded(tmp_path, f"executor: dask://scheduler.example:8786\n{tls}\n{MINIMAL}")

    assert config.tls is not None
    assert (config.tls.ca, config.tls.key) == (tmp_path / "tls/ca.pem", Path("/etc/key.pem"))
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("value", ["''", "3", "[a]", "~/in", '"a\\0b"', '"\\ud800"', "null"])
def test_a_path_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    assert "projects.lung.inbox" in problems(tmp_path, MINIMAL.replace("lung/in", value))


def test_a_path_may_hold_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL.replace("lung/in", '"in\\udcff"'))
    assert bytes(config.projects["lung"].inbox).endswith(b"/in\xff")


def test_a_longest_wait_shorter_than_the_settle_time_is_a_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, with_setting("study_longest_wait: 30s"))
    assert "shorter than" in found["projects.lung.study_longest_wait"].what


def test_the_archive_is_required_only_where_originals_go_there(tmp_path: Path) -> None:
    text = MINIMAL.replace("    archive: lung/a\n", "")
    assert "projects.lung.archive" in problems(tmp_path, text)
    assert loaded(tmp_path, f"{text}    originals: delete\n").projects["lung"].archive is None


def test_defaults_hold_for_projects_that_do_not_say_otherwise(tmp_path: Path) -> None:
    defaults = "defaults:\n  study_settle: 2s\n  watch: polling\n"
    project = loaded(tmp_path, f"{defaults}{with_setting('watch: events')}").projects["lung"]
    assert (project.study_settle, project.watch) == (2.0, "events")


def test_a_wrong_default_is_named_once_at_its_own_line(tmp_path: Path) -> None:
    second = MINIMAL[MINIMAL.index("  lung:") :].replace("lung", "heart")
    found = problems(tmp_path, f"defaults:\n  watch: often\n  wach: auto\n{MINIMAL}{second}")
    assert {key: problem.line for key, problem in found.items()} == {"defaults.watch": 2, "defaults.wach": 3}


def test_a_project_may_stand_alone_beside_the_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "coatcheck.d"
    folder.mkdir()
    own = "inbox: heart/in\noutbox: heart/out\nquarantine: heart/q\noriginals: delete\n"
    (folder / "heart.yaml").write_text(own)
    (folder / "notes.txt").write_text("not: read: at all")
    config = loaded(tmp_path, MINIMAL)
    assert list(config.projects) == ["lung", "heart"]
    assert config.projects["heart"].inbox == tmp_path / "heart/in"
    assert config.place("projects", "heart", "outbox") == (str(folder / "heart.yaml"), 2)


def test_problems_of_a_project_that_stands_alone_name_its_own_file(tmp_path: Path) -> None:
    folder = tmp_path / "coatcheck.d"
    folder.mkdir()
    (folder / "heart.yaml").write_text("inbox: lung/in/sub\n")
    (folder / "lung.yaml").write_text("inbox: x\n")
    (folder / "liver.yml").write_text("inbox: x\n")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, MINIMAL)
    lines = [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]
    assert "heart.yaml:1: outbox: is missing: write `outbox: VALUE`" in lines
    assert any(line.startswith("heart.yaml:1: projects.heart.inbox: lies inside projects.lung.inbox") for line in lines)
    assert any(line.startswith("lung.yaml:1: the project `lung` also stands in") for line in lines)
    assert any(line.startswith("liver.yml:1: this file is not read: name it liver.yaml") for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("lung/out", "lung/in", "projects.lung.outbox"),
        ("lung/out", "lung/in/x/../out", "projects.lung.outbox"),
        ("lung/in\n", "lung/out/a/b\n", "projects.lung.inbox"),
        ("lung/q", "lung/a/q", "projects.lung.quarantine"),
        ("state_dir: state", "state_dir: lung/in/state", "state_dir"),
        ("key_dir: keys", "key_dir: lung/out", "projects.lung.outbox"),
        ("lung/in\n", ".\n", "the configuration"),
    ],
)
def test_folders_that_lie_in_each_other_are_a_problem(tmp_path: Path, old: str, new: str, key: str) -> None:
    found = problems(tmp_path, MINIMAL.replace(old, new))
    assert key in found
    assert "lies inside" in found[key].what or "same folder" in found[key].what


def test_names_that_only_begin_alike_do_not_overlap(tmp_path: Path) -> None:
    loaded(tmp_path, MINIMAL.replace("lung/out", "lung/in-2").replace("lung/q", "lung/in.q"))


def test_folders_below_the_state_folder_are_allowed(tmp_path: Path) -> None:
    loaded(tmp_path, MINIMAL.replace("state_dir: state", "state_dir: ."))


def test_two_projects_do_not_share_a_folder(tmp_path: Path) -> None:
    second = "  heart:\n    inbox: h/in\n    outbox: lung/out\n    quarantine: lung/q\n    archive: lung/a\n"
    found = problems(tmp_path, MINIMAL + second)
    assert set(found) == {f"projects.heart.{role}" for role in ("outbox", "quarantine", "archive")}


def test_a_key_that_stands_twice_is_a_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, with_setting("inbox: elsewhere"))
    assert found["projects.lung.inbox"].line == 9
    assert "line 5" in found["projects.lung.inbox"].what


def test_a_project_may_have_a_name_that_yaml_takes_for_something_else(tmp_path: Path) -> None:
    text = MINIMAL.replace("  lung:", "  no:") + MINIMAL[MINIMAL.index("  lung:") :].replace("lung", "2024")
    assert list(loaded(tmp_path, text).projects) == ["no", "2024"]


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = MINIMAL.replace("  lung:", "  lung: &base") + "  heart:\n    <<: *base\n    inbox: h/in\n"
    found = problems(tmp_path, text)  # the merged folders overlap, as they must: heart said only its inbox anew
    assert "projects.heart.outbox" in found
    assert not any("second time" in problem.what for problem in found.values())


def test_a_missing_or_unreadable_file_is_a_problem_too(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert "cannot be read" in str(caught.value)


def test_a_configuration_without_projects_says_how_to_add_one(tmp_path: Path) -> None:
    found = problems(tmp_path, "state_dir: state\n")
    assert "coatcheck init --project" in found["projects"].hint


def test_the_configuration_is_looked_for_in_the_documented_order(tmp_path: Path) -> None:
    environ = {"COATCHECK_CONFIG": "env.yaml"}
    (tmp_path / "coatcheck.yaml").touch()
    assert find_config(Path("given.yaml"), environ, tmp_path) == tmp_path / "given.yaml"
    assert find_config(None, environ, tmp_path) == tmp_path / "env.yaml"
    assert find_config(None, {"COATCHECK_CONFIG": ""}, tmp_path) == tmp_path / "coatcheck.yaml"


def test_no_configuration_at_all_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(CoatcheckError, match="coatcheck init") as caught:
        find_config(None, {}, tmp_path)
    assert caught.value.exit_code == 78
    with pytest.raises(CoatcheckError, match="coatcheck init"):  # nor is one that cannot be looked at
        find_config(None, {}, tmp_path / ("x" * 300))


def test_subjects_are_hashed_unless_the_project_says_otherwise(tmp_path: Path) -> None:
    assert loaded(tmp_path, MINIMAL).projects["lung"].subjects == Hashed()
    assert loaded(tmp_path, with_setting("subjects: hashed")).projects["lung"].subjects == Hashed()
    line = "subjects: {kind: sequential, prefix: LUNG-, digits: 3, start: 7, spelling: {ignore_case: true}}"
    subjects = loaded(tmp_path, with_setting(line)).projects["lung"].subjects
    assert subjects == Sequential(prefix="LUNG-", digits=3, start=7, spelling=Spelling(ignore_case=True))


@pytest.mark.parametrize(
    ("value", "key", "word"),
    [
        ("random", "subjects", "hashed, sequential, list"),
        ("7", "subjects", "kind"),
        ("{prefix: LUNG-}", "subjects", "kind"),
        ("{kind: list}", "subjects.file", "is missing"),
        ("{kind: list, file: 7}", "subjects.file", "path of a CSV file"),
        ("{kind: list, file: x.csv, entries: {}}", "subjects", "stand in the list's file"),
        ("{kind: sequential, digits: 0}", "subjects.digits", "from 1 to 12"),
        ("{kind: sequential, start: -1}", "subjects.start", "0 or more"),
        ("{kind: sequential, prefix: .x}", "subjects.prefix", "at most 40 letters"),
        ("{kind: sequential, prefx: x}", "subjects.prefx", "not known"),
        ("{kind: hashed, digits: 4}", "subjects.digits", "not known"),
        ("{kind: hashed, spelling: {ignore_case: 1}}", "subjects.spelling.ignore_case", "true or false"),
        ("{kind: hashed, spelling: {ignore_cases: true}}", "subjects.spelling.ignore_cases", "not known"),
        ("{kind: hashed, spelling: loose}", "subjects.spelling", "mapping"),
    ],
)
def test_wrong_subjects_are_told_at_their_key(tmp_path: Path, value: str, key: str, word: str) -> None:
    found = problems(tmp_path, with_setting(f"subjects: {value}"))
    problem = found[f"projects.lung.{key}"]
    assert word in problem.what
    assert problem.hint
    assert problem.line == 9


def test_a_list_of_subjects_is_read_and_judged_with_the_configuration(tmp_path: Path) -> None:
    text = with_setting("subjects: {kind: list, file: subjects.csv}")
    assert "No such file" in problems(tmp_path, text)["projects.lung.subjects.file"].what
    (tmp_path / "subjects.csv").write_text("patient_id,subject\nP1,LUNG-1\n")
    first = loaded(tmp_path, text)
    subjects = first.projects["lung"].subjects
    assert isinstance(subjects, Listed)
    assert subjects.entries == {"P1": Entry("LUNG-1", None)}
    assert pickle.loads(pickle.dumps(first)) == first
    (tmp_path / "subjects.csv").write_text("patient_id,subject\nP1,LUNG-2\n")
    assert loaded(tmp_path, text).projects["lung"] != first.projects["lung"]
    (tmp_path / "subjects.csv").write_text("patient_id,subject\nP1,\n")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'subjects.csv'}:2: the subject is missing")


def test_a_list_of_subjects_must_not_lie_in_an_inbox(tmp_path: Path) -> None:
    (tmp_path / "lung/in").mkdir(parents=True)
    (tmp_path / "lung/in/subjects.csv").write_text("patient_id,subject\nP1,LUNG-1\n")
    found = problems(tmp_path, with_setting("subjects: {kind: list, file: lung/in/subjects.csv}"))
    assert "lies inside projects.lung.inbox" in found["projects.lung.subjects.file"].what


def test_wrong_subjects_of_the_defaults_are_told_once(tmp_path: Path) -> None:
    text = MINIMAL + "defaults:\n  subjects:\n    kind: sequential\n    digits: 99\n"
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert [(problem.key, problem.line) for problem in caught.value.problems] == [("defaults.subjects.digits", 12)]
