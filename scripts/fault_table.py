"""Prints what the tests of faults noted: each fault, how often it fired, and what was lost, doubled or partial."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

COLUMNS = ("fired", "lost", "doubled", "partial")


def main(path: Path) -> None:
    """Print the table of the rows in a file of JSON lines; rows of one fault are added up."""
    totals: dict[str, list[int]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        known = totals.setdefault(row["fault"], [0] * len(COLUMNS))
        totals[row["fault"]] = [have + row[name] for have, name in zip(known, COLUMNS, strict=True)]
    table = Table("fault", *COLUMNS, box=box.ASCII2)
    for fault, numbers in totals.items():
        table.add_row(fault, *map(str, numbers))
    Console(width=140).print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
