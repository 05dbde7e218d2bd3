"""Runs a target on many inputs: by the project's own mutator, which needs nothing, or guided by coverage with atheris.

A campaign does not end at what it finds: each mistake is kept once, as the smallest input that shows it.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from tests.tools.fuzz import seeds, targets
from tests.tools.fuzz.mutation import LARGEST, mutated
from tests.tools.fuzz.targets import Finding, bounded

_SHRINKING = 20.0  # seconds for one input


@dataclass(slots=True, kw_only=True)
class Campaign:
    """One target, and what was found so far, by the key of the mistake. ``kept`` is where inputs are kept."""

    name: str
    target: Callable[[bytes], None]
    kept: Path
    counted: Any = field(default_factory=lambda: RawValue("Q"))  # the inputs, also for the process that waits
    begun: float = field(default_factory=time.monotonic)
    found: dict[str, bytes] = field(default_factory=dict)

    def one(self, data: bytes) -> None:
        """The target on one input."""
        self.counted.value += 1
        try:
            bounded(self.target, data)
        except Finding as finding:
            if finding.key not in self.found:
                self.found[finding.key] = small = shrunk(self.target, data, finding.key)
                (self.kept / f"{self.name}-{len(self.found):02d}").write_bytes(small)
                print(f"found: {finding.key}, {len(small)} bytes", flush=True)

    def told(self) -> str:
        """The figures, in one line."""
        seconds = time.monotonic() - self.begun
        mistakes = len(list(self.kept.glob(f"{self.name}-*")))
        return f"{self.name}: {self.counted.value} inputs in {seconds:.0f} s, {mistakes} mistakes found"


def shrunk(target: Callable[[bytes], None], data: bytes, key: str) -> bytes:
    """A smaller input that shows the same: parts are taken out as long as it does."""
    end, size = time.monotonic() + _SHRINKING, len(data) // 2
    while size and time.monotonic() < end:
        at = 0
        while at < len(data) and time.monotonic() < end:
            smaller = data[:at] + data[at + size :]
            if shows(target, smaller) == key:
                data = smaller
            else:
                at += size
        size //= 2
    return data


def shows(target: Callable[[bytes], None], data: bytes) -> str:
    """The key of the mistake that an input shows, or ""."""
    try:
        bounded(target, data)
    except Finding as finding:
        return finding.key
    return ""


def inputs_of(name: str) -> tuple[bytes, ...]:
    """The seeds for a target."""
    return seeds.values() if name == "gate" else seeds.files()


def run_plain(campaign: Campaign, seed: int, inputs: int, seconds: float) -> None:
    """So many inputs, or for so long. Each is made of the seed and its number alone, so that it can be made again."""
    known, plain = inputs_of(campaign.name), campaign.name == "gate"
    end = campaign.begun + seconds
    for number in range(inputs):
        if time.monotonic() > end:
            return
        campaign.one(mutated(random.Random(seed << 40 | number), known, plain=plain))


def run_atheris(campaign: Campaign, seed: int, inputs: int, seconds: float, folder: Path) -> None:
    """The same, guided by which code an input reaches. ``folder`` keeps what it learned.

    It is done in a process of its own, which the engine ends.
    """
    engine = os.fork()
    if engine:
        os.waitpid(engine, 0)
        return
    atheris: Any = importlib.import_module("atheris")  # without types
    for number, data in enumerate(inputs_of(campaign.name)):
        (folder / f"seed-{number:04d}").write_bytes(data)
    known, plain = inputs_of(campaign.name), campaign.name == "gate"

    def change(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return mutated(rng, (data,) if rng.random() < 0.9 else known, plain=plain)[:most]

    options = [f"-runs={inputs}", f"-max_total_time={seconds:.0f}", f"-seed={seed}", f"-max_len={LARGEST}"]
    quiet = ["-rss_limit_mb=0", "-timeout=600", f"-artifact_prefix={campaign.kept}/{campaign.name}-", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, *quiet, str(folder)], campaign.one, custom_mutator=change)
    atheris.Fuzz()


def made(name: str, kept: Path, work: Path) -> Campaign:
    """A campaign against a target; ``work`` is an empty folder for what it writes."""
    return Campaign(name=name, target=targets.made(name, work), kept=kept)
