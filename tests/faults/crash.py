"""A service that dies at a chosen system call, and the judgement over what is there after the next start."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from coatcheck.cli.main import COMMANDS
from tests.acceptance import studies
from tests.acceptance.house import ENVIRONMENT, House, Service, tree
from tests.faults.need import needs_strace

# What makes something durable or visible, and the writes of SQLite.
CALLS = (
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "fsync", "fdatasync", "syncfs", "sync_file_range"),
    *("pwrite64", "write", "writev", "copy_file_range", "mkdir", "mkdirat", "rmdir", "sendfile", "ftruncate", "linkat"),
)
NEVER = "none"
# How often the status is written and the loop is woken is not the same in every run.
_VARYING = ("status.tmp", '"\\1\\0\\0\\0\\0\\0\\0\\0", 8)', '"{\\"version\\": 1, \\"pid\\"')


class Point(NamedTuple):
    """Where to die: a system call, and how many of its kind have come by then."""

    call: str
    number: int


def drop_some(house: House) -> dict[str, bytes]:
    """A little of everything. The slices are large enough that their pixels go from file to file."""
    files = {f"one/{number}": studies.instance(1, number, side=200) for number in range(2)}
    files |= {"again": studies.instance(1, 1, side=200), "differs": studies.instance(1, 0, side=8)}
    files |= {"two": studies.instance(2, 1, patient="PAT-2"), "text": b"just text"}
    files |= {f"mixed/{number}": studies.instance(3, number, patient=f"MIX-{number}") for number in range(2)}
    for name, content in files.items():
        house.drop(name, content)
    return files


def traced(house: House, inject: str, record: Path) -> subprocess.CompletedProcess[str]:
    """``run --once`` under strace. Only the service's own thread is traced: with ``inline`` it does all the work."""
    options = ["-qq", "-y", "-o", os.fspath(record), "-e", f"trace={','.join(CALLS)}"]
    if inject != NEVER:
        options += ["-e", f"inject={inject}"]
    command = [sys.executable, "-m", "coatcheck", "--config", os.fspath(house.config), "run", "--once"]
    return subprocess.run(
        ["strace", *options, *command], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=90
    )


def killed(house: House, point: Point, record: Path) -> subprocess.CompletedProcess[str]:
    """``run --once`` that is killed at a point, if it gets there: the return code tells."""
    return traced(house, f"{point.call}:signal=SIGKILL:when={point.number}", record)


def points(record: Path) -> list[Point]:
    """Every point of a run, in order."""
    seen: Counter[str] = Counter()
    found = []
    for line in record.read_text(errors="replace").splitlines():
        call = line.split("(")[0]
        if call not in CALLS:
            continue
        seen[call] += 1
        if not any(text in line for text in _VARYING):
            found.append(Point(call, seen[call]))
    return found


