"""Files on their way out of the quarantine: back to the inbox under the path that they were dropped with, or gone.

Every step can be repeated, and nothing is ever written over: other programs write into the inbox at any time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.files import copy_span, fingerprint, open_folder, open_original
from coatcheck.folders import Touched, enter, follow, has_name, numbered

_RENAME_NOREPLACE: Final = 1
_NOT_KNOWN: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The context of :func:`give_back`."""

    inbox: Path
    quarantine: Path


def give_back(context: Ways, batch: Sequence[PlannedFile]) -> list[FateState | OSError | CoatcheckError]:
    """Carries out each file's RETRY or DROP: done, superseded (it is another file now), or what is in its way."""
    touched = Touched()
    results: list[FateState | OSError | CoatcheckError] = []
    try:
        for planned in batch:
            try:
                results.append(_one(context, planned, touched))
            except OSError as error:
                results.append(OSError(error.errno, os.strerror(error.errno or errno.EIO)))  # without the path
            except Exception as error:
                results.append(Mistake.of(error))
    finally:
        touched.sync()
    return results


def _one(context: Ways, planned: PlannedFile, touched: Touched) -> FateState:
    folder, _, name = planned.path.rpartition("/")
    with open_folder(context.quarantine) as root, ExitStack() as stack:
        try:
            parent = stack.enter_context(open_folder(folder or ".", beneath=root))
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return FateState.DONE  # It was moved before a crash.
        if fingerprint(status) != planned.fingerprint:
            return FateState.SUPERSEDED
        touched.note(parent)
        if planned.fate is Fate.DROP:
            os.unlink(name, dir_fd=parent)
            return FateState.DONE
        *folders, wanted = planned.destination.split("/")
        with open_folder(context.inbox) as inbox, follow(inbox, folders, _enter) as target:
            touched.note(target)
            return _move(parent, name, status, target, wanted)


def _enter(parent: int, folder: str) -> int:
    """A folder in the inbox, made if need be. A name that something else has gets a number."""
    for name in numbered(folder):
        with suppress(NotADirectoryError):
            return enter(parent, name, make=True)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _move(parent: int, name: str, status: os.stat_result, target: int, wanted: str) -> FateState:
    """One file into an open folder, under the first name that is free; away where the very content is there already."""
    for free in numbered(wanted):
        if has_name(target, free):
            if not _same_content(parent, name, target, free):
                continue
            os.unlink(name, dir_fd=parent)
            return FateState.DONE
        try:
            _rename_new(parent, name, target, free)
            return FateState.DONE
        except FileExistsError:  # dropped in this very moment
            continue
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if not stat.S_ISREG(status.st_mode):
                return FateState.SUPERSEDED  # A link or a pipe has no content to copy, and no use in an inbox.
            with suppress(FileExistsError):
                _copy(parent, name, target, free)
                os.unlink(name, dir_fd=parent)
                return FateState.DONE
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _rename_new(parent: int, name: str, target: int, free: str) -> None:
    """Renames, but never over anything. Raises FileExistsError and other OSErrors.

    Where the file system cannot promise it (some shares), what has the name is looked at right before.
    """
    if hasattr(_libc, "renameat2"):
        names = os.fsencode(name), os.fsencode(free)
        if _libc.renameat2(parent, names[0], target, names[1], _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NOT_KNOWN:
            raise OSError(code, os.strerror(code))
    if has_name(target, free):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(name, free, src_dir_fd=parent, dst_dir_fd=target)


def _copy(parent: int, name: str, target: int, free: str) -> None:
    """Copies from another file system: whole and durable under the final name, or not there at all."""
    # The same name at every attempt, so that what a crash left is written over; an inbox leaves dot-names alone.
    temporary = f".coatcheck-{sha256(os.fsencode(free)).hexdigest()[:16]}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=target)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open_original(parent, name) as source:
        status = os.fstat(source)
        out = os.open(temporary, flags, 0o600, dir_fd=target)
        try:
            copy_span(source, 0, status.st_size, out)
            os.fchmod(out, status.st_mode & 0o777)
            os.utime(out, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(out)
        finally:
            os.close(out)
    try:
        _rename_new(target, temporary, target, free)
    except FileExistsError:
        os.unlink(temporary, dir_fd=target)
        raise
    os.fsync(target)


def _same_content(parent: int, name: str, folder: int, other: str) -> bool:
    """Whether both are files with the same bytes. What cannot be opened or read is taken for different."""
    try:
        with open_original(parent, name) as one, open_original(folder, other) as two:
            same = os.fstat(one).st_size == os.fstat(two).st_size
            while same and (left := os.read(one, 1 << 20)):
                same = left == os.read(two, len(left))
            return same
    except OSError:
        return False
