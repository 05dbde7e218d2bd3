"""The command that a project wants to be run after each delivery: one at a time, beside the loop, at least once.

That it is to be run is recorded with the release, and it is struck off when it ended well; so one that was under way
when the service ended is run again. It can hold up nothing and undo nothing. What it says is not read: it could hold
identity. Its exit code is logged, and a failure is a fault until a later try, or the next start, ends well.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
from contextlib import suppress
from typing import Any, Final, NamedTuple

from coatcheck.bench import Bench
from coatcheck.errors import CoatcheckError
from coatcheck.ledger import CommandState, DeliveryRow
from coatcheck.weather import Fault, Weather

_GRACE: Final = 5.0  # seconds between the request to end and the end
_PATIENCE: Final = 3  # failures in a row after which `run --once` no longer waits
_PERIOD: Final = 1.0  # seconds between two looks into the ledger while Studies are worked on
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}

_COMMAND: Final = "the command after delivery"
_HINT: Final = (
    "the Study is in the outbox in any case; try the command by hand as the service's user: it is run again a few"
    " times, and anew for each delivery when the service was restarted"
)


class _Run(NamedTuple):
    """A command under way."""

    row: DeliveryRow
    process: subprocess.Popen[bytes]
    began: float
    end: float  # when its time is up


class _Ended(NamedTuple):
    """One that came to its end. ``fault`` is "" where it ended well."""

    row: DeliveryRow
    exit_code: int | None
    fault: str


class Commands:
    """The commands of one project. ``now`` is the monotonic clock, in seconds.

    No call waits but :meth:`stop`, and that for a few seconds at most.
    """

    def __init__(self, bench: Bench) -> None:
        self.rung = True  # there may be new ones in the ledger
        self._bench = bench
        self._settings = bench.project.after_delivery
        self._weather = Weather(bench, "after_delivery")
        self._left: dict[int, DeliveryRow] = {}
        self._given_up: set[int] = set()
        self._looked = float("-inf")
        self._run: _Run | None = None
        self._ended: _Ended | None = None

    @property
    def faults(self) -> list[Fault]:
        """Why commands failed that have not ended well since."""
        return self._weather.faults

    @property
    def busy(self) -> bool:
        """Whether ``run --once`` is to wait: one runs, or is left that did not fail often."""
        untried = any(self._weather.failures(one) < _PATIENCE for one in self._left if one not in self._given_up)
        return self._settings is not None and (self.rung or self._run is not None or untried)

    def step(self, now: float, *, deliveries: bool) -> bool:
        """Goes on as far as it can. ``deliveries``: Studies are being worked on. Raises StateError for weather."""
        if self._settings is None:
            if self.rung:
                self._weather.clear(None)  # faults of settings that are no more
                self.rung = False
            return True
        self._poll(now)
        if self._ended is not None:
            self._record(self._ended, now)
        if self.rung or (deliveries and now - self._looked >= _PERIOD):
            self._left = {row.id: row for row in self._bench.ledger.commands_left(self._bench.project.name)}
            self._looked, self.rung = now, False
        if self._run is None:
            due = (row for row in self._left.values() if row.id not in self._given_up)
            row = next((one for one in due if self._weather.until(one.id) <= now), None)
            if row is not None:
                self._begin(row, now)
        return True

    def next_call(self, now: float) -> float | None:
        """When there is something to do again; None where nothing is."""
        if self._settings is None:
            return None
        if self._run is not None:
            return now + min(1.0, max(0.05, (now - self._run.began) / 10))
        if self.rung or self._ended is not None:
            return now
        return min((self._weather.until(one) for one in self._left if one not in self._given_up), default=None)

    def stop(self) -> None:
        """Ends what runs. It stays in the ledger, and is run again by the next start."""
        if self._run is None:
            return
        process, self._run = self._run.process, None
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE / 2)
        _signal(process, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # One that waits for a share that hangs dies when that answers.
            process.wait(_GRACE / 2)

    def _begin(self, row: DeliveryRow, now: float) -> None:
        assert self._settings is not None and row.folder is not None
        values = {
            "folder": str(self._bench.project.outbox / row.folder),
            "number": str(row.number),
            "project": row.project,
            "study_uid": row.study_uid,
            "subject": row.subject,
            "ticket": row.ticket,
        }
        quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        words = self._settings.words(values)
        try:
            process = subprocess.Popen(words, env=_ENVIRONMENT, cwd="/", start_new_session=True, **quiet)
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0, "EIO")
            self._record(_Ended(row, None, f"could not be started ({code})"), now)
            return
        self._run = _Run(row, process, now, now + self._settings.time_limit)

    def _poll(self, now: float) -> None:
        if self._run is None:
            return
        row, process, _, end = self._run
        code = process.poll()
        if code is None:
            if now >= end:
                _signal(process, signal.SIGTERM if now < end + _GRACE else signal.SIGKILL)
            return
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        if code and now >= end:
            how = "ran longer than its time limit"
        self._bench.log(logging.INFO if code == 0 else logging.WARNING, f"{_COMMAND} {how}", ticket=row.ticket)
        self._run, self._ended = None, _Ended(row, code, how if code else "")

    def _record(self, ended: _Ended, now: float) -> None:
        """Writes down how it ended; a fault of the ledger leaves it to be written later."""
        assert self._settings is not None
        self._ended = ended
        row, code, fault = ended
        failures = self._weather.failures(row.id) + 1
        last = failures >= self._settings.tries
        state = (CommandState.FAILED if last else CommandState.WAITING) if fault else CommandState.DONE
        self._bench.ledger.command_ended(row.id, state, code, self._bench.utc())
        self._ended = None
        if not fault:
            self._left.pop(row.id, None)
            self._weather.clear(row.id)
            return
        if last:
            self._given_up.add(row.id)
        self._weather.strike(row.id, CoatcheckError(f"{_COMMAND} {fault}", _HINT), now)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the command and all that it began."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
