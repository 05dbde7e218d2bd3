"""Measures `coatcheck run --once` beside two parallel `cp -r` and `sync -f` of the same files, in interleaved rounds.

Everything is on: profile, gate, ledger, vault, durability; originals are deleted. Absolute times drift from run to run:
read the ratios. Processor time counts all processes; memory is the sum of what each has for itself (PSS), and the
largest process. The corpus and the copies are made below --work and removed again. It is a benchmark, not a test.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = "file_settle: 0s\n    study_settle: 0s\n    originals: delete"
PR_SET_CHILD_SUBREAPER = 36
Measured = dict[str, float]


def main() -> int:
    """Prints a line for each kind of file, and with --json a file for programs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="ct,mf", help="ct, mr, mf; with commas between them")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="research")
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--python", default=sys.executable, help="of an environment as users have it")
    wanted = parser.parse_args()
    # Worker processes outlive their parent by a moment: as their reaper this process learns what they used.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory(dir=wanted.work, prefix="coatcheck-bench-") as folder:
        results = {kind: measure(Path(folder), kind, wanted) for kind in wanted.only.split(",")}
    if wanted.json:
        wanted.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def measure(work: Path, kind: str, wanted: argparse.Namespace) -> dict[str, object]:
    """One kind of file: rounds of copies and runs in random order."""
    make = [sys.executable, str(ROOT / "scripts/make_corpus.py"), str(work / "corpus")]
    subprocess.run([*make, "--only", kind, "--scale", str(wanted.scale)], check=True, stdout=subprocess.DEVNULL)
    corpus = work / "corpus" / kind
    files = sum(len(names) for _, _, names in os.walk(corpus))
    copies: list[Measured] = []
    runs: list[Measured] = []
    for _ in range(wanted.rounds):
        for of_copy in random.sample((True, False), 2):
            if of_copy:
                copies.append(copy(work, corpus))
            else:
                runs.append(run(work, corpus, wanted))
    shutil.rmtree(corpus)
    return report(kind, files, copies, runs)


def copy(work: Path, corpus: Path) -> Measured:
    """The limit: two parallel `cp -r`, then `sync -f`."""
    target = work / "copy"
    target.mkdir()
    names = sorted(corpus.iterdir())
    touch_memory(corpus)
    begun = time.perf_counter()
    halves = [["cp", "-r", *map(str, names[half::2]), str(target)] for half in (0, 1) if names[half::2]]
    for process in [subprocess.Popen(half) for half in halves]:
        process.wait()
    subprocess.run(["sync", "-f", str(target)], check=True)
    wall = time.perf_counter() - begun
    shutil.rmtree(target)
    return {"wall": wall}


def run(work: Path, corpus: Path, wanted: argparse.Namespace) -> Measured:
    """The files lie in the inbox; from the start of the process to its end."""
    house, command = work / "house", [wanted.python, "-m", "coatcheck"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, "init", str(house), "--project", "bench"], check=True, **quiet)  # type: ignore[call-overload]
    config = house / "coatcheck.yaml"
    config.write_text(config.read_text().replace("profile: research", f"profile: {wanted.profile}\n    {SETTINGS}", 1))
    (house / "bench/inbox").rmdir()
    shutil.copytree(corpus, house / "bench/inbox")
    os.sync()
    touch_memory(corpus)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    process = subprocess.Popen([*command, "run", "--once", "--config", str(config)], **quiet)  # type: ignore[call-overload]
    memory = peak_memory(process)
    wall = time.perf_counter() - begun
    if process.returncode != 0:
        raise SystemExit(f"coatcheck ended with {process.returncode}")
    reap()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(house)
    return {"wall": wall, "user": used.ru_utime - before.ru_utime, "system": used.ru_stime - before.ru_stime, **memory}


def touch_memory(corpus: Path) -> None:
    """Both sides begin with as much free memory as they will fill, touched a moment ago.

    The host of a virtual machine takes freed memory back after a while. The first write to such a page then costs ten
    times the copy itself, and whoever comes first would pay for it.
    """
    size = 2 * sum(os.stat(Path(place, name)).st_size for place, _, names in os.walk(corpus) for name in names)
    with mmap.mmap(-1, size) as memory:
        for start in range(0, size, mmap.PAGESIZE):
            memory[start] = 1


def peak_memory(process: subprocess.Popen[bytes]) -> Measured:
    """Looks at all processes of the service until it ends; MiB."""
    total = largest = 0
    while process.poll() is None:
        sizes = list(sizes_below(process.pid))
        total = max(total, sum(size for size, _ in sizes))
        largest = max(largest, *(rss for _, rss in sizes), 0)
        time.sleep(0.05)
    return {"pss": total / 1024, "largest": largest / 1024}


def sizes_below(pid: int) -> Iterator[tuple[int, int]]:
    """PSS and RSS in KiB of a process and of those below it."""
    with suppress(OSError, ValueError, IndexError):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        yield int(fields["Pss"].split()[0]), int(fields["Rss"].split()[0])
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from sizes_below(int(child))


def reap() -> None:
    """Waits for processes that were left behind, so that their time is counted."""
    signal.alarm(10)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    signal.alarm(0)


def report(kind: str, files: int, copies: list[Measured], runs: list[Measured]) -> dict[str, object]:
    """The figures of one kind of file; ratios pair each run with the copy of its round."""
    ratios = [run["wall"] / copied["wall"] for run, copied in zip(runs, copies, strict=True)]
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    copied = statistics.median(one["wall"] for one in copies)
    print(
        f"{kind}: {files} files; cp {copied:.2f} s, coatcheck {middle['wall']:.2f} s, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"{files / middle['wall']:.0f} files/s; CPU s per 1,000 files: user {1000 * middle['user'] / files:.2f}, "
        f"system {1000 * middle['system'] / files:.2f}; memory MiB: {middle['pss']:.0f} in all (PSS), "
        f"{middle['largest']:.0f} in the largest process"
    )
    return {"kind": kind, "files": files, "copies": copies, "runs": runs, "ratios": ratios}


if __name__ == "__main__":
    sys.exit(main())
