"""What Prometheus may ask: ``/metrics`` and ``/health``, over a Unix socket or the loopback.

Each answer is made in a thread of its own out of what ``status`` reads too: the service's own words on disk and the
ledger. Labels are names of projects, reasons and words of the status: nothing in them identifies anybody.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final

from coatcheck.config_watching import Host
from coatcheck.errors import CoatcheckError
from coatcheck.standing import Word
from coatcheck.status import ProjectStatus, StatusReport

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LONGEST_TURN: Final = 30.0  # seconds between two turns of a loop that is well; systemd's watchdog waits for 60
_AT_ONCE: Final = 8  # answers that are made at a time
_PATIENCE: Final = 10.0  # seconds for one who asks and says nothing

# Of each project, as `status --json` has it: the metric's name, its help, and where the value stands.
_GAUGES: Final[tuple[tuple[str, str, Callable[[dict[str, Any]], float | None]], ...]] = (
    ("coatcheck_waiting_files", "Files in the inbox that are not complete yet.", lambda one: one["waiting_files"]),
    (
        "coatcheck_oldest_waiting_seconds",
        "For how long the oldest of them waits.",
        lambda one: one["oldest_waiting_seconds"],
    ),
    ("coatcheck_left_alone_files", "Temporary files in the inbox.", lambda one: one["left_alone"]),
    ("coatcheck_unreadable_files", "Files and folders that cannot be looked at.", lambda one: one["unreadable"]),
    (
        "coatcheck_studies_arriving",
        "Studies that wait for more, or for their turn.",
        lambda one: len(one["studies_arriving"]),
    ),
    ("coatcheck_studies_running", "Studies that are worked on.", lambda one: len(one["studies_running"])),
    ("coatcheck_files_per_minute", "Files dealt with in the last minute.", lambda one: one["files_per_minute"]),
    ("coatcheck_scan_seconds", "What the last scan of the inbox took.", lambda one: one["scan_seconds"]),
    ("coatcheck_faults", "Faults that last.", lambda one: len(one["faults"])),
    (
        "coatcheck_references_unresolved",
        "UIDs that delivered Studies refer to and nothing delivered has.",
        lambda one: one["references_unresolved"],
    ),
    (
        "coatcheck_last_delivery_timestamp_seconds",
        "When a Study was last delivered.",
        lambda one: datetime.fromisoformat(one["last_delivery"]).timestamp() if one["last_delivery"] else None,
    ),
)
_COUNTERS: Final[tuple[tuple[str, str, Callable[[dict[str, Any]], float | None]], ...]] = (
    ("coatcheck_files_done", "Files dealt with since the start.", lambda one: one["files_done"]),
    ("coatcheck_events_lost", "Times that the kernel's queue of events ran over.", lambda one: one["events_lost"]),
    ("coatcheck_deliveries", "Folders that came into the outbox.", lambda one: one["delivered"]["deliveries"]),
    ("coatcheck_instances_delivered", "Instances in them.", lambda one: one["delivered"]["instances"]),
    ("coatcheck_duplicates", "Instances that came again unchanged.", lambda one: one["duplicates"]),
)


def families(report: StatusReport, turned: float) -> Iterator[Metric]:
    """Every metric. ``turned`` is how many seconds ago the loop turned last."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    projects = {name: project.as_json() for name, project in report.projects.items()}
    yield GaugeMetricFamily("coatcheck_loop_age_seconds", "Seconds since the loop turned last.", value=turned)
    yield GaugeMetricFamily("coatcheck_service_faults", "Faults of the whole service.", value=len(report.faults))
    for kind, known in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
        for name, text, value_of in known:
            family = kind(name, text, labels=["project"])
            for project, said in projects.items():
                value = value_of(said)
                if value is not None:
                    family.add_metric([project], value)
            yield family
    yield _states(report.projects.items())
    quarantined = GaugeMetricFamily("coatcheck_quarantined_files", "Files in quarantine.", labels=["project", "reason"])
    for project, said in projects.items():
        for reason, files in said["quarantined"].items():
            quarantined.add_metric([project, reason], files)
    yield quarantined


