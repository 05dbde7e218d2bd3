"""A wheel works where nothing of this checkout is: profiles and tables are found, and a Study goes through."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance import studies

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as an installer does it, without the packages that it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "installed")
    return folder / "installed"


def ran(installed: Path, folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints whose code is the wheel's."""
    environ = {key: text for key, text in os.environ.items() if not key.startswith(("COATCHECK", "PYTHON"))}
    environ |= {"PYTHONPATH": os.fspath(installed)}  # before the checkout, which is installed beside the tests
    command = [sys.executable, "-m", "coatcheck", *words]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_study_goes_through_what_a_wheel_installs(installed: Path, tmp_path: Path) -> None:
    (points,) = installed.glob("coatcheck-*.dist-info/entry_points.txt")
    assert "coatcheck = coatcheck.cli.main:main" in points.read_text()
    where = "import coatcheck, sys; sys.stdout.write(coatcheck.__file__)"
    environ = os.environ | {"PYTHONPATH": os.fspath(installed)}
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert found.stdout.startswith(os.fspath(installed))

    ran(installed, tmp_path, "init", ".", "--project", "lung")
    config = (tmp_path / "coatcheck.yaml").read_text()
    for setting in ("file_settle: 5s", "study_settle: 60s"):
        config = config.replace(f"# {setting}", f"{setting.split(':')[0]}: 0s")
    (tmp_path / "coatcheck.yaml").write_text(config)
    ran(installed, tmp_path, "check")
    (tmp_path / "lung/inbox/a").write_bytes(studies.instance(1, 1))
    ran(installed, tmp_path, "run", "--once")
    (result,) = (tmp_path / "lung/outbox").glob("S*/*/*/*")
    assert b"PAT-0815" not in result.read_bytes()


def test_the_tables_and_profiles_that_a_wheel_brings_are_read(installed: Path, tmp_path: Path) -> None:
    said = ran(installed, tmp_path, "profile", "explain", "research", "PatientAge", "--json")

    assert "retain-patient-characteristics" in said
