"""A sender that cannot leave a file alone: ``python -m tests.faults.rewriting PATH HOW COUNT [ELSEWHERE]``,
until SIGTERM.

The file is whole when it ends. How often it was written stands in the file COUNT.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

from tests.acceptance import studies

HOWS = ("in place", "replaced", "truncated and written again", "another size")
LINK = "a link at times"  # to the file that is named last
SIDES = (1000, 400, 1200)  # pixels: to read one takes a while, to write one much longer
_PIECE = 200_000


def version(number: int, side: int) -> bytes:
    """An Instance of its own, whose pixels are all of its version: a mixture of two can be seen."""
    return studies.instance(1, number, side=side, PixelData=bytes([number % 251]) * (side * side * 2))


def is_one_version(content: bytes) -> bool:
    """Whether a file is one version, and whole."""
    ds = studies.read(content)
    values = set(ds.PixelData)
    return len(ds.PixelData) == ds.Rows * ds.Columns * 2 and values == {ds.InstanceNumber % 251}


def main(path: Path, how: str, count: Path, elsewhere: Path | None = None) -> None:
    """Writes the file again and again."""
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: over.append(number))
    dice, number = random.Random(how), 0
    while not over:
        number += 1
        content = version(number, dice.choice(SIDES) if how == "another size" else SIDES[0])
        temporary = path.with_name(".next.tmp")
        if elsewhere is not None and number % 2:
            temporary.symlink_to(elsewhere)
            temporary.rename(path)
        elif how in ("replaced", LINK):
            temporary.write_bytes(content)
            temporary.rename(path)
        else:
            _write(path, content, "r+b" if how == "in place" and path.exists() else "wb", dice)
        count.write_text(str(number))
        time.sleep(dice.uniform(0.03, 0.15))  # the pace of the sender; times of files are told in steps of some ms


def _write(path: Path, content: bytes, mode: str, dice: random.Random) -> None:
    with path.open(mode, buffering=0) as out:
        for start in range(0, len(content), _PIECE):
            out.write(content[start : start + _PIECE])
            time.sleep(dice.uniform(0, 0.004))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(Path, sys.argv[3:]))
