"""``start``: what it costs that a command begins at all."""

from __future__ import annotations

from scripts.benchmark.house import House
from scripts.benchmark.processes import quickly
from scripts.benchmark.wanted import Row, Wanted, spread

_TIMES = 10


def start(wanted: Wanted) -> Row:
    """``--help``, and ``status`` of a house that has worked; seconds."""
    with House.made(wanted) as house:
        quickly(*house.asked("run", "--once"))
        commands = {"help": house.command("--help"), "status": house.asked("status")}
        row: Row = {}
        for name, command in commands.items():
            used = [quickly(*command) for _ in range(_TIMES)]
            row[name] = {"user": spread(one.user for one in used), "wall": spread(one.wall for one in used)}
        return row
