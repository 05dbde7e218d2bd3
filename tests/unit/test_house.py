from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from coatcheck.reasons import EXPLANATIONS, Reason

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {".py", ".md", ".yaml", ".yml", ".toml", ".tsv", ".sh", ".service", ".sysusers", ".tmpfiles", ""}
OURS = ("daemon", "profiles", "scripts", "systemd", "tests", ".ci")
# Words of the place where the project was written. They stand here in two parts, so that this file may be searched.
FOREIGN = ("/wo" + "rk/", "/ro" + "ot/", "/tmp" + "/v/", "pyp" + "i.org", "pythonh" + "osted", "deb" + "ian.org/debian")


def project_files() -> list[Path]:
    """Every text file of the project, without what tools made."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in OURS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "cache" not in str(path)]
    return [path for path in found if path.suffix in TEXTS]


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("folder", ["daemon", "scripts"])
def test_no_file_is_longer_than_300_lines(folder: str) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")}

    assert lengths
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 300} == {}


def test_every_module_has_a_docstring_and_postponed_annotations() -> None:
    for path in (ROOT / "daemon").rglob("*.py"):
        text = path.read_text()
        assert text.startswith('"""'), path
        assert path.name == "__init__.py" or "from __future__ import annotations" in text, path


def test_the_source_folder_is_no_package() -> None:
    """A package named daemon would be overwritten by python-daemon."""
    assert not (ROOT / "daemon" / "__init__.py").exists()


@pytest.mark.parametrize("word", FOREIGN)
def test_no_file_names_the_machine_that_it_was_written_on(word: str) -> None:
    naming = [str(path.relative_to(ROOT)) for path in project_files() if word in path.read_text(errors="replace")]

    assert naming == []


@pytest.mark.xfail(not (ROOT / "README.md").exists(), reason="README.md is not written yet")
@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained_and_documented(reason: Reason) -> None:
    assert reason in EXPLANATIONS
    documents = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if path.exists()]

    assert any(f"`{reason}`" in text for text in documents)


def test_the_changelog_has_a_place_for_the_next_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()

    assert "\n## [Unreleased]\n" in text
    entries = re.findall(r"^- .*(?:\n  .*)*", text, flags=re.MULTILINE)
    assert entries
    assert [entry for entry in entries if not entry.endswith(".")] == []


def test_contributing_fits_a_page() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 60


@pytest.mark.parametrize(
    "script",
    ["scripts/demo", "scripts/test", "scripts/check", "scripts/install", "scripts/uninstall", "scripts/deb", ".ci/run"],
)
def test_scripts_can_be_run_and_are_correct_bash(script: str) -> None:
    path = ROOT / script

    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)


def stub(folder: Path, name: str, body: str) -> None:
    """A program of this name, as a machine might have it."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def find_python(folder: Path) -> subprocess.CompletedProcess[str]:
    """What scripts/lib.sh finds on a machine that has only the programs in this folder."""
    bash = shutil.which("bash")
    assert bash is not None
    command = [bash, "-c", f"source '{ROOT}/scripts/lib.sh'; find_python"]
    return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True, check=False)


def test_a_machine_with_old_pythons_only_is_told_what_to_install(tmp_path: Path) -> None:
    stub(tmp_path, "python3", "exit 1")

    done = find_python(tmp_path)

    assert done.returncode == 1
    assert "No Python 3.11 or newer" in done.stderr


def test_a_machine_that_cannot_make_virtual_environments_is_told_the_package(tmp_path: Path) -> None:
    stub(tmp_path, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')

    done = find_python(tmp_path)

    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr


def test_a_newer_python_beside_an_old_one_is_found(tmp_path: Path) -> None:
    stub(tmp_path, "python3", "exit 1")
    stub(tmp_path, "python3.12", "exit 0")

    assert find_python(tmp_path).stdout == "python3.12\n"


def test_every_dependency_is_used() -> None:
    names = {"PyYAML": "yaml", "sqlite-utils": "sqlite_utils"}
    code = "\n".join(path.read_text() for path in (ROOT / "daemon").rglob("*.py"))
    wanted = [re.split(r"[<>=]", line)[0] for line in pyproject()["project"]["dependencies"]]

    unused = [name for name in wanted if not re.search(rf"^\s*(import|from) {names.get(name, name)}\b", code, re.M)]
    assert unused == []


@pytest.mark.slow
def test_the_wheel_holds_the_code_and_the_profiles_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    profiles = {path.relative_to(ROOT) for path in (ROOT / "profiles").rglob("*") if path.is_file()}
    assert {f"coatcheck/{path}" for path in profiles} <= names
    modules = {str(path.relative_to(ROOT / "daemon")) for path in (ROOT / "daemon").rglob("*.py")}
    assert modules <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"coatcheck"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_unit_is_well_formed(tmp_path: Path) -> None:
    """Under a root of its own, with the system's units and a program in the place of ours."""
    units = tmp_path / "etc" / "systemd" / "system"
    program = tmp_path / "opt" / "coatcheck" / "bin" / "coatcheck"
    units.mkdir(parents=True)
    program.parent.mkdir(parents=True)
    stub(program.parent, program.name, "exit 0")
    shutil.copy(ROOT / "systemd" / "coatcheck.service", units)
    for known in ("usr/lib/systemd/system", "lib/systemd/system"):  # the same folder on most machines
        if Path("/", known).is_dir() and not (tmp_path / "usr/lib/systemd").exists():
            shutil.copytree(Path("/", known), tmp_path / "usr/lib/systemd/system", symlinks=True)

    done = systemd_analyze("verify", "--man=no", f"--root={tmp_path}", "coatcheck.service")

    assert done.returncode == 0, done.stderr
    assert "coatcheck.service" not in done.stderr


def test_the_unit_is_shut_tight() -> None:
    unit = ROOT / "systemd" / "coatcheck.service"

    done = systemd_analyze("security", "--offline=true", "--threshold=10", str(unit))

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_units_user_folders_and_reload_fit_together() -> None:
    unit = (ROOT / "systemd" / "coatcheck.service").read_text()
    (user,) = re.findall(r"^User=(\w+)$", unit, re.M)

    assert f"\nu {user} " in (ROOT / "systemd" / "coatcheck.sysusers").read_text()
    assert f" {user} {user}\n" in (ROOT / "systemd" / "coatcheck.tmpfiles").read_text()
    assert "\nType=notify\n" in unit
    assert re.search(r"^ExecReload=\S+/coatcheck reload$", unit, re.M)
