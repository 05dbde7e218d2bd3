"""`check` touches every folder and key, and says everything that is wrong."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.check import check, is_remote
from coatcheck.config import Problem, load
from coatcheck.scaffold import init


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init(tmp_path, ["lung", "heart"], secrets.token_bytes)
    return tmp_path


def found(folder: Path, credentials: Path | None = None) -> list[Problem]:
    return check(load(folder / "coatcheck.yaml"), credentials)


def line_of(folder: Path, text: str) -> int:
    lines = (folder / "coatcheck.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_what_init_makes_has_no_problems_and_nothing_is_left_behind(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    assert found(folder) == []
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("role", ["inbox", "outbox", "quarantine", "archive"])
def test_a_missing_folder_names_its_line_and_the_command(folder: Path, role: str) -> None:
    (folder / "lung" / role).rmdir()
    (problem,) = found(folder)
    assert problem.line == line_of(folder, f"{role}: lung/{role}")
    assert problem.key == f"projects.lung.{role}"
    assert "makes no folders itself" in problem.what
    assert f"`mkdir -p {folder}/lung/{role}`" in problem.hint


def test_every_problem_is_found_in_one_go(folder: Path) -> None:
    (folder / "keys/lung.key").unlink()
    (folder / "keys/heart.key").chmod(0o644)
    (folder / "heart/inbox").rmdir()
    (folder / "heart/outbox").rmdir()
    (folder / "heart/outbox").touch()
    (folder / "state").rmdir()
    text = (folder / "coatcheck.yaml").read_text()
    (folder / "coatcheck.yaml").write_text(text.replace("profile: research", "profile: reserch", 1))
    assert {problem.key for problem in found(folder)} == {
        "projects.lung",
        "projects.heart",
        "projects.heart.inbox",
        "projects.heart.outbox",
        "state_dir",
        "projects.lung.profile",
    }


def test_a_missing_key_names_the_command_that_makes_one(folder: Path) -> None:
    (folder / "keys/lung.key").unlink()
    (problem,) = found(folder)
    assert f"`coatcheck key new --config {folder}/coatcheck.yaml --project lung`" in problem.hint
    init(folder, ["lung"], secrets.token_bytes, folder / "coatcheck.yaml")
    assert found(folder) == []


def test_a_credential_takes_the_place_of_a_key(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    credentials = tmp_path_factory.mktemp("credentials")
    (folder / "keys/lung.key").rename(credentials / "lung.key")
    (credentials / "lung.key").chmod(0o440)
    assert found(folder, credentials) == []
    assert [problem.key for problem in found(folder)] == ["projects.lung"]


@pytest.mark.parametrize("role", ["inbox", "outbox", "quarantine", "archive"])
def test_two_folders_that_are_one_by_a_link_overlap(folder: Path, role: str) -> None:
    (folder / "heart" / role).rmdir()
    (folder / "heart" / role).symlink_to(folder / "lung/outbox")
    (problem,) = [problem for problem in found(folder) if problem.level == "problem"]
    assert problem.key == f"projects.heart.{role}"
    assert "is the same folder as projects.lung.outbox" in problem.what


def test_a_link_into_another_inbox_is_found(folder: Path) -> None:
    (folder / "lung/inbox/deep").mkdir()
    (folder / "heart/quarantine").rmdir()
    (folder / "heart/quarantine").symlink_to(folder / "lung/inbox/deep")
    (problem,) = found(folder)
    assert "lies inside projects.lung.inbox" in problem.what


def unprivileged(folder: Path) -> subprocess.CompletedProcess[str]:
    """`check` as a user whom permissions bind, also where the tests run as root."""
    program = f"""
import os, sys
from pathlib import Path
from coatcheck.check import check
from coatcheck.config import load
file = Path({str(folder / "coatcheck.yaml")!r})
check(load(file), None)  # imports what it needs while the interpreter's own folder can still be read
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
for problem in check(load(file), None):
    print(problem.key, problem.what, problem.hint, sep=": ")
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)


@pytest.fixture
def open_folder(folder: Path) -> Iterator[Path]:
    """A configuration that another user may read: the folders above it let everybody pass while the test runs."""
    above = [path for path in folder.parents if path.stat().st_uid == os.geteuid() and path.stat().st_mode & 0o5 != 0o5]
    modes = {path: path.stat().st_mode for path in above}
    for path in above:
        path.chmod(0o755)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777)
    yield folder
    for path, mode in modes.items():
        path.chmod(mode)


def test_folders_without_rights_are_found(open_folder: Path) -> None:
    (open_folder / "lung/outbox").chmod(0o555)
    (open_folder / "lung/inbox").chmod(0o333)
    lines = unprivileged(open_folder).stdout
    assert "projects.lung.outbox: cannot be written to (Permission denied): give user number" in lines
    assert "projects.lung.inbox: cannot be listed (Permission denied): give user number" in lines


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_mount_names_the_drop_in_for_systemd(folder: Path) -> None:
    script = f"""
set -e
mount --bind {folder}/lung/outbox {folder}/lung/outbox
mount -o remount,bind,ro {folder}/lung/outbox
mount -t tmpfs none {folder}/lung/archive
mount --bind {folder}/heart/inbox {folder}/lung/quarantine
exec {sys.executable} -m coatcheck check --config {folder}/coatcheck.yaml
"""
    result = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "unshare" in result.stderr or "mount:" in result.stderr:
        pytest.skip("this machine lets nobody mount")
    assert result.returncode == 78
    assert f"`ReadWritePaths={folder}/lung/outbox`" in result.stdout
    assert "projects.heart.inbox: is the same folder as projects.lung.quarantine" in result.stdout
    assert "note: " in result.stderr
    assert "projects.lung.archive: lies on another file system than the inbox" in result.stderr


def test_shares_and_fuse_are_no_place_for_the_state() -> None:
    assert all(map(is_remote, ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuseblk", "9p"]))
    assert not any(map(is_remote, ["ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlay", ""]))


def test_a_wrong_profile_is_named_at_its_line(folder: Path) -> None:
    (folder / "mine.yaml").write_text("options: [no-such-option]\n")
    text = (folder / "coatcheck.yaml").read_text()
    (folder / "coatcheck.yaml").write_text(text.replace("profile: research", "profile: ./mine.yaml", 1))
    (problem,) = found(folder)
    assert (Path(problem.file).name, problem.key, problem.line) == ("mine.yaml", "options", 1)
    assert problem.hint
