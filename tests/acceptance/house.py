"""A house of its own for a test: made by ``coatcheck init``, worked by the real service, read from outside.

Nothing here looks into the service. What a test asks is answered by files, by the commands and by the ledger.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from coatcheck.keys import new_key, write_key

ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("COATCHECK", "NOTIFY_", "WATCHDOG_", "JOURNAL_", "CREDENTIALS_"))
}
_AS_INSTALLED = os.fspath(Path(__file__).parent / "as_installed")
ENVIRONMENT["PYTHONPATH"] = os.pathsep.join(filter(None, [_AS_INSTALLED, ENVIRONMENT.get("PYTHONPATH")]))
QUICK: Mapping[str, object] = {"file_settle": "0s", "study_settle": "200ms", "study_longest_wait": "1m"}
TOP = frozenset({"executor", "tls", "workers", "state_dir", "key_dir"})
PATIENCE = 30.0  # seconds until a test gives up
_STEP = 0.02


def coatcheck(*arguments: str | Path, before: Sequence[str] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own. ``before`` are words of a command that runs it."""
    command = [*before, sys.executable, "-m", "coatcheck", *(os.fspath(one) for one in arguments)]
    return subprocess.run(
        command,
        env=ENVIRONMENT | environ,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=45,
    )


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = PATIENCE) -> None:
    """Look until it is so. Fails with ``what`` after ``seconds``. Half of the time is left to what is looked at."""
    end = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if condition():
            return
        if time.monotonic() > end:
            raise AssertionError(f"in {seconds:g} s it did not come to this: {what}")
        time.sleep(max(_STEP, time.monotonic() - begun))


def tree(folder: Path) -> dict[str, bytes]:
    """Every regular file below a folder, by its path relative to it."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            with suppress(FileNotFoundError):  # the service may take it away meanwhile
                if path.is_file() and not path.is_symlink():
                    found[os.path.relpath(path, folder)] = path.read_bytes()
    return found


class Service:
    """A running service process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 15.0) -> int:
        """End it with a signal; gives the exit code. Fails if it does not end."""
        self.process.send_signal(number)
        return self.ended(seconds)

    def ended(self, seconds: float = 15.0) -> int:
        """Wait for its end; gives the exit code."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the service did not end within {seconds:g} s") from None

    def kill(self) -> None:
        """End it and all its children as a power cut would."""
        self.process.send_signal(signal.SIGSTOP)  # so that it begets no more while they are counted
        family = descendants(self.pid)
        for pid in (self.pid, *family):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not any(alive(pid) for pid in family), "all of a killed service is gone")

    def workers(self) -> list[int]:
        """The worker processes: the children of the fork server."""
        return [pid for pid in descendants(self.pid) if "forkserver" in cmdline(parent(pid))]

    def said(self) -> str:
        """All that it wrote to stderr so far."""
        return self.log.read_text(errors="replace")


@cache
def _made_by_init(projects: tuple[str, ...]) -> Path:
    """What ``coatcheck init`` makes for these projects: made once, for nothing in it depends on where it lies."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    made = coatcheck("init", folder / "house", *(word for name in projects for word in ("--project", name)))
    assert made.returncode == 0, made.stderr
    return folder / "house"


