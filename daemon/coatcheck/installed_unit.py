"""The unit of the service as it is installed here: found, read, and seen with the eyes of its user."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from coatcheck.config import SYSTEM_CONFIG
from coatcheck.systemd_unit import Unit, parse

UNIT: Final = "coatcheck.service"
_PLACES: Final = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")
_BOOTED: Final = Path("/run/systemd/system")  # sd_booted(3)

Right = Literal["r", "w", "x"]
May = Callable[[Path, Right], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The unit, and what is known of its user here.

    ``may`` tells what the rights of files allow its user; None where only root could find out. ``outdated``: systemd
    has not read the files as they are now.
    """

    unit: Unit
    user_exists: bool = True
    may: May | None = None
    outdated: bool = False


def find_installed(config: Path, root: Path = Path("/")) -> Installed | None:
    """The unit that runs the service with this configuration, if there is one.

    systemd itself is asked where it runs, else its folders are looked through. ``root`` is another one in tests.
    """
    found = _asked() if root == Path("/") and _BOOTED.is_dir() else None
    files, outdated = found if found is not None else (_files(root), False)
    try:
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    except OSError:  # not for this user to read
        return None
    unit = parse(texts, lambda path: Path(os.path.realpath(path)))
    if not files or os.path.realpath(unit.config or SYSTEM_CONFIG) != os.path.realpath(config):
        return None
    user_exists, may = _eyes(unit)
    return Installed(unit=unit, user_exists=user_exists, may=may, outdated=outdated)


def _asked() -> tuple[list[Path], bool] | None:
    """The unit's files as systemd names them, and whether they changed since. None where it does not answer."""
    wanted = ("LoadState", "FragmentPath", "DropInPaths", "NeedDaemonReload")
    command = ["systemctl", "show", UNIT, *(f"--property={name}" for name in wanted)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    paths = [said.get("FragmentPath", ""), *shlex.split(said.get("DropInPaths", ""))]
    return [Path(path) for path in paths if path], said.get("NeedDaemonReload") == "yes"


def _files(root: Path) -> list[Path]:
    """The unit that wins and its drop-ins by name, of which those in the earlier place win, systemd.unit(5)."""
    units = [root / place / UNIT for place in _PLACES if (root / place / UNIT).is_file()]
    drop_ins: dict[str, Path] = {}
    for place in _PLACES:
        for path in (root / place / f"{UNIT}.d").glob("*.conf"):
            drop_ins.setdefault(path.name, path)
    return [*units[:1], *(drop_ins[name] for name in sorted(drop_ins))] if units else []


def _eyes(unit: Unit) -> tuple[bool, May | None]:
    """Whether the unit's user is there, and how to ask for its rights."""
    try:
        user = pwd.getpwnam(unit.user)
        group = grp.getgrnam(unit.group).gr_gid if unit.group else user.pw_gid
        others = [grp.getgrnam(name).gr_gid for name in unit.groups]
    except KeyError:
        return False, None
    if os.geteuid() != 0:
        return True, None
    groups = sorted({*os.getgrouplist(unit.user, group), *others})

    def may(path: Path, right: Right) -> bool:
        # By a process of that user, for only the kernel knows what access lists and shares make of it.
        ask = ["/usr/bin/test", f"-{right}", os.fspath(path)]
        return not subprocess.run(ask, user=user.pw_uid, group=group, extra_groups=groups, check=False).returncode

    return True, may
