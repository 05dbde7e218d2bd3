"""Where a key may be: in its file and in the memory of those who work with it. Where it may not: anywhere else."""

from __future__ import annotations

import base64
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.keys import read_key
from coatcheck.pool import Pool
from tests.acceptance import studies
from tests.acceptance.house import House, cmdline, descendants, parent, tree, wait_until
from tests.acceptance.keyring import coatcheck_command, dumpable, key_file, redeemed, rotate
from tests.faults.need import needs_root, needs_strace

NOBODY = 65534


def spellings(house: House, project: str) -> Iterator[bytes]:
    """The parts of a key as somebody might have written them down."""
    key = read_key(key_file(house, project))
    for part in (key.pseudonym_secret, *key.sealing_keys.values()):
        for one in (part, part[:32], part[32:]):
            if one:
                yield from (one, base64.b64encode(one), one.hex().encode(), repr(one)[2:-1].encode())


def told_by_the_kernel(pid: int) -> bytes:
    """What /proc says of a process to whoever asks."""
    found = b""
    for name in ("cmdline", "environ", "comm", "status", "maps"):
        try:
            found += Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            found += b""
    return found


def test_a_key_is_in_no_process_list_environment_record_log_or_status(tmp_path: Path) -> None:
    house = House(tmp_path / "house", "lung", "heart", executor="processes", workers=2)
    house.drop("a", studies.instance(1, 1))
    house.drop("bad", b"text")
    kinds, seen = set(), b""
    with house.service() as service:
        house.wait_until_done(studies=1)
        house.drop("b", studies.instance(2, 1))
        while len(house.folders()) < 2:
            for pid in [service.pid, *descendants(service.pid)]:
                seen += told_by_the_kernel(pid)
                kinds.add("forkserver" if "forkserver" in cmdline(pid) else "service")
                kinds.add("worker" if "forkserver" in cmdline(parent(pid)) else "service")
        rotate(house)
        redeemed(house, house.mapping("patient")["PAT-0815"])
        house.command("key", "destroy", "--project", "heart")
        records = b"".join(tree(house.state).values())
        said = service.said().encode()
    assert kinds == {"service", "forkserver", "worker"}, "each of them was looked at"
    said += house.command("check").stdout.encode() + house.command("status", "--json").stdout.encode()
    records += b"".join(tree(house.state).values()) + b"".join(house.delivered().values())

    for project in house.projects:
        for spelling in spellings(house, project):
            assert len(spelling) >= 32
            assert spelling not in seen
            assert spelling not in records
            assert spelling not in said
    assert b"coatcheck" in seen
    assert b"SQLite format 3" in records


