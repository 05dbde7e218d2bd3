"""What `init` makes, and that it leaves alone what is there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.config import Config, load
from coatcheck.config_model import Project, Settings
from coatcheck.config_yaml import parse
from coatcheck.errors import CoatcheckError
from coatcheck.keys import read_key
from coatcheck.scaffold import init
from coatcheck.scaffold_text import project_text, quoted, top_text, with_project


def counting() -> Callable[[int], bytes]:
    """Randomness that never repeats and is the same in each test."""
    state = [0]

    def give(count: int) -> bytes:
        state[0] += 1
        return hashlib.shake_256(bytes(state)).digest(count)

    return give


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made(folder: Path, *projects: str) -> Config:
    init(folder, projects, counting())
    return load(folder / "coatcheck.yaml")


def test_a_new_configuration_gets_its_projects_keys_and_folders(tmp_path: Path) -> None:
    config = made(tmp_path, "lung", "heart")
    assert list(config.projects) == ["lung", "heart"]
    for name in ("lung", "heart"):
        assert (tmp_path / "keys" / f"{name}.key").stat().st_mode & 0o777 == 0o600
        assert {path.name for path in (tmp_path / name).iterdir()} == {"inbox", "outbox", "quarantine", "archive"}
    assert config.state_dir == tmp_path / "state"
    assert config.state_dir.is_dir()
    for private in (config.key_dir, tmp_path / "lung/archive", tmp_path / "lung/quarantine"):
        assert private.stat().st_mode & 0o777 == 0o700
    keys = [read_key(tmp_path / "keys" / f"{name}.key") for name in ("lung", "heart")]
    assert keys[0].pseudonym_secret != keys[1].pseudonym_secret


@pytest.mark.parametrize("projects", ["projects:\n", "projects: {}\n", ""])
def test_a_configuration_without_a_project_is_given_its_first(tmp_path: Path, projects: str) -> None:
    (tmp_path / "coatcheck.yaml").write_text(f"state_dir: state\nkey_dir: keys\n{projects}")
    assert list(made(tmp_path, "lung").projects) == ["lung"]


def test_without_a_name_the_project_is_called_default(tmp_path: Path) -> None:
    assert list(made(tmp_path / "new/folder").projects) == ["default"]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    made(tmp_path, "lung")
    before = snapshot(tmp_path)
    assert init(tmp_path, ["lung"], counting()).actions == []
    assert init(tmp_path, [], counting()).actions == []
    assert snapshot(tmp_path) == before


def test_a_project_is_added_without_touching_another_byte(tmp_path: Path) -> None:
    made(tmp_path, "lung")
    file = tmp_path / "coatcheck.yaml"
    file.write_text(file.read_text() + "\n# The end: ünïcode stays.\nexecutor: inline   # last\n")
    before = file.read_text().splitlines()
    made(tmp_path, "heart")
    after = file.read_text().splitlines()
    new = [line for line in after if line not in before or "heart" in line]
    assert "  heart:" in new
    start = after.index("  heart:")
    end = start + len(project_text(dict.fromkeys(("inbox", "outbox", "quarantine", "archive"), "x")).splitlines()) + 1
    assert after[: start - 1] + after[end:] == before
    config = load(file)
    assert (list(config.projects), config.executor) == (["lung", "heart"], "inline")
    assert (tmp_path / "keys/heart.key").is_file()


@pytest.mark.parametrize(
    "text",
    [
        "projects:\n  a:\n    inbox: i # note\n    # belongs to a\n  # to none\n",
        "projects:\n    a:\n        inbox: i\nexecutor: inline",
        "projects:\r\n  a:\r\n    inbox: i\r\n# end\r\n",
        "projects:\n  a: {inbox: i,\n    outbox: o}\n",
        'projects:\n  a:\n    profile: "x\n      y"\n',
        "projects:\n",
        "projects:   # none yet\nexecutor: inline\n",
    ],
)
def test_text_is_inserted_below_the_last_project_and_its_comments(text: str) -> None:
    after = with_project(text.encode(), "new", lambda indent: f"{indent}new:\n{indent * 2}inbox: n\n")
    old, new = parse("", text.encode()).value, parse("", after or b"").value
    assert isinstance(old, dict)
    assert isinstance(new, dict)
    assert new == old | {"projects": (old["projects"] or {}) | {"new": {"inbox": "n"}}}
    kept = [line for line in (after or b"").split(b"\n") if line.strip() and b"n" not in line.split(b":")[0]]
    assert b"\r" not in (after or b"") or all(line.endswith(b"\r") for line in kept)


def test_comments_that_belong_to_the_last_project_stay_with_it() -> None:
    before = b"projects:\n  a:\n    inbox: i\n    # watch: auto\n# The end.\n"
    after = b"projects:\n  a:\n    inbox: i\n    # watch: auto\n\n  b:\n    inbox: n\n# The end.\n"
    assert with_project(before, "b", lambda indent: f"{indent}b:\n{indent * 2}inbox: n\n") == after


@pytest.mark.parametrize(
    "text",
    [
        "projects: {a: {inbox: i}}\n",
        "executor: inline\n",
        "projects: {}\n",
        "projects: ~\n",
        "projects:\n  a:\n    profile: |\n      text\n      # not a comment\nexecutor: inline\n",
    ],
)
def test_text_that_cannot_be_extended_safely_is_left_alone(text: str) -> None:
    assert with_project(text.encode(), "new", lambda indent: f"{indent}new:\n{indent * 2}inbox: n\n") is None


def test_a_project_gets_its_own_file_where_the_configuration_cannot_be_extended(tmp_path: Path) -> None:
    text = "{state_dir: state, key_dir: keys, projects: {lung: {inbox: i, outbox: o, quarantine: q, archive: a}}}"
    (tmp_path / "coatcheck.yaml").write_text(text)
    config = made(tmp_path, "heart")
    assert (tmp_path / "coatcheck.yaml").read_text() == text
    assert config.place("projects", "heart").file.endswith("coatcheck.d/heart.yaml")
    assert (tmp_path / "heart/inbox").is_dir()


def test_a_lost_key_is_made_again_only_for_a_project_that_is_named(tmp_path: Path) -> None:
    made(tmp_path, "lung")
    key = tmp_path / "keys/lung.key"
    key.unlink()
    init(tmp_path, [], counting())
    assert not key.exists()
    actions = init(tmp_path, ["lung"], counting()).actions
    assert key.is_file()
    assert str(key) in actions[0]


def test_missing_folders_of_every_project_are_made_again(tmp_path: Path) -> None:
    made(tmp_path, "lung", "heart")
    (tmp_path / "heart/outbox").rmdir()
    assert init(tmp_path, ["lung"], counting()).actions == [f"made {tmp_path / 'heart/outbox'}"]


@pytest.mark.parametrize("name", ["Lung", "", "../x", "a b", "state", "keys", "-a", "a" * 64])
def test_a_name_that_cannot_be_a_project_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(CoatcheckError):
        init(tmp_path, ["good", name], counting())
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_configuration_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / "coatcheck.yaml").write_text("projects: {lung: {inbx: i}}")
    with pytest.raises(CoatcheckError, match="did you mean `inbox`"):
        init(tmp_path, ["heart"], counting())
    assert snapshot(tmp_path) == {"coatcheck.yaml": b"projects: {lung: {inbx: i}}"}


def test_a_linked_configuration_stays_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    made(tmp_path / "real", "lung")
    real = tmp_path / "real/coatcheck.yaml"
    real.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    folders = [tmp_path / name for name in ("state", "keys")]
    init(tmp_path, ["heart"], counting(), link)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "heart" in load(real).projects
    assert all(folder.is_dir() for folder in folders)


def test_folders_outside_the_configurations_own_are_named_in_full(tmp_path: Path) -> None:
    init(tmp_path / "data", ["lung"], counting(), tmp_path / "etc/coatcheck.yaml")
    config = load(tmp_path / "etc/coatcheck.yaml")
    assert config.projects["lung"].inbox == tmp_path / "data/lung/inbox"
    assert config.projects["lung"].inbox.is_dir()


def test_a_folder_whose_name_is_not_utf8_can_hold_everything(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/\xff: #x"))
    init(folder, ["lung"], counting(), tmp_path / "coatcheck.yaml")
    assert load(tmp_path / "coatcheck.yaml").projects["lung"].inbox == folder / "lung/inbox"


def test_every_setting_is_explained_in_the_text() -> None:
    text = top_text("state", "keys") + project_text(dict.fromkeys(("inbox", "outbox", "quarantine", "archive"), "x"))
    lines = [line.lstrip("# ") for line in text.splitlines()]
    for name in [*Settings.model_fields, *Project.model_fields, "defaults", "projects"]:
        assert name == "name" or any(line.startswith(f"{name}:") for line in lines), name


def test_the_defaults_in_the_text_are_the_real_ones(tmp_path: Path) -> None:
    config = made(tmp_path, "lung")
    file = tmp_path / "coatcheck.yaml"
    lines = file.read_text().splitlines()
    shown = [
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") and _is_setting(line) else line for line in lines
    ]
    file.write_text("\n".join(line for line in shown if "study_settle: 60s" not in line or line.startswith("    ")))
    spelled_out = load(file)
    assert shown != lines
    assert spelled_out.projects == config.projects
    assert (spelled_out.executor, spelled_out.workers) == (config.executor, config.workers)


def _is_setting(line: str) -> bool:
    name = line.lstrip("# ").split(":")[0]
    return name in {*Settings.model_fields, *Project.model_fields}


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=()), min_size=1))
def test_every_path_is_read_back_as_it_was(path: str) -> None:
    document = parse("", f"k: {quoted(path)}".encode())
    assert document.value == {"k": path}
