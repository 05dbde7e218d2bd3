"""``ct``, ``mr``, ``mf``: a whole run beside a copy of the same files, in interleaved rounds of random order.

The files lie in the inbox, and the time is that from the start of ``run --once`` to its end. The limit is two parallel
``cp -r`` and a ``sync -f``. Absolute times drift from run to run: read the ratios.
"""

from __future__ import annotations

import mmap
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from scripts.benchmark.corpus import corpus, count, write_study
from scripts.benchmark.house import House, wait_until
from scripts.benchmark.processes import Command, Used, Watched
from scripts.benchmark.wanted import Row, Wanted, spread

_REST = 2.0  # seconds after its work after which a service is idle


def measure(kind: str, wanted: Wanted) -> Row:
    """One kind of file."""
    with corpus(wanted.work, kind, wanted.scale) as files:
        ways = {"copy": partial(copy, wanted.work, files), "run": partial(run, wanted, files)}
        rounds = interleaved(ways, wanted.rounds)
        row = told(rounds, count(files))
        return row | (_large(wanted, files) if kind == "mf" else {})


def interleaved(ways: Mapping[str, Callable[[], Used]], rounds: int) -> dict[str, list[Used]]:
    """Each way once in every round, in an order that chance decides."""
    used: dict[str, list[Used]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in random.sample(list(ways), len(ways)):
            used[name].append(ways[name]())
    return used


def told(rounds: dict[str, list[Used]], files: int) -> Row:
    """The figures of rounds of ``copy`` and ``run``; a ratio is that of one round."""
    copies, runs = rounds["copy"], rounds["run"]
    return {
        "files": files,
        "ratio": spread(run.wall / copied.wall for run, copied in zip(runs, copies, strict=True)),
        "copy_wall": spread(one.wall for one in copies),
        "wall": spread(one.wall for one in runs),
        "user": spread(1000 * one.user / files for one in runs),
        "system": spread(1000 * one.system / files for one in runs),
        "pss": max(one.pss for one in runs),
        "largest": max(one.largest for one in runs),
        "rounds_used": {name: [asdict(one) for one in used] for name, used in rounds.items()},
    }


def copy(work: Path, files: Path, *, durable: bool = True) -> Used:
    """The limit: two parallel ``cp -r``, then ``sync -f``. One file is one plain ``cp``, durable or not."""
    target = work / "copy"
    target.mkdir()
    names = sorted(files.iterdir())
    touch_memory(files)
    halves: list[Command] = [["cp", "-r", *names[half::2], target] for half in (0, 1) if names[half::2]]
    used = Watched(*halves).wait()
    if durable:
        used += Watched(["sync", "-f", target]).wait()
    shutil.rmtree(target)
    return used


def run(wanted: Wanted, files: Path) -> Used:
    """From the start of the process to its end."""
    with House.made(wanted) as house:
        shutil.copytree(files, house.inbox() / "dropped")
        os.sync()
        touch_memory(files)
        used = Watched(house.asked("run", "--once")).wait()
        house.must_have_delivered(count(files))
        return used


def touch_memory(files: Path) -> None:
    """Both sides begin with as much free memory as they will fill, touched a moment ago.

    The host of a virtual machine takes freed memory back after a while. The first write to such a page then costs ten
    times the copy itself, and whoever comes first would pay for it.
    """
    size = 2 * sum(os.stat(Path(place, name)).st_size for place, _, names in os.walk(files) for name in names)
    with mmap.mmap(-1, size) as memory:
        for start in range(0, size, mmap.PAGESIZE):
            memory[start] = 1


def _large(wanted: Wanted, files: Path) -> Row:
    """The one large file, dropped where a service runs, beside plain ``cp`` and a durable one; and its memory."""
    above: list[float] = []

    def served() -> Used:
        used, more = _dropped(wanted, files)
        above.append(more)
        return used

    plain = partial(copy, wanted.work, files, durable=False)
    ways: dict[str, Callable[[], Used]] = {"copy": plain, "durable": partial(copy, wanted.work, files), "run": served}
    rounds = interleaved(ways, wanted.rounds)
    durable = rounds.pop("durable")
    served_row = told(rounds, count(files))
    return {
        "served": {key: served_row[key] for key in ("ratio", "copy_wall", "wall")},
        "beside_durable": told(rounds | {"copy": durable}, count(files))["ratio"],
        "above_idle": spread(above),
    }


def _dropped(wanted: Wanted, files: Path) -> tuple[Used, float]:
    """From the drop to the rename into the outbox, and the MiB above those of an idle service that has worked."""
    with House.made(wanted) as house, house.serving() as service:
        house.drop(write_study(wanted.work / "first", 1, 2), "first")
        wait_until(house.delivered, service)
        shutil.copytree(files, wanted.work / "waiting")
        os.sync()
        touch_memory(files)
        time.sleep(_REST)
        idle, _ = service.memory()
        service.forget_peak()
        begun = time.monotonic()
        house.drop(wanted.work / "waiting", "large")
        wall = wait_until(lambda: len(house.delivered()) == 2, service) - begun
        return Used(wall=wall, user=0.0, system=0.0), service.pss - idle
