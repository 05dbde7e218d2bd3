"""The unit under a real systemd: start, delivery, reload, kill, hang, stop, power cut, and a share that is away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import tree, wait_until
from tests.faults.conftest import Report
from tests.faults.need import needs, needs_fuse
from tests.faults.site import CONFIG, PROGRAM, SLICES, Site, site

MODES = {
    ".": "drwxr-x---",
    "lock": "-rw-r-----",
    "status.json": "-rw-r-----",
    "requests": "drwx------",
    **{f"ledger.db{end}": "-rw-r-----" for end in ("", "-wal", "-shm")},
    **{f"vault.db{end}": "-rw-------" for end in ("", "-wal", "-shm")},
}


@pytest.fixture
def swept(sweep: bool) -> None:
    """For a test that runs in the sweep alone."""
    if not sweep:
        pytest.skip("a part of the sweep: scripts/faults")


def all_is_well(there: Site, expected: dict[str, bytes], count: int) -> None:
    """Every Study of so many came out once, whole and as without any fault, and every original is kept."""
    there.wait_until_done(studies=count, seconds=90)
    delivered = there.delivered()
    assert len(delivered) == count * SLICES
    assert all(expected[path] == content for path, content in delivered.items())
    assert len(there.folders()) == count
    assert len(there.kept()) == count * SLICES
    assert not there.staging()
    assert sum(row["duplicates"] for row in there.deliveries()) == 0


def test_the_unit_delivers_reloads_survives_a_kill_and_stops(tmp_path: Path, sweep: bool, report: Report) -> None:
    count = 40 if sweep else 10
    with site(tmp_path / "machine") as there:
        expected = there.undisturbed(tmp_path / "other", 0, 3 * count)
        machine = there.machine
        there.begin()
        assert machine.show("ActiveState") == "active"
        assert machine.show("StatusText") == "1 projects, 0 files done since the start"
        there.load(0, count)
        there.wait_until_done(studies=count)
        wait_until(lambda: f" {count * SLICES} files done" in machine.show("StatusText"), "the status counts them")
        _is_as_promised_on_disk(there)
        _is_in_the_journal(there)

        _takes_a_good_configuration_and_refuses_a_bad_one(there)

        there.load(count, count)
        there.at_work()
        there.signal("KILL")
        there.wait_for_restart()
        all_is_well(there, expected, 2 * count)
        report("main process killed under the unit, restarted by systemd", fired=there.restarts())

        there.load(2 * count, count)
        there.at_work()
        there.end()
        assert machine.show("Result") == "success"
        assert any(there.inbox.iterdir()), "it was quicker than the stop"
        assert not [row for row in there.unfinished() if row[2] == "open"]
        there.begin()
        all_is_well(there, expected, 3 * count)
        report("stopped under load within TimeoutStopSec, and started again", fired=1)


def _is_as_promised_on_disk(there: Site) -> None:
    """State files are closed to others, and results are open to the group and to nobody else."""
    listed = there.machine.run("find", "/var/lib/coatcheck", "-printf", "%M %u:%g %P\n").stdout.splitlines()
    found = {line.split()[2] if line.count(" ") == 2 and line.split()[2:] else ".": line.split() for line in listed}
    assert {name: row[0] for name, row in found.items() if name in MODES} == MODES
    assert {row[1] for row in found.values()} == {"coatcheck:coatcheck"}
    others = there.machine.run("find", "/srv/lung/outbox", "-mindepth", "1", "-perm", "/o=rwx").stdout
    assert others == ""
    files = there.machine.run("find", "/srv/lung/outbox", "-name", "*.dcm", "-printf", "%M %g\n").stdout
    assert set(files.splitlines()) == {"-rw-r----- coatcheck"}


def _is_in_the_journal(there: Site) -> None:
    """Records can be asked for by project and by Study."""
    [(ticket,)] = there.rows("SELECT ticket FROM studies ORDER BY id LIMIT 1")
    assert f"delivered: {SLICES} instances" in there.machine.journal(f"COATCHECK_STUDY={ticket}")
    assert there.machine.journal(f"COATCHECK_STUDY={ticket}", "COATCHECK_PROJECT=other") == ""
    assert there.machine.journal("COATCHECK_PROJECT=lung").count("delivered: ") == len(there.folders())


def _takes_a_good_configuration_and_refuses_a_bad_one(there: Site) -> None:
    """Both have happened when systemctl returns."""
    reload = ("systemctl", "reload", "coatcheck")
    pid = there.pid()
    assert there.said()["projects"]["lung"]["watch"] == "events"
    there.configure(watch="polling")
    assert there.machine.run(*reload, check=False).returncode == 0
    assert there.said()["reloads"] == 1
    assert there.said()["projects"]["lung"]["watch"] == "polling"
    good = there.config.read_text()
    for wrong, word in (({"file_settel": "1s"}, "file_settle"), ({"executor": "inline"}, "restart it")):
        there.configure(watch="events", **wrong)
        assert there.machine.run(*reload, check=False).returncode != 0
        assert word in there.machine.journal()
        there.config.write_text(good)
    assert there.said()["reloads"] == 2  # of the other, the command itself said that it is wrong
    assert "executor" in str(there.said()["reload_problems"])
    assert there.said()["projects"]["lung"]["watch"] == "polling"
    assert (there.machine.show("ActiveState"), there.pid()) == ("active", pid)


def test_a_service_that_is_stopped_by_a_signal_is_found_by_the_watchdog(
    tmp_path: Path, swept: None, report: Report
) -> None:
    with site(tmp_path / "machine") as there:
        expected = there.undisturbed(tmp_path / "other", 0, 30)
        there.machine.drop_in("watchdog", "WatchdogSec=2s")
        there.begin()
        there.load(0, 30)
        there.at_work()
        there.signal("STOP")
        there.wait_for_restart()
        assert "Watchdog timeout (limit 2s)" in there.machine.journal()
        all_is_well(there, expected, 30)
        report("main process stopped by SIGSTOP: restarted by the watchdog", fired=there.restarts())


def test_a_loop_that_blocks_is_found_by_the_watchdog_and_says_where_it_hung(
    tmp_path: Path, swept: None, report: Report
) -> None:
    """A FIFO has taken the place of the file that the loop opens to write its status: open(2) waits for a reader."""
    with site(tmp_path / "machine") as there:
        expected = there.undisturbed(tmp_path / "other", 0, 30)
        there.machine.drop_in("watchdog", "WatchdogSec=2s")
        there.begin()
        there.load(0, 30)
        fifo = there.state / "status.tmp"
        there.machine.run("runuser", "-u", "coatcheck", "--", "mkfifo", "/var/lib/coatcheck/status.tmp")
        there.wait_for_restart(2)
        fifo.unlink()
        said = there.machine.journal()
        assert said.count("Watchdog timeout (limit 2s)") >= 2
        assert "snapshot.py" in said[said.index("Fatal Python error: Aborted") :]
        all_is_well(there, expected, 30)
        report("loop blocked in open(2) of a FIFO: restarted by the watchdog", fired=there.restarts())


@contextmanager
def shared(there: Site, project: str, delay: str = "") -> Iterator[int]:
    """The project's folders on a mount of sshfs, and the process that serves it. What is there already goes along."""
    machine = there.machine
    machine.run("mv", f"/srv/{project}", "/served")
    machine.run("mkdir", "-p", f"/srv/{project}")
    machine.write("usr/local/bin/as-ssh", "#!/bin/sh\necho $$ >/run/served\nexec /usr/lib/openssh/sftp-server\n", 0o755)
    options = "ssh_command=/usr/local/bin/as-ssh,allow_other,reconnect,dir_cache=no,idmap=none"
    machine.run("sshfs", "-o", options, "there:/served", f"/srv/{project}")
    inside = int(machine.run("cat", "/run/served").stdout)
    server = next(pid for pid in _family(machine.pid) if _inner(pid) == inside)
    try:
        yield server
    finally:
        os.kill(server, signal.SIGCONT)
        machine.run("umount", "--lazy", f"/srv/{project}", check=False)