def spread(found: list[Point], wanted: int) -> list[Point]:
    """So many of them: every kind of call at its first and last time, then an even spread over all."""
    kinds: dict[str, list[Point]] = {}
    for point in found:
        kinds.setdefault(point.call, []).append(point)
    edges = dict.fromkeys(point for kind in kinds.values() for point in (kind[0], kind[-1]))
    others = [point for point in found if point not in edges]
    more = min(max(wanted - len(edges), 0), len(others))
    return [*edges, *(others[place * len(others) // more] for place in range(more))]


@dataclass(frozen=True)
class Life:
    """A run in peace, and the system calls that it made, one line each."""

    house: House
    lines: list[str]

    def place(self, *patterns: str, last: bool = False) -> int:
        """Where these come, one after the other: the place of the last of them."""
        place = -1
        for pattern in patterns:
            found = [at for at, line in enumerate(self.lines) if at > place and re.search(pattern, line)]
            assert found, f"there is no {pattern} behind line {place}"
            place = found[-1 if last else 0]
        return place

    def point(self, place: int) -> Point:
        """The system call at a place, and how many of its kind have come by then."""
        call = self.lines[place].split("(")[0]
        return Point(call, Counter(line.split("(")[0] for line in self.lines[: place + 1])[call])

    def at(self, *patterns: str) -> Point:
        return self.point(self.place(*patterns))

    def behind_vault(self, before: str) -> Point:
        """The first write to the ledger after the vault's last commit before something."""
        end = self.place(before)
        vault = max(at for at in range(end) if re.search(r"fdatasync\(.*vault\.db-wal", self.lines[at]))
        return self.point(
            next(at for at in range(vault, end) if re.search(r"pwrite64\(.*ledger\.db-wal", self.lines[at]))
        )


def live(root: Path, files: dict[str, bytes], code: int, **settings: object) -> Life:
    """A run in peace over some files, with the exit code that is expected."""
    needs_strace()
    house = House(root / "house", **settings)
    for name, content in files.items():
        house.drop(name, content)
    done = traced(house, NEVER, root / "record")
    assert done.returncode == code, done.stderr
    lines = (root / "record").read_text(errors="replace").splitlines()
    return Life(house, [line for line in lines if line.split("(")[0] in CALLS])


@contextmanager
def attach(service: Service, options: list[str], record: Path) -> Iterator[subprocess.Popen[bytes]]:
    """strace on a running service, up to the end of the block; what it injects is over then."""
    command = ["strace", "-qq", "-o", os.fspath(record), *options, "-p", str(service.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while f"TracerPid:\t{tracer.pid}\n" not in Path(f"/proc/{service.pid}/status").read_text():
            assert tracer.poll() is None, "strace could not attach"
            time.sleep(0.005)
        yield tracer
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(5)
        except subprocess.TimeoutExpired:  # It waits for a thread that died meanwhile; its end lets go of all.
            tracer.kill()
            tracer.wait()


@contextmanager
def attached(service: Service, inject: str, record: Path) -> Iterator[Callable[[], bool]]:
    """strace on a running service and all that it begets. Gives whether something was killed; it then lets go.

    So it kills once: whatever does the work again is not traced any more.
    """
    options = ["-f", "-e", f"trace={inject.split(':')[0]}", "-e", f"inject={inject}"]
    with attach(service, options, record) as tracer:

        def fired() -> bool:
            hit = record.exists() and "killed by SIGKILL" in record.read_text(errors="replace")
            if hit and tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            return hit

        yield fired


def judge(house: House, undisturbed: House, files: dict[str, bytes], where: str = "") -> None:
    """All is as if nothing had happened: nothing is lost, doubled or partial, and the records agree."""
    assert house.delivered() == undisturbed.delivered(), where
    assert house.kept() == undisturbed.kept(), where
    assert house.set_aside() == undisturbed.set_aside(), where
    if house.kept():  # with `originals: delete` there is only the outbox to tell of them
        assert Counter([*house.kept().values(), *house.set_aside().values()]) == Counter(files.values()), where
    for root in (house.archive, house.quarantine):
        assert not [path for path in tree(root) if Path(path).name.startswith(".")], where
    assert not tree(house.inbox), where
    assert not house.staging(), where
    _judge_ledger(house, undisturbed, where)
    _judge_vault(house, undisturbed, where)


def _judge_ledger(house: House, undisturbed: House, where: str) -> None:
    assert not house.unfinished(), where
    assert house.rows("PRAGMA integrity_check") == [("ok",)], where
    for kind in ("deliveries", "refusals"):
        sql = f"SELECT state, COUNT(*) FROM {kind} WHERE state NOT IN ('abandoned', 'dropped') GROUP BY 1 ORDER BY 1"
        assert house.rows(sql) == undisturbed.rows(sql), where
    sql = "SELECT sop_uid, state, COUNT(*) FROM instances GROUP BY 1, 2 ORDER BY 1, 2"
    assert house.rows(sql) == undisturbed.rows(sql), where
    for owner in ("delivery_id", "refusal_id"):
        sql = f"SELECT {owner}, from_state, to_state FROM events WHERE {owner} IS NOT NULL"
        sql += " AND refusal_id IS NULL ORDER BY id" if owner == "delivery_id" else " ORDER BY id"
        last: dict[int, str] = {}
        for number, before, after in house.rows(sql):
            assert before == last.get(number), f"{where}: the events of {owner} {number} have a gap"
            last[number] = after
        table = "deliveries" if owner == "delivery_id" else "refusals"
        assert dict(house.rows(f"SELECT id, state FROM {table}")) == last, where


def _judge_vault(house: House, undisturbed: House, where: str) -> None:
    """Sealing gives the same bytes for the same values, so that two vaults with one key can be compared unopened."""
    assert _vault(house, "PRAGMA integrity_check") == [("ok",)], where
    assert not _vault(house, "SELECT id FROM files WHERE state = 'planned'"), where
    for sql in (
        "SELECT kind, original, replacement FROM mappings ORDER BY 1, 2, 3",
        "SELECT fate, path, destination, COUNT(*) FROM files WHERE state = 'done' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ):
        assert _vault(house, sql) == _vault(undisturbed, sql), where


def _vault(house: House, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{house.state / 'vault.db'}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def doctor(house: House) -> None:
    """What `coatcheck doctor` says: nothing is wrong. It looks only."""
    if "doctor" in COMMANDS:
        done = house.command("doctor", "--only-look")
        assert done.returncode == 0, done.stdout + done.stderr
