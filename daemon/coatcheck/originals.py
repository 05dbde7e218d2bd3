"""What becomes of dropped files once their outcome is safe: archived, deleted, or set aside in the quarantine.

Every step can be repeated: a file that is gone already was dealt with before a crash, one that changed since is left
for the next listing, and nothing is ever written over. Archive and quarantine are gone through by descriptors, so
that no link in them is followed and no path is too long.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.files import Folders, copy_span, fingerprint, open_folder, open_original
from coatcheck.folders import Touched, enter, follow, has_name, way
from coatcheck.model import Fingerprint
from coatcheck.resting_names import digest, names, short

_OWN = {Fate.QUARANTINE: 2, Fate.ARCHIVE: 1}  # REASON/TICKET or TICKET; the rest of a destination was dropped
_SIDE_BY_SIDE = 8
_FEW = 16

Outcome = FateState | OSError | CoatcheckError


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The context of :func:`carry_out`."""

    inbox: Path
    archive: Path | None
    quarantine: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    """A dropped file by the folder that it lies in, and what it was when its fate was planned."""

    parent: int
    name: str
    mark: Fingerprint

    def unchanged(self) -> bool:
        """Whether that very file still has the name."""
        try:
            return fingerprint(os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)) == self.mark
        except FileNotFoundError:
            return False

    def remove(self) -> FateState:
        """Removes it, unless another file has its name by now."""
        if not self.unchanged():
            return FateState.SUPERSEDED
        os.unlink(self.name, dir_fd=self.parent)
        return FateState.DONE