def _family(pid: int) -> list[int]:
    here = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns/pid") == here:
                found.append(int(path.name))
        except OSError:
            continue
    return found


def _inner(pid: int) -> int:
    """The number of a process inside its own namespace."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:")]
    return int(line.split()[-1])


def test_a_share_that_hangs_and_answers_again_costs_a_restart_and_nothing_else(
    tmp_path: Path, swept: None, report: Report
) -> None:
    needs("sshfs")
    needs_fuse()
    with site(tmp_path / "machine") as there, shared(there, "lung") as server:
        there.machine.drop_in("watchdog", "WatchdogSec=2s", "TimeoutAbortSec=2s")
        there.begin()
        served = there.machine.path("served/inbox")
        for study in range(20):
            for slice_ in range(SLICES):
                place = served / f"study-{study}/{slice_}"
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(studies.instance(study, slice_, side=64))
        wait_until(lambda: there.rows("SELECT 1 FROM deliveries WHERE state = 'done'"), "the first are out")
        os.kill(server, signal.SIGSTOP)
        wait_until(lambda: "Watchdog timeout (limit 2s)" in there.machine.journal(), "the watchdog misses it")
        os.kill(server, signal.SIGCONT)  # Not before this can a process end that waits for an answer of FUSE.
        there.wait_for_restart()
        served_out = there.machine.path("served/outbox")
        wait_until(lambda: not tree(served), "every file has gone its way", seconds=90)
        wait_until(lambda: not there.unfinished(), "all is recorded", seconds=30)
        assert len(tree(served_out)) == 20 * SLICES
        assert len(tree(there.machine.path("served/archive"))) == 20 * SLICES
        assert sum(row["duplicates"] for row in there.deliveries()) == 0
        report("share of inbox and outbox hung, loop blocked in it: restarted by the watchdog", fired=there.restarts())


def test_many_slow_shares_are_no_hang(tmp_path: Path, swept: None, report: Report) -> None:
    """Each inbox takes a while to be listed, all of them together longer than the watchdog waits."""
    needs("strace")
    names = [f"project-{number}" for number in range(6)]
    with site(tmp_path / "machine", *names, watch="polling") as there:
        there.machine.drop_in("watchdog", "WatchdogSec=5s")
        there.begin()
        log = tmp_path / "strace.log"
        slow = "inject=getdents64:delay_enter=900000"  # microseconds; a listing of an empty folder asks twice
        words = ("strace", "-p", str(there.pid()), "-e", "trace=getdents64", "-e", slow)

        def slowed() -> int:
            return log.read_text().count("DELAYED")

        with log.open("wb") as out:
            tracer = subprocess.Popen(there.machine.command(*words), stdout=out, stderr=out)
        try:
            wait_until(lambda: slowed() >= 24 or tracer.poll() is not None, "listings are slow", seconds=90)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        assert there.restarts() == 0, there.machine.journal()
        report("six shares, each slow to list, all together slower than the watchdog", fired=slowed())


def test_a_stop_past_its_time_is_a_kill_and_the_work_is_resumed(tmp_path: Path, swept: None, report: Report) -> None:
    with site(tmp_path / "machine") as there:
        expected = there.undisturbed(tmp_path / "other", 0, 30)
        there.machine.drop_in("short", "TimeoutStopSec=1ms")
        there.begin()
        there.load(0, 30)
        there.at_work()
        there.end()
        assert there.machine.show("Result") == "timeout"
        there.begin()
        all_is_well(there, expected, 30)
        report("stop past TimeoutStopSec: killed with its workers", fired=1)


def test_a_power_cut_under_load_and_a_boot_while_a_share_is_away(tmp_path: Path, swept: None, report: Report) -> None:
    with site(tmp_path / "machine", "lung", "heart") as there:
        machine = there.machine
        expected = there.undisturbed(tmp_path / "other", 0, 30)
        machine.systemctl("add-wants", "basic.target", "coatcheck.service")
        machine.run("mv", "/srv/heart", "/heart-on-a-share")
        machine.run("mkdir", "/srv/heart")
        machine.run("mount", "--bind", "/heart-on-a-share", "/srv/heart")
        there.begin()
        there.load(0, 30)
        there.at_work()

        machine.cut()
        machine.path("srv/heart").rmdir()
        machine.boot()

        wait_until(lambda: machine.show("ActiveState") == "active", "it is up by itself")
        wait_until(lambda: there.line("heart")["fault"], "the share that is away is a fault")
        wait_until(lambda: len(there.folders()) == 30, "the other project goes on", seconds=90)
        place = machine.path("heart-on-a-share")
        (place / "inbox/a").write_bytes(studies.instance(1, 1))
        machine.path("srv/heart").mkdir()
        machine.run("mount", "--bind", "/heart-on-a-share", "/srv/heart")
        wait_until(lambda: list((place / "outbox").glob("[!.]*/*")), "the share came and its project goes on")
        wait_until(lambda: not there.line("heart")["fault"], "the fault is over")
        machine.run("umount", "/srv/heart")
        wait_until(lambda: there.line("heart")["fault"], "the share went, which is a fault")
        (place / "inbox/b").write_bytes(studies.instance(2, 1))
        machine.run("mount", "--bind", "/heart-on-a-share", "/srv/heart")
        wait_until(lambda: len(list((place / "outbox").glob("[!.]*/*"))) == 2, "it came back")
        assert there.restarts() == 0
        all_is_well(there, expected, 30)
        report("power cut under load, and a boot with a share away that came, went and came", fired=1)


def test_a_key_stays_with_root_and_systemd_hands_it_over(tmp_path: Path, swept: None, report: Report) -> None:
    with site(tmp_path / "machine") as there:
        machine = there.machine
        expected = there.undisturbed(tmp_path / "other", 0, 2)
        machine.run("chown", "root:root", "/etc/coatcheck/keys", "/etc/coatcheck/keys/lung.key")
        assert machine.run("systemctl", "start", "coatcheck", check=False).returncode != 0
        machine.drop_in("key", "LoadCredential=lung.key:/etc/coatcheck/keys/lung.key")
        there.begin()
        there.load(0, 1)
        there.wait_until_done(studies=1)
        there.end()

        sealed = "/etc/coatcheck/keys/lung.sealed"
        encrypt = ("systemd-creds", "encrypt", "--with-key=host", "--name=lung.key")
        machine.run(*encrypt, "/etc/coatcheck/keys/lung.key", sealed)
        shutil.move(machine.path("etc/coatcheck/keys/lung.key"), tmp_path / "kept.key")
        machine.drop_in("key", f"LoadCredentialEncrypted=lung.key:{sealed}")
        there.begin()
        there.load(1, 1)
        there.wait_until_done(studies=2)
        assert there.delivered() == expected
        assert len(there.kept()) == 2 * SLICES
        assert there.command("check").returncode == 0, there.command("check").stdout

        export = (PROGRAM, "mapping", "export", "--config", CONFIG, "--project", "lung", "--kind", "uid")
        given = ("-p", f"LoadCredentialEncrypted=lung.key:{sealed}", "-p", "User=coatcheck")
        printed = machine.run("systemd-run", "--quiet", "--pipe", "--wait", *given, *export).stdout
        assert studies.study_uid(1) in printed
        report("key from LoadCredential, then from LoadCredentialEncrypted", fired=2)
