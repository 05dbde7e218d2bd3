"""Where log records go: to systemd's journal with fields where stderr is the journal, else as plain lines to stderr."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from coatcheck import libsystemd, log_text

JOURNAL_SOCKET = "/run/systemd/journal/socket"

Fields = dict[str, str]

# A datagram has a limit of some 200 KiB, and a message of ours that is longer than this is a mistake anyway.
_LONGEST_VALUE = 16_384

_PRIORITIES = (  # level at least, syslog(3)
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)


def configure(
    stream: TextIO,
    environ: Mapping[str, str],
    *,
    clock: Callable[[], float] = time.monotonic,
    journal_socket: str | None = None,
    level: int = logging.INFO,
) -> logging.Handler:
    """Send every log record of this process to ``stream``, or to the journal if that is what ``stream`` leads to.

    Takes the place of whatever was configured before, warnings and uncaught exceptions of threads included, so that
    no library writes past it. Call it in each worker process too. ``journal_socket`` is given in tests only.
    Returns the handler.
    """
    handler: logging.Handler
    if leads_to_journal(stream, environ):
        handler = JournalHandler(_sender(journal_socket), stream)
    else:
        handler = logging.StreamHandler(stream)
    handler.setFormatter(log_text.LineFormatter())
    handler.addFilter(log_text.RateLimit(clock))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # a library's small talk has no place here: only that it warned, and where
    logging.getLogger("coatcheck").setLevel(level)
    logging.captureWarnings(True)
    # Without this a full disk or a closed stderr prints the record, arguments and all, past the formatter.
    logging.raiseExceptions = False
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable
    return handler


def leads_to_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Is ``stream`` the very connection to the journal that JOURNAL_STREAM names, as systemd.exec(5) says to ask?"""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # io.UnsupportedOperation is both
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.Handler):
    """Sends records to the journal with project and ticket as fields; if that fails, as a line to ``fallback``."""

    def __init__(self, send: Callable[[Fields], None], fallback: TextIO) -> None:
        super().__init__()
        self._send = send
        self._fallback = fallback

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. Never raises."""
        try:
            self._send(fields(record))
        except (OSError, ValueError):
            self._emit_line(record)

    def _emit_line(self, record: logging.LogRecord) -> None:
        try:
            self._fallback.write(self.format(record) + "\n")
            self._fallback.flush()
        except (OSError, ValueError):
            self.handleError(record)


def fields(record: logging.LogRecord) -> Fields:
    """A record as journal fields, see systemd.journal-fields(7). Fields without content are left out."""
    project, study = log_text.context(record)
    every = {
        "MESSAGE": log_text.message(record) + log_text.repeats(record),
        "PRIORITY": str(_priority(record.levelno)),
        "SYSLOG_IDENTIFIER": "coatcheck",
        "COATCHECK_PROJECT": project,
        "COATCHECK_STUDY": study,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }
    return {name: _cut(value) for name, value in every.items() if value}


def datagram(content: Fields) -> bytes:
    """Fields in the journal's native protocol: ``NAME=value``, or name, length and value where it has lines."""
    return b"".join(_encoded(name.encode("ascii"), value.encode("utf-8", "replace")) for name, value in content.items())


def _encoded(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + " [cut]"


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _sender(journal_socket: str | None) -> Callable[[Fields], None]:
    """systemd-python's sender where it is installed, which also copes with a journal's larger limits; else our own."""
    if journal_socket is None and libsystemd.journal is not None:
        # Not its JournalHandler, which sends whole exceptions and every attribute of a record, values and all.
        sendv = libsystemd.journal.sendv
        return lambda content: sendv(*(f"{name}={value}".encode("utf-8", "replace") for name, value in content.items()))
    return DatagramSender(journal_socket or JOURNAL_SOCKET)


class DatagramSender:
    """Sends fields as datagrams to the socket at ``path``. Raises OSError when nobody listens there."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def __call__(self, content: Fields) -> None:
        """Send one record."""
        self._socket.sendto(datagram(content), self._path)


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    logging.getLogger("coatcheck").critical("a thread ended: %s", args.exc_value or args.exc_type.__name__)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    logging.getLogger("coatcheck").error("an error had nowhere to go: %s", args.exc_value or args.exc_type.__name__)
