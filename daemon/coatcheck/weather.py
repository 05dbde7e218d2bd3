"""Weather: what is in the way now and will pass, such as a full disk or a share that is not mounted.

Each piece of work meets it by itself and is tried again with back-off, for ever, while the others go on. It is logged
and recorded when it begins and when it is over. An exception that nobody expected is treated alike, so that a mistake
over one file never ends the service.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from coatcheck.bench import Bench
from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.log_text import exception

_BACK_OFF: Final = (1.0, 60.0)  # seconds: the first pause and the longest
_COUNTED: Final = 1.0  # seconds between two countings of one fault in the ledger, however many pieces meet it


class Fault(NamedTuple):
    """What is in the way, and what to do about it."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Met:
    """What one piece of work met: how often in a row it failed, and when it is tried again."""

    fault: Fault
    failures: int
    delay: float
    until: float


class Weather:
    """The weather over one ``kind`` of work. ``now`` is the monotonic clock, in seconds."""

    def __init__(self, bench: Bench, kind: str) -> None:
        self._bench = bench
        self._kind = kind
        self._met: dict[Hashable, _Met] = {}
        self._counted: dict[str, float] = {}
        self._recorded = True  # Of the process before perhaps: faults in the ledger that are over may stand there.

    def attempt(self, piece: Hashable, step: Callable[[], bool], now: float) -> bool:
        """Does one step of a piece of work, unless it pauses. True where ``step`` says that something was achieved."""
        if now < self.until(piece):
            return False
        self._bench.beat()  # Each step is progress, though a slow disk may make a round of all of them last minutes.
        try:
            achieved = step()
        except Exception as error:
            self.strike(piece, error, now)
            return False
        if achieved:
            self.clear(piece)
        return achieved

    def forget_others(self, known: Callable[[Hashable], bool]) -> None:
        """Lets go of pieces that are not known any more: there is nothing left of them to do."""
        for piece in [piece for piece in self._met if not known(piece)]:
            self.clear(piece)

    @property
    def faults(self) -> list[Fault]:
        """What is in the way now, each once."""
        return list(dict.fromkeys(met.fault for met in self._met.values()))

    def failures(self, piece: Hashable) -> int:
        """How often in a row a piece of work has failed."""
        met = self._met.get(piece)
        return met.failures if met is not None else 0

    def until(self, piece: Hashable) -> float:
        """When a piece of work may be tried again."""
        met = self._met.get(piece)
        return met.until if met is not None else float("-inf")

    def next_try(self, now: float) -> float | None:
        """When the next piece that pauses is tried again."""
        return min((met.until for met in self._met.values() if met.until > now), default=None)

    def strike(self, piece: Hashable, error: Exception, now: float) -> None:
        """A piece of work failed: it pauses."""
        fault = _words(error)
        before = self._met.get(piece)
        delay = min(max(_BACK_OFF[0], 2 * before.delay if before else 0.0), _BACK_OFF[1])
        failures = 1 + (before.failures if before else 0)
        known = fault in self.faults
        self._met[piece] = _Met(fault=fault, failures=failures, delay=delay, until=now + delay)
        if before is not None and before.fault not in self.faults:
            self._record_end()
        if not known:
            self._log(fault, error)
        if now - self._counted.get(fault.what, float("-inf")) >= _COUNTED:
            self._counted[fault.what] = now
            self._record(fault)

    def clear(self, piece: Hashable) -> None:
        """A piece of work went on, or has ended."""
        before = self._met.pop(piece, None)
        if before is not None and before.fault not in self.faults:
            self._record_end()
            self._bench.log(logging.INFO, "the fault is over, the work goes on")
        elif self._recorded and not self._met:
            self._record_end()

    def _log(self, fault: Fault, error: Exception) -> None:
        if isinstance(error, OSError | CoatcheckError):
            self._bench.log(logging.WARNING, "%s: %s", *fault)
        else:
            self._bench.log(logging.ERROR, "%s: %s: %s", *fault, exception(error))

    def _record(self, fault: Fault) -> None:
        with suppress(CoatcheckError):  # The ledger itself may be what fails: the log and the status have the fault.
            self._bench.ledger.fault(self._bench.project.name, self._kind, *fault, self._bench.utc())
            self._recorded = True

    def _record_end(self) -> None:
        """Takes what is over out of the ledger, and leaves what is not; tried again where the ledger fails."""
        self._recorded = True
        with suppress(CoatcheckError):
            self._bench.ledger.clear_fault(self._bench.project.name, self._kind, self._bench.utc())
            self._recorded = False
        self._counted.clear()
        for fault in self.faults:
            self._record(fault)


def _words(error: Exception) -> Fault:
    """What happened and what to do. An OSError's own text may hold the name of a dropped file, and is left out."""
    if isinstance(error, CoatcheckError):
        return Fault(error.what, error.hint)
    if not isinstance(error, OSError):
        mistake = Mistake.of(error)
        return Fault(mistake.what, mistake.hint)
    code = errno.errorcode.get(error.errno or 0, "EIO")
    if code in ("ENOSPC", "EDQUOT"):
        return Fault(
            f"a disk of this project is full ({code})",
            "make room: `coatcheck doctor` names the disk; the work goes on by itself within a minute",
        )
    return Fault(
        f"the folders of this project cannot be used now ({code})",
        "look at the disk's room, rights and health; the work goes on by itself when that is mended",
    )