class House:
    """A configuration with its projects below ``root``. The first project is the one that methods mean by default."""

    def __init__(self, root: Path, *projects: str, **settings: object) -> None:
        self._name(root, projects or ("lung",))
        shutil.copytree(_made_by_init(self.projects), root, dirs_exist_ok=True)
        for name in self.projects:
            self._always_the_same_key(name)
        self.configure(**{"executor": "inline", "profile": "basic", **QUICK, **settings})

    def _always_the_same_key(self, project: str) -> None:
        """What a test sees by chance it sees in every run: a shifted date, say, that is another planted one."""
        path = self.root / "keys" / f"{project}.key"
        path.unlink()
        write_key(path, new_key(random.Random(project).randbytes))

    def configure(self, *projects: str, **settings: object) -> None:
        """Change settings of the named projects, or of all."""
        said = yaml.safe_load(self.config.read_bytes())
        for key, value in settings.items():
            places = [said] if key in TOP else [said["projects"][name] for name in projects or said["projects"]]
            for place in places:
                place[key] = str(value) if isinstance(value, Path) else value
        self.config.write_text(yaml.safe_dump(said))

    def _name(self, root: Path, projects: tuple[str, ...]) -> None:
        self.root = root
        self.config = root / "coatcheck.yaml"
        self.projects = projects
        self.project = projects[0]
        self.log = root / "service.log"
        self._before: tuple[str, ...] = ()

    def bound_by_rights(self) -> None:
        """From now on everything runs as a user whom the rights of files bind, also where the tests run as root."""
        if os.geteuid() != 0:
            return
        lost = "-dac_override,-dac_read_search"
        self._before = ("setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}")
        if shutil.which("setpriv") is None or subprocess.run([*self._before, "true"], check=False).returncode:
            pytest.skip("root cannot give up its rights here")

    def twin(self, root: Path, **settings: object) -> House:
        """An empty house with the same configuration and the same keys."""
        house = House.__new__(House)
        house._name(root, self.projects)
        for name in self.projects:
            for folder in ("inbox", "outbox", "quarantine", "archive"):
                (root / name / folder).mkdir(parents=True)
        (root / "state").mkdir()
        shutil.copytree(self.root / "keys", root / "keys")
        shutil.copy(self.config, root)
        if settings:
            house.configure(**settings)
        return house

    def copy(self, root: Path) -> House:
        """The same house elsewhere, with all that lies in it. No service may run in it."""
        shutil.copytree(self.root, root, symlinks=True)
        house = House.__new__(House)
        house._name(root, self.projects)
        house.config.write_text(house.config.read_text().replace(str(self.root), str(root)))
        return house

    @property
    def inbox(self) -> Path:
        return self.root / self.project / "inbox"

    @property
    def outbox(self) -> Path:
        return self.root / self.project / "outbox"

    @property
    def quarantine(self) -> Path:
        return self.root / self.project / "quarantine"

    @property
    def archive(self) -> Path:
        return self.root / self.project / "archive"

    @property
    def state(self) -> Path:
        return self.root / "state"

    def drop(self, path: str | bytes, content: bytes, *, project: str | None = None) -> Path:
        """Copy a file into the inbox as most programs do: under a temporary name, then by one rename."""
        inbox = self.root / (project or self.project) / "inbox"
        target = Path(os.fsdecode(os.path.join(os.fsencode(inbox), os.fsencode(path))))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / ".dropping.tmp"
        temporary.write_bytes(content)
        temporary.rename(target)
        return target

    def command(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this house."""
        return coatcheck("--config", self.config, *arguments, before=self._before, **environ)

    def once(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """``run --once``."""
        return self.command("run", "--once", **environ)

    def deliver(self, *, expect: int = 0) -> str:
        """``run --once`` with the exit code that is expected. Gives what it wrote to stderr."""
        done = self.once()
        assert done.returncode == expect, f"{done.returncode}: {done.stderr}"
        return done.stderr

    def start(self, **environ: str) -> Service:
        """Start the service and leave it running."""
        with self.log.open("ab") as log:
            command = [*self._before, sys.executable, "-m", "coatcheck", "--config", os.fspath(self.config), "run"]
            process = subprocess.Popen(
                command, env=ENVIRONMENT | environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return Service(process, self.log)

    @contextmanager
    def service(self, **environ: str) -> Iterator[Service]:
        """The running service, up to its clean end by SIGTERM."""
        service = self.start(**environ)
        try:
            wait_until(lambda: self.said() or service.process.poll() is not None, "the service speaks of itself")
            assert service.process.poll() is None, service.said()
            yield service
            assert service.process.poll() is None, f"the service ended by itself: {service.said()}"
            code = service.stop()
            assert code == 0, f"the service ended with {code}: {service.said()}"
        finally:
            if service.process.poll() is None:
                service.kill()

    def said(self) -> dict[str, Any]:
        """What the running service wrote down of itself, or nothing."""
        try:
            said: dict[str, Any] = json.loads((self.state / "status.json").read_bytes())
        except FileNotFoundError:
            return {}
        return said if alive(said["pid"]) else {}

    def status(self) -> dict[str, Any]:
        """``status --json``."""
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def line(self, project: str | None = None) -> dict[str, Any]:
        """What ``status --json`` says of one project."""
        said: dict[str, Any] = self.status()["projects"][project or self.project]
        return said

    def wait_for_line(
        self, condition: Callable[[dict[str, Any]], object], what: str, *, seconds: float = PATIENCE
    ) -> None:
        """Wait until the running service wrote so of the project; then ``status --json`` has to say it too."""

        def written() -> object:
            found = self.said().get("projects", {}).get(self.project)
            return found and condition(found)

        wait_until(written, what, seconds=seconds)
        wait_until(lambda: condition(self.line()), what)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What the ledger answers; nothing while there is no ledger."""
        if not (self.state / "ledger.db").exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{self.state / 'ledger.db'}?mode=ro", uri=True)) as db:
                return db.execute(sql, values).fetchall()
        except sqlite3.OperationalError:  # made, and not filled yet
            return []

    def deliveries(self) -> list[dict[str, Any]]:
        """The rows of deliveries that were not repeated, as the ledger has them."""
        keys = ("state", "number", "folder", "instances", "duplicates", "refused")
        sql = f"SELECT {', '.join(keys)} FROM deliveries WHERE state != 'abandoned' ORDER BY id"
        return [dict(zip(keys, row, strict=True)) for row in self.rows(sql)]

    def refusals(self) -> Counter[str]:
        """How many files lie in quarantine, by reason, as the ledger has it."""
        sql = "SELECT reason, SUM(files) FROM refusals WHERE state = 'quarantined' GROUP BY reason"
        return Counter(dict(self.rows(sql)))

    def unfinished(self) -> list[tuple[Any, ...]]:
        """Deliveries and refusals whose work is not done."""
        return [
            *self.rows("SELECT 'delivery', id, state FROM deliveries WHERE state IN ('open', 'staged', 'released')"),
            *self.rows("SELECT 'refusal', id, state FROM refusals WHERE state = 'planned'"),
        ]

    def wait_until_done(self, *, studies: int | None = None, seconds: float = PATIENCE) -> None:
        """Wait until the inboxes are empty, and so is the ledger's list of things to do."""

        def done() -> bool:
            inboxes = [any(True for _ in os.walk(self.root / name / "inbox") if _[2]) for name in self.projects]
            sent = self.rows("SELECT COUNT(*) FROM deliveries WHERE folder IS NOT NULL AND state = 'done'")
            enough = studies is None or bool(sent and sent[0][0] >= studies)
            return enough and not any(inboxes) and not self.unfinished()

        wait_until(done, "every file of the inbox has gone its way", seconds=seconds)

    def delivered(self) -> dict[str, bytes]:
        """What lies in the outbox."""
        return {path: content for path, content in tree(self.outbox).items() if not path.startswith(".coatcheck/")}

    def folders(self) -> list[str]:
        """The Studies in the outbox: SUBJECT/STUDY."""
        return sorted(path.relative_to(self.outbox).as_posix() for path in self.outbox.glob("[!.]*/*"))

    def staging(self) -> list[Path]:
        """What is left in the staging folder of the outbox."""
        folder = self.outbox / ".coatcheck"
        return sorted(folder.iterdir()) if folder.exists() else []

    def set_aside(self) -> dict[str, bytes]:
        """What lies in quarantine, without the notes."""
        return {path: content for path, content in tree(self.quarantine).items() if Path(path).name != "REASON.txt"}

    def kept(self) -> dict[str, bytes]:
        """What lies in the archive."""
        return tree(self.archive)

    def mapping(self, kind: str) -> dict[str, str]:
        """``mapping export`` as original → new."""
        done = self.command("mapping", "export", "--project", self.project, "--kind", kind, "--json")
        assert done.returncode == 0, done.stderr
        return dict(tuple(row.values()) for row in json.loads(done.stdout))


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(pid: int) -> int:
    """The parent of a process, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def cmdline(pid: int) -> str:
    """The command line of a process, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid: int) -> list[int]:
    """All living processes below one."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    parents = {one: parent(one) for one in pids}
    found: list[int] = []
    layer = [pid]
    while layer:
        layer = [one for one, above in parents.items() if above in layer]
        found += layer
    return found
