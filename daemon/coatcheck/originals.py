"""What becomes of dropped files once their outcome is safe: archived, deleted, or set aside in the quarantine.

Every step can be repeated: a file that is gone already was dealt with before a crash, one that changed since is left
for the next listing, and nothing is ever written over.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from hashlib import sha256
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
    """Does what was planned for each file: done, superseded (it is another file now), or the weather in its way."""
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
    with open_folder(context.inbox) as root, ExitStack() as stack:
        try:
            parent = stack.enter_context(open_folder(folder or ".", beneath=root))
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return FateState.DONE  # It was dealt with before a crash, or somebody took it back.
        if fingerprint(status) != planned.fingerprint:
            return FateState.SUPERSEDED
        if planned.fate is Fate.DELETE:
            os.unlink(name, dir_fd=parent)
        else:
            _move(parent, name, _root(context, planned.fate), planned.destination, touched)
        touched.folders.add(context.inbox / folder)
    return FateState.DONE


def _root(context: Places, fate: Fate) -> Path:
    if fate is Fate.QUARANTINE:
        return context.quarantine
    if context.archive is None:
        raise OSError(errno.ENOENT, "no archive")
    return context.archive


def _move(parent: int, name: str, root: Path, destination: str, touched: _Touched) -> None:
    """Moves a file below ``root``. A name that is taken gets a number, unless it holds the same content."""
    target = _way_to(root, destination)
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
        if stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            _copy(parent, name, free)
        else:
            _make_again(parent, name, free)
        os.unlink(name, dir_fd=parent)


def _way_to(root: Path, destination: str) -> Path:
    """The path below ``root``. A folder's name that a file has already gets a number."""
    *folders, name = destination.split("/")
    for folder in folders:
        free = root / folder
        number = 1
        while os.path.lexists(free) and not (free.is_dir() and not free.is_symlink()):
            number += 1
            free = root / _numbered(folder, number)
        root = free
    return root / name


def _make_again(parent: int, name: str, target: Path) -> None:
    """What is no regular file has no content to copy: its like is made on the other file system."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=parent), target)
        return
    try:
        os.mknod(target, status.st_mode, status.st_rdev)
    except PermissionError:
        os.mknod(target, stat.S_IFREG | 0o600)  # Only root makes devices; the name tells what it was.


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
        with ExitStack() as stack:
            folder = stack.enter_context(open_folder(other.parent))
            one = stack.enter_context(open_original(parent, name))
            two = stack.enter_context(open_original(folder, other.name))
            same = os.fstat(one).st_size == os.fstat(two).st_size
            while same and (left := os.read(one, 1 << 20)):
                same = left == os.read(two, len(left))
            return same
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise


def _copy(parent: int, name: str, target: Path) -> None:
    """Copies to another file system: whole and durable under the final name, or not there at all."""
    # The same name at every attempt, so that what a crash left is written over.
    temporary = target.with_name(f".coatcheck-{sha256(os.fsencode(target.name)).hexdigest()[:16]}.tmp")
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
