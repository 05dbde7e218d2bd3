"""Work that is too much for a worker process, to be done by a real one: it is sent there by its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from coatcheck.files import fingerprint
from coatcheck.limits import TimeLimit, time_limit
from coatcheck.model import Arrival, Refusal, Unready
from coatcheck.worker import judged

FINE, BYTES, LATE_BYTES, LOOP, DEAF = "fine", "bytes", "bytes when it answers", "a loop", "a loop that hears no signal"
HUGE = 1 << 40


def work(seconds: float, batch: Sequence[str]) -> list[object]:
    """Does each piece as a worker does a file: within limits, and with a verdict if it is too much."""
    with time_limit(seconds) as limit:
        results = [_judged(limit, kind) for kind in batch]
    return [_Late() if kind == LATE_BYTES else result for kind, result in zip(batch, results, strict=True)]


def _judged(limit: TimeLimit, kind: str) -> str | Refusal | Unready:
    arrival = Arrival(project="p", path="f", fingerprint=fingerprint(os.stat(Path(__file__).parent)))
    return judged(arrival, lambda: _piece(kind), limit)


def _piece(kind: str) -> str:
    if kind == BYTES:
        bytearray(3 << 29)  # 1.5 GiB, which this machine has, but a bound worker has not
    elif kind == LOOP:
        while True:
            pass
    elif kind == DEAF:
        sum(range(HUGE))
    return FINE


class _Late:
    """Too much memory, where nobody judges it any more: on the way back."""

    def __reduce__(self) -> tuple[type[bytes], tuple[int]]:
        bytearray(3 << 29)
        return bytes, (1,)
