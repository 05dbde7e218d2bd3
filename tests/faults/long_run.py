"""Days of work in minutes: small Studies in waves, and what the service looks like between them."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.acceptance.house import House, Service
from tests.support import CT, raw, raw_file

TEXTS = ("CT HEAD", "thorax with contrast", "follow-up of Zyqorvald", "abdomen")


class Sample(NamedTuple):
    """What was measured after one wave. Memory is in bytes; ``seconds`` are of one listing."""

    instances: int
    studies: int
    service: int
    workers: int
    descriptors: int
    threads: int
    watches: int
    records: int
    log: int
    seconds: float


def instance(study: int, number: int, dice: random.Random) -> bytes:
    """One small Instance. Patients come again, with other Studies."""
    root = f"1.2.826.0.1.3680043.8.498.5.{study}"
    patient, pixels = study // 3, bytes([number % 251]) * dice.choice((32, 128, 512, 1024))
    return raw_file(
        raw(0x00080005, "CS", b"ISO_IR 100"),
        raw(0x00080016, "UI", CT.encode() + b"\0"),
        raw(0x00080018, "UI", _even(f"{root}.1.{number}")),
        raw(0x00080020, "DA", b"20%02d%02d%02d" % (study % 24, study % 12 + 1, study % 28 + 1)),
        raw(0x00080050, "SH", b"ACC%05d" % study),
        raw(0x00081030, "LO", _even(TEXTS[study % 4], " ")),
        raw(0x00100010, "PN", _even(f"Zyqor{patient:05d}^Halmar", " ")),
        raw(0x00100020, "LO", b"MRN%07d" % patient),
        raw(0x0020000D, "UI", _even(root)),
        raw(0x0020000E, "UI", _even(f"{root}.1")),
        raw(0x00280010, "US", (len(pixels) // 16).to_bytes(2, "little")),
        raw(0x00280011, "US", (16).to_bytes(2, "little")),
        raw(0x00280100, "US", (8).to_bytes(2, "little")),
        raw(0x7FE00010, "OB", pixels),
    )


def _even(text: str, pad: str = "\0") -> bytes:
    return (text + pad * (len(text) % 2)).encode()


class LongRun:
    """A service at work, and those around it: senders that tidy up, and one who takes away what was delivered."""

    def __init__(self, house: House, service: Service, seed: int) -> None:
        self.house = house
        self.samples: list[Sample] = []
        self.instances = self.studies = self.taken = self.duplicates = self.junk = 0
        self._service = service
        self._dice = random.Random(seed)
        self._last: tuple[int, list[bytes]] = (0, [])

    def wave(self, most: int) -> None:
        """Drops some Studies, so many files at most, waits until all is done, and takes a sample."""
        left = most
        while left > 0:
            left -= self._study(min(left, self._dice.choice((1, 3, 10, 20, 60))))
        if self._last[1]:  # something comes again, and something is no DICOM
            self.house.drop("again.dcm", self._last[1][0])
            self.house.drop("letter.txt", b"no DICOM, number %d" % self.studies)
            self.duplicates, self.junk = self.duplicates + 1, self.junk + 1
        self.house.wait_until_done(seconds=300)
        self._take_away()
        self.samples.append(self._sample())

    def _study(self, instances: int) -> int:
        number = self.studies
        files = [instance(number, one, self._dice) for one in range(instances)]
        for one, content in enumerate(files):
            self.house.drop(f"study {number}/{one:04d}.dcm", content)
        self.studies, self.instances, self._last = number + 1, self.instances + instances, (number, files)
        return instances

    def _take_away(self) -> None:
        """What is delivered leaves the outbox, and the senders remove their folders."""
        for subject in self.house.outbox.glob("[!.]*"):
            self.taken += sum(1 for path in subject.rglob("*.dcm"))
            shutil.rmtree(subject)
        for folder in self.house.inbox.iterdir():
            folder.rmdir()

    def _sample(self) -> Sample:
        service, workers = self._service.pid, self._service.workers()
        return Sample(
            instances=self.instances,
            studies=self.studies,
            service=memory(service),
            workers=sum(map(memory, workers)),
            descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (service, *workers)),
            threads=sum(len(os.listdir(f"/proc/{pid}/task")) for pid in (service, *workers)),
            watches=watches(service),
            records=sum(size(self.house.state / name) for name in ("ledger.db", "vault.db")),
            log=self._service.log.stat().st_size,
            seconds=float(self.house.said()["projects"][self.house.project]["scan_seconds"]),
        )


def memory(pid: int) -> int:
    """Bytes of data that a process has in memory. Code is not counted: what of it is there, others decide too."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))


def size(database: Path) -> int:
    """Bytes of what a database holds, wherever they lie by now."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        (pages,), (each,) = (db.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    return int(pages) * int(each)


def watches(pid: int) -> int:
    """How many folders a process watches."""
    found = 0
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        found += path.read_text().count("inotify wd:")
    return found


class Trend:
    """Samples of a run in quarters. The first one warms up; the second and the last are compared."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        quarter = len(samples) // 4
        self.second, self.last = samples[quarter - 1 : 2 * quarter], samples[-quarter - 1 :]

    def most(self, what: Callable[[Sample], float]) -> tuple[float, float]:
        """The largest value in each of both quarters."""
        return max(map(what, self.second)), max(map(what, self.last))

    def middle(self, what: Callable[[Sample], float]) -> tuple[float, float]:
        """The middle value in each of both quarters."""
        return median(map(what, self.second)), median(map(what, self.last))

    def each(self, what: Callable[[Sample], float], over: Callable[[Sample], float]) -> tuple[float, float]:
        """By how much something grew in each of both quarters, for each one of something else."""
        pairs = [(part[0], part[-1]) for part in (self.second, self.last)]
        second, last = ((what(end) - what(begin)) / (over(end) - over(begin)) for begin, end in pairs)
        return second, last
