"""The service: one loop, one thread, all projects. It sleeps until a file, a batch, a time or a signal comes."""

from __future__ import annotations

import faulthandler
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from coatcheck import heap, journal
from coatcheck.audit_trail import AuditTrail
from coatcheck.bell import Bell
from coatcheck.bench import Bench
from coatcheck.cluster_pool import workshop_of
from coatcheck.config import Config, Project, load
from coatcheck.custody import credentials_folder, key_source, project_keys
from coatcheck.dumps import forbid_core_dumps
from coatcheck.errands import Errands
from coatcheck.errors import CoatcheckError, KeyFileError, StateError
from coatcheck.intake.folder import Doorbell
from coatcheck.keys import ProjectKey
from coatcheck.lane import Lane
from coatcheck.ledger import Ledger
from coatcheck.line import Line
from coatcheck.monitoring import watchers
from coatcheck.notify import Notifier
from coatcheck.pairing import reconcile
from coatcheck.profile_file import profile_of
from coatcheck.progress import Progress, shown
from coatcheck.rotation import Means, Rotations
from coatcheck.service_lock import hold_lock
from coatcheck.snapshot import Snapshot
from coatcheck.units import utc_now
from coatcheck.vault import Vault
from coatcheck.wal import WriteAheadLogs

logger = logging.getLogger("coatcheck")
_SLEEP_MAX = 5.0  # seconds; the loop turns at least so often, and its turning is what feeds the watchdog
_NO_START = "start"  # the kind of fault of a project that cannot run


def run(config: Config, *, once: bool) -> int:
    """Runs the service until SIGTERM or SIGINT, or ``once`` until the inboxes are done. Gives the exit code.

    Raises CoatcheckError where it cannot start.
    """
    forbid_core_dumps()
    faulthandler.enable()  # the watchdog's SIGABRT says in the log where the loop hung: places in code, and no value
    journal.configure(sys.stderr, os.environ)
    os.makedirs(config.state_dir, mode=0o750, exist_ok=True)
    with hold_lock(config.state_dir):
        return Service(config, once=once).run()


