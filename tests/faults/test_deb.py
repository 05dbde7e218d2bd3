"""scripts/deb: a package that installs without a network under a real systemd, and takes no data with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.acceptance.house import tree, wait_until
from tests.faults.conftest import Report
from tests.faults.need import needs
from tests.faults.site import CONFIG
from tests.faults.systemd import PYTHON, ROOT, Machine, machine, needs_systemd
from tests.faults.test_install import deliver, packed, prepare, system_python

__all__ = ["system_python"]  # a fixture
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
KEPT = ("etc/coatcheck", "var/lib/coatcheck", "srv/lung/archive", "srv/lung/outbox")


def built(folder: Path, *words: str | Path, **environ: str) -> Path:
    """The package that scripts/deb makes."""
    needs("dpkg-deb")
    command = [ROOT / "scripts" / "deb", "--output", folder, *words]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    (package,) = folder.glob("coatcheck_*.deb")
    return package


@pytest.mark.slow
def test_the_package_has_everything_in_its_place_and_nothing_below_etc(tmp_path: Path, system_python: None) -> None:
    """Of Python's packages only coatcheck is in it here, so that nothing is fetched."""
    wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(wheel, cwd=ROOT, check=True, capture_output=True)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "click").symlink_to(Path(click.__file__).parent)
    environ = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": os.fspath(tmp_path / "beside")}
    package = built(tmp_path / "dist", "--wheel", next(tmp_path.glob("*.whl")), **environ)
    there, control = tmp_path / "there", tmp_path / "control"
    subprocess.run(["dpkg-deb", "-x", package, there], check=True)
    subprocess.run(["dpkg-deb", "-e", package, control], check=True)
    listed = subprocess.run(["dpkg-deb", "-c", package], check=True, capture_output=True, text=True).stdout

    places = {
        "service": "systemd/system/coatcheck.service",
        "sysusers": "sysusers.d/coatcheck.conf",
        "tmpfiles": "tmpfiles.d/coatcheck.conf",
    }
    for ending, place in places.items():
        ours = ROOT / "systemd" / f"coatcheck.{ending}"
        assert (there / "usr/lib" / place).read_bytes() == ours.read_bytes()
    assert sorted(path.name for path in there.iterdir()) == ["opt", "usr"]
    (packages,) = there.glob("opt/coatcheck/lib/python3.*/site-packages")
    assert (packages / "coatcheck/profiles/standard/annex_e.tsv").exists()
    assert (there / "opt/coatcheck/bin/coatcheck").read_text().startswith("#!/opt/coatcheck/bin/python3\n")
    assert (there / "usr/bin/coatcheck").readlink() == Path("/opt/coatcheck/bin/coatcheck")
    assert (there / "usr/share/bash-completion/completions/coatcheck").stat().st_size > 100
    assert {line.split()[1] for line in listed.splitlines()} == {"root/root"}
    assert not [path for path, content in tree(there).items() if os.fsencode(tmp_path) in content]
    assert re.search(r"^Depends: python3 \(>= 3\.\d+\), python3 \(<< 3\.\d+\)", (control / "control").read_text(), re.M)
    for name in SCRIPTS:
        assert (control / name).read_bytes() == (ROOT / "scripts/debian" / name).read_bytes()


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_of_the_package_deletes_anything_but_its_own_mark(name: str) -> None:
    path = ROOT / "scripts" / "debian" / name
    code = re.sub(r"^ *#.*$", "", path.read_text(), flags=re.M)

    subprocess.run(["sh", "-n", path], check=True)
    assert os.access(path, os.X_OK)
    assert re.findall(r"\brm\b.*", code) in ([], ['rm -f "$was_active"'])
    assert not re.search(r"userdel|groupdel|deluser|rmdir|shred|find ", code)


def test_words_that_are_not_understood_build_nothing(tmp_path: Path) -> None:
    done = subprocess.run([ROOT / "scripts" / "deb", "--help"], capture_output=True, text=True, check=False)

    assert done.returncode == 2 and "usage" in done.stderr


def newer(package: Path, folder: Path) -> Path:
    """The same package as a later version."""
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    control = folder / "DEBIAN" / "control"
    control.write_text(re.sub(r"^(Version: .*)-1$", r"\1-2", control.read_text(), flags=re.M))
    made = package.with_name("newer.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", folder, made], check=True, capture_output=True)
    return made


def test_installed_upgraded_removed_purged_and_installed_again(
    tmp_path: Path, sweep: bool, system_python: None, report: Report
) -> None:
    if not sweep:
        pytest.skip("a part of the sweep: scripts/faults")
    needs_systemd()
    for name in ("machine", "wheels"):
        (tmp_path / name).mkdir()
    wheels = os.fspath(packed(tmp_path / "wheels"))
    package = built(tmp_path / "dist", PIP_NO_INDEX="1", PIP_FIND_LINKS=wheels, PIP_CONFIG_FILE="/dev/null")
    later = newer(package, tmp_path / "unpacked")
    with machine(tmp_path / "machine") as made:
        for one in (package, later):
            shutil.copy(one, made.path("/"))
        first = dpkg(made, "-i", f"/{package.name}")
        assert "systemctl enable --now coatcheck" in first
        assert made.path(CONFIG).stat().st_mode & 0o777 == 0o640
        assert "usage" in made.run("coatcheck", "--help").stdout.lower()
        prepare(made)
        deliver(made, 1)
        made.run("coatcheck", "check", "--config", CONFIG)
        _an_upgrade_restarts_the_service(made, later.name)
        deliver(made, 2)
        _data_outlives_removal_and_purge(made)
        dpkg(made, "-i", f"/{package.name}")
        made.systemctl("enable", "--now", "coatcheck")
        deliver(made, 3)
        report("Debian package upgraded, removed, purged, and installed again over its data", fired=4)


def dpkg(made: Machine, *words: str) -> str:
    done = made.run("dpkg", *words, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _an_upgrade_restarts_the_service(made: Machine, name: str) -> None:
    config, pid = tree(made.path("etc/coatcheck")), made.show("MainPID")
    dpkg(made, "-i", f"/{name}")
    wait_until(lambda: made.show("ActiveState") == "active", "the service runs again")
    assert made.show("MainPID") != pid
    assert tree(made.path("etc/coatcheck")) == config


def _data_outlives_removal_and_purge(made: Machine) -> None:
    made.systemctl("stop", "coatcheck")
    before = {place: tree(made.path(place)) for place in KEPT}
    dpkg(made, "-r", "coatcheck")
    assert made.show("LoadState") == "not-found"
    assert not made.path("opt/coatcheck/bin").exists()
    said = dpkg(made, "-P", "coatcheck")
    assert "without the keys nothing can be traced back" in said
    assert {place: tree(made.path(place)) for place in KEPT} == before
    assert made.run("getent", "passwd", "coatcheck").returncode == 0
    assert PYTHON.exists()