def test_an_error_about_a_key_tells_nothing_of_it(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    text = key_file(house).read_bytes()
    key_file(house).write_bytes(text.replace(b"version: 1", b"version: 9"))

    for arguments in (("run", "--once"), ("check",), ("key", "rotate", "--project", "lung")):
        done = house.command(*arguments, COATCHECK_DEBUG="1")
        assert "damaged" in done.stdout + done.stderr or "vault.db" in done.stderr, arguments
        for value in re.findall(rb"\S{40,}", text.split(b"version")[1]):
            assert value.decode() not in done.stdout + done.stderr


# The memory


@pytest.fixture
def public_house() -> Iterator[House]:
    """A house of the user nobody."""
    needs_root()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    root = Path(tempfile.mkdtemp(prefix="coatcheck-test-"))
    try:
        root.chmod(0o755)
        house = House(root / "house")
        for path in (house.root, *house.root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        house._before = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        if subprocess.run([*house._before, *coatcheck_command(house), "check"], capture_output=True).returncode:
            pytest.skip("another user cannot run these tests' Python here")
        yield house
    finally:
        shutil.rmtree(root)


def can_read_memory(house: House, pid: int) -> bool:
    """Whether another process of the same user can."""
    code = f"import os; os.pread(os.open('/proc/{pid}/mem', os.O_RDONLY), 1, 0)"
    said = subprocess.run([*house._before, sys.executable, "-c", code], capture_output=True, text=True).stderr
    return "PermissionError" not in said


@pytest.mark.root
def test_the_memory_of_what_holds_a_key_is_closed_to_its_own_user(public_house: House) -> None:
    house = public_house
    other = subprocess.Popen([*house._before, "sleep", "60"])
    try:
        with house.service() as service:
            house.drop("a", studies.instance(1, 1))
            wait_until(house.folders, "the Study is out")

            assert not can_read_memory(house, service.pid)
            assert can_read_memory(house, other.pid), "else this proves nothing"
    finally:
        other.kill()
        other.wait()


def test_so_is_that_of_its_workers() -> None:
    done: list[object] = []
    rung = threading.Event()
    pool = Pool("processes", 1, rung.set)
    try:
        pool.submit(dumpable, None, [1], done.extend, done.append)
        while not done:
            rung.wait(30)
            rung.clear()
            pool.collect()
    finally:
        pool.stop()

    assert done == [0]


@pytest.mark.root
def test_a_credential_as_systemd_makes_it_is_read_by_the_services_user(public_house: House) -> None:
    """Root's, in a folder of root's, and readable for the user by an access list, which shows as the group's rights."""
    house = public_house
    given = house.root / "credentials"
    given.mkdir()
    shutil.move(key_file(house), given / "lung.key")
    for path, mode in ((given / "lung.key", 0o440), (given, 0o550)):
        os.chown(path, 0, NOBODY)
        path.chmod(mode)

    assert house.once().returncode == 78, "there is no key without it"
    house.drop("a", studies.instance(1, 1))
    done = house.once(CREDENTIALS_DIRECTORY=os.fspath(given))

    assert done.returncode == 0, done.stderr
    assert house.folders()
    (given / "lung.key").chmod(0o444)
    assert "open to other users" in house.once(CREDENTIALS_DIRECTORY=os.fspath(given)).stderr


# The files

CREATED = re.compile(
    r'(?:openat|open|creat)\((?:AT_FDCWD[^,]*, )?"([^"]+)", ([A-Z_|]*O_CREAT[A-Z_|]*), (0\d+)(?:\) = \d+| <unfinished)'
)
MADE = re.compile(r'mkdir(?:at)?\((?:AT_FDCWD[^,]*, )?"([^"]+)", (0\d+)\) = 0')
PRIVATE = {
    "ledger.db": 0o640,
    "ledger.db-journal": 0o640,
    "ledger.db-wal": 0o640,
    "ledger.db-shm": 0o640,
    "vault.db": 0o600,
    "vault.db-journal": 0o600,
    "vault.db-wal": 0o600,
    "vault.db-shm": 0o600,
    "status.tmp": 0o640,
    "lock": 0o640,
    "lung.key": 0o600,
    ".lung.key.new": 0o600,
}


def traced(house: House, *arguments: str) -> str:
    """A command under an open umask; gives every call that makes a file or changes what it is open to."""
    record = house.root.parent / "record"
    calls = "trace=open,openat,creat,mkdir,mkdirat,chmod,fchmod,fchmodat,umask"
    code = "import os, sys; os.umask(0); os.execv(sys.argv[1], sys.argv[1:])"
    command = ["strace", "-f", "-y", "-qq", "-s", "4096", "-e", calls, "-o", os.fspath(record)]
    done = subprocess.run(
        [sys.executable, "-c", code, shutil.which("strace") or "", *command[1:], *coatcheck_command(house), *arguments],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return record.read_text()


def test_state_and_keys_are_as_private_from_their_first_byte_as_at_their_end(tmp_path: Path) -> None:
    """Each call that makes one is watched, under a umask that takes nothing away; none is mended afterwards."""
    needs_strace()
    house = House(tmp_path / "house", executor="processes", workers=1)
    key_file(house).unlink()
    calls = traced(house, "key", "new", "--project", "lung")
    house.drop("a", studies.instance(1, 1))
    calls += traced(house, "run", "--once") + traced(house, "key", "rotate", "--project", "lung")
    calls += traced(house, "redeem", "--project", "lung", house.mapping("patient")["PAT-0815"], "--reason", "x")

    made: dict[str, int] = {}
    for path, _, mode in CREATED.findall(calls):
        if str(house.state) in path or str(house.root / "keys") in path:
            made.setdefault(Path(path).name, int(mode, 8))  # later calls find it there, and make nothing
    assert made == PRIVATE
    ours = [line for line in calls.splitlines() if str(house.state) in line or str(house.root / "keys") in line]
    assert [line for line in ours if "chmod" in line] == []
    folders = {Path(path).name: int(mode, 8) for path, mode in MADE.findall(calls) if str(house.state) in path}
    assert folders == {"requests": 0o700}
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in house.state.iterdir() if path.is_file()}
    assert found.items() <= (PRIVATE | {"status.json": 0o640}).items()
    assert "vault.db" in found


def test_a_request_is_private_from_its_first_byte(tmp_path: Path) -> None:
    needs_strace()
    house = House(tmp_path / "house")
    with house.service():
        wait_until(house.said, "the service runs")
        calls = traced(house, "key", "rotate", "--project", "lung")

    made = {Path(path).suffix: int(mode, 8) for path, _, mode in CREATED.findall(calls) if "/requests/" in path}
    assert made == {".new": 0o600}
    assert not [line for line in calls.splitlines() if "chmod" in line and "requests" in line]
