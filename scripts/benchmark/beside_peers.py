"""Runs the peers, coatcheck and a copy on the same CT files, and judges what came out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benchmark.beside_copy import copy, interleaved, touch_memory
from scripts.benchmark.corpus import corpus, count
from scripts.benchmark.house import House
from scripts.benchmark.left_in import left_in
from scripts.benchmark.peers import PEERS, Peer
from scripts.benchmark.processes import Failed, Used, Watched
from scripts.benchmark.wanted import Row, Wanted, spread

_SLOW = 5  # a slow tool gets a fifth of the files
_JUDGED = 40  # files whose results are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What runs on which files. ``run`` takes files and a folder that is not there yet, for its results."""

    files: Path
    run: Callable[[Path, Path], Used]

    def __call__(self) -> Used:
        """Runs it, and throws the results away."""
        touch_memory(self.files)
        with _emptied(self.files.parent / "target") as target:
            return self.run(self.files, target)

    def left(self, files: Path) -> Row:
        """What one process leaves in: nobody promises that two give the same pseudonyms. Raises Failed."""
        with _emptied(files.parent / "target") as target:
            self.run(files, target)
            part = "0" if (target / "0").exists() else "."
            return left_in((files / part).rglob("*.dcm"), (target / part).rglob("*.dcm"))


def peers(wanted: Wanted) -> Row:
    """Figures for 1,000 files. Of a tool that cannot be installed or fails there is the reason."""
    with corpus(wanted.work, "ct", wanted.scale) as files, _halves(files) as (every, some, few):
        tools = {"coatcheck": Tool(files=every, run=partial(_coatcheck, wanted))}
        told: dict[str, Row] = {"coatcheck": {"left": tools["coatcheck"].left(few)}}
        for peer in PEERS:
            try:
                programs = peer.installed(wanted.cache)
                tool = Tool(files=some if peer.slow else every, run=partial(_peer, peer, programs))
                told[peer.name] = {"version": peer.version(programs), "left": tool.left(few)}
                tools[peer.name] = tool
            except Failed as error:
                told[peer.name] = {"missing": str(error)}
        limit = Tool(files=every, run=lambda files, _: copy(wanted.work, files))
        rounds = interleaved(tools | {"cp": limit}, wanted.rounds)
        for name, used in rounds.items():
            told[name] = told.get(name, {}) | _figures(used, count(tools.get(name, limit).files))
        return {"files": count(every), "tools": told}


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _halves(files: Path) -> Iterator[tuple[Path, ...]]:
    """The files in two flat folders, for tools that look into no others: all of them, some and few."""
    paths = sorted(path for path in files.rglob("*") if path.is_file())
    parts = {"every": paths, "some": paths[: max(2, len(paths) // _SLOW)], "few": paths[:_JUDGED]}
    folders = tuple(files.parent / name for name in parts)
    for folder, chosen in zip(folders, parts.values(), strict=True):
        for half in (0, 1):
            (folder / str(half)).mkdir(parents=True)
            for path in chosen[half * len(chosen) // 2 : (half + 1) * len(chosen) // 2]:
                os.link(path, folder / str(half) / path.name)
    yield folders
    for folder in folders:
        shutil.rmtree(folder)


def _peer(peer: Peer, programs: Path, files: Path, target: Path) -> Used:
    halves = [(files / half, target / half) for half in ("0", "1")]
    for _, results in halves:
        results.mkdir(parents=True)
    used = Watched(*(peer.words(programs, source, results) for source, results in halves)).wait()
    return used + Watched(["sync", "-f", target]).wait()


def _coatcheck(wanted: Wanted, files: Path, target: Path) -> Used:
    with House.made(wanted) as house:
        shutil.copytree(files, house.inbox() / "dropped")
        os.sync()
        used = Watched(house.asked("run", "--once")).wait()
        house.must_have_delivered(count(files))
        os.rename(house.folder / "bench" / "outbox", target)
        return used


def _figures(used: list[Used], files: int) -> Row:
    rates = {key: spread(1000 * getattr(one, key) / files for one in used) for key in ("wall", "user", "system")}
    return {"files": files, **rates, "pss": max(one.pss for one in used)}
