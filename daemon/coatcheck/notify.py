"""What the service tells systemd about itself, as sd_notify(3) describes it. Silent where systemd does not listen."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping

from coatcheck import libsystemd

logger = logging.getLogger(__name__)

# systemd reads its socket at once; if it ever does not, the service's loop waits this many seconds and no longer.
_PATIENCE = 1.0


class Notifier:
    """Sends the service's state to systemd.

    ``environ`` holds NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID as systemd sets them; without NOTIFY_SOCKET every
    method does nothing. ``clock`` gives seconds of CLOCK_MONOTONIC, as ``time.monotonic`` does. ``pid`` is this
    process, if it is not the one that asks.

    No method raises: a service that cannot speak to systemd goes on with its work. The first failure is logged.
    """

    def __init__(self, environ: Mapping[str, str], clock: Callable[[], float], *, pid: int | None = None) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._interval = _watchdog_interval(environ, os.getpid() if pid is None else pid)
        self._status = ""
        self._fed = float("-inf")
        self._failed = False

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two calls of ``watchdog``: half of what systemd allows. None if it does not ask for any."""
        return self._interval if self._address else None

    def ready(self) -> None:
        """The service has started, or has finished reading its configuration again."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``. The same line again is not sent."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def reloading(self) -> None:
        """The configuration is being read again. ``ready`` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock() * 1_000_000)}")

    def stopping(self) -> None:
        """The service finishes what it has in hand and ends."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """The loop is alive. Not sent where no watchdog was asked for, or where it is meant for another process.

        It may be called at every small step: it is sent a few times in an interval, and no more often.
        """
        if self._interval is not None and self._clock() - self._fed >= self._interval / 4:
            self._fed = self._clock()
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            _deliver(self._address, message)
        except (OSError, ValueError) as error:
            if not self._failed:
                logger.warning("systemd could not be told the service's state (%s)", type(error).__name__)
            self._failed = True


def _watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """Half of WATCHDOG_USEC in seconds, if it is a positive number and meant for the process ``pid``."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None


def _deliver(address: str, message: str) -> None:
    # libsystemd knows kinds of address that we do not, but it reads the process's own environment and no other.
    if libsystemd.daemon is not None and os.environ.get("NOTIFY_SOCKET") == address:
        libsystemd.daemon.notify(message)
        return
    if not address.startswith(("/", "@")):
        raise ValueError("NOTIFY_SOCKET is neither a path nor an abstract name")
    # A leading @ stands for the zero byte of Linux' abstract name space, unix(7).
    target = b"\0" + os.fsencode(address[1:]) if address.startswith("@") else os.fsencode(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(_PATIENCE)
        sender.sendto(message.encode(), target)
