"""The state folder and the disks: who may read and write what, what a crash left there, and how much room there is."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from coatcheck.doctor.findings import Finding, Level
from coatcheck.doctor.visit import LONG, Settings
from coatcheck.request_box import FOLDER
from coatcheck.service_lock import Service

_MODES: Final = {
    **dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm", "lock", "status.json", "status.tmp"), 0o640),
    **dict.fromkeys(("vault.db", "vault.db-wal", "vault.db-shm"), 0o600),
    FOLDER: 0o700,
}
_LEFT_BY_CHECK: Final = ".coatcheck-check-"


def look_at_service(settings: Settings, service: Service) -> Iterator[Finding]:
    """Whether one runs, and whether its loop turns."""
    if not service.running:
        yield Finding(level=Level.OK, check="service", what="no service runs on this state folder")
        return
    what = f"a service runs as process {service.pid}"
    if service.updated is not None and settings.now - datetime.fromisoformat(service.updated) > LONG:
        hint = "look at its log, and restart it: what is in hand is repeated"
        said = f"{what}, and has said nothing since {service.updated}"
        yield Finding(level=Level.PROBLEM, check="service", what=said, hint=hint)
        return
    yield Finding(level=Level.OK, check="service", what=what)


def look_at_files(settings: Settings) -> Iterator[Finding]:
    """The files of the state folder, and those of the keys."""
    folder = settings.config.state_dir
    found = [*_state(folder), *_keys(settings)]
    yield from found
    if not found:
        yield Finding(level=Level.OK, check="files", what="state and keys can be read by nobody who should not")
    yield from _journals(folder)
    if (folder / "status.tmp").exists():
        what = "a half-written status.tmp lies in the state folder"
        yield Finding(level=Level.NOTE, check="files", what=what, mend=_removal(folder / "status.tmp"))
    for name, project in settings.projects.items():
        for path in project.folders.values():
            yield from _left_by_check(name, path)


def _state(folder: Path) -> Iterator[Finding]:
    owner = os.stat(folder)
    if owner.st_mode & 0o022:
        yield _open(folder, owner.st_mode, 0o750)
    for name, mode in _MODES.items():
        path = folder / name
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            kind = stat.S_ISDIR if name == FOLDER else stat.S_ISREG
            if not kind(status.st_mode):
                hint = "find out who put it there, and move it away"
                yield Finding(level=Level.PROBLEM, check="files", what=f"{path} is not what it should be", hint=hint)
                continue
            if status.st_mode & 0o777 & ~mode:
                yield _open(path, status.st_mode, mode)
            if status.st_uid != owner.st_uid:
                hint = f"run `chown --reference={folder} {path}` as root"
                what = f"{path} belongs to another user than its folder"
                yield Finding(level=Level.PROBLEM, check="files", what=what, hint=hint)


def _journals(folder: Path) -> Iterator[Finding]:
    """By the files' heads, and before anything opens them: closing a file drops what locks SQLite has on it."""
    for name in ("ledger.db", "vault.db"):
        with suppress(OSError), (folder / name).open("rb") as file:
            head = file.read(20)
            # https://www.sqlite.org/fileformat.html, 1.3: the write and the read version
            if len(head) == 20 and head[18:20] != b"\x02\x02":
                what = f"{name} is not in WAL mode, so readers and the service hold each other up"
                hint = "the next start of the service mends it"
                yield Finding(level=Level.NOTE, check="files", what=what, hint=hint)


def _keys(settings: Settings) -> Iterator[Finding]:
    folder = settings.config.key_dir
    with suppress(FileNotFoundError):
        status = os.stat(folder)
        if status.st_mode & 0o022:
            yield _open(folder, status.st_mode, 0o700)
    for project in settings.projects:
        path = folder / f"{project}.key"
        with suppress(FileNotFoundError, PermissionError):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                yield _open(path, status.st_mode, 0o600)


def _open(path: Path, found: int, wanted: int) -> Finding:
    """Rights are only taken away, never given."""
    mode = found & wanted & 0o777
    return Finding(
        level=Level.PROBLEM,
        check="files",
        what=f"{path} is open to other users ({found & 0o777:04o})",
        hint=f"run `chmod {mode:04o} {path}`",
        mend=lambda: os.chmod(path, mode, follow_symlinks=True),
    )


def _left_by_check(project: str, folder: Path) -> Iterator[Finding]:
    """What a killed `coatcheck check` left: an empty file, or a folder with one in it."""
    try:
        left = [name for name in os.listdir(folder) if name.startswith(_LEFT_BY_CHECK)]
    except OSError:  # said with the disks
        return
    for name in left:
        what = "a trial of `coatcheck check` was left in one of the folders"
        yield Finding(level=Level.NOTE, check="files", project=project, what=what, mend=_removal(folder / name))


def _removal(path: Path) -> Callable[[], None]:
    def remove() -> None:
        if path.is_dir() and not path.is_symlink():
            with suppress(FileNotFoundError):
                (path / "file").unlink()
            path.rmdir()
        else:
            path.unlink(missing_ok=True)

    return remove


def look_at_disks(settings: Settings) -> Iterator[Finding]:
    """Whether there is room where the service writes, and the folders are there at all."""
    places = {"state_dir": ("", settings.config.state_dir)}
    for name, project in settings.projects.items():
        for role, path in project.folders.items():
            places[f"{role} of {name}"] = (name, path)
    found = [one for role, (project, path) in places.items() for one in _disk(settings, role, project, path)]
    yield from found
    if not found:
        yield Finding(level=Level.OK, check="disks", what="there is room on every disk")


def _disk(settings: Settings, role: str, project: str, path: Path) -> Iterator[Finding]:
    try:
        status = os.statvfs(path)
    except OSError as error:
        what = f"the {role} cannot be looked at ({error.strerror})"
        hint = "mount it, or see `coatcheck check`; the service waits until it is there"
        yield Finding(level=Level.PROBLEM, check="disks", project=project, what=what, hint=hint)
        return
    free = status.f_bavail * status.f_frsize
    hint = "make room: the work pauses when there is none, and goes on by itself"
    if free < settings.limits.room or (status.f_files and status.f_favail == 0):
        what = f"the disk of the {role} is full" if status.f_favail or not status.f_files else _no_inodes(role)
        yield Finding(level=Level.PROBLEM, check="disks", project=project, what=what, hint=hint)
    elif free < settings.limits.little_room:
        what = f"there are {free >> 20} MB left on the disk of the {role}"
        yield Finding(level=Level.NOTE, check="disks", project=project, what=what, hint=hint)


def _no_inodes(role: str) -> str:
    return f"the disk of the {role} has room for no more files"