def _states(projects: Iterable[tuple[str, ProjectStatus]]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    family = GaugeMetricFamily(
        "coatcheck_project_state", "1 for the word that says how a project stands.", labels=["project", "word"]
    )
    for name, project in projects:
        for word in Word:
            family.add_metric([name, word.value], float(project.word is word))
    return family


class _Handler(BaseHTTPRequestHandler):
    """Answers GET, and says nothing to any log: a request is no event of the service."""

    timeout = _PATIENCE
    server_version, sys_version = "coatcheck", ""

    def do_GET(self) -> None:
        """One answer."""
        ask = {"/metrics": self.server.metrics, "/health": self.server.health}.get(self.path)  # type: ignore[attr-defined]
        if ask is None:
            self._say(404, "text/plain; charset=utf-8", b"there is /metrics and /health\n")
            return
        if not self.server.room.acquire(blocking=False):  # type: ignore[attr-defined]
            self._say(503, "text/plain; charset=utf-8", b"too many ask at once\n")
            return
        try:
            self._say(*ask())
        except (CoatcheckError, OSError):
            self._say(503, "text/plain; charset=utf-8", b"the records cannot be read now: see `coatcheck status`\n")
        finally:
            self.server.room.release()  # type: ignore[attr-defined]

    def _say(self, code: int, kind: str, text: bytes) -> None:
        with suppress(OSError):  # who asked is gone
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def address_string(self) -> str:
        """A Unix socket has none."""
        return ""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Somebody went away in the middle: nothing to tell."""


class MetricsServer:
    """The end-point. ``read`` gives the status, ``turned`` the seconds since the loop turned last."""

    def __init__(self, where: Path | Host, read: Callable[[], StatusReport], turned: Callable[[], float]) -> None:
        """Begins to listen. Raises OSError where that cannot be done."""
        self._where = where
        self._read = read
        self._turned = turned
        self._server = self._listening(where)
        for name in ("metrics", "health"):
            setattr(self._server, name, getattr(self, name))
        self._server.room = threading.Semaphore(_AT_ONCE)  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def metrics(self) -> tuple[int, str, bytes]:
        """The answer to /metrics."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        collector = _Collector(list(families(self._read(), self._turned())))
        registry = CollectorRegistry()
        registry.register(collector)
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)

    def health(self) -> tuple[int, str, bytes]:
        """The answer to /health: whether the loop turned lately. It reads no disk."""
        turned = self._turned()
        code, word = (200, "ok") if turned < LONGEST_TURN else (503, "the loop hangs")
        return code, "text/plain; charset=utf-8", f"{word}: it turned {turned:.1f} s ago\n".encode()

    def stop(self) -> None:
        """Listens no longer."""
        self._server.shutdown()
        self._server.server_close()
        if isinstance(self._where, Path):
            with suppress(OSError):
                os.unlink(self._where)

    def _listening(self, where: Path | Host) -> TCPServer:
        server: TCPServer = _Server(("", 0), _Handler, bind_and_activate=False)
        server.socket.close()
        if isinstance(where, Host):
            family = socket.AF_INET6 if ":" in where.name else socket.AF_INET
            server.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.socket.bind((where.name, where.port))
        else:
            with suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.lstat(where).st_mode):  # of a service before; the state folder's lock is ours
                    os.unlink(where)
            server.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            server.socket.bind(os.fspath(where))
            os.chmod(where, 0o660)
        server.socket.listen(16)
        return server


class _Collector:
    """What prometheus-client asks for metrics."""

    def __init__(self, made: list[Metric]) -> None:
        self._made = made

    def collect(self) -> list[Metric]:
        """All of them."""
        return self._made
