"""Measures the real process, with everything on: profile, gate, ledger, vault, durability; originals are deleted.

What can be measured, by --only: ct, mr, mf (a run beside a copy of the same files), latency, inbox, fairness, start.
At scale 1 a Study has 2,000 files of 535 kB (ct) or 142 kB (mr), and the one large file (mf) 200 MB. All is made below
--work and removed again. Wall times drift: read the ratios, and the processor time of all processes. It is a
benchmark, not a test.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from scripts.benchmark.beside_copy import measure
from scripts.benchmark.live import fairness, latency
from scripts.benchmark.many import inbox
from scripts.benchmark.starts import start
from scripts.benchmark.told import lines
from scripts.benchmark.wanted import Row, Wanted, around

MEASURES: dict[str, Callable[[Wanted], Row]] = {
    **{kind: partial(measure, kind) for kind in ("ct", "mr", "mf")},
    **{"latency": latency, "inbox": inbox, "fairness": fairness, "start": start},
}


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="ct,mr,mf", help=f"with commas between: {', '.join(MEASURES)}")
    parser.add_argument("--scale", type=float, default=0.1, help="of the number of files, and of the large file's size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="research", help="a built-in one, or a path")
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", type=Path, help="write the figures into this file, beside what it has of others")
    parser.add_argument("--python", default=sys.executable, help="of an environment as users have it")
    given = parser.parse_args(words)
    if unknown := set(given.only.split(",")) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    return given


def main(words: Sequence[str] | None = None) -> int:
    """Prints what was measured, and writes it for programs."""
    given = arguments(words)
    with tempfile.TemporaryDirectory(dir=given.work, prefix="coatcheck-bench-") as folder:
        wanted = Wanted(
            work=Path(folder), scale=given.scale, rounds=given.rounds, profile=given.profile, python=given.python
        )
        for name in given.only.split(","):
            row = around(wanted) | MEASURES[name](wanted)
            print(*lines(name, row), sep="\n", flush=True)
            if given.json:
                keep(given.json, name, row)
    return 0


def keep(file: Path, name: str, row: Row) -> None:
    """Writes a row into the file; what it has of other measures stays."""
    rows = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(rows | {name: row}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
