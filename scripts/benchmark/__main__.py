"""Measures the real process, with everything on: profile, gate, ledger, vault, durability; originals are deleted.

What can be measured, by --only: ct, mr, mf (a run beside a copy of the same files), latency, inbox, ledger, fairness,
start; peers (other tools on the same files). At scale 1 a Study has 2,000 files of 535 kB (ct) or 142 kB (mr), and the
one large file (mf) 200 MB. All is made below --work and removed again. Wall times drift: read the ratios, and the
processor time of all processes. It is a benchmark, not a test.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from scripts.benchmark.beside_copy import measure
from scripts.benchmark.beside_peers import peers
from scripts.benchmark.corpus import ROOT
from scripts.benchmark.live import fairness, latency
from scripts.benchmark.many import inbox
from scripts.benchmark.page import filled
from scripts.benchmark.past import ledger
from scripts.benchmark.plot import plot
from scripts.benchmark.processes import Failed
from scripts.benchmark.starts import start
from scripts.benchmark.told import lines
from scripts.benchmark.wanted import Row, Wanted, around

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coatcheck-bench"
MEASURES: dict[str, Callable[[Wanted], Row]] = {
    **{kind: partial(measure, kind) for kind in ("ct", "mr", "mf")},
    **{"latency": latency, "inbox": inbox, "ledger": ledger, "fairness": fairness, "start": start, "peers": peers},
}


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="ct,mr,mf", help=f"with commas between: {', '.join(MEASURES)}")
    parser.add_argument("--scale", type=float, default=0.1, help="of the number of files, and of the large file's size")
    parser.add_argument("--rounds", type=int, default=3, help="of each way, in random order")
    parser.add_argument("--profile", default="research", help="a built-in one, or a path")
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", type=Path, help="write the figures into this file, beside what it has of others")
    parser.add_argument("--python", default=sys.executable, help="of an environment as users have it")
    parser.add_argument("--peers", action="store_true", help="other tools too, on the same files")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"where those are installed: {CACHE}")
    parser.add_argument("--table", type=Path, metavar="JSON", help="measure nothing: fill in the pages and their plot")
    pages = [ROOT / "scripts/BENCH.md", ROOT / "README.md"]
    parser.add_argument("--page", type=Path, nargs="+", default=pages, help="pages; the plot lies beside the first")
    given = parser.parse_args(words)
    given.only = given.only.split(",") + ["peers"] * given.peers
    if unknown := set(given.only) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    if given.rounds < 1 or given.scale <= 0:
        parser.error("there must be a round at least, and a scale above 0")
    if Path(given.profile).is_file():
        given.profile = str(Path(given.profile).resolve())
    return given


def main(words: Sequence[str] | None = None) -> int:
    """Prints what was measured, and writes it for programs."""
    given = arguments(words)
    if given.table:
        fill(given.page, json.loads(given.table.read_text()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))  # and nothing is left behind
    try:
        measured(given)
    except Failed as error:
        sys.exit(f"scripts/bench: {error}")
    return 0


def measured(given: argparse.Namespace) -> None:
    """One measure after the other, below a folder that is removed again."""
    with tempfile.TemporaryDirectory(dir=given.work, prefix="coatcheck-bench-") as folder:
        wanted = Wanted(
            work=Path(folder),
            scale=given.scale,
            rounds=given.rounds,
            profile=given.profile,
            python=given.python,
            cache=given.cache,
        )
        for name in given.only:
            row = around(wanted) | MEASURES[name](wanted)
            print(*lines(name, row), sep="\n", flush=True)
            if given.json:
                keep(given.json, name, row)


def fill(pages: Sequence[Path], rows: dict[str, Row]) -> None:
    """Writes the tables into the pages, and the plot beside the first where peers were measured."""
    for page in pages:
        page.write_text(filled(page.read_text(), rows))
    if "peers" in rows:
        pages[0].with_name("bench.svg").write_text(plot(rows["peers"]["tools"]))


def keep(file: Path, name: str, row: Row) -> None:
    """Writes a row into the file; what it has of other measures stays."""
    rows = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(rows | {name: row}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