class Service:
    """The running service: the lines of all projects, and what they share."""

    def __init__(self, config: Config, *, once: bool) -> None:
        self._config = config
        self._once = once
        self._bell = Bell()
        self._rung: set[str] = set()
        self._stopping = False
        self._reload_asked = False
        self._notifier = Notifier(os.environ, time.monotonic)
        self._doorbell = Doorbell(self._ring)
        self._lines: dict[str, Line] = {}
        self._retired: list[Line] = []

    def run(self) -> int:
        """The whole life of the service."""
        config = self._config
        self._ledger = Ledger.open(config.state_dir / "ledger.db")
        self._vault = Vault.open(config.state_dir / "vault.db", {})
        reconcile(self._ledger, self._vault, utc_now())
        keys = self._keys(config)
        self._vault.use_keys(keys)
        self._trail = AuditTrail(self._vault, self._ledger)
        self._pool = workshop_of(config, self._bell.ring)
        self._logs = WriteAheadLogs(self._ledger, self._vault)
        means = Means(utc=utc_now, randomness=secrets.token_bytes)
        self._rotations = Rotations(self._vault, self._key_source, means)
        self._errands = Errands(config.state_dir, config.path.parent, self._rotations)
        self._snapshot = Snapshot(config.state_dir / "status.json", utc_now)
        self._make_lines(config, keys)
        self._rotations.resume(self._lines)
        self._turned = time.monotonic()
        if not self._lines:
            raise KeyFileError("no project can run", "mend what was said above, or see `coatcheck check`")
        with self._signals(), Progress(sys.stderr, self._once) as self._progress:
            self._notifier.ready()
            self._watchers = watchers(config, lambda: self._config.projects, self._since_turn, self._ledger, utc_now)
            try:
                return self._loop()
            finally:
                self._stop()

    def _since_turn(self) -> float:
        return time.monotonic() - self._turned

    def _ring(self, project: str) -> None:
        self._rung.add(project)
        self._bell.ring()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            self._stopping = True
            self._bell.ring()

        def reload(number: int, frame: FrameType | None) -> None:
            self._reload_asked = True
            self._bell.ring()

        wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _keys(self, config: Config) -> dict[str, ProjectKey]:
        """Each project's key. A project whose key is missing or open to others does not run; the others do."""
        return project_keys(config, credentials_folder(os.environ), self._vault, self._cannot_run)

    def _key_source(self, name: str) -> Path:
        return key_source(self._config, name, credentials_folder(os.environ))

    def _cannot_run(self, name: str, error: CoatcheckError) -> None:
        logger.error("%s", str(error), extra={"project": name})
        with suppress(StateError):  # The log has it.
            self._ledger.fault(name, _NO_START, error.what, error.hint, utc_now())

    def _make_lines(self, config: Config, keys: Mapping[str, ProjectKey]) -> None:
        """A line for each project that has none with these settings."""
        for name, project in config.projects.items():
            if name in self._lines or name not in keys or name in {line.name for line in self._retired}:
                continue
            try:
                bench = self._bench(project, keys[name], config)
            except CoatcheckError as error:
                self._cannot_run(name, error)
                continue
            with suppress(StateError):
                self._ledger.clear_fault(name, _NO_START, utc_now())
            self._lines[name] = Line(bench, self._doorbell, time.monotonic, once=self._once)

    def _bench(self, project: Project, key: ProjectKey, config: Config) -> Bench:
        self._vault.prove(project.name, key)
        return Bench(
            project=project,
            key=key,
            profile=profile_of(project, config.path.parent),
            ledger=self._ledger,
            vault=self._vault,
            pool=Lane(self._pool),
            utc=utc_now,
            beat=self._notifier.watchdog,
        )

    def _loop(self) -> int:
        begun = time.monotonic()
        while not self._stopping:
            self._notifier.watchdog()
            if self._reload_asked:
                self._reload()
            self._pool.collect()
            self._turned = now = time.monotonic()
            self._tick(now)
            self._errands.step(now, self._lines)
            self._logs.look(now, utc_now())
            self._trail.step(now)
            self._notifier.status(self._snapshot.write(now, self._lines))
            self._progress.update(self._lines)
            if self._once:
                code = self._finished(now - begun)
                if code is not None:
                    self._snapshot.write(now, self._lines, at_once=True)
                    return code
            self._bell.sleep(self._pause(time.monotonic()))
        return 0

    def _tick(self, now: float) -> None:
        while self._rung:
            if line := self._lines.get(self._rung.pop()):
                line.inbox.rung = True
        for line in self._lines.values():
            line.tick(now)
        self._replace_retired(now)

    def _replace_retired(self, now: float) -> None:
        """A line with old settings goes when nothing of it is under way; the new one repairs what it left."""
        for line in self._retired:
            line.answers(now)  # Where it does not, its workers must not be missed by others.
        ended = [line for line in self._retired if not line.bench.pool.under_way]
        for line in ended:
            self._retired.remove(line)
            self._end(line)
        if ended:
            self._make_lines(self._config, self._keys(self._config))

    def _pause(self, now: float) -> float:
        limits = [line.next_call(now) - now for line in self._lines.values()]
        interval = self._notifier.watchdog_interval
        most = min(_SLEEP_MAX, interval) if interval else _SLEEP_MAX
        asked = 0.0 if self._rotations.is_due(now) else most
        return min([most, 0.5 if self._once else most, asked, self._snapshot.due(now), *limits])

    def _finished(self, elapsed: float) -> int | None:
        """For ``run --once``: the exit code once all is done, None while there is work."""
        lines = list(self._lines.values())
        for line in lines:
            settled = not line.waiting_files() or elapsed > 2 * line.bench.project.file_settle + 2
            if line.at_rest and settled and not line.knock.silent and line.flush():
                self._bell.ring()
        waiting = {line.name: line.waiting_files() for line in lines}
        patient = any(elapsed <= 2 * line.bench.project.file_settle + 2 for line in lines if waiting[line.name])
        if patient or not all(line.done_but_waiting for line in lines) or self._pool.busy or self._errands.busy:
            return None
        for line in lines:
            for path in waiting[line.name]:
                print(f"coatcheck: {line.name}: still changing, left in the inbox: {shown(path)}", file=sys.stderr)
            for fault in line.faults:
                print(f"coatcheck: {line.name}: {fault.what}: {fault.hint}", file=sys.stderr)
        if any(line.fault for line in lines) or len(lines) < len(self._config.projects):
            return 1
        return 3 if any(line.quarantined for line in lines) else 0

    def _reload(self) -> None:
        """Reads the configuration again. A project with other settings ends what it has in hand, then begins anew."""
        self._reload_asked = False
        self._notifier.reloading()
        problems: list[str] = []
        try:
            config = load(self._config.path)
            problems = self._cannot_change(config)
            for project in config.projects.values():
                profile_of(project, config.path.parent)
        except CoatcheckError as error:
            problems = str(error).splitlines()
        if problems:
            for problem in problems:
                logger.error("the configuration was not taken: %s", problem)
        else:
            self._adopt(config)
            logger.info("the configuration was read again")
        self._snapshot.reloaded(problems)
        self._snapshot.write(time.monotonic(), self._lines, at_once=True)
        self._notifier.ready()

    def _cannot_change(self, config: Config) -> list[str]:
        fixed = ("state_dir", "executor", "tls", "workers", "metrics", "notify")
        changed = [key for key in fixed if getattr(config, key) != getattr(self._config, key)]
        return [f"{config.path}: {key}: cannot change while the service runs: restart it" for key in changed]

    def _adopt(self, config: Config) -> None:
        keys = self._keys(config)
        for name, line in list(self._lines.items()):
            if not line.bench.is_still(config, keys.get(name)):
                line.bench.pool.close()
                self._retired.append(self._lines.pop(name))
        self._config = config
        self._vault.use_keys(keys, keep=[line.name for line in self._retired])
        self._replace_retired(time.monotonic())
        self._make_lines(config, keys)
        self._rotations.resume(self._lines)

    def _end(self, line: Line) -> None:
        try:
            line.stop()
        except Exception as error:
            logger.warning("left unfinished, to be repaired at the next start: %s", error, extra={"project": line.name})

    def _stop(self) -> None:
        self._notifier.stopping()
        for watcher in self._watchers:
            watcher.stop()
        self._pool.stop()
        for line in [*self._lines.values(), *self._retired]:
            self._end(line)
        self._doorbell.stop()
        self._vault.close()
        self._ledger.close()
        heap.keep()
