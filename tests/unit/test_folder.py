from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coatcheck.errors import InboxFault
from coatcheck.intake.folder import EVENT_FILE_SYSTEMS, Doorbell, choose_mode, file_system
from coatcheck.intake.scan import scan

PATIENCE = 10.0

# pytest undoes what Doorbell sets for the process, between the set-up and the test.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


class Bell:
    """Collects the rings of a Doorbell."""

    def __init__(self) -> None:
        self.rings: queue.Queue[str] = queue.Queue()

    def heard(self, project: str) -> bool:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if self.rings.get(timeout=0.1) == project:
                    return True
            except queue.Empty:
                continue
        return False

    def calm_down(self) -> None:
        """Hear all rings that are still on their way."""
        while not self.silent_for(0.6):
            pass

    def silent_for(self, seconds: float) -> bool:
        try:
            self.rings.get(timeout=seconds)
        except queue.Empty:
            return True
        return False


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def doorbell(bell: Bell) -> Iterator[Doorbell]:
    doorbell = Doorbell(bell.rings.put)
    yield doorbell
    doorbell.stop()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_a_file_that_is_written_rings(bell: Bell, doorbell: Doorbell, inbox: Path) -> None:
    doorbell.watch("lung", inbox, "events")
    assert doorbell.healthy("lung")
    (inbox / "IM1").write_bytes(b"x")
    assert bell.heard("lung")


@pytest.mark.parametrize("how", ["moved", "linked", "rewritten", "in a new folder", "tree moved"])
def test_every_way_to_bring_content_rings(
    bell: Bell, doorbell: Doorbell, inbox: Path, tmp_path: Path, how: str
) -> None:
    source = tmp_path / "source" / "IM1"
    source.parent.mkdir()
    source.write_bytes(b"x")
    (inbox / "old").write_bytes(b"x")
    doorbell.watch("lung", inbox, "events")
    if how == "moved":
        source.rename(inbox / "IM1")
    elif how == "linked":
        os.link(source, inbox / "IM1")
    elif how == "rewritten":
        (inbox / "old").write_bytes(b"y")
    elif how == "in a new folder":
        (inbox / "a" / "b").mkdir(parents=True)
    else:
        source.parent.rename(inbox / "tree")
    assert bell.heard("lung")


def test_a_file_in_a_folder_that_was_made_later_rings(bell: Bell, doorbell: Doorbell, inbox: Path) -> None:
    doorbell.watch("lung", inbox, "events")
    (inbox / "a" / "b").mkdir(parents=True)
    assert bell.heard("lung")
    bell.calm_down()
    (inbox / "a" / "b" / "M\udcfcller").write_bytes(b"x")
    assert bell.heard("lung")


def test_listing_reading_and_taking_files_away_does_not_ring(bell: Bell, doorbell: Doorbell, inbox: Path) -> None:
    (inbox / "a").mkdir()
    for name in ["a/IM1", "a/IM2"]:
        (inbox / name).write_bytes(b"x")
    doorbell.watch("lung", inbox, "events")
    for path in scan(inbox).files:
        (inbox / path).read_bytes()
    (inbox / "a" / "IM1").rename(inbox.parent / "archived")
    (inbox / "a" / "IM2").unlink()
    (inbox / "a").rmdir()
    assert bell.silent_for(1.0)


