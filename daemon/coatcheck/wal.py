"""The write-ahead logs of ledger and vault: folded in as they grow, unless a reader that stays keeps them from it.

Such a reader, as a backup that hangs or a shell that was left open, holds nothing up, but the log grows with each
commit until the disk is full. So it is said in time, and what has grown is folded in when the reader has gone.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from coatcheck.errors import CoatcheckError
from coatcheck.ledger import Ledger
from coatcheck.vault import Vault

logger = logging.getLogger("coatcheck")
LARGE: Final = 32 << 20
"""Bytes beyond which a log is a fault: several times of what the largest commit needs."""

_PERIOD: Final = 10.0  # seconds between two looks
_KIND: Final = "wal"
_HINT: Final = (
    "a program keeps the database open for reading: end it (`fuser` tells which); nothing is held up until the disk of"
    " state_dir is full, and the log is folded in by itself"
)


class WriteAheadLogs:
    """Looks after the logs of both databases. ``now`` is the monotonic clock, in seconds, ``utc`` stands in records."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault
        self._again = float("-inf")
        self._said: bool | None = None  # unknown: a fault of the process before may stand in the ledger

    def look(self, now: float, utc: str) -> None:
        """Folds in what is large, and says so where that cannot be done."""
        if now < self._again:
            return
        self._again = now + _PERIOD
        with suppress(CoatcheckError):  # A database that cannot be used is told of by those who need it.
            large = [log for log in (self._ledger.fold_in(LARGE), self._vault.fold_in(LARGE)) if log.size > LARGE]
            if large and not self._said:
                what = f"{large[0].path} has grown beyond {LARGE >> 20} MiB"
                logger.warning("%s: %s", what, _HINT)
                self._ledger.fault("", _KIND, what, _HINT, utc)
            elif not large and self._said is not False:
                self._ledger.clear_fault("", _KIND, utc)
            self._said = bool(large)
