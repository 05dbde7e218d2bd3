"""``ledger``: what a house with millions of Instances behind it pays for the next Study, ``status`` and ``redeem``."""

from __future__ import annotations

import sys

from scripts.benchmark.beside_copy import interleaved
from scripts.benchmark.corpus import ROOT, write_study
from scripts.benchmark.house import House
from scripts.benchmark.processes import Used, Watched, quickly
from scripts.benchmark.wanted import Row, Wanted, spread

_INSTANCES = 5_000_000
_PER_STUDY = 250
_FILES = 200  # of the next Study
_TIMES = 5  # questions in a round


class _Past:
    """A house, and what is asked of it in each round."""

    def __init__(self, wanted: Wanted, name: str, instances: int) -> None:
        folder = wanted.work / name
        size = ["--instances", str(instances), "--per-study", str(_PER_STUDY)]
        quickly(sys.executable, ROOT / "scripts/make_history.py", folder, *size)
        self._house = House(folder=folder, python=wanted.python, projects=("bench",))
        self._studies = 0
        self.used: dict[str, list[Used]] = {"help": [], "status": [], "redeem": []}

    def __call__(self) -> Used:
        """The next Study; then questions, one of them for its UID."""
        house = self._house
        self._studies += 1
        write_study(house.inbox() / f"next{self._studies}", self._studies, _FILES)
        before = set(house.delivered())
        used = Watched(house.asked("run", "--once")).wait()
        (study,) = set(house.delivered()) - before
        redeem = house.asked("redeem", "--project", "bench", study.name, "--reason", "a measurement")
        asked = {"help": house.command("--help"), "status": house.asked("status"), "redeem": redeem}
        for name, command in asked.items():
            self.used[name] += [quickly(*command) for _ in range(_TIMES)]
        return used

    def figures(self, studies: list[Used]) -> Row:
        """Seconds; what ``redeem`` takes longer than ``--help`` is its work after the start of a process."""
        middle = spread(one.wall for one in self.used["help"])["median"]
        return {
            "study": spread(one.user + one.system for one in studies),
            "study_wall": spread(one.wall for one in studies),
            **{name: spread(one.user for one in self.used[name]) for name in ("status", "redeem")},
            "redeem_after_start": spread(one.wall - middle for one in self.used["redeem"]),
        }


def ledger(wanted: Wanted) -> Row:
    """An empty house and one with a past, side by side."""
    instances = max(_PER_STUDY, round(_INSTANCES * wanted.scale))
    houses = {"empty": _Past(wanted, "empty", 0), "full": _Past(wanted, "full", instances)}
    rounds = interleaved(houses, wanted.rounds)
    ratios = [
        (full.user + full.system) / (empty.user + empty.system)
        for full, empty in zip(rounds["full"], rounds["empty"], strict=True)
    ]
    figures = {name: house.figures(rounds[name]) for name, house in houses.items()}
    return {"instances": instances, "files": _FILES, "ratio": spread(ratios), **figures}
