"""What the unit keeps the service from is shown, named by `check`, and mended by the drop-in that `check` prints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import studies
from tests.acceptance.house import wait_until
from tests.faults.conftest import Report
from tests.faults.site import CONFIG, PROGRAM, Site, site
from tests.faults.systemd import DROP_INS


@pytest.fixture(autouse=True)
def swept(sweep: bool) -> None:
    """These run in the sweep alone."""
    if not sweep:
        pytest.skip("a part of the sweep: scripts/faults")


def checked(there: Site) -> dict[str, Any]:
    """What `check --json` says, as root."""
    done = there.command("check", "--json")
    said: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (78 if of_level(said, "problem") else 0), done.stderr
    return said


def of_level(said: dict[str, Any], level: str) -> list[str]:
    return sorted(one["key"] for one in said["problems"] if one["level"] == level)


def obey(there: Site, said: dict[str, Any]) -> None:
    """Do what the problems advise: add the drop-in, run the commands that are quoted."""
    if said["drop_in"]:
        there.machine.write(f"{DROP_INS}/said.conf", said["drop_in"])
        there.machine.systemctl("daemon-reload")
    for one in said["problems"]:
        quoted = one["hint"].split("`")[1::2]
        for command in quoted:
            if command.startswith(("chown", "chgrp", "chmod", "setfacl")):
                there.machine.run("sh", "-c", command)


def drop(there: Site, inbox: str, name: str, content: bytes, user: str) -> None:
    """Put a file into a new folder of the inbox as one who is neither root nor of the service."""
    machine = there.machine
    there.machine.write("run-drop", "").write_bytes(content)
    machine.path("run-drop").chmod(0o644)
    quoted = shlex.quote(f"{inbox}/of {user}")
    script = f"umask 022 && mkdir {quoted} && cp /run-drop {quoted}/{name}"
    machine.run("runuser", "-u", user, "--", "sh", "-c", script)


def test_from_a_fresh_installation_to_the_first_study_by_what_check_says(tmp_path: Path, report: Report) -> None:
    with site(tmp_path / "machine") as there:
        machine = there.machine
        machine.path(f"{DROP_INS}/folders.conf").unlink()
        machine.run("chown", "-R", "root:root", "/srv/lung", "/etc/coatcheck/keys/lung.key")

        first = checked(there)
        assert "projects.lung.inbox" in of_level(first, "problem")
        assert first["drop_in"] == (
            "[Service]\nReadWritePaths=-/srv/lung\nLoadCredential=lung.key:/etc/coatcheck/keys/lung.key\n"
        )
        obey(there, first)
        second = checked(there)
        assert second["drop_in"] == ""
        assert len(of_level(second, "problem")) == 4, second
        obey(there, second)
        assert checked(there)["problems"] == []

        machine.run("groupadd", "radiology")  # those who drop, as systemd/README.md has it
        machine.run("useradd", "--no-create-home", "--groups", "radiology", "anna")
        machine.run("sh", "-c", "cd /srv/lung && chgrp radiology inbox && chmod 2770 inbox")
        machine.run("setfacl", "-m", "g::rwx,u:coatcheck:rwx,d:u:coatcheck:rwx,d:g::rwx", "/srv/lung/inbox")
        there.begin()
        drop(there, "/srv/lung/inbox", "a", studies.instance(1, 1), "anna")
        there.wait_until_done(studies=1)
        assert len(there.kept()) == 1
        assert there.command("status", "--json").returncode == 0
        report("unit without folders and key: named by check, mended by what it prints", fired=len(first["problems"]))


def test_a_folder_that_the_unit_does_not_name_is_a_fault_of_its_project_alone(tmp_path: Path, report: Report) -> None:
    with site(tmp_path / "machine", "lung", "heart") as there:
        machine = there.machine
        machine.drop_in("folders", "ReadWritePaths=-/srv/lung")
        there.begin()
        there.drop("a", studies.instance(1, 1), project="heart")
        there.drop("a", studies.instance(1, 1), project="lung")
        wait_until(there.folders, "the other project goes on")
        wait_until(lambda: there.line("heart")["fault"], "the fault is shown")
        assert there.line("lung")["fault"] is None
        wait_until(lambda: "1 with a fault" in machine.show("StatusText"), "systemd's status tells of it")
        assert machine.journal("COATCHECK_PROJECT=heart")
        assert (machine.path("srv/heart/inbox/a")).exists()
        assert not list(machine.path("srv/heart/outbox").iterdir())

        said = checked(there)
        assert of_level(said, "problem") == [
            f"projects.heart.{role}" for role in ("archive", "inbox", "outbox", "quarantine")
        ]
        obey(there, said)
        machine.systemctl("restart", "coatcheck")
        wait_until(lambda: list(machine.path("srv/heart/outbox").glob("[!.]*/*")), "it goes on after a restart")
        wait_until(lambda: not there.line("heart")["fault"], "the fault is over")
        report("writing outside of ReadWritePaths", fired=1)


@pytest.mark.parametrize("above", ["/home/anna/lung", "/var/tmp/lung"])
def test_folders_that_the_unit_hides_are_bound(tmp_path: Path, above: str, report: Report) -> None:
    with site(tmp_path / "machine") as there:
        machine = there.machine
        machine.run("mkdir", "-p", str(Path(above).parent))
        machine.run("mv", "/srv/lung", above)
        there.config.write_text(there.config.read_text().replace("/srv/lung", above))
        there.begin()
        wait_until(lambda: there.line()["fault"], "the fault is shown")
        said = checked(there)
        assert f"BindPaths=-{above}\n" in said["drop_in"]
        obey(there, said)
        assert of_level(checked(there), "problem") == []
        machine.systemctl("restart", "coatcheck")
        machine.path(f"{above}/inbox/a").write_bytes(studies.instance(1, 1))
        wait_until(lambda: list(machine.path(f"{above}/outbox").glob("[!.]*/*")), "it is delivered")
        report(f"folders in {Path(above).parent}, which the unit hides", fired=1)


@pytest.mark.parametrize("together", [True, False])
def test_check_knows_whether_originals_are_renamed_or_copied(tmp_path: Path, together: bool, report: Report) -> None:
    with site(tmp_path / "machine") as there:
        if not together:
            each = ("inbox", "outbox", "quarantine", "archive")
            there.machine.drop_in("folders", *(f"ReadWritePaths=-/srv/lung/{role}" for role in each))
        notes = of_level(checked(there), "note")
        assert notes == ([] if together else ["projects.lung.archive", "projects.lung.quarantine"])
        there.begin()
        number = there.drop("a", studies.instance(1, 1)).stat().st_ino
        there.wait_until_done(studies=1)
        [kept] = [path for path in there.archive.rglob("*") if path.is_file()]
        assert (kept.stat().st_ino == number) is together
        assert kept.read_bytes() == studies.instance(1, 1)
        if not together:
            report("inbox and archive are two mounts inside the unit: originals are copied", fired=1)


def test_a_service_that_does_not_start_keeps_being_tried_but_not_with_a_wrong_configuration(
    tmp_path: Path, report: Report
) -> None:
    with site(tmp_path / "machine") as there:
        machine = there.machine
        there.begin()
        there.end()
        right = there.config.read_text()
        machine.run("chown", "root:root", "/var/lib/coatcheck/vault.db")
        machine.run("systemctl", "start", "coatcheck", check=False)
        wait_until(lambda: there.restarts() >= 6, "it is tried again and again", seconds=60)
        tried = there.restarts()
        machine.run("chown", "coatcheck:coatcheck", "/var/lib/coatcheck/vault.db")
        wait_until(lambda: machine.show("ActiveState") == "active", "it is up by itself when that is over")
        there.end()
        there.config.write_text(right.replace("file_settle", "file_settel"))
        assert machine.run("systemctl", "start", "coatcheck", check=False).returncode != 0
        assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("failed", "78")
        report("state that cannot be opened at the start: tried again until it can", fired=tried)


def test_no_program_of_the_service_can_do_what_the_unit_forbids(tmp_path: Path, report: Report) -> None:
    """From inside: asked by a program that the unit starts in the place of the service."""
    probes = {
        "write below /etc": "open('/etc/probe', 'w')",
        "write below /opt": "open('/opt/coatcheck/probe', 'w')",
        "see a home": "os.listdir('/root')",
        "speak to the network": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "mount": "ctypes.CDLL(None, use_errno=True).mount(b'a', b'/srv', b'tmpfs', 0, None) and deny()",
        "memory that can be written and run": "mmap.mmap(-1, 4096, prot=7)",
        "see other processes": "open('/proc/1/environ')",
    }
    lines = ["import ctypes, errno, mmap, os, socket", "def deny(): raise PermissionError"]
    for name, code in probes.items():
        lines += [
            "try:",
            f"    {code}",
            f"    print('ALLOWED: {name}')",
            "except OSError:",
            f"    print('denied: {name}')",
        ]
    with site(tmp_path / "machine") as there:
        there.machine.write("opt/probe.py", "\n".join(lines) + "\n")
        python = PROGRAM.replace("bin/coatcheck", "bin/python3")
        there.machine.drop_in(
            "probe", "Type=oneshot", "WatchdogSec=0", "Restart=no", "ExecStart=", f"ExecStart={python} /opt/probe.py"
        )
        there.machine.systemctl("start", "coatcheck")
        said = there.machine.journal()
        assert [f"denied: {name}" in said for name in probes] == [True] * len(probes), said
        assert there.machine.path(CONFIG).exists()
        report("what the unit forbids, tried from inside", fired=len(probes))
