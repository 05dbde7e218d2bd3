"""What becomes of dropped files once their outcome is safe: archived, deleted, or set aside in the quarantine.

Every step can be repeated: a file that is gone already was dealt with before a crash, one that changed since is left
for the next listing, and nothing is ever written over.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from coatcheck.files import copy_span, fingerprint, open_folder, open_original, sync_folder
from coatcheck.vault.rows import Fate, FateState, PlannedFile

_MOST_NAMES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The context of :func:`carry_out`."""

    inbox: Path
    archive: Path | None
    quarantine: Path


@dataclass(slots=True)
class _Touched:
    """Folders whose names changed, to be made durable at the end of a batch."""

    folders: set[Path] = field(default_factory=set)


def carry_out(context: Places, batch: Sequence[PlannedFile]) -> list[FateState | OSError]:
    """Does what was planned for each file: done, superseded (it is another file now), or the weather that forbade it."""
    touched = _Touched()
    results: list[FateState | OSError] = []
    for planned in batch:
        try:
            results.append(_one(context, planned, touched))
        except OSError as error:
            results.append(OSError(error.errno, os.strerror(error.errno or errno.EIO)))  # without the path
    for folder in sorted(touched.folders):
        with suppress(FileNotFoundError):
            sync_folder(folder)
    return results


def _one(context: Places, planned: PlannedFile, touched: _Touched) -> FateState:
    folder, _, name = planned.path.rpartition("/")
    source = context.inbox / folder
    try:
        with open_folder(context.inbox) as root, open_folder(folder or ".", beneath=root) as parent:
            now = fingerprint(os.stat(name, dir_fd=parent, follow_symlinks=False))
            if now != planned.fingerprint:
                return FateState.SUPERSEDED
            if planned.fate is Fate.DELETE:
                os.unlink(name, dir_fd=parent)
            else:
                _move(parent, name, _root(context, planned.fate), planned.destination, touched)
            touched.folders.add(source)
    except (FileNotFoundError, NotADirectoryError):
        if not context.inbox.is_dir():
            raise  # The share is gone, not the file.
    return FateState.DONE


def _root(context: Places, fate: Fate) -> Path:
    if fate is Fate.QUARANTINE:
        return context.quarantine
    if context.archive is None:
        raise OSError(errno.ENOENT, "no archive")
    return context.archive


def _move(parent: int, name: str, root: Path, destination: str, touched: _Touched) -> None:
    """Moves a file below ``root``. A name that is taken gets a number, unless it holds the same content."""
    target = root / destination
    make_folders(root, target.parent)
    touched.folders.add(target.parent)
    free = _free_name(parent, name, target)
    if free is None:
        os.unlink(name, dir_fd=parent)
        return
    try:
        os.rename(name, free, src_dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(parent, name, free)
        os.unlink(name, dir_fd=parent)


def make_folders(root: Path, folder: Path) -> None:
    """Makes the folders from ``root`` down to ``folder``, durably. ``root`` itself must be there already."""
    missing = []
    while folder != root and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        with suppress(FileExistsError):
            made.mkdir()
        sync_folder(made.parent)


def _free_name(parent: int, name: str, target: Path) -> Path | None:
    """A path that nothing has yet, or None where the very content is there already."""
    for number in range(1, _MOST_NAMES):
        candidate = target if number == 1 else target.with_name(_numbered(target.name, number))
        if not os.path.lexists(candidate):
            return candidate
        if _same_content(parent, name, candidate):
            return None
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def _numbered(name: str, number: int) -> str:
    """The name with a number behind it, within the 255 bytes that a file system allows."""
    suffix = f"~{number}"
    return os.fsdecode(os.fsencode(name)[: 255 - len(suffix)]) + suffix


def _same_content(parent: int, name: str, other: Path) -> bool:
    try:
        with open_original(parent, name) as one, open_folder(other.parent) as folder:
            with open_original(folder, other.name) as two:
                if os.fstat(one).st_size != os.fstat(two).st_size:
                    return False
                while left := os.read(one, 1 << 20):
                    if left != os.read(two, len(left)):
                        return False
                return True
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise


def _copy(parent: int, name: str, target: Path) -> None:
    """Copies to another file system: whole and durable under the final name, or not there at all."""
    temporary = target.with_name(f".coatcheck-{os.getpid()}.tmp")
    with open_original(parent, name) as source:
        status = os.fstat(source)
        out = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            copy_span(source, 0, status.st_size, out)
            os.fchmod(out, status.st_mode & 0o777)
            os.utime(out, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(out)
        finally:
            os.close(out)
    os.rename(temporary, target)
    sync_folder(target.parent)
