"""A machine of its own with a real systemd as PID 1: this machine's files, copy-on-write, in private namespaces.

Nothing of the machine itself changes: every write goes to a tmpfs that vanishes with it, and there is no network. What
stands on other mounts than the root is not seen in it, and is to be copied.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import pytest

from tests.acceptance.house import wait_until
from tests.faults.need import needs, needs_root

PYTHON = Path(
    "/usr/bin/python3"
)  # systemd hides home folders from the service, and the tests' own Python may lie there
ROOT = Path(__file__).resolve().parents[2]
DROP_INS = "etc/systemd/system/coatcheck.service.d"
PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}
# What a boot needs below its root before it can be the root. Propagation is that of a real machine: a share that is
# mounted later reaches the services that run.
_BECOME = """
set -eu
mount --make-rprivate /
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p run/before
pivot_root . run/before
umount --lazy /run/before
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=false
"""
_PROGRAM = """\
#!/opt/coatcheck/bin/python3
import sys
from coatcheck.cli.main import main
if __name__ == "__main__":
    sys.exit(main())
"""
# It begins in a group of its own, which is then the root of its groups. In groups that machines share, what one forbids
# a unit would bind the unit of that name in the next: a filter of packets stays with its group.
_ENTER = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")


def needs_systemd() -> None:
    """Skip unless root can boot a systemd of its own here."""
    needs_root()
    needs("systemctl", "systemd-analyze", "journalctl", "unshare", "nsenter", "setpriv", "pivot_root")
    if not Path("/lib/systemd/systemd").exists():
        pytest.skip("there is no systemd here: run `sudo scripts/faults --install`")
    done = subprocess.run(["unshare", *_NAMESPACES, "--fork", "true"], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("the kernel makes no namespaces here")


def needs_same_python() -> None:
    """Skip where the packages of the tests' own Python do not fit the system's."""
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is not there: the unit runs with the system's own Python")
    ask = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    found = subprocess.run([PYTHON, "-c", ask], check=False, capture_output=True, text=True).stdout.strip()
    if found != f"{sys.version_info[0]}.{sys.version_info[1]}":
        pytest.skip(f"{PYTHON} is {found or 'without venv'}, and the tests' packages are of another version")


class Machine:
    """A machine that was booted. ``root`` is its root folder as seen from outside, without what is mounted in it."""

    def __init__(self, work: Path) -> None:
        self.root = work / "root"
        self._groups = work / "groups"
        self._group: Path | None = None
        self._log = work / "boot.log"
        self._holder: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def boot(self) -> None:
        """Start systemd, and wait until it has reached what it starts."""
        self._group = group = Path(tempfile.mkdtemp(prefix="coatcheck-test-", dir=self._groups))
        with self._log.open("wb") as log:
            # However the tests end, the machine ends with them.
            enter = ["bash", "-c", _ENTER, "bash", str(group)]
            alone = ["setpriv", "--pdeathsig=KILL", "unshare", *_NAMESPACES, "--fork", "--kill-child"]
            command = [*enter, *alone, "bash", "-c", _BECOME, "bash", str(self.root)]
            self._holder = holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: _init(holder) or holder.poll() is not None, "systemd is PID 1")
        if holder.poll() is not None:
            pytest.skip(f"systemd does not boot here: {self._log.read_text(errors='replace')[-300:]}")
        self.pid = _init(holder)
        wait_until(self._is_up, "the machine has booted")

    def cut(self) -> None:
        """Take its power away: every process ends at once."""
        if self._holder is not None:
            with suppress(ProcessLookupError):
                os.kill(_init(self._holder) or self._holder.pid, signal.SIGKILL)
            self._holder.kill()
            self._holder.wait()
            self._holder = None
        if self._group is not None:
            _remove(self._group)
            self._group = None

    def _is_up(self) -> bool:
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def path(self, inside: str | Path) -> Path:
        """Where a path of the machine's own disk lies for us."""
        return self.root / str(inside).lstrip("/")

    def seen(self, inside: str | Path) -> Path:
        """The same for a path that may be on a share which is mounted in it."""
        return Path(f"/proc/{self.pid}/root") / str(inside).lstrip("/")

    def command(self, *words: str | Path) -> list[str]:
        """A command that runs another one in the machine, as its root."""
        return ["nsenter", "--all", "--target", str(self.pid), "--", *map(str, words)]

    def run(self, *words: str | Path, check: bool = True, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine."""
        done = subprocess.run(
            self.command(*words),
            env=PLAIN | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=170,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def systemctl(self, *words: str, check: bool = True) -> str:
        """What systemctl prints."""
        return self.run("systemctl", *words, check=check).stdout.strip()

    def show(self, name: str) -> str:
        """One property of the service."""
        return self.systemctl("show", "--value", f"--property={name}", "coatcheck")

    def journal(self, *words: str) -> str:
        """What the journal holds of the service."""
        self.run("journalctl", "--sync", check=False)
        return self.run("journalctl", "--unit=coatcheck", "--no-pager", "--output=cat", *words, check=False).stdout

    def write(self, inside: str | Path, text: str, mode: int = 0o644) -> Path:
        """Make a file, and the folders above it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def drop_in(self, name: str, *lines: str, section: str = "Service") -> None:
        """Give the unit a drop-in with these lines. It holds from the next start."""
        self.write(f"{DROP_INS}/{name}.conf", "\n".join([f"[{section}]", *lines, ""]))
        self.systemctl("daemon-reload")


@contextmanager
def machine(work: Path) -> Iterator[Machine]:
    """Boot a machine in the empty folder ``work``, and take it down again."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3G,mode=755", "tmpfs", work], check=True)
    made = Machine(work)
    try:
        for name in ("upper", "work", "root", "groups"):
            (work / name).mkdir()
        grouped = ["mount", "-t", "cgroup2", "cgroup2", str(work / "groups")]
        if subprocess.run(grouped, check=False, capture_output=True).returncode:
            pytest.skip("the kernel makes no groups of processes here")
        layers = f"lowerdir=/,upperdir={work}/upper,workdir={work}/work"
        mounted = ["mount", "-t", "overlay", "-o", layers, "overlay", str(made.root)]
        if subprocess.run(mounted, check=False, capture_output=True).returncode:
            pytest.skip("the kernel lays no file system over the root here")
        _forget(made.root)
        made.boot()
        yield made
    finally:
        made.cut()
        subprocess.run(["umount", "--recursive", "--lazy", work], check=True)


def _remove(group: Path) -> None:
    """Takes a group away with all below it, once the last process of a machine that was cut off has ended."""
    wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(), "every process has ended")
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)


def _forget(root: Path) -> None:
    """What this machine may have installed of ours is not in the other, nor is what it was told to start."""
    for found in ("etc/coatcheck", "opt/coatcheck", "var/lib/coatcheck", DROP_INS):
        shutil.rmtree(root / found, ignore_errors=True)
    (root / "etc/systemd/system/coatcheck.service").unlink(missing_ok=True)


def _init(holder: subprocess.Popen[bytes]) -> int:
    """The process that is PID 1 of the machine, once it is systemd; else 0."""
    with suppress(OSError, IndexError):
        child = int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0])
        if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
            return child
    return 0


def put_in_place(made: Machine) -> None:
    """The service as scripts/install leaves it, without a network: the packages come from the tests' own Python."""
    target = made.path("opt/coatcheck")
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--copies", target], check=True)
    packages = _packages(made)
    shutil.copytree(ROOT / "daemon/coatcheck", packages / "coatcheck", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "profiles", packages / "coatcheck/profiles", dirs_exist_ok=True)
    add_packages(made, "coatcheck")
    made.write("opt/coatcheck/bin/coatcheck", _PROGRAM, 0o755)
    for source, to in (
        ("coatcheck.sysusers", "usr/lib/sysusers.d/coatcheck.conf"),
        ("coatcheck.tmpfiles", "usr/lib/tmpfiles.d/coatcheck.conf"),
        ("coatcheck.service", "etc/systemd/system/coatcheck.service"),
    ):
        made.write(to, (ROOT / "systemd" / source).read_text())
    made.run("systemd-sysusers")
    made.run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/coatcheck.conf")
    made.systemctl("daemon-reload")


def add_packages(made: Machine, name: str) -> None:
    """Put a distribution of the tests' own Python beside the service, with those that it needs."""
    for one in sorted(_required(name) - {"coatcheck"}):
        _copy_distribution(one, _packages(made))


def _packages(made: Machine) -> Path:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return made.path("opt/coatcheck/lib") / version / "site-packages"


def _required(name: str) -> set[str]:
    """The distributions that one needs, and those that they need, without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        try:
            wanted = metadata.requires(one) or []
        except metadata.PackageNotFoundError:  # what a marker leaves out
            continue
        found.add(one)
        waiting += [_name(line) for line in wanted if "extra ==" not in line]
    return found


def _name(requirement: str) -> str:
    for sign in "<>=!~;[( ":
        requirement = requirement.split(sign)[0]
    return requirement


def _copy_distribution(name: str, packages: Path) -> None:
    for file in metadata.files(name) or ():
        source = Path(str(file.locate()))
        if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
            continue
        target = packages / Path(*file.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
