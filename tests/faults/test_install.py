"""scripts/install and scripts/uninstall: nothing is lost by either, nor by an upgrade that fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import tree, wait_until
from tests.faults.conftest import Report
from tests.faults.site import CONFIG
from tests.faults.systemd import PYTHON, ROOT, Machine, machine, needs_systemd

APP = "opt/coatcheck"


def script(name: str, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one of the two scripts here."""
    command = [ROOT / "scripts" / name, *words]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def system_python() -> None:
    """For a test that makes a virtual environment from the system's own Python."""
    ask = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"
    if not PYTHON.exists() or subprocess.run([PYTHON, "-c", ask], check=False, capture_output=True).returncode:
        pytest.skip(f"{PYTHON} is no Python 3.11 or newer that makes virtual environments")


def test_an_installation_that_fails_leaves_everything_as_it_was(tmp_path: Path, system_python: None) -> None:
    old = tmp_path / "opt/coatcheck.1"
    (old / "bin").mkdir(parents=True)
    (old / "pyvenv.cfg").write_text("an older version\n")
    (tmp_path / APP).symlink_to("coatcheck.1")
    broken = tmp_path / "python-on-a-full-disk"
    broken.write_text(f'#!/bin/sh\n[ "$1 $2" != "-m venv" ] || {{ mkdir "$3"; exit 1; }}\nexec {PYTHON} "$@"\n')
    broken.chmod(0o755)
    before = tree(tmp_path)

    done = script("install", "--prefix", tmp_path, COATCHECK_PYTHON=os.fspath(broken))

    assert done.returncode == 1
    assert "Nothing that was there has changed." in done.stderr
    assert tree(tmp_path) == before
    assert (tmp_path / APP).readlink() == Path("coatcheck.1")
    assert sorted(path.name for path in (tmp_path / "opt").iterdir()) == ["coatcheck", "coatcheck.1"]


def test_what_others_made_is_not_replaced(tmp_path: Path, system_python: None) -> None:
    (tmp_path / "opt/coatcheck.1").mkdir(parents=True)

    done = script("install", "--prefix", tmp_path)

    assert done.returncode == 1
    assert "was not made by this script" in done.stderr


@pytest.mark.parametrize("words", [("--help",), ("--prefix",)])
@pytest.mark.parametrize("name", ["install", "uninstall"])
def test_words_that_are_not_understood_do_nothing(name: str, words: tuple[str, ...]) -> None:
    assert script(name, *words).returncode != 0


def test_what_is_not_there_can_be_uninstalled(tmp_path: Path) -> None:
    done = script("uninstall", "--prefix", tmp_path)

    assert done.returncode == 0
    assert tree(tmp_path) == {}


def packed(folder: Path) -> Path:
    """What an installation without a network needs, as the system's own Python packs it."""
    subprocess.run([PYTHON, "-m", "venv", folder / "venv"], check=True)
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "-qq", "wheel", "-w", str(folder)]
    for extras in ("[systemd]", ""):
        done = subprocess.run([*pip, f"{ROOT}{extras}", "hatchling>=1.27"], check=False, capture_output=True)
        if done.returncode == 0:
            return folder
    pytest.skip("pip finds no packages here")


