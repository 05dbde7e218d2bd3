"""What an installed systemd unit keeps the service from, judged before it runs, with the drop-in that mends it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from coatcheck.config import Config, Problem, Project
from coatcheck.installed_unit import UNIT, Installed, Right
from coatcheck.keys import key_path
from coatcheck.systemd_unit import Access, Credential, Unit, drop_in

_BELOW: Final = "add the lines below by `systemctl edit coatcheck`, and restart it"
_DEPTH: Final = 3  # parts of a path, "/" among them, from which on a folder may be given to the service as a whole
_BROAD: Final = frozenset({"/var/lib", "/var/spool", "/var/opt", "/var/tmp", "/usr/local"})
_HOMES: Final = (Path("/home"), Path("/run/user"))
Key = tuple[str, ...]


@dataclass(slots=True)
class Findings:
    """What is wrong or worth knowing, and the lines that a drop-in should have; "" where none is needed."""

    problems: list[Problem] = field(default_factory=list)
    drop_in: str = ""


def look(config: Config, installed: Installed) -> Findings:
    """Everything that the unit and its user do not allow of what the configuration asks."""
    return _Look(config, installed).findings()


def credential(unit: Unit, project: str) -> Credential | None:
    """The key that the unit hands over for a project, if it does."""
    return unit.credentials.get(f"{project}.key") or unit.credentials.get(project)


class _Look:
    def __init__(self, config: Config, installed: Installed) -> None:
        self.config = config
        self.installed = installed
        self.unit = installed.unit
        self.problems: list[Problem] = []
        self.writable: list[Path] = []
        self.bound: list[Path] = []
        self.mounts: list[Path] = []
        self.keys: dict[str, Path] = {}

    def findings(self) -> Findings:
        self.unit_itself()
        self.files()
        if self.lacks(("state_dir",), self.config.state_dir):
            self.give([self.config.state_dir])
            # An empty folder in place of a disk that is away would become a second ledger.
            self.mounts.append(self.config.state_dir)
        for project in self.config.projects.values():
            self.folders(project)
            self.key(project)
        text = drop_in(
            writable=self.writable,
            bound=self.bound,
            homes=any(not path.is_relative_to("/tmp") and not path.is_relative_to("/var/tmp") for path in self.bound),
            mounts=self.mounts,
            credentials=self.keys,
        )
        return Findings(self.problems, text)

    def say(self, key: Key, what: str, hint: str, level: Literal["problem", "note"] = "problem") -> None:
        file, line = self.config.place(*key)
        self.problems.append(Problem(file=file, line=line, key=".".join(key), what=what, hint=hint, level=level))

    def unit_itself(self) -> None:
        if not self.installed.user_exists:
            self.say((), f"the user {self.unit.user} or a group of {UNIT} does not exist", "run `systemd-sysusers`")
        if self.installed.outdated:
            self.say((), f"systemd has not read {UNIT} as it is now", "run `systemctl daemon-reload`", "note")

    def files(self) -> None:
        """The configuration's own files must be readable."""
        for file in sorted({place.file for place in self.config.places.values()}):
            path = Path(os.path.abspath(file))
            if not self.allowed(path, "r") or self.access(path) is Access.HIDDEN:
                group = shlex.quote(self.unit.group or self.unit.user)
                hint = f"`chgrp {group} {shlex.quote(file)} && chmod 640 {shlex.quote(file)}`, outside of home folders"
                what = f"cannot be read by {self.unit.user}, the user of {UNIT}"
                self.problems.append(Problem(file=file, line=1, key="", what=what, hint=hint))

    def folders(self, project: Project) -> None:
        folders = project.folders
        key = ("projects", project.name)
        missing = [path for role, path in folders.items() if self.lacks((*key, role), path)]
        if missing:
            self.give(_roots(folders.values(), missing))
        else:
            self.renames(project)

    def lacks(self, key: Key, path: Path) -> bool:
        """Whether a drop-in must let the service write there. Where it may, the rights of files are judged too."""
        access = self.access(path)
        if access is Access.WRITE:
            self.rights(key, path)
            return False
        if access is Access.HIDDEN and not self.is_veiled(path):
            self.say(key, f"is hidden from {UNIT} by InaccessiblePaths", "name another folder, or change the unit")
            return False
        how = "is read-only for {}: its ReadWritePaths do not cover it"
        if access is Access.HIDDEN:
            how = "is hidden from {} by ProtectHome or PrivateTmp"
        self.say(key, how.format(UNIT), _BELOW)
        return True

    def access(self, path: Path) -> Access:
        return self.unit.access(Path(os.path.realpath(path)))

    def is_veiled(self, path: Path) -> bool:
        return any(Path(os.path.realpath(path)).is_relative_to(place) for place in self.unit.veiled)

    def give(self, paths: Iterable[Path]) -> None:
        for path in paths:
            wanted = self.bound if self.is_veiled(path) else self.writable
            if path not in wanted:
                wanted.append(path)

    def allowed(self, path: Path, *rights: Right) -> bool:
        """Whether the rights of files allow it, as far as that can be known."""
        may = self.installed.may
        return may is None or not os.path.lexists(path) or all(may(path, right) for right in rights)

    def rights(self, key: Key, path: Path) -> None:
        if not path.is_dir() or self.allowed(path, "r", "w", "x"):
            return
        user, group = self.unit.user, self.unit.group or self.unit.user
        closed = next((above for above in reversed(path.parents) if not self.allowed(above, "x")), None)
        where = shlex.quote(str(path))
        if closed is not None:
            hint = f"let it pass {closed}: `setfacl -m u:{user}:x {shlex.quote(str(closed))}`"
        elif key[-1] == "inbox":
            hint = f"`setfacl -m u:{user}:rwx,d:u:{user}:rwx {where}`; who fetches results must not get in"
        else:
            hint = f"`chown {user}:{group} {where}`"
        self.say(key, f"cannot be used by {user}, the user of {UNIT}", hint)

    def renames(self, project: Project) -> None:
        """What is a mount of its own inside the service can only be copied into."""
        mounts = {role: self.mount(path) for role, path in project.folders.items()}
        for role in ("archive", "quarantine") if project.originals == "archive" else ("quarantine",):
            if role in mounts and mounts[role] != mounts["inbox"]:
                what = f"is another mount than the inbox inside {UNIT}, so originals are copied there and not renamed"
                hint = "name the folder above both in one ReadWritePaths, not each; nothing to do if that is meant"
                self.say(("projects", project.name, role), what, hint, "note")

    def mount(self, path: Path) -> Path | None:
        return self.unit.mount(Path(os.path.realpath(path)))

    def key(self, project: Project) -> None:
        key, given = ("projects", project.name), credential(self.unit, project.name)
        if given is not None:
            if given.source.is_absolute() and not os.path.lexists(given.source):
                what = f"{UNIT} takes the key from {given.source}, which is not there: the service will not start"
                self.say(key, what, "restore it from your copy, or take that line out of the unit")
            return
        path = key_path(self.config.key_dir, project.name, None)
        if os.path.lexists(path) and (self.access(path) is Access.HIDDEN or not self.allowed(path, "r")):
            self.keys[f"{project.name}.key"] = path
            what = f"the key {path} cannot be read by {self.unit.user}, the user of {UNIT}"
            self.say(key, what, f"{_BELOW}: systemd hands a copy over, and the key stays with root")


def _roots(folders: Iterable[Path], missing: Iterable[Path]) -> Iterator[Path]:
    """What to name in the unit: the one folder above a project's own, unless that holds other things too."""
    above = Path(os.path.commonpath([os.fspath(path) for path in folders]))
    if len(above.parts) >= _DEPTH and str(above) not in _BROAD and above.parent not in _HOMES:
        yield above
    else:
        yield from missing
