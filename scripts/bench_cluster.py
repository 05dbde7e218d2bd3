"""What a cluster costs, and where one coordinator ends: ``python scripts/bench_cluster.py [--files N] [--rounds N]``.

A real scheduler and two workers with one slot each run on this machine, with TLS. Measured are an empty batch there and
back; processor time for CT files beside `executor: processes`, in random interleaved rounds; what the service itself
needs for a file and for a Study; and the durable commits of a Study to ledger and vault. It is a benchmark, not a test.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from coatcheck import worker
from coatcheck.cluster import Cluster as Way
from coatcheck.cluster_post import Letter, Mark, Order, write
from coatcheck.config_cluster import Tls
from coatcheck.deid.standard import EDITION
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.keys import new_key
from coatcheck.ledger import Ledger
from coatcheck.model import Arrival, Fingerprint, Staged
from coatcheck.vault import Kind, Vault
from scripts.benchmark.corpus import write_study
from tests.acceptance.cluster import Cluster, cluster
from tests.acceptance.house import ENVIRONMENT, House, descendants, wait_until

CT_SIDE = 512  # pixels: a file of 535 kB
NOW = "2026-11-21T10:00:00.000Z"
_APART, _START, _IDLE = "--apart", "start", 5.0
_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")
Figures = dict[str, float]


def main() -> int:
    """Prints each figure, and with --json writes all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=400, help="CT files of 535 kB for each round")
    parser.add_argument("--small", type=int, default=200, help="Studies of one small file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=wanted.work, prefix="coatcheck-bench-") as folder:
        figures |= records(Path(folder) / "one", files=1, studies=300)
        figures |= records(Path(folder) / "many", files=250, studies=20)
        with cluster(Path(folder) / "cluster") as there:
            wait_until(lambda: there.said().count("Starting established connection to tls") >= 4, "workers are there")
            figures |= letters(there, Path(folder))
            before = spent(there)
            time.sleep(_IDLE)
            idle = (spent(there) - before) / _IDLE
            figures["idle scheduler and two workers, ms of CPU for each second"] = 1000 * idle
            figures |= runs(there, Path(folder), wanted, idle)
    for name, value in figures.items():
        print(f"{name:58} {value:10.3f}")
    if wanted.json:
        wanted.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def letters(there: Cluster, folder: Path, count: int = 200) -> Figures:
    """Batches without files, one after the other."""
    tls = Tls.model_validate(there.tls)
    way, status = Way(f"127.0.0.1:{there.port}", tls), os.stat(folder)
    mark = Mark(device=status.st_dev, inode=status.st_ino)
    order = Order(function=worker.examine, context=worker.Reading(inbox=folder), items=(), inbox=mark)
    times: list[float] = []
    for number in range(count + 20):
        begun, used = time.perf_counter(), time.process_time()
        way.send(Letter(content=write(order))).result(60)
        if number >= 20:  # The first ones begin processes.
            times.append(time.perf_counter() - begun)
        if number == 20:
            first, elsewhere = used, spent(there)
    mine, theirs = time.process_time() - first, spent(there) - elsewhere
    way.stop()
    return {
        "empty batch there and back, ms (median)": 1000 * statistics.median(times),
        "empty batch there and back, ms (fastest tenth)": 1000 * statistics.quantiles(times, n=10)[0],
        "empty batch, coordinator, ms of CPU": 1000 * mine / count,
        "empty batch, scheduler and workers, ms of CPU": 1000 * theirs / count,
    }


def runs(there: Cluster, folder: Path, wanted: argparse.Namespace, idle: float) -> Figures:
    """`run --once`, on the cluster and in processes: a Study of CT files, and Studies of one small file.

    What a start alone costs is taken off, and what the cluster uses when it is idle.
    """
    settings: dict[str, dict[str, object]] = {"processes": {"executor": "processes", "workers": 2}}
    settings["cluster"] = {**there.settings, "workers": 2}
    loads: dict[str, tuple[int, Callable[[Path], object]]] = {
        _START: (0, lambda inbox: None),
        "CT file": (wanted.files, lambda inbox: write_study(inbox / "large", 1, wanted.files, CT_SIDE)),
        "Study of one file": (
            wanted.small,
            lambda inbox: [write_study(inbox / f"{number}", number, 1) for number in range(1, wanted.small + 1)],
        ),
    }
    seen: dict[tuple[str, str, str], list[float]] = {}
    rounds = [(kind, load) for _ in range(wanted.rounds) for kind in settings for load in loads]
    random.shuffle(rounds)
    for kind, load in rounds:
        count, drop = loads[load]
        house = House(folder / "house", profile="research", originals="delete", study_settle="0s", **settings[kind])
        drop(house.inbox)
        for part, value in once(house, there, idle).items():
            seen.setdefault((load, kind, part), []).append(value)
        delivered = sum(path.endswith(".dcm") for path in house.delivered())
        shutil.rmtree(house.root)
        if delivered != count:
            raise SystemExit(f"{delivered} of {count} files were delivered")
    return dict(_marginal(seen, {load: count for load, (count, _) in loads.items()}))


def _marginal(seen: dict[tuple[str, str, str], list[float]], counts: dict[str, int]) -> Iterator[tuple[str, float]]:
    for (load, kind, part), values in sorted(seen.items()):
        if load == _START:
            yield f"a start, {kind}, s of {part}", statistics.median(values)
        else:
            start = statistics.median(seen[_START, kind, part])
            yield f"{load}, {kind}, ms of {part}", 1000 * (statistics.median(values) - start) / counts[load]


def once(house: House, there: Cluster, idle: float) -> Figures:
    """One run: the seconds that it took, and those of CPU in each part."""
    before = spent(there)
    command = [sys.executable, "-m", "coatcheck", "--config", str(house.config), "run", "--once"]
    done = subprocess.run([sys.executable, __file__, _APART, *command], stdout=subprocess.PIPE, check=True)
    wall, service, processes = json.loads(done.stdout)
    cluster = spent(there) - before - idle * wall
    return {
        "wall": wall,
        "CPU, the service": service,
        "CPU, its processes": processes,
        "CPU, the cluster": cluster,
        "CPU, all": service + processes + cluster,
    }


def apart(command: Sequence[str]) -> int:
    """In a process of its own, without other children: prints wall time, and CPU of the service and of the rest."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    begun, nothing = time.perf_counter(), subprocess.DEVNULL
    process = subprocess.Popen(command, env=ENVIRONMENT, stdin=nothing, stdout=nothing, stderr=nothing)
    _, status, usage = os.wait4(process.pid, 0)
    wall, rest = time.perf_counter() - begun, 0.0
    with suppress(ChildProcessError):
        while True:
            _, _, left = os.wait4(-1, 0)
            rest += left.ru_utime + left.ru_stime
    print(json.dumps([wall, usage.ru_utime + usage.ru_stime, rest]))
    return os.waitstatus_to_exitcode(status)


def spent(there: Cluster) -> float:
    """Seconds of CPU of scheduler and workers, and all that they began."""
    assert there.scheduler is not None
    ours = [there.scheduler.pid, *(worker.pid for worker in there.workers)]
    return sum(_spent(pid) for one in ours for pid in (one, *descendants(one)))


def _spent(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS  # its own, and that of those it waited for


def records(folder: Path, *, files: int, studies: int) -> Figures:
    """The commits of a Study, in their order, as a job makes them."""
    folder.mkdir()
    ledger, key = Ledger.open(folder / "ledger.db"), new_key(random.Random(1).randbytes)
    vault = Vault.open(folder / "vault.db", {"bench": key})
    vault.prove("bench", key)
    begun, used = time.perf_counter(), time.process_time()
    for study in range(studies):
        _record(ledger, vault, study, files)
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    vault.close()
    ledger.close()
    name = f"commits of a Study of {files} file{'s' if files > 1 else ''}"
    return {f"{name}, ms": 1000 * wall / studies, f"{name}, ms of CPU": 1000 * cpu / studies}


def _record(ledger: Ledger, vault: Vault, study: int, files: int) -> None:
    uids = [f"2.25.{10**30 + study * 1000 + number}" for number in range(files)]
    mark = Fingerprint(1, 2, 3, 4, 5)
    arrivals = [Arrival(project="bench", path=f"{study}/{number}", fingerprint=mark) for number in range(files)]
    ticket = "".join("0123456789ABCDEFGHJK"[int(digit)] for digit in f"{study:010d}")
    delivery = ledger.open_delivery(
        project="bench",
        ticket=ticket,
        study_uid=f"2.25.{10**31 + study}",
        subject=f"S{ticket}",
        profile="research",
        profile_digest="0" * 64,
        edition=EDITION,
        tags=range(0x00100010, 0x00100010 + 100),
        instances=files,
        now=NOW,
    )
    vault.record("bench", Kind.UID, {f"1.2.{study}.{number}": uid for number, uid in enumerate(uids)}, NOW)
    vault.record("bench", Kind.PATIENT, {f"MRN-{study}": f"S{ticket}"}, NOW)
    planned = [PlannedFile(path=one.path, fingerprint=mark, fate=Fate.DELETE) for one in arrivals]
    rows = vault.plan("bench", delivery_id=delivery, files=planned)
    staged = _staged(arrivals, uids)
    ledger.stage(delivery, number=1, folder=f"S{ticket}/2.25.{study}", staged=staged, now=NOW)
    ledger.release(delivery, NOW)
    vault.settle_fate(rows, FateState.DONE)
    ledger.done(delivery, NOW)


def _staged(arrivals: Sequence[Arrival], uids: Sequence[str]) -> list[Staged]:
    return [
        Staged(
            arrival=arrival,
            sop_uid=uid,
            series_uid="2.25.7",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            digest=uid.encode().ljust(32)[:32],
            size=20_000,
        )
        for arrival, uid in zip(arrivals, uids, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(apart(sys.argv[2:]) if sys.argv[1:2] == [_APART] else main())