def test_projects_ring_for_themselves_and_one_can_be_taken_off(
    bell: Bell, doorbell: Doorbell, inbox: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    doorbell.watch("lung", inbox, "events")
    doorbell.watch("heart", other, "events")
    (other / "IM1").write_bytes(b"x")
    assert bell.heard("heart")
    doorbell.unwatch("lung")
    doorbell.unwatch("lung")
    assert not doorbell.healthy("lung")
    assert doorbell.healthy("heart")
    bell.calm_down()
    (inbox / "IM1").write_bytes(b"x")
    assert bell.silent_for(0.5)


def test_watching_again_and_stopping_leaves_no_thread_and_no_descriptor(doorbell: Doorbell, inbox: Path) -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        doorbell.watch("lung", inbox, "events")
    doorbell.stop()
    assert eventually(lambda: threading.active_count() == threads)
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_an_inbox_that_was_deleted_or_renamed_is_noticed_and_can_be_watched_again(
    bell: Bell, doorbell: Doorbell, inbox: Path, how: str, again: bool
) -> None:
    doorbell.watch("lung", inbox, "events")
    if how == "deleted":
        shutil.rmtree(inbox)
    else:
        inbox.rename(inbox.parent / "away")
    if again:
        inbox.mkdir()
    assert eventually(lambda: not doorbell.healthy("lung"))
    if not again:
        with pytest.raises(InboxFault):
            doorbell.watch("lung", inbox, "events")
        assert not doorbell.healthy("lung")
        inbox.mkdir()
    doorbell.watch("lung", inbox, "events")
    assert doorbell.healthy("lung")
    (inbox / "IM1").write_bytes(b"x")
    assert bell.heard("lung")


def test_polling_watches_nothing_and_still_notices_another_inbox(bell: Bell, doorbell: Doorbell, inbox: Path) -> None:
    threads = threading.active_count()
    doorbell.watch("lung", inbox, "polling")
    assert threading.active_count() == threads
    assert doorbell.healthy("lung")
    assert not doorbell.limited("lung")
    inbox.rename(inbox.parent / "away")
    assert not doorbell.healthy("lung")


def test_an_inbox_that_is_a_link_is_watched_where_it_leads(bell: Bell, doorbell: Doorbell, inbox: Path) -> None:
    link = inbox.parent / "link"
    link.symlink_to(inbox)
    doorbell.watch("lung", link, "events")
    (inbox / "IM1").write_bytes(b"x")
    assert bell.heard("lung")
    other = inbox.parent / "other"
    other.mkdir()
    link.unlink()
    link.symlink_to(other)
    assert not doorbell.healthy("lung")


def test_a_local_folder_is_watched_by_events_and_proc_is_polled(inbox: Path) -> None:
    assert choose_mode(Path("/proc"), "auto") == "polling"
    assert file_system(Path("/proc")) == "proc"
    assert choose_mode(Path("/proc"), "events") == "events"
    assert choose_mode(inbox, "polling") == "polling"
    local = subprocess.run(["stat", "-f", "-c", "%T", str(inbox)], capture_output=True, text=True, check=True).stdout
    assert file_system(inbox) in {local.strip(), "ext4", "overlay"}  # stat says ext2/ext3 for ext4
    with pytest.raises(InboxFault):
        choose_mode(inbox / "absent", "auto")


@pytest.mark.parametrize("kind", ["cifs", "smb3", "nfs", "nfs4", "fuse.sshfs", "9p", "afs", "ceph", "lustre", ""])
def test_what_others_can_write_behind_this_kernel_is_polled(kind: str) -> None:
    assert kind not in EVENT_FILE_SYSTEMS


def in_a_namespace(script: str, cwd: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a user namespace of its own, or skip the test where the system does not allow one."""
    command = ["unshare", "--user", "--map-root-user", *flags]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    return subprocess.run(
        [*command, sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, timeout=60, env=environment()
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


MOUNTS = r"""
import pathlib, subprocess
from coatcheck.intake.folder import Doorbell, choose_mode, file_system
inbox = pathlib.Path("in box \\040")
inbox.mkdir()
print(file_system(inbox) != "tmpfs")
def mount(): subprocess.run(["mount", "-t", "tmpfs", "none", str(inbox)], check=True)
mount()
print(file_system(inbox) == "tmpfs")
doorbell = Doorbell(lambda project: None)
doorbell.watch("lung", inbox, "events")
print(doorbell.healthy("lung"))
subprocess.run(["umount", str(inbox)], check=True)
print(doorbell.healthy("lung"))
mount()
print(doorbell.healthy("lung"))
"""


def test_a_mount_is_found_by_its_number_and_an_unmount_is_noticed(tmp_path: Path) -> None:
    done = in_a_namespace(MOUNTS, tmp_path, "--mount")
    if "mount:" in done.stderr:
        pytest.skip("tmpfs may not be mounted here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "True", "False", "False"]


WATCHES = """
import pathlib
from coatcheck.intake.folder import Doorbell
pathlib.Path("/proc/sys/user/max_inotify_{what}").write_text("{number}")
inbox = pathlib.Path("inbox")
for number in range(30):
    (inbox / str(number)).mkdir(parents=True)
doorbell = Doorbell(lambda project: None)
doorbell.watch("lung", inbox, "events")
print(doorbell.limited("lung"), doorbell.healthy("lung"))
"""


@pytest.mark.parametrize(
    ("what", "number", "seen"),
    [("watches", 10, "True True"), ("watches", 0, "True True"), ("instances", 0, "True True"),
     ("watches", 100, "False True")],
)  # fmt: skip
def test_watches_that_are_used_up_are_told_and_are_no_error(tmp_path: Path, what: str, number: int, seen: str) -> None:
    done = in_a_namespace(WATCHES.format(what=what, number=number), tmp_path)
    if "PermissionError" in done.stderr:
        pytest.skip("the limits of a namespace may not be set here")
    assert done.stdout.strip() == seen, done.stderr


FLOODED = """
import pathlib, sys
from coatcheck.intake.folder import Doorbell
doorbell = Doorbell(lambda project: None)
doorbell.watch("lung", pathlib.Path("inbox"), "events")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(500):
    if doorbell.overflows("lung"):
        break
    __import__("time").sleep(0.02)
print(doorbell.overflows("lung"), doorbell.healthy("lung"))
"""


def test_events_that_the_kernel_dropped_are_counted(tmp_path: Path, inbox: Path) -> None:
    room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if room > 40_000:
        pytest.skip("the queue of events is too long to flood")
    with subprocess.Popen(
        [sys.executable, "-c", FLOODED], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment(),
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGSTOP)
        for number in range(room // 2 + 500):  # two events each
            os.close(os.open(inbox / f"IM{number}", os.O_CREAT | os.O_WRONLY))
        child.send_signal(signal.SIGCONT)
        out, err = child.communicate("\n", timeout=60)
    overflows, healthy = out.split()
    assert int(overflows) >= 1
    assert healthy == "True"
    assert "IM" not in err.replace("OVERFLOW", "")


NAMES = """
import logging, pathlib, time
from coatcheck.intake.folder import Doorbell
logging.basicConfig(level=logging.DEBUG)
inbox = pathlib.Path("inbox")
doorbell = Doorbell(lambda project: None)
for number in range(60):
    doorbell.watch("lung", inbox, "events")
    folder = inbox / f"Doe^Jane{number}"
    (folder / "Doe^John" / "Doe").mkdir(parents=True)
    (folder / "Doe^John").rename(folder / "Doe^Jim")
    time.sleep(0.005)
print(doorbell.healthy("lung"))
doorbell.stop()
"""


def test_dropped_names_never_reach_a_log_or_a_warning(tmp_path: Path, inbox: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", NAMES], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert done.stdout.strip() == "True"
    assert done.stderr == ""
