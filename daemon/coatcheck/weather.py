"""Weather: what is in the way now and will pass, such as a full disk or a share that is not mounted.

It pauses one kind of work of one project, is logged and recorded when it begins and when it is over, and the work is
tried again with back-off, for ever.
"""

from __future__ import annotations

import errno
import logging
from typing import Final

from coatcheck.bench import Bench
from coatcheck.errors import CoatcheckError

_BACK_OFF: Final = (1.0, 60.0)  # seconds: the first pause and the longest


class Weather:
    """The weather over one ``kind`` of work. ``now`` is the monotonic clock, in seconds."""

    def __init__(self, bench: Bench, kind: str) -> None:
        self.fault = ""  # what is in the way, or ""
        self.failures = 0  # in a row
        self.until = float("-inf")  # when to try again
        self._bench = bench
        self._kind = kind
        self._delay = 0.0

    def strike(self, error: OSError | CoatcheckError, now: float) -> None:
        """The work failed: pause it."""
        self._delay = min(max(_BACK_OFF[0], 2 * self._delay), _BACK_OFF[1])
        self.until = now + self._delay
        self.failures += 1
        what, hint = _words(error)
        if self.fault != what:
            self._bench.log(logging.WARNING, "%s: %s", what, hint)
        try:
            if self.fault != what:
                self._record_end()
            self._bench.ledger.fault(self._bench.project.name, self._kind, what, hint, self._bench.utc())
        except CoatcheckError:
            pass  # The ledger itself is what fails: the fault stands in the log and the status.
        self.fault = what

    def clear(self) -> None:
        """The work went on. May raise StateError, and is then to be called again."""
        if self.fault:
            self._record_end()
            self._bench.log(logging.INFO, "the fault is over, the work goes on")
        self.fault = ""
        self.failures = 0
        self._delay = 0.0
        self.until = float("-inf")

    def _record_end(self) -> None:
        self._bench.ledger.clear_fault(self._bench.project.name, self._kind, self._bench.utc())


def _words(error: OSError | CoatcheckError) -> tuple[str, str]:
    """What happened and what to do. An OSError's own text may hold the name of a dropped file, and is left out."""
    if isinstance(error, CoatcheckError):
        return error.what, error.hint
    code = errno.errorcode.get(error.errno or 0, "EIO")
    return (
        f"the folders of this project cannot be used now ({code})",
        "look at the disk's room, rights and health; the work goes on by itself when that is mended",
    )