def carry_out(context: Places, batch: Sequence[PlannedFile]) -> list[Outcome]:
    """Does what was planned for each file: done, superseded (it is another file now), or what is in its way.

    Many that are deleted are deleted side by side: where the disk is told to forget them, each would wait for it.
    """
    size = -(-len(batch) // _SIDE_BY_SIDE)
    if size < _FEW or any(planned.fate is not Fate.DELETE for planned in batch):
        return _in_order(context, batch)
    try:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
            parts = (batch[at : at + size] for at in range(0, len(batch), size))
            return [result for results in threads.map(partial(_in_order, context), parts) for result in results]
    except RuntimeError:  # No more threads can be started. What some of them deleted is found to be gone.
        return _in_order(context, batch)


def _in_order(context: Places, batch: Sequence[PlannedFile]) -> list[Outcome]:
    touched = Touched()
    results: list[Outcome] = []
    with Folders(context.inbox) as inbox:
        try:
            for planned in batch:
                results.append(_carried_out(context, inbox, planned, touched))
        finally:
            touched.sync()
    return results


def _carried_out(context: Places, inbox: Folders, planned: PlannedFile, touched: Touched) -> Outcome:
    """The same for one file, which must not hold up the others whatever is the matter with it."""
    try:
        return _one(context, inbox, planned, touched)
    except OSError as error:
        return OSError(error.errno, os.strerror(error.errno or errno.EIO))  # without the path
    except CoatcheckError as error:
        return error
    except Exception as error:
        return Mistake.of(error)


def _one(context: Places, inbox: Folders, planned: PlannedFile, touched: Touched) -> FateState:
    try:
        parent, name = inbox.holding(planned.path)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return FateState.DONE  # It was dealt with before a crash, or somebody took it back.
    if fingerprint(status) != planned.fingerprint:
        return FateState.DONE if _is_moved(context, planned) else FateState.SUPERSEDED
    touched.note(parent)
    if planned.fate is Fate.DELETE:
        os.unlink(name, dir_fd=parent)
        return FateState.DONE
    original = _Original(parent=parent, name=name, mark=planned.fingerprint)
    return _move(original, _root(context, planned.fate), planned, touched)


def _is_moved(context: Places, planned: PlannedFile) -> bool:
    """Whether the file lies where it was to go, moved before a crash: another one has taken its name since."""
    if planned.fate not in _OWN:
        return False
    root, own, mark = _root(context, planned.fate), _OWN[planned.fate], planned.fingerprint
    with suppress(FileNotFoundError, NotADirectoryError), open_folder(root) as base:
        *folders, name = short(root, base, planned.destination.split("/"), own)
        with open_folder("/".join(folders) or ".", beneath=base) as target:
            for candidate in names(name, mark):
                if fingerprint(os.stat(candidate, dir_fd=target, follow_symlinks=False))[:2] == mark[:2]:
                    return True  # by device and inode
    return False


def _root(context: Places, fate: Fate) -> Path:
    if fate is Fate.QUARANTINE:
        return context.quarantine
    if context.archive is None:
        raise OSError(errno.ENOENT, "no archive")
    return context.archive


def _move(original: _Original, root: Path, planned: PlannedFile, touched: Touched) -> FateState:
    """Moves a file below ``root``. A name that is taken gets a number, unless it holds the same content."""
    own = _OWN[planned.fate]
    with open_folder(root) as base:
        *folders, name = short(root, base, planned.destination.split("/"), own)
    named = own if planned.fate is Fate.QUARANTINE else 0  # of the folders, in the records: these have no other name
    with way(root, folders[:named], make=True) as base, follow(base, folders[named:], _enter_free) as target:
        touched.note(target)
        free = _free_name(original, target, name)
        if free is None:
            return original.remove()
        try:
            os.rename(original.name, free, src_dir_fd=original.parent, dst_dir_fd=target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return original.remove() if _copied(original, target, free) else FateState.SUPERSEDED
        return _moved(original, target, free)


def _enter_free(parent: int, folder: str) -> int:
    """The folder for a file, made if need be. A name that something else has already gets a number."""
    for name in names(folder, ""):
        with suppress(NotADirectoryError):
            return enter(parent, name, make=True)
    raise AssertionError  # names never end


def _free_name(original: _Original, target: int, name: str) -> str | None:
    """A name that nothing has yet, or None where the very content is there already."""
    for candidate in names(name, original.mark):
        if not has_name(target, candidate):
            return candidate
        if _same_content(original, target, candidate):
            _keep(target, candidate)
            return None
    raise AssertionError  # names never end


def _same_content(original: _Original, folder: int, name: str) -> bool:
    """Whether both are files with the same bytes. What cannot be opened or read is taken for different."""
    try:
        with open_original(original.parent, original.name) as one, open_original(folder, name) as two:
            same = os.fstat(one).st_size == os.fstat(two).st_size
            while same and (left := os.read(one, 1 << 20)):
                same = left == os.read(two, len(left))
            return same
    except OSError:
        return False


def _keep(folder: int, name: str) -> None:
    """Makes a copy durable that an earlier attempt may have left unsynced, before the original goes."""
    with open_original(folder, name) as fd:
        os.fsync(fd)
    os.fsync(folder)


def _moved(original: _Original, target: int, free: str) -> FateState:
    """After the rename: a file that took the name in the last moment goes back to be looked at."""
    now = os.stat(free, dir_fd=target, follow_symlinks=False)
    if (now.st_size, now.st_mtime_ns) == (original.mark.size, original.mark.mtime_ns):
        return FateState.DONE
    if not has_name(original.parent, original.name):
        os.rename(free, original.name, src_dir_fd=target, dst_dir_fd=original.parent)
    return FateState.SUPERSEDED


def _copied(original: _Original, target: int, free: str) -> bool:
    """Copies to another file system: whole and durable under the final name. False where the original changed."""
    status = os.stat(original.name, dir_fd=original.parent, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        _make_again(original, target, free, status)
        os.fsync(target)
        return True
    temporary = f".coatcheck-{digest(free)}.tmp"  # the same at every attempt, so that none is left
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=target)
    with open_original(original.parent, original.name) as source:
        _copy(source, target, temporary)
        whole = fingerprint(os.fstat(source)) == original.mark and original.unchanged()
    if not whole:
        os.unlink(temporary, dir_fd=target)
        return False
    os.rename(temporary, free, src_dir_fd=target, dst_dir_fd=target)
    os.fsync(target)
    return True


def _copy(source: int, target: int, name: str) -> None:
    status = os.fstat(source)
    out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        copy_span(source, 0, status.st_size, out)
        os.fchmod(out, status.st_mode & 0o777)
        os.utime(out, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(out)
    finally:
        os.close(out)


def _make_again(original: _Original, target: int, name: str, status: os.stat_result) -> None:
    """What is no regular file has no content to copy: its like is made on the other file system."""
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(original.name, dir_fd=original.parent), name, dir_fd=target)
        return
    try:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
    except PermissionError:
        os.mknod(name, stat.S_IFREG | 0o600, dir_fd=target)  # Only root makes devices; the name tells what it was.