def install(made: Machine, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/install in the machine, on a copy of this checkout, without a network."""
    given = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_CONFIG_FILE": "/dev/null"}
    return made.run("/checkout/scripts/install", check=False, **given, **environ)


def unpack(made: Machine, wheels: Path) -> None:
    """This checkout and its wheels, as an administrator would have them on the machine."""
    ours = [name for name in os.listdir(ROOT) if not name.startswith(".") and name != "demo"]
    target = made.path("checkout")
    target.mkdir()
    subprocess.run(["cp", "-a", *(ROOT / name for name in ours), target], check=True)
    made.path("wheels").mkdir()
    subprocess.run(["cp", *wheels.glob("*.whl"), made.path("wheels")], check=True)


def prepare(made: Machine) -> None:
    """The way from a fresh installation to a project, as scripts/install tells it."""
    made.run("coatcheck", "init", "/srv", "--config", CONFIG, "--project", "lung", PATH="/usr/local/bin:/usr/bin:/bin")
    made.run("chown", "-R", "coatcheck:coatcheck", "/srv/lung", "/etc/coatcheck/keys")
    text = made.path(CONFIG).read_text()
    made.path(CONFIG).write_text(
        text.replace("profile: research", "profile: basic\n    file_settle: 0s\n    study_settle: 200ms")
    )
    made.drop_in("folders", "ReadWritePaths=-/srv/lung", "RestartSec=100ms")
    made.systemctl("enable", "--now", "coatcheck")


def delivered(made: Machine) -> int:
    return len([path for path in made.path("srv/lung/outbox").glob("[!.]*/*") if path.is_dir()])


def deliver(made: Machine, study: int) -> None:
    """The service in its unit works."""
    before = delivered(made)
    made.path(f"srv/lung/inbox/{study}").write_bytes(studies.instance(study, 1))
    wait_until(lambda: delivered(made) == before + 1, "it is delivered")


def test_install_upgrade_failed_upgrade_and_uninstall(
    tmp_path: Path, sweep: bool, system_python: None, report: Report
) -> None:
    if not sweep:
        pytest.skip("a part of the sweep: scripts/faults")
    needs_systemd()
    for name in ("machine", "wheels"):
        (tmp_path / name).mkdir()
    wheels = packed(tmp_path / "wheels")
    with machine(tmp_path / "machine") as made:
        unpack(made, wheels)
        _a_python_in_a_home_folder_is_refused(made)
        first = install(made)
        assert first.returncode == 0, first.stderr
        assert "systemctl enable --now coatcheck" in first.stderr
        prepare(made)
        deliver(made, 1)
        kept = {place: tree(made.path(place)) for place in ("etc/coatcheck", "srv/lung/archive")}

        _an_upgrade_restarts_the_service_and_changes_nothing_else(made)
        _an_upgrade_that_cannot_be_built_is_not_seen_by_the_service(made)
        _an_upgrade_that_does_not_start_is_taken_back(made)
        report("upgrade that cannot be built, and one that does not start", fired=2)

        deliver(made, 2)
        done = made.run("/checkout/scripts/uninstall")
        assert made.show("LoadState") == "not-found"
        assert not made.path(APP).is_symlink()
        assert not list(made.path("opt").glob("coatcheck*"))
        for place in ("/etc/coatcheck", "/etc/coatcheck/keys", "/var/lib/coatcheck", "/srv/lung/archive"):
            assert f"    {place}\n" in done.stderr
        assert tree(made.path("etc/coatcheck")) == kept["etc/coatcheck"]
        assert kept["srv/lung/archive"].items() <= tree(made.path("srv/lung/archive")).items()

        assert install(made).returncode == 0
        made.systemctl("enable", "--now", "coatcheck")
        deliver(made, 3)
        report("uninstalled, and installed again over its data", fired=1)


def _a_python_in_a_home_folder_is_refused(made: Machine) -> None:
    says = f'#!/bin/sh\ncase "$*" in *base_prefix*) echo /home/anna/.python;; *) exec {PYTHON} "$@";; esac\n'
    made.write("usr/local/bin/annas-python", says, 0o755)
    done = install(made, COATCHECK_PYTHON="/usr/local/bin/annas-python")
    assert done.returncode == 1
    assert "belongs to a home folder" in done.stderr
    assert not made.path("opt/coatcheck.1").exists()


def _an_upgrade_restarts_the_service_and_changes_nothing_else(made: Machine) -> None:
    config, pid = tree(made.path("etc/coatcheck")), made.show("MainPID")
    assert made.path(APP).readlink() == Path("coatcheck.1")
    done = install(made)
    assert done.returncode == 0, done.stderr
    assert made.path(APP).readlink() == Path("coatcheck.2")
    assert not made.path("opt/coatcheck.1").exists()
    assert (made.show("ActiveState"), made.show("MainPID") == pid) == ("active", False)
    assert tree(made.path("etc/coatcheck")) == config


def _an_upgrade_that_cannot_be_built_is_not_seen_by_the_service(made: Machine) -> None:
    pid = made.show("MainPID")
    project = made.path("checkout/pyproject.toml")
    right = project.read_text()
    project.write_text(right.replace('"xxhash>=3.4"', '"xxhash>=3000"'))
    assert install(made).returncode == 1
    project.write_text(right)
    assert made.path(APP).readlink() == Path("coatcheck.2")
    assert made.show("MainPID") == pid


def _an_upgrade_that_does_not_start_is_taken_back(made: Machine) -> None:
    code = made.path("checkout/daemon/coatcheck/service.py")
    unit = made.path("checkout/systemd/coatcheck.service")
    right, before = code.read_text(), unit.read_text()
    code.write_text(right + "\nraise SystemExit('broken')\n")
    unit.write_text(before + "\n# of the new version\n")
    done = install(made)
    code.write_text(right)
    unit.write_text(before)
    assert done.returncode == 1
    assert "the one before is put back" in done.stderr
    assert made.path(APP).readlink() == Path("coatcheck.2")
    assert made.path("etc/systemd/system/coatcheck.service").read_text() == before
    assert made.show("ActiveState") == "active"
